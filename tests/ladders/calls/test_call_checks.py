"""Checks of silent calls: the evidence that ends one, and many at one time (RFC 3261 §12.2.1.2)."""

import pytest

from sip.core.proxy import call_control
from sip.core.proxy.call_control import HALF_DEAD_SECONDS
from sip.core.proxy.call_events import QUIET_SECONDS
from sip.core.trunk import parse_trunks
from tests.support.followed_calls import FollowedCalls, talks
from tests.support.world import REALM, World

GATEWAY = "203.0.113.9"
GONE = "both phones are gone"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def calls(world: World) -> FollowedCalls:
    return FollowedCalls(world)


def test_one_silence_does_not_end_a_call(world, calls):
    """Our network may have been down; a second silence ends it, while others are heard."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    talks(alice, bob)
    for phone in (alice, bob):
        del world.at[phone.address]
    calls.passes(int(QUIET_SECONDS) + 40)
    carol.registers()
    calls.passes(int(HALF_DEAD_SECONDS) + 3)
    assert calls.finished == []
    carol.registers()
    calls.passes(40)
    assert [call.cause for call in calls.finished] == [GONE]


def test_calls_stay_while_nobody_is_heard(world, calls):
    """The network of the server is down: neither side is heard, nor any other sender."""
    talk = talks(*world.phones("alice", "bob"))
    phones = {phone.address: phone for phone in (talk.caller, talk.callee)}
    for address in phones:
        del world.at[address]
    calls.passes(int(QUIET_SECONDS + 3 * HALF_DEAD_SECONDS) + 120)
    assert calls.finished == []
    world.at |= phones
    talk.clears().caller_hangs_up()
    assert [call.cause for call in calls.finished] == ["hung up"]


def test_a_request_between_two_silences_counts(world, calls):
    """After it, two more silences are needed."""
    talk = talks(*world.phones("alice", "bob"))
    carol = world.phone("carol")
    phones = {phone.address: phone for phone in (talk.caller, talk.callee)}
    for address in phones:
        del world.at[address]
    calls.passes(int(QUIET_SECONDS) + 40)
    world.at |= phones
    talk.clears().caller.sends_within("INFO", talk.of_caller)
    talk.callee.answers(talk.callee.gets("INFO"), 200)
    for address in phones:
        del world.at[address]
    calls.passes(int(QUIET_SECONDS) + 5)
    carol.registers()
    calls.passes(40)
    assert calls.finished == []


@pytest.mark.parametrize("status", [481, 408])
def test_a_side_without_the_dialog_ends_a_silent_call(world, calls, status):
    alice, bob = world.phones("alice", "bob")
    talks(alice, bob).clears()
    del world.at[bob.address]
    calls.passes(int(QUIET_SECONDS) + 6)
    alice.answers(alice.gets("OPTIONS"), status)
    calls.passes(34)
    assert [call.cause for call in calls.finished] == [GONE]


def test_registrations_that_end_during_a_check_count(world, calls):
    """Alice answers before; then both phones are gone, and the call leaves within 70 s."""
    alice, bob = world.phones("alice", "bob")
    talks(alice, bob).clears()
    del world.at[bob.address]
    calls.passes(int(QUIET_SECONDS) + 6)
    alice.answers(alice.gets("OPTIONS"), 200)
    world.at[bob.address] = bob
    for phone in (alice, bob):
        phone.inbox.clear()
        phone.registers(expires=0)
    for phone in (alice, bob):
        del world.at[phone.address]
    calls.passes(69)
    assert [call.cause for call in calls.finished] == [GONE]


def test_registrations_that_end_in_a_silent_check_end_the_call(world, calls):
    """No second round: its answers are as good as those of a new check."""
    alice, bob = world.phones("alice", "bob")
    talks(alice, bob)
    for phone in (alice, bob):
        world.at.pop(phone.address)
    calls.passes(int(QUIET_SECONDS) + 10)
    for phone in (alice, bob):
        world.at[phone.address] = phone
        phone.inbox.clear()
        phone.registers(expires=0)
        del world.at[phone.address]
    calls.passes(34)
    assert [call.cause for call in calls.finished] == [GONE]


def test_many_calls_of_phones_gone_leave_within_70_s(world, calls, monkeypatch):
    """Only some of them can be asked; a few of those that can still have their dialog."""
    monkeypatch.setattr(call_control, "CHECKS_PER_SWEEP", 1)
    monkeypatch.setattr(call_control, "MAX_CHECKS", 2)
    monkeypatch.setattr(call_control, "ENDS_PER_SWEEP", 2)
    pairs = [world.phones(f"a{number}", f"b{number}") for number in range(12)]
    for pair in pairs:
        talks(*pair)
    for pair in pairs:
        for phone in pair:
            phone.registers(expires=0)
            del world.at[phone.address]
    calls.passes(69)
    assert [call.cause for call in calls.finished] == 12 * [GONE]


def test_a_phone_that_registers_again_keeps_its_call(world, calls):
    """Its registration had expired for a moment, and it answers no OPTIONS."""
    alice, bob = world.phones("alice", "bob")
    talks(alice, bob).clears()
    for phone in (alice, bob):
        phone.registers(expires=0)
    calls.passes(20)
    alice.inbox.clear()
    alice.registers()
    calls.passes(60)
    assert calls.finished == []


def test_a_side_that_cannot_be_asked_leaves_too(world, calls):
    """A proxy has changed our Record-Route; both registrations end."""
    alice, bob = world.phones("alice", "bob")
    talks(alice, bob)
    (call,) = world.server.proxy.calls.all()
    for side in (call.caller, call.callee):
        side.routes = [line.replace(";t=", ";t=0") for line in side.routes]
    for phone in (alice, bob):
        phone.registers(expires=0)
    calls.passes(69)
    assert [call.cause for call in calls.finished] == [GONE]


def test_a_gateway_that_has_the_dialog_keeps_its_call():
    """The other side has no registration here, and the phone of the user is gone."""
    world = World(settings={"sip_trunk": parse_trunks(f"0=sip:office:pass@{GATEWAY}")})
    calls = FollowedCalls(world)
    gateway = world.phone("gateway", registered=False, host=GATEWAY)
    alice = world.phone("alice")
    talks(alice, gateway, to=f"sip:0891234@{REALM}").clears()
    alice.registers(expires=0)
    del world.at[alice.address]
    calls.passes(6)
    gateway.answers(gateway.gets("OPTIONS"), 200)
    calls.passes(80)
    assert calls.finished == []
    gateway.inbox.clear()
    calls.passes(int(HALF_DEAD_SECONDS) - 44)
    gateway.answers(gateway.gets("OPTIONS"), 481)
    calls.passes(34)
    assert [call.cause for call in calls.finished] == [GONE]
