"""Calls whose messages come in odd orders: glare, two answers, early BYE, crossing CANCEL."""

import pytest

from sip.core.proxy.call_events import QUIET_SECONDS
from sip.message.message import parse
from tests.support.followed_calls import ANSWER, OFFER, FollowedCalls, talks
from tests.support.world import REALM, Dialog, World, dialog_of_callee, dialog_of_caller


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def calls(world: World) -> FollowedCalls:
    return FollowedCalls(world)


def test_two_byes_that_cross_are_one_end(world, calls):
    """RFC 3261 §15.1.2: each side has no dialog any more when the BYE of the other comes."""
    talk = talks(*world.phones("alice", "bob")).clears()
    talk.caller.sends_within("BYE", talk.of_caller)
    talk.callee.sends_within("BYE", talk.of_callee)
    talk.callee.answers(talk.callee.gets("BYE"), 481)
    talk.caller.answers(talk.caller.gets("BYE"), 481)
    (ended,) = calls.finished
    assert (ended.cause, ended.ended_by, ended.result) == ("hung up", "caller", "answered")


def test_the_caller_may_keep_the_second_answer(world, calls):
    """RFC 3261 §13.2.2.4: it hangs up on the first phone, and talks to the second."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    first = desk.answers(at_desk, 200, body=ANSWER)
    second = mobile.answers(at_mobile, 200, body=ANSWER)
    dialogs = []
    for _ in range(2):
        dialogs.append(dialog_of_caller(invite, alice.gets(200)))
        alice.sends_within("ACK", dialogs[-1], cseq=invite.cseq[0])
    for phone in (desk, mobile):
        phone.inbox.clear()
    assert [each.remote_tag for each in dialogs] == [first.to.tag, second.to.tag]
    alice.sends_within("BYE", dialogs[0])
    desk.answers(desk.gets("BYE"), 200)
    assert calls.finished == []
    alice.inbox.clear()
    calls.hangs_up()
    assert desk.hears_nothing()
    assert mobile.gets("BYE").to.tag == second.to.tag
    assert alice.gets("BYE").from_.tag == second.to.tag
    assert len(calls.finished) == 1


def test_the_usual_caller_keeps_the_first_answer(world, calls):
    """It hangs up on the second phone, without a check of the call."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    ok = desk.answers(at_desk, 200, body=ANSWER)
    mobile.answers(at_mobile, 200, body=ANSWER)
    alice.gets(200)
    of_mobile = dialog_of_caller(invite, alice.gets(200))
    mobile.inbox.clear()
    alice.sends_within("BYE", of_mobile)
    mobile.answers(mobile.gets("BYE"), 200)
    for phone in (alice, desk):
        phone.inbox.clear()
    calls.passes(40)
    assert alice.hears_nothing()
    desk.sends_within("BYE", dialog_of_callee(at_desk, ok))
    alice.answers(alice.gets("BYE"), 200)
    assert [call.ended_by for call in calls.finished] == ["callee"]


def test_a_hang_up_ends_both_answers(world, calls):
    """The caller has not hung up on the second phone yet."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    invites = {phone: phone.gets("INVITE") for phone in (desk, mobile)}
    for phone, invite in invites.items():
        phone.answers(invite, 200, body=ANSWER)
    for phone in (alice, desk, mobile):
        phone.inbox.clear()
    calls.hangs_up()
    for phone in invites:
        assert phone.gets("BYE")
    assert {alice.gets("BYE").from_.tag, alice.gets("BYE").from_.tag} == {
        f"callee{phone.address[0].replace('.', '')}" for phone in invites
    }


def test_an_early_bye_cancels(world, calls):
    """RFC 3261 §15: the caller may end an early dialog by BYE; the INVITE is answered by 487."""
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    early = dialog_of_caller(invite, alice.gets(180))
    alice.sends_within("BYE", early)
    bob.answers(bob.gets("BYE"), 200)
    assert calls.finished == []
    bob.answers(at_bob, 487)
    (ended,) = calls.finished
    assert (ended.result, ended.ended_by, ended.cause) == (
        "cancelled",
        "caller",
        "the caller hung up before the answer",
    )


def test_an_answer_after_an_early_bye_is_a_usual_call(world, calls):
    """The BYE was for one phone of two, and the other one answers."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    desk.answers(at_desk, 180)
    early = dialog_of_caller(invite, alice.gets(180))
    alice.sends_within("BYE", early)
    desk.answers(desk.gets("BYE"), 200)
    ok = mobile.answers(at_mobile, 200, body=ANSWER)
    alice.inbox.clear()
    of_mobile = dialog_of_callee(at_mobile, ok)
    mobile.inbox.clear()
    mobile.sends_within("BYE", of_mobile)
    alice.answers(alice.gets("BYE"), 200)
    (ended,) = calls.finished
    assert (ended.result, ended.cause, ended.ended_by) == ("answered", "hung up", "callee")


def test_an_answer_that_crosses_a_cancel_is_an_answer(world, calls):
    """RFC 3261 §9.1: the CANCEL has no effect; the caller hangs up."""
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    alice.cancels(invite)
    bob.answers(at_bob, 200, body=ANSWER)
    assert calls.the_one().state == "talking"
    dialog = dialog_of_caller(invite, [alice.gets(180), alice.gets(200), alice.gets(200)][-1])
    bob.inbox.clear()
    alice.sends_within("BYE", dialog)
    bob.answers(bob.gets("BYE"), 200)
    assert [(call.result, call.ended_by) for call in calls.finished] == [("answered", "caller")]


def test_a_hang_up_is_above_a_refused_bye(world, calls):
    """RFC 3261 §12.2.2: the callee has seen the CSeq of the BYE that it refused."""
    talk = talks(*world.phones("alice", "bob")).clears()
    bye = talk.caller.sends_within("BYE", talk.of_caller, headers=("Require: x",))
    talk.callee.answers(talk.callee.gets("BYE"), 420)
    talk.clears()
    calls.hangs_up()
    assert talk.callee.gets("BYE").cseq[0] > bye.cseq[0]


def test_a_bye_to_a_lost_connection_ends_the_call(world, calls):
    """RFC 3261 §15.1.1: the side that sends a BYE has no session any more."""
    alice, bob = world.phone("alice"), world.phone("bob", transport="TCP")
    talk = talks(alice, bob).clears()
    bob.hangs_up(listens=False)
    alice.sends_within("BYE", talk.of_caller)
    calls.passes(1)
    assert [(call.cause, call.ended_by) for call in calls.finished] == [("hung up", "caller")]


def test_a_bye_to_a_phone_that_is_off_ends_the_call(world, calls):
    talk = talks(*world.phones("alice", "bob")).clears()
    world.dead.add(talk.callee.address)
    talk.caller.sends_within("BYE", talk.of_caller)
    calls.passes(1)
    assert [(call.cause, call.ended_by) for call in calls.finished] == [("hung up", "caller")]


def test_a_bye_without_route_ends_the_call(world, calls):
    """Some callers ignore our Record-Route."""
    alice, bob = world.phones("alice", "bob")
    talk = talks(alice, bob).clears()
    without = Dialog(
        talk.of_caller.call_id,
        talk.of_caller.local_tag,
        talk.of_caller.remote_tag,
        f"sip:bob@{REALM}",
        [],
        f"sip:bob@{REALM}",
    )
    bye = alice.sends_within("BYE", without)
    alice.transmits(alice.with_credentials(bye, alice.gets(407)))
    bob.answers(bob.gets("BYE"), 200)
    assert [(call.cause, call.ended_by) for call in calls.finished] == [("hung up", "caller")]


@pytest.mark.parametrize("status", [488, 491, 500])
def test_a_refused_offer_changes_nothing(world, calls, status):
    """RFC 3261 §14.1, RFC 3311 §5.2: the call goes on with its session, and its session timer."""
    timer = ("Session-Expires: 300;refresher=uac",)
    talk = talks(*world.phones("alice", "bob"), answer_headers=timer).clears()
    before = calls.the_one().codecs
    for method in ("INVITE", "UPDATE"):
        talk.callee.sends_within(method, talk.of_callee, body=OFFER + b"a=sendonly\r\n")
        talk.caller.answers(talk.caller.gets(method), status)
        talk.clears()
    call = calls.the_one()
    assert (call.codecs, call.held_by, call.state) == (before, frozenset(), "talking")
    (core_call,) = world.server.proxy.calls.all()
    assert core_call.expires_at == pytest.approx(world.now + 300, abs=1)


def test_a_call_is_picked_up_while_it_rings(world, calls):
    """RFC 3891 §7.1: carol's INVITE replaces the early dialog of alice, who cancels hers."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_bob = bob.gets("INVITE")
    ringing = bob.answers(at_bob, 180)
    replaces = (
        f"Replaces: {invite.call_id};to-tag={invite.from_.tag};from-tag={ringing.to.tag};early-only"
    )
    alice.inbox.clear()
    talks(carol, alice, headers=(replaces,))
    alice.cancels(invite)
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(at_bob, 487)
    (ended,) = calls.finished
    assert (ended.result, ended.ended_by, ended.cause) == (
        "cancelled",
        "caller",
        "replaced by another call",
    )
    assert calls.the_one().caller.username == "carol"


@pytest.mark.parametrize(
    ("status", "header"),
    [
        (422, "Min-SE: 1800"),  # RFC 4028 §7.3
        (407, 'Proxy-Authenticate: Digest realm="elsewhere", nonce="n"'),  # RFC 3261 §22.3
    ],
)
def test_an_invite_that_is_sent_again_is_one_call(world, calls, status, header):
    """The phone does so by itself: Call-ID and From tag stay, CSeq is higher (§8.1.3.5)."""
    alice, bob = world.phones("alice", "bob")
    first = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    ids = {"call_id": first.call_id, "from_tag": first.from_.tag}
    bob.answers(bob.gets("INVITE"), status, headers=(header,))
    bob.gets("ACK")
    alice.inbox.clear()
    started = calls.the_one().started_at
    calls.passes(1)
    again = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER, cseq=100, **ids)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    call = calls.the_one()
    assert (call.state, call.started_at, bool(call.ringing_at)) == ("ringing", started, True)
    bob.answers(at_bob, 200, body=ANSWER)
    alice.inbox.clear()
    calls.passes(10)
    assert calls.hangs_up()
    assert bob.gets("BYE").cseq[0] > again.cseq[0]
    assert [call.result for call in calls.finished] == ["answered"]


def test_a_failure_that_no_invite_follows_is_final(world, calls):
    alice, bob = world.phones("alice", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    bob.answers(bob.gets("INVITE"), 422, headers=("Min-SE: 1800",))
    assert calls.finished == []
    calls.passes(6)
    assert [(call.result, call.status) for call in calls.finished] == [("failed", 422)]
    assert len(world.server.proxy.calls) == 0


def test_requests_of_other_early_dialogs_do_not_count(world, calls):
    """Each early dialog has its own CSeq (RFC 3261 §12.1); the one that answers is what counts."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    reliable = ("Require: 100rel", "RSeq: 1")
    of_alice = {}
    for phone, request in ((desk, at_desk), (mobile, at_mobile)):
        phone.answers(request, 183, headers=reliable)
        of_alice[phone] = dialog_of_caller(invite, alice.gets(183))
    number = invite.cseq[0]
    for phone, ahead in ((mobile, 1), (desk, 1), (desk, 2), (desk, 3)):
        alice.sends_within("PRACK", of_alice[phone], cseq=number + ahead)
        phone.answers(phone.gets("PRACK"), 200)
    desk_side = dialog_of_callee(at_desk, desk.answers(at_desk, 180))
    alice.inbox.clear()
    desk.sends_within("UPDATE", desk_side, cseq=700, body=OFFER)
    alice.answers(alice.gets("UPDATE"), 200, body=ANSWER)
    mobile.answers(at_mobile, 200, body=ANSWER)
    for phone in (alice, desk, mobile):
        phone.inbox.clear()
    calls.passes(int(QUIET_SECONDS) + 6)
    assert mobile.gets("OPTIONS").cseq[0] == number + 1
    assert alice.gets("OPTIONS").cseq[0] == 0


def test_an_answer_without_contact_cannot_be_hung_up(world, calls, caplog):
    """RFC 3261 §12.1.1 requires one; the other side gets its BYE, and the log has a line."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    bob.contact = ""
    at_bob = bob.gets("INVITE")
    ok = bob.answers(at_bob, 180)
    ok = parse(ok.encode().replace(b"180 Reason", b"200 OK").replace(b"Contact: \r\n", b""))
    bob.transmits(ok)
    alice.inbox.clear()
    bob.inbox.clear()
    assert calls.hangs_up()
    assert alice.gets("BYE")
    assert "unhandled" not in caplog.text
    assert "cannot send BYE to the callee" in caplog.text
