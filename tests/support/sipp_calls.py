"""Registrations and calls by SIPp."""

from tests.support.network import LOOPBACK, Loopback, Machine
from tests.support.programs import own_address
from tests.support.server import CALLEES, CALLERS


def register(
    server, sipp, users: list[str], address: str = "", contact: str = "", **options
) -> None:
    """Register `users` from the host `address`; they shall be called at the socket `contact`.

    Without these the host is one that no other test uses, and no program is at the socket.
    """
    address = address or own_address()
    sipp(
        "register",
        calls=len(users),
        rate=250,
        **{"to": server.address} | options,
        domain=server.domain,
        people=[("", user, server.password_of(user)) for user in users],
        address=address,
        port=5070,
        contact=contact or f"{address}:5071",
    ).succeeds()


def play(
    server,
    sipp,
    caller: str,
    callee: str,
    calls: int,
    *,
    from_domain: str | None = None,
    by: tuple[str, str] = ("udp", "udp"),
    on: tuple[Loopback | Machine, Loopback | Machine] = (LOOPBACK, LOOPBACK),
    registers_at: str | None = None,
) -> None:
    """Play `calls` calls of the scenarios `caller` and `callee`, all of which must succeed.

    Each side has its transport, and its machine.  Callees register from another address of theirs
    where `registers_at` says one.
    """
    to = [server.address_for(machine.phone_address()) for machine in on]
    phones = sipp(callee, calls=calls, to=to[1], transport=by[1], machine=on[1])
    where = phones.socket + (";transport=tcp" if by[1] == "tcp" else "")
    home = registers_at or phones.address
    register(server, sipp, CALLEES, home, where, to=server.address_for(home), machine=on[1])
    people = [(b, a, server.password_of(a)) for a, b in zip(CALLERS, CALLEES, strict=True)]
    dialling = sipp(
        caller,
        calls=calls,
        to=to[0],
        domain=server.domain,
        from_domain=from_domain,
        people=people,
        transport=by[0],
        machine=on[0],
    )
    repeated = dialling.succeeds().repeated + phones.succeeds().repeated
    # A lost message is repeated and arrives after all, and so is one that is only late.
    assert server.lost_datagrams() == 0, f"{repeated} repeats"
