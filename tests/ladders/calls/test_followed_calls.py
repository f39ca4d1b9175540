"""What the table of calls shows of a call: phones that ring, hold, transfer (RFC 3515, 3891)."""

import gc
from collections import deque

import pytest

from sip.core.proxy import call as core_call
from sip.core.proxy import call_events
from sip.monitor.calls import Call, CallChanged
from sip.monitor.events import CallAnswered, CallEnded, CallStarted
from tests.support.followed_calls import ANSWER, OFFER, FollowedCalls, talks
from tests.support.nat_phones import behind_nat
from tests.support.world import REALM, World
from webadmin.live_streams import LiveStreams


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def calls(world: World) -> FollowedCalls:
    return FollowedCalls(world)


def with_direction(sdp: bytes, direction: str) -> bytes:
    return sdp + f"a={direction}\r\n".encode()


def test_all_phones_that_ring_are_listed(world, calls):
    """One declines, and is no longer listed; the other answers."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}")
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    call = calls.the_one()
    assert call.phones == ()
    desk.answers(at_desk, 180, headers=("User-Agent: Desk",))
    desk.answers(at_desk, 180, headers=("User-Agent: Desk",))
    mobile.answers(at_mobile, 180, headers=("User-Agent: Mobile",))
    assert [phone.device for phone in call.phones] == ["Desk", "Mobile"]
    desk.answers(at_desk, 486)
    assert [phone.address for phone in call.phones] == [mobile.address]
    mobile.answers(at_mobile, 200)
    assert call.phones == ()
    assert call.callee.address == mobile.address


def test_codecs_are_those_of_the_offer_then_of_the_answer(world, calls):
    alice, bob = world.phones("alice", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    call = calls.the_one()
    assert call.codecs == ("opus", "PCMA")
    bob.answers(bob.gets("INVITE"), 200, body=ANSWER)
    assert call.codecs == ("PCMA",)


def test_an_offer_in_the_answer_is_answered_in_the_ack(world, calls):
    """RFC 3261 §13.2.1: an INVITE may have no offer."""
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=b"")
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 200, body=OFFER)
    call = calls.the_one()
    assert call.codecs == ("opus", "PCMA")
    routes = tuple(f"Route: {each}" for each in reversed(alice.gets(200).values("record-route")))
    ack = alice.request(
        "ACK",
        bob.contact.strip("<>"),
        to=f"<sip:bob@{REALM}>;tag={call.to_tag}",
        call_id=invite.call_id,
        from_tag=invite.from_.tag,
        cseq=invite.cseq[0],
        headers=routes,
        body=ANSWER,
    )
    alice.transmits(ack)
    assert call.codecs == ("PCMA",)


def test_hold_and_resume_are_shown(world, calls):
    """RFC 3264 §8.4, by either side."""
    talk = talks(*world.phones("alice", "bob"))
    alice, bob, call = talk.caller, talk.callee, calls.the_one()
    alice.sends_within("INVITE", talk.of_caller, body=with_direction(OFFER, "sendonly"))
    bob.answers(bob.gets("INVITE"), 200, body=with_direction(ANSWER, "recvonly"))
    assert call.held_by == {"caller"}
    talk.clears()
    bob.sends_within("INVITE", talk.of_callee, body=with_direction(OFFER, "inactive"))
    alice.answers(alice.gets("INVITE"), 200, body=with_direction(ANSWER, "inactive"))
    assert call.held_by == {"caller", "callee"}
    talk.clears()
    alice.sends_within("INVITE", talk.of_caller, body=OFFER)
    bob.answers(bob.gets("INVITE"), 200, body=with_direction(ANSWER, "sendonly"))
    assert call.held_by == {"callee"}
    talk.clears()
    bob.sends_within("UPDATE", talk.of_callee, body=OFFER)
    alice.answers(alice.gets("UPDATE"), 200, body=ANSWER)
    assert call.held_by == set()


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_hold_with_its_offer_in_the_answer_is_shown(world, calls, by):
    """RFC 3261 §14.1: a re-INVITE without offer; the offer is in the 2xx, the answer in the ACK."""
    talk = talks(*world.phones("alice", "bob")).clears()
    sides = (talk.caller, talk.of_caller), (talk.callee, talk.of_callee)
    (sender, dialog), (other, _) = sides if by == "caller" else sides[::-1]
    invite = sender.sends_within("INVITE", dialog)
    other.answers(other.gets("INVITE"), 200, body=OFFER)
    ack = with_direction(ANSWER, "sendonly")
    sender.sends_within("ACK", dialog, cseq=invite.cseq[0], body=ack)
    assert calls.the_one().held_by == {by}
    assert calls.the_one().codecs == ("PCMA",)


def test_a_refused_hold_is_none(world, calls):
    talk = talks(*world.phones("alice", "bob"))
    talk.caller.sends_within("INVITE", talk.of_caller, body=with_direction(OFFER, "sendonly"))
    at_bob = talk.callee.gets("INVITE")
    talk.callee.answers(at_bob, 183, body=with_direction(ANSWER, "recvonly"))
    talk.callee.answers(at_bob, 488)
    assert calls.the_one().held_by == set()


def test_sides_behind_nat_are_marked(world, calls):
    alice, bob = behind_nat(world, "alice", 40_001), world.phone("bob")
    talks(alice, bob)
    call = calls.the_one()
    assert (call.caller.behind_nat, call.callee.behind_nat) == (True, False)
    talks(bob, behind_nat(world, "carol", 40_002))
    assert calls.table.now()[0].callee.behind_nat


def test_a_transferred_call_ends_with_its_target(world, calls):
    """RFC 3515: the REFER is accepted, and one side hangs up."""
    talk = talks(*world.phones("alice", "bob"))
    refer_to = (f"Refer-To: <sip:carol@{REALM}?Replaces=x>",)
    talk.caller.sends_within("REFER", talk.of_caller, headers=refer_to)
    talk.callee.answers(talk.callee.gets("REFER"), 202)
    talk.clears()
    talk.caller_hangs_up()
    assert [call.cause for call in calls.finished] == [f"transferred to sip:carol@{REALM}"]


def test_a_transfer_that_fails_leaves_a_usual_end(world, calls):
    """RFC 3515 §2.4.5: the NOTIFY reports a failure."""
    talk = talks(*world.phones("alice", "bob"))
    refer_to = (f"Refer-To: <sip:carol@{REALM}>",)
    talk.caller.sends_within("REFER", talk.of_caller, headers=refer_to)
    talk.callee.answers(talk.callee.gets("REFER"), 202)
    talk.clears()
    event = ("Event: refer", "Content-Type: message/sipfrag")
    talk.callee.sends_within(
        "NOTIFY", talk.of_callee, headers=event, body=b"SIP/2.0 486 Busy Here\r\n"
    )
    talk.caller.answers(talk.caller.gets("NOTIFY"), 200)
    talk.clears()
    talk.caller_hangs_up()
    assert [call.cause for call in calls.finished] == ["hung up"]


def test_a_replaced_call_ends_with_that_cause(world, calls):
    """RFC 3891 §3: bob takes carol's INVITE in place of alice's, and hangs up on alice."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    talk = talks(alice, bob)
    old = talk.of_callee
    replaces = f"Replaces: {old.call_id};to-tag={old.local_tag};from-tag={old.remote_tag}"
    talks(carol, bob, headers=(replaces,))
    talk.clears()
    bob.sends_within("BYE", talk.of_callee)
    alice.answers(alice.gets("BYE"), 200)
    (ended,) = calls.finished
    assert (ended.caller.username, ended.cause) == ("alice", "replaced by another call")
    assert calls.the_one().caller.username == "carol"


def test_a_replaced_call_without_bye_is_asked(world, calls):
    alice, bob, carol = world.phones("alice", "bob", "carol")
    old = talks(alice, bob).of_callee
    replaces = f"Replaces: {old.call_id};to-tag={old.local_tag};from-tag={old.remote_tag}"
    talks(carol, bob, headers=(replaces,))
    alice.inbox.clear()
    calls.passes(38)
    assert alice.gets("OPTIONS").call_id == old.call_id
    assert carol.hears_nothing()


def test_another_phone_that_answers_too_is_no_change(world, calls):
    """The caller hangs up on it (RFC 3261 §13.2.2.4)."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    desk.answers(at_desk, 200, body=ANSWER)
    mobile.answers(at_mobile, 200, body=OFFER)
    call = calls.the_one()
    assert (call.callee.address, call.codecs) == (desk.address, ("PCMA",))


def test_many_calls_leave_nothing_behind(world, calls, monkeypatch):
    """A reader of the events never reads, and a browser never takes what its stream has."""
    monkeypatch.setattr(call_events, "MAX_ENDED", 50)
    unread = world.bus.read(CallStarted, CallAnswered, CallEnded, CallChanged, limit=30)
    streams = LiveStreams(lambda: calls.table.version, lambda token: True)
    next(streams.events(1, "token"))
    calls.finished = deque(maxlen=1)
    alice, bob = world.phones("alice", "bob")
    sizes = []
    for _ in range(4):
        for _ in range(60):
            talks(alice, bob).clears().caller_hangs_up()
        world.passes(33)
        gc.collect()
        sizes.append(sum(isinstance(each, core_call.Call | Call) for each in gc.get_objects()))
    assert (len(calls.table), len(world.server.proxy.calls)) == (0, 0)
    assert len(unread) == 30
    assert sizes[1] == sizes[2] == sizes[3]
