"""Many users at once, and exact ladders: SIPp accepts what its scenario says and nothing else."""

import functools

import pytest

from tests.support.network import LOOPBACK, Loopback, Machine
from tests.support.server import CALLEES, CALLERS

CALLS = 500


def register(server, sipp, users: list[str], address: str, contact: str, **options) -> None:
    """Register `users` from the host `address`; they shall be called at the socket `contact`."""
    sipp(
        "register",
        calls=len(users),
        rate=250,
        **{"to": server.address} | options,
        domain=server.domain,
        people=[("", user, server.password_of(user)) for user in users],
        address=address,
        port=5070,
        contact=contact,
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


@pytest.fixture
def run(server, sipp):
    """`play` on the loopback network."""
    return functools.partial(play, server, sipp)


def test_a_thousand_users_register(server, sipp):
    """RFC 3261 §10.3, §22: REGISTER, 401, REGISTER with credentials, 200 with the binding."""
    users = [f"phone{number:04}" for number in range(1000)]
    server.has_users(*users)

    register(server, sipp, users, address="127.0.0.1", contact="127.0.0.1:5071")


def test_five_hundred_calls_of_local_users_are_set_up_and_ended(run):
    """RFC 3665 §3.2 with §22.3: INVITE, 407, ACK, INVITE, 180, 200, ACK, BYE, 200; none is lost."""
    run("caller_challenged", "callee", calls=CALLS)


def test_five_hundred_calls_from_outside_are_set_up_and_ended(run):
    """RFC 3261 §16: a call to a local user from another domain needs no credentials."""
    run("caller", "callee", calls=CALLS, from_domain="elsewhere.test")


def test_a_call_cancelled_while_it_rings_ends_on_both_sides(run):
    """RFC 3261 §9, §16.10: 200 for the CANCEL, 487 for the INVITE, and an ACK at each end."""
    run("caller_cancels", "callee_cancelled", calls=100)


def test_a_busy_callee_is_reported_to_the_caller(run):
    """RFC 3261 §17.1.1.3, §17.2.1: each hop acknowledges the 486."""
    run("caller_finds_busy", "callee_busy", calls=100)


@pytest.mark.parametrize("by", [("tcp", "udp"), ("udp", "tcp"), ("tcp", "tcp")])
def test_calls_between_udp_and_tcp_are_set_up_and_ended(run, by: tuple[str, str]):
    """RFC 3261 §18, RFC 5658: each side knows the server by its own transport."""
    run("caller_challenged", "callee", calls=100, by=by)
