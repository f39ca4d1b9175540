"""Every timer of a transaction, led through its time by the whole server (RFC 3261 §17, RFC 6026).

A step of the clock is a sixteenth of a second: floats and the intervals of the RFC share it, so
that times may be compared.
"""

import gc

import gevent
import pytest

from sip.message.message import Response
from sip.monitor.metrics import RESPONSES_UNMATCHED
from sip.transaction.server import InviteServerTransaction
from tests.support.world import Phone, World, dialog_of_caller

STEP = 1 / 16
# Timers A, E and G: since the first time, without and with the cap of T2.
DOUBLING = [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
CAPPED = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def heard(world: World, phone: Phone, seconds: float) -> list[tuple[float, int | str]]:
    """The messages that a phone gets from now on, each with its time in seconds."""
    start, notes = world.now, []
    while world.now < start + seconds:
        world.passes(STEP, step=STEP)
        while phone.inbox:
            message = phone.takes()
            what = message.status if isinstance(message, Response) else message.method
            notes.append((world.now - start, what))
    return notes


def at(times: list[float], what: int | str) -> list[tuple[float, int | str]]:
    return [(time, what) for time in times]


def is_empty(world: World) -> bool:
    """No transaction, no timer and no waiting greenlet is left."""
    server = world.server
    return world.is_quiet and len(server.layer.timers) == 0 and server.dispatcher.pending == 0


def ringing(world: World):
    """A call that rings: Alice, Bob, the INVITE she sent, the one he got."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    invite = bob.gets("INVITE")
    bob.answers(invite, 180)
    alice.gets(180, call)
    return alice, bob, call, invite


# Towards the callee, §17.1.1


def test_an_unanswered_invite_is_repeated_and_then_gets_408(world: World):
    """§17.1.1.2: timers A and B; §16.7: the caller hears 408."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    alice.gets(100)
    first = bob.gets("INVITE")
    assert heard(world, bob, 31.9) == at(DOUBLING, "INVITE")
    assert alice.hears_nothing()
    world.passes(0.25, step=STEP)
    timeout = alice.gets(408, call)
    assert timeout.to.tag
    alice.acknowledges(call, timeout)
    world.passes(6)
    assert is_empty(world)
    bob.answers(first, 200)  # too late: it belongs to nothing
    assert alice.hears_nothing()
    assert world.server.layer.counts[RESPONSES_UNMATCHED] == 1


def test_a_provisional_response_ends_the_repeats(world: World):
    """§17.1.1.2: a 100 does, and goes no further."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("INVITE", bob.aor)
    invite = bob.gets("INVITE")
    alice.gets(100)
    assert heard(world, bob, 1.0) == [(0.5, "INVITE")]
    bob.answers(invite, 100)
    assert heard(world, bob, 60.0) == []
    assert alice.hears_nothing()


def test_timer_c_cancels_ringing_and_each_18x_resets_it(
    world: World,
):
    """§16.6 step 11, §16.7 step 2, §16.8: more than three minutes after the last one."""
    alice, bob, call, invite = ringing(world)
    assert heard(world, bob, 170.0) == []
    bob.answers(invite, 183)
    alice.gets(183)
    assert heard(world, bob, 180.0) == []
    ((when, what),) = heard(world, bob, 1.25)
    assert (when, what) == (1.0, "CANCEL")
    bob.answers(invite, 487)
    bob.gets("ACK")
    alice.acknowledges(call, alice.gets(487))
    world.passes(33, step=0.5)
    bob.inbox.clear()  # our CANCEL, which was not answered, again
    assert is_empty(world)


def test_a_phone_that_ignores_cancel_ends_in_408(world: World):
    """§9.1: 64*T1 after the CANCEL the branch counts as cancelled."""
    alice, bob, call, _ = ringing(world)
    assert heard(world, bob, 181.0) == [(181.0, "CANCEL")]
    assert heard(world, bob, 31.9) == at(CAPPED, "CANCEL")
    assert alice.hears_nothing()
    world.passes(0.25, step=STEP)
    alice.acknowledges(call, alice.gets(408))
    world.passes(6)
    assert is_empty(world)


# Towards the caller, §17.2.1


def test_a_failure_is_repeated_to_the_caller_until_timer_h(world: World):
    """§17.2.1: timers G and H."""
    alice, bob, call, invite = ringing(world)
    bob.answers(invite, 486)
    bob.gets("ACK")
    alice.gets(486, call)
    assert heard(world, alice, 31.9) == at(CAPPED, 486)
    world.passes(0.25)
    assert is_empty(world)


def test_the_ack_ends_the_repeats_and_further_acks_are_absorbed(world: World):
    """§17.2.1: timer I of T4, then nothing is held of either side but timer D."""
    alice, bob, call, invite = ringing(world)
    bob.answers(invite, 486)
    bob.gets("ACK")
    failure = alice.gets(486, call)
    assert heard(world, alice, 0.5) == [(0.5, 486)]
    for _ in range(2):
        alice.acknowledges(call, failure)
    assert heard(world, alice, 4.9) == []
    servers = world.server.layer.servers
    assert InviteServerTransaction in map(type, servers.values())
    world.passes(0.2)
    assert InviteServerTransaction not in map(type, servers.values())
    assert bob.hears_nothing()  # the ACK is hop by hop


def test_a_repeated_failure_is_acknowledged_until_timer_d(world: World):
    """§17.1.1.2: at least 32 s, and the caller hears nothing of it."""
    alice, bob, call, invite = ringing(world)
    bob.answers(invite, 486)
    bob.gets("ACK")
    alice.acknowledges(call, alice.gets(486))
    for _ in range(3):
        world.passes(10)
        bob.answers(invite, 486)
        bob.gets("ACK")
    assert alice.hears_nothing()
    world.passes(2.1)
    bob.answers(invite, 486)
    assert bob.hears_nothing()
    assert is_empty(world)


def test_a_repeated_invite_gets_the_latest_response(world: World):
    """§17.2.1: 100, then what the callee sent; after a 2xx nothing."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    alice.gets(100)
    alice.transmits(call)
    assert alice.takes().status == 100
    invite = bob.gets("INVITE")
    for status in (180, 183):
        bob.answers(invite, status)
        alice.gets(status)
    alice.transmits(call)
    alice.gets(183)
    bob.answers(invite, 200)
    alice.gets(200)
    alice.transmits(call)
    assert alice.hears_nothing()
    assert bob.hears_nothing()


def test_repeats_of_a_2xx_are_relayed_while_allowed(world: World):
    """RFC 6026 §7: timers L and M of 64*T1, long after the handler has ended."""
    alice, bob, _, invite = ringing(world)
    bob.answers(invite, 200)
    answer = alice.gets(200)
    assert world.server.dispatcher.pending == 0
    for _ in range(7):
        world.passes(4.5, step=0.5)
        bob.answers(invite, 200)
        assert alice.gets(200).encode() == answer.encode()
    world.passes(0.75)
    assert is_empty(world)
    bob.answers(invite, 200)
    assert alice.hears_nothing()


def test_every_ack_for_a_2xx_goes_to_the_callee(world: World):
    """RFC 6026 §7.1: Accepted absorbs none."""
    alice, bob, call, invite = ringing(world)
    bob.answers(invite, 200)
    dialog = dialog_of_caller(call, alice.gets(200))
    acks = [alice.sends_within("ACK", dialog, cseq=call.cseq[0]) for _ in range(2)]
    arrived = [bob.gets("ACK") for _ in acks]
    assert arrived[0].via.branch != arrived[1].via.branch
    alice.transmits(acks[0])
    assert bob.gets("ACK").via.branch == arrived[0].via.branch  # §16.11: a repeat stays one
    world.passes(32.2)
    assert is_empty(world)


# Non-INVITE transactions, §17.1.2, §17.2.2, RFC 4320


def test_an_unanswered_request_is_repeated_until_timer_f(world: World):
    """§17.1.2.2: timer E up to T2."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("MESSAGE", bob.aor)
    bob.gets("MESSAGE")
    assert heard(world, bob, 40.0) == at(CAPPED, "MESSAGE")


def test_an_unanswered_request_gets_no_final_response(world: World):
    """RFC 4320 §4.2, RFC 4321 §1.4: no 408; §4.1: but a 100 once the caller's timer E is T2."""
    alice, bob = world.phones("alice", "bob")
    message = alice.sends("MESSAGE", bob.aor)
    assert heard(world, alice, 31.0) == [(3.5, 100)]
    alice.transmits(message)
    assert alice.takes().status == 100
    assert heard(world, alice, 6.0) == []
    alice.transmits(message)
    assert alice.takes().status == 100
    assert heard(world, alice, 27.5) == []  # timer J, from the end of timer F on
    bob.inbox.clear()
    assert is_empty(world)


def test_after_a_100_the_repeats_go_on_every_t2(world: World):
    """§17.1.2.2: Proceeding; the 100 goes no further."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("MESSAGE", bob.aor)
    message = bob.gets("MESSAGE")
    bob.answers(message, 100)
    assert heard(world, bob, 10.0) == at([0.5, 4.5, 8.5], "MESSAGE")
    bob.answers(message, 200)
    alice.gets(200)
    assert heard(world, bob, 10.0) == []


def test_an_answer_is_given_again_to_each_repeat_for_timer_j(world: World):
    """§17.2.2; and timer K absorbs the repeats of the callee."""
    alice, bob = world.phones("alice", "bob")
    request = alice.sends("MESSAGE", bob.aor)
    message = bob.gets("MESSAGE")
    bob.answers(message, 200)
    answer = alice.gets(200)
    bob.answers(message, 200)
    assert alice.hears_nothing()
    world.passes(5.1)
    assert not world.server.layer.clients
    for _ in range(2):
        world.passes(13)
        alice.transmits(request)
        assert alice.gets(200).encode() == answer.encode()
    assert bob.hears_nothing()
    world.passes(1)
    assert is_empty(world)


@pytest.mark.parametrize("status", [200, 404, 603])
def test_a_late_answer_after_timer_f_is_dropped(world: World, status: int):
    """RFC 4320 §4.2."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("MESSAGE", bob.aor)
    message = bob.gets("MESSAGE")
    world.passes(33, step=0.5)
    alice.inbox.clear()
    bob.inbox.clear()
    bob.answers(message, status)
    assert alice.hears_nothing()
    world.passes(32, step=0.5)
    assert is_empty(world)


# Provisional responses, §16.7 step 5, §17.2.1


def test_an_invite_is_answered_100_at_once_and_others_are_not(world: World):
    """§17.2.1, RFC 4320 §4.1."""
    alice, bob = world.phones("alice", "bob")
    for method in ("MESSAGE", "OPTIONS", "SUBSCRIBE"):
        alice.sends(method, bob.aor)
        assert alice.hears_nothing()
    alice.sends("INVITE", bob.aor)
    trying = alice.takes()
    assert trying.status == 100
    assert not trying.to.tag  # §17.2.1: SHOULD NOT


def test_provisional_responses_except_100_are_relayed_in_order(world: World):
    """§16.7, step 5: at once, each with the tag of its phone."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", desk.aor)
    alice.gets(100)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    for phone, invite, status in (
        (desk, at_desk, 100),
        (desk, at_desk, 180),
        (mobile, at_mobile, 183),
        (mobile, at_mobile, 100),
        (desk, at_desk, 181),
        (mobile, at_mobile, 180),
    ):
        phone.answers(invite, status)
    heard_by_alice = [alice.takes() for _ in range(4)]
    assert [message.status for message in heard_by_alice] == [180, 183, 181, 180]
    assert [message.to.tag[-3:] for message in heard_by_alice] == ["102", "103", "102", "103"]
    assert all(len(message.values("via")) == 1 for message in heard_by_alice)
    assert alice.hears_nothing()


def test_responses_after_the_final_response_are_dropped(world: World):
    """§17.2.1: a provisional response that was overtaken."""
    alice, bob, call, invite = ringing(world)
    bob.answers(invite, 486)
    bob.gets("ACK")
    failure = alice.gets(486, call)
    alice.acknowledges(call, failure)
    for status in (180, 200, 603):
        bob.answers(invite, status)
    assert alice.hears_nothing()


# Leaks


def live_greenlets() -> int:
    gc.collect()
    return sum(isinstance(thing, gevent.Greenlet) and not thing.dead for thing in gc.get_objects())


def test_a_hundred_calls_of_every_kind_leave_nothing(world: World):
    """Answered, refused, cancelled, never answered, dead: no timer and no greenlet stays."""
    alice, bob = world.phones("alice", "bob")
    dead = world.phone("carol")
    world.dead.add(dead.address)
    before = live_greenlets()
    for number in range(100):
        callee = dead if number % 5 == 4 else bob
        call = alice.sends("INVITE", callee.aor)
        if callee is dead:
            continue
        invite = bob.gets("INVITE")
        if number % 5 == 0:
            bob.answers(invite, 200)
        elif number % 5 == 1:
            bob.answers(invite, 486)
        elif number % 5 == 2:
            bob.answers(invite, 180)
            alice.cancels(call)
        alice.inbox.clear()
        bob.inbox.clear()
    assert live_greenlets() == before + 40  # twenty ring after a CANCEL, twenty are never answered
    world.passes(70, step=0.5)
    alice.inbox.clear()
    bob.inbox.clear()
    assert is_empty(world)
    assert live_greenlets() == before
