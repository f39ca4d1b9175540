"""Messages that a call with a forged source address sends there, if a phone rings.

All of it has to be sent: each provisional response (RFC 3261 §17.2.1), a failure until it is
acknowledged or 32 s are over (timers G and H), a 2xx as often as the phone repeats it (§13.3.1.4).
"""

from itertools import accumulate, pairwise

import pytest

from sip.message.message import Request, parse
from sip.transaction.machine import T1, T2, TIMEOUT, TIMER_C
from tests.support.world import Phone, World, dialog_of_callee

VICTIM = ("203.0.113.9", 5060)
# When a message without an acknowledgement is sent: at once, then after T1, twice T1, … up to T2.
REPEATED = [0.0, *accumulate([T1, 2 * T1, 4 * T1, *[T2] * 7])]


@pytest.fixture
def bob(world: World) -> Phone:
    return world.phone("bob")


def forged(world: World, bob: Phone) -> tuple[bytes, Request]:
    """A call that seems to come from VICTIM, and what the phone gets."""
    caller = world.phone("x", registered=False, host=VICTIM[0])
    del world.at[VICTIM]  # it is not his call
    call = caller.sends("INVITE", bob.aor, from_uri="sip:x@elsewhere.test")
    return call.encode(), bob.gets("INVITE")


def statuses(world: World) -> list[str]:
    """Return the statuses and methods sent to VICTIM, in order."""
    messages = [parse(data) for data in world.lost]
    return [str(getattr(each, "status", "")) or each.method for each in messages]


def factor(world: World, call: bytes) -> float:
    """Octets that went there, for one that came."""
    return sum(map(len, world.lost)) / len(call)


def test_a_busy_phone_makes_it_twelve_datagrams_in_half_a_minute(world: World, bob: Phone):
    """A 100, and the 486 eleven times: a repeat at T1, doubling to T2, until timer H."""
    call, invite = forged(world, bob)
    bob.answers(invite, 486)
    world.passes(2 * TIMEOUT, step=0.05)
    assert len(REPEATED) == 11
    assert REPEATED[-1] < TIMEOUT
    assert statuses(world) == ["100"] + ["486"] * 11
    assert 14 < factor(world, call) < 16


def test_a_phone_that_rings_on_makes_it_thirteen_in_four_minutes(world: World, bob: Phone):
    """A 100, the 180, and from timer C on a 487 eleven times."""
    call, invite = forged(world, bob)
    bob.answers(invite, 180)
    world.passes(TIMER_C + 1, step=0.05)
    assert statuses(world) == ["100", "180"]
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(invite, 487)
    world.passes(2 * TIMEOUT, step=0.05)
    assert statuses(world) == ["100", "180"] + ["487"] * 11
    assert 15 < factor(world, call) < 17


def test_a_phone_that_answers_makes_it_what_the_phone_sends(world: World, bob: Phone):
    """A 100, the 200 as often as the phone repeats it (§13.3.1.4), and its BYE eleven times."""
    call, invite = forged(world, bob)
    for wait in (*[b - a for a, b in pairwise(REPEATED)], 0.0):
        ok = bob.answers(invite, 200)
        world.passes(wait, step=0.05)
    bob.sends_within("BYE", dialog_of_callee(invite, ok))
    world.passes(2 * TIMEOUT, step=0.05)
    assert statuses(world) == ["100"] + ["200"] * 11 + ["BYE"] * 11
    assert 28 < factor(world, call) < 30


def test_a_call_that_does_not_ring_is_answered_once(world: World, bob: Phone, monkeypatch):
    """Beyond the bound of calls from outside there is one datagram for one, as for all else."""
    monkeypatch.setattr("sip.core.guard.call_limits.MAX_CALLS_FOR_USER", 1)
    _, invite = forged(world, bob)
    bob.answers(invite, 180)
    world.lost.clear()
    caller = world.phone("y", registered=False, host=VICTIM[0])
    del world.at[VICTIM]
    second = caller.sends("INVITE", bob.aor, from_uri="sip:y@elsewhere.test")
    world.passes(2 * TIMEOUT, step=0.05)
    assert statuses(world) == ["486"]
    assert factor(world, second.encode()) < 3
