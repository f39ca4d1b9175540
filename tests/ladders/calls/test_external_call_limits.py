"""Limits of external calls that ring at once, for each user and source."""

from ipaddress import ip_network

import pytest

from sip.core.trunk import parse_trunks
from sip.message.message import Request
from tests.support.flows import INSTANCE, gruus
from tests.support.world import Phone, World

OUTSIDE = {"from_uri": "sip:x@elsewhere.test"}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls for a user, three of a source."""
    monkeypatch.setattr("sip.core.guard.call_limits.MAX_CALLS_FOR_USER", 2)
    monkeypatch.setattr("sip.core.guard.call_limits.MAX_CALLS_OF_SOURCE", 3)


def stranger(world: World, host: str, **more) -> Phone:
    return world.phone("x", registered=False, host=host, **more)


def rings(caller: Phone, callee: Phone, **more) -> tuple[Request, Request]:
    """Call from outside, and let the callee's phone ring; return the sent and received INVITE."""
    call = caller.sends("INVITE", callee.aor, **OUTSIDE, **more)
    invite = callee.gets("INVITE", call)
    callee.answers(invite, 180)
    caller.gets(180, call)
    return call, invite


def is_busy(caller: Phone, callee: Phone) -> bool:
    """Call from outside; return True if that is refused with a Retry-After."""
    caller.inbox.clear()
    caller.sends("INVITE", callee.aor, **OUTSIDE)
    if callee.inbox:
        return False
    assert caller.gets(486).value("retry-after") == "5"
    return True


def test_external_calls_to_one_user_are_bounded(world: World):
    """With any From (§21.4.24).  Local callers, and calls to other phones, are not limited."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    for number in range(2):
        rings(stranger(world, f"203.0.113.{number}"), bob)
    last = stranger(world, "203.0.113.7")
    assert is_busy(last, bob)
    assert bob.hears_nothing()
    rings(last, carol)
    call = alice.sends("INVITE", bob.aor)
    bob.gets("INVITE", call)


def test_all_spellings_of_a_user_share_its_bound(world: World):
    """Else each of them would be another hundred calls for the one phone."""
    desk = world.phone("+4930123")
    rings(stranger(world, "203.0.113.1"), desk)
    desk.aor = "tel:+49-30-123"
    rings(stranger(world, "203.0.113.2"), desk)
    for number, uri in enumerate(("sip:+49(30)123@example.com;user=phone", "tel:+49.30123")):
        desk.aor = uri
        assert is_busy(stranger(world, f"203.0.113.{3 + number}"), desk)


def test_the_gruus_of_a_user_share_its_bound(world: World):
    """RFC 5627: a phone has a new temporary one after each REGISTER."""
    bob = world.phone("bob", registered=False)
    bob.contact += f';+sip.instance="{INSTANCE}"'
    for number in range(2):
        bob.aor = gruus(bob.registers(headers=("Supported: gruu",), call_id="one"))[1]
        rings(stranger(world, f"203.0.113.{number}"), bob)
        bob.aor = "sip:bob@example.com"
    bob.aor = gruus(bob.registers(headers=("Supported: gruu",), call_id="one"))[1]
    assert is_busy(stranger(world, "203.0.113.7"), bob)


def test_what_is_refused_there_is_not_remembered(world: World):
    """Its address may be forged: one datagram goes there, and nothing is repeated (§8.2.7)."""
    bob = world.phone("bob")
    for number in range(2):
        rings(stranger(world, f"203.0.113.{number}"), bob)
    layer = world.server.layer
    held = len(layer.servers) + len(layer.clients)
    last = stranger(world, "203.0.113.7")
    last.sends("INVITE", bob.aor, **OUTSIDE)
    assert len(layer.servers) + len(layer.clients) == held
    world.passes(40, step=1)
    assert [message[:11] for message in last.inbox] == [b"SIP/2.0 486"]


@pytest.mark.parametrize("end", ["answered", "refused", "cancelled", "given up", "broken off"])
def test_a_call_leaves_its_place_when_it_ends(world: World, end: str):
    """§16.7, §9.2, timer C of §16.6, §18.4: whichever way."""
    bob = world.phone("bob", transport="TCP")
    callers = [stranger(world, f"203.0.113.{number}") for number in range(2)]
    (call, invite), _ = [rings(caller, bob) for caller in callers]
    assert is_busy(callers[1], bob)
    match end:
        case "answered":
            bob.answers(invite, 200)
        case "refused":
            bob.answers(invite, 603)
        case "cancelled":
            callers[0].cancels(call)
            bob.answers(bob.gets("CANCEL"), 200)
            bob.answers(invite, 487)
        case "given up":
            world.passes(181 + 33, step=1)  # the CANCEL is not answered either
        case "broken off":
            bob.hangs_up()
            bob.connects()
            bob.registers()
    bob.inbox.clear()
    assert not is_busy(callers[1], bob)


def test_a_repeat_takes_no_second_place(world: World):
    """§17.2.1: it is the same call."""
    bob = world.phone("bob")
    caller = stranger(world, "203.0.113.1")
    call = caller.sends("INVITE", bob.aor, **OUTSIDE)
    for _ in range(5):
        caller.transmits(call)
    bob.inbox.clear()
    rings(stranger(world, "203.0.113.2"), bob)
    assert is_busy(stranger(world, "203.0.113.3"), bob)


def test_a_source_that_rings_all_phones_gets_503(world: World):
    """§21.5.4: from any port.  Other sources are not limited."""
    *rung, last = world.phones("alice", "bob", "carol", "dave")
    for number, phone in enumerate(rung):
        rings(stranger(world, "203.0.113.1", port=6000 + number), phone)
    again = stranger(world, "203.0.113.1", port=7000)
    again.sends("INVITE", last.aor, **OUTSIDE)
    assert again.gets(503).value("retry-after") == "5"
    assert last.hears_nothing()
    rings(stranger(world, "203.0.113.2"), last)


def test_trusted_networks_have_no_such_bound():
    """`-guard.trusted`: a gateway of one's own rings as many phones as it likes."""
    world = World(settings={"guard_trusted": (ip_network("203.0.113.0/24"),)})
    bob = world.phone("bob")
    for number in range(5):
        rings(stranger(world, f"203.0.113.{number}"), bob)


def test_the_gateway_of_a_trunk_has_no_such_bound():
    """`-sip.trunk`: a gateway is no external caller."""
    world = World(settings={"sip_trunk": parse_trunks("0=sip:203.0.113.1")})
    bob = world.phone("bob")
    gateway = stranger(world, "203.0.113.1")
    for _ in range(5):
        rings(gateway, bob)


def test_a_user_has_no_limit_of_ringing_calls(world: World):
    """A switchboard rings its users."""
    alice, bob = world.phones("alice", "bob")
    for _ in range(5):
        call = alice.sends("INVITE", bob.aor)
        bob.gets("INVITE", call)


def is_refused(caller: Phone, callee: Phone) -> Request | None:
    """Call a phone that is busy; give the call where the phone got it, None where it did not."""
    caller.inbox.clear()
    call = caller.sends("INVITE", callee.aor, **OUTSIDE)
    if not callee.inbox:
        assert caller.gets(503)
        return None
    callee.answers(callee.gets("INVITE"), 486)
    callee.gets("ACK")
    return call


def test_a_forged_call_sends_its_victim_few_failures(world: World):
    """§17.2.1: each is sent eleven times, because it is not acknowledged; then a slot is free."""
    bob = world.phone("bob")
    victim = stranger(world, "203.0.113.1")
    for _ in range(3):
        assert is_refused(victim, bob) is not None
    for _ in range(50):
        assert is_refused(victim, bob) is None
    assert is_refused(stranger(world, "203.0.113.2"), bob) is not None
    world.passes(33, step=0.5)
    assert is_refused(victim, bob) is not None


def test_a_caller_that_sends_its_ack_may_call_again(world: World):
    """§17.1.1.3: as every caller does."""
    bob = world.phone("bob")
    caller = stranger(world, "203.0.113.1")
    for _ in range(20):
        call = is_refused(caller, bob)
        assert call is not None
        caller.acknowledges(call, caller.gets(486))


def test_nothing_is_remembered_of_calls_that_are_over(world: World):
    bob = world.phone("bob")
    for number in range(5):
        is_refused(stranger(world, f"203.0.113.{number}"), bob)
    world.server.sweep()
    assert len(world.server.proxy.call_limits._unacknowledged) == 5
    world.passes(33, step=0.5)
    world.server.sweep()
    assert not world.server.proxy.call_limits._unacknowledged
