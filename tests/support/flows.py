"""Phones with an instance id that use Outbound and GRUUs (RFC 5626, RFC 5627)."""

from sip.message.headers import parse_name_addr
from sip.message.message import Response
from tests.support.world import Phone, World

INSTANCE = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"
SUPPORTED = "Supported: outbound, path, gruu"


def flow(world: World, name: str, reg_id: int, **more) -> Phone:
    """One flow of a phone: an address of its own, and the reg-id of its Contact."""
    phone = world.phone(name, registered=False, **more)
    phone.contact = f'<sip:{name}@192.168.1.20>;+sip.instance="{INSTANCE}";reg-id={reg_id}'
    return phone


def register_flow(phone: Phone, *headers: str, **more) -> Response:
    """Register a flow, or a phone with GRUUs."""
    answer = phone.registers(headers=(SUPPORTED, *headers), **more)
    assert answer.status == 200, answer.status
    return answer


def with_gruu(world: World, name: str, *, instance: str = INSTANCE, **more) -> Phone:
    """Register a phone that uses its public GRUU as its Contact from then on."""
    phone = world.phone(name, registered=False, **more)
    contact = f'{phone.contact};+sip.instance="{instance}"'
    answer = phone.registers(contact, headers=("Supported: gruu",), call_id=f"{name} registers")
    phone.contact = f"<{gruus(answer)[0]}>"
    return phone


def gruus(answer: Response) -> tuple[str, str]:
    """Return the public and the temporary GRUU in the first Contact of a response."""
    params = parse_name_addr(answer.values("contact")[0]).params
    return params["pub-gruu"] or "", params["temp-gruu"] or ""
