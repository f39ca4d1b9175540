"""A proxy of another domain, which a Contact leads to, and what it forwards."""

import itertools

from sip.message.message import Request, Response, parse
from tests.support.world import Phone, World

STRANGER = "sip:x@elsewhere.org"
OUTSIDE = "198.51.100.1"  # the proxy


def outside(world: World, name: str, contact: str = f"<sip:{OUTSIDE}>") -> Phone:
    """A user with another proxy as Contact, and that proxy."""
    world.phone(name, registered=False).registers(contact)
    host = contact.strip("<>").rpartition("@")[2].removeprefix("sip:").partition(";")[0]
    proxy = world.phone("proxy", registered=False, host=host)
    proxy.contact = ""
    return proxy


numbers = itertools.count(1)  # of branches


def goes_on(request: Request, uri: str, vias: str = "") -> Request:
    """The request as the proxy forwards it; `vias` replace its Via values."""
    copy = request.copy()
    copy.uri_text = uri
    copy.set("max-forwards", f"Max-Forwards: {int(copy.value('max-forwards') or 70) - 1}")
    if vias:
        copy.set_values("via", "Via", [vias])
    copy.put_first("via", f"Via: SIP/2.0/UDP {OUTSIDE};branch=z9hG4bKp{next(numbers)}")
    return parse(copy.encode())  # type: ignore[return-value]


def statuses(phone: Phone) -> list[int | str]:
    """The statuses and methods that a phone has received, without 100."""
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    what = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [item for item in what if item != 100]
