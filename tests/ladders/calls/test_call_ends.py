"""How a call leaves the table: session timer, both phones gone, silence (RFC 3261 §12.2, 4028)."""

import pytest

from sip.core.proxy import call_events
from sip.core.proxy.call_control import HALF_DEAD_SECONDS
from sip.core.proxy.call_events import QUIET_SECONDS
from tests.support.followed_calls import ANSWER, OFFER, FollowedCalls, talks
from tests.support.nat_phones import behind_nat
from tests.support.world import REALM, World

TIMER = ("Session-Expires: 120;refresher=uac",)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def calls(world: World) -> FollowedCalls:
    return FollowedCalls(world)


def test_a_call_ends_with_its_session_timer(world, calls):
    talks(*world.phones("alice", "bob"), answer_headers=TIMER)
    calls.passes(119)
    assert calls.finished == []
    calls.passes(7)
    (ended,) = calls.finished
    assert (ended.cause, ended.ended_by, ended.result) == (
        "session timer expired",
        "server",
        "answered",
    )


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_prolongs_the_session(world, calls, method):
    """A 2xx without Session-Expires ends the timer (RFC 4028 §7.2)."""
    talk = talks(*world.phones("alice", "bob"), answer_headers=TIMER)
    alice, bob = talk.caller, talk.callee
    calls.passes(60)
    alice.sends_within(method, talk.of_caller, headers=TIMER, body=OFFER)
    bob.answers(bob.gets(method), 200, headers=("x: 120",), body=ANSWER)
    calls.passes(100)
    assert calls.finished == []
    bob.sends_within(method, talk.of_callee, body=OFFER)
    talk.clears()
    bob.sends_within(method, talk.of_callee, body=OFFER)
    alice.answers(alice.gets(method), 200, body=ANSWER)
    calls.passes(130)
    assert calls.finished == []


def test_a_refused_refresh_prolongs_nothing(world, calls):
    talk = talks(*world.phones("alice", "bob"), answer_headers=TIMER)
    calls.passes(60)
    talk.caller.sends_within("UPDATE", talk.of_caller, headers=TIMER)
    talk.callee.answers(talk.callee.gets("UPDATE"), 500, headers=TIMER)
    calls.passes(66)
    assert len(calls.finished) == 1


def test_a_call_of_two_phones_gone_leaves_within_70_s(world, calls):
    """Both registrations expire, and no BYE comes."""
    alice, bob = world.phones("alice", "bob")
    for phone in (alice, bob):
        phone.registers(expires=60)
    talks(alice, bob)
    del world.at[alice.address], world.at[bob.address]
    calls.passes(60)
    assert calls.finished == []
    calls.passes(70)
    (ended,) = calls.finished
    assert (ended.cause, ended.ended_by, ended.result) == (
        "both phones are gone",
        "server",
        "answered",
    )
    assert ended.cure


def test_a_late_bye_is_no_second_end(world, calls, monkeypatch):
    """Meanwhile many other calls have ended."""
    monkeypatch.setattr(call_events, "MAX_ENDED", 0)
    talk = talks(*world.phones("alice", "bob"), answer_headers=TIMER)
    calls.passes(126)
    talk.clears().caller_hangs_up()
    assert [call.ended_by for call in calls.finished] == ["server"]


def test_a_phone_that_has_the_dialog_keeps_the_call(world, calls):
    """Any answer but 481 says so, a 500 for the repeated CSeq too (RFC 3261 §12.2.2)."""
    alice, bob = world.phones("alice", "bob")
    talk = talks(alice, bob).clears()
    for phone in (alice, bob):
        phone.registers(expires=0)
    calls.passes(6)
    at_alice, at_bob = alice.gets("OPTIONS"), bob.gets("OPTIONS")
    assert (at_alice.to.tag, at_alice.from_.tag) == (
        talk.of_caller.local_tag,
        talk.of_caller.remote_tag,
    )
    assert at_bob.cseq[0] == talk.invite.cseq[0]
    alice.answers(at_alice, 481)
    bob.answers(at_bob, 500)
    calls.passes(60)
    assert calls.finished == []
    talk.clears()
    calls.passes(int(HALF_DEAD_SECONDS) - 50)
    alice.answers(alice.gets("OPTIONS"), 481)
    bob.answers(bob.gets("OPTIONS"), 481)
    calls.passes(1)
    assert [call.cause for call in calls.finished] == ["both phones are gone"]


def test_one_registration_that_ends_asks_nothing(world, calls):
    alice, bob = world.phones("alice", "bob")
    talks(alice, bob).clears()
    alice.registers(expires=0)
    calls.passes(40)
    assert alice.hears_nothing()
    assert bob.hears_nothing()


def test_a_silent_call_is_asked_after_a_while(world, calls):
    """A request within the dialog begins the time anew."""
    talk = talks(*world.phones("alice", "bob")).clears()
    calls.passes(100)
    talk.caller.sends_within("INFO", talk.of_caller)
    talk.callee.answers(talk.callee.gets("INFO"), 200)
    talk.clears()
    calls.passes(int(QUIET_SECONDS) - 10)
    assert talk.caller.hears_nothing()
    calls.passes(16)
    assert talk.caller.gets("OPTIONS").to.tag == talk.of_caller.local_tag


def test_a_check_disturbs_no_request_of_the_peer(world, calls):
    """The CSeq of our OPTIONS is the last one of the peer, not a new one."""
    talk = talks(*world.phones("alice", "bob")).clears()
    calls.passes(int(QUIET_SECONDS) + 6)
    options = talk.callee.gets("OPTIONS")
    assert options.cseq[0] == talk.invite.cseq[0]
    assert talk.caller.gets("OPTIONS").cseq[0] == 0
    talk.clears()
    talk.callee.answers(options, 200)
    bye = talk.caller.sends_within("BYE", talk.of_caller)
    assert bye.cseq[0] > options.cseq[0]
    assert talk.callee.gets("BYE").cseq == bye.cseq


@pytest.mark.parametrize("sender", ["caller", "callee"])
@pytest.mark.parametrize("is_behind_nat", [False, True])
def test_a_call_over_a_restart_is_one_row_at_its_end(world, sender, is_behind_nat):
    """With its accounts and its direction, which the ticket of either BYE shows."""
    alice = behind_nat(world, "alice", 40_001) if is_behind_nat else world.phone("alice")
    talk = talks(alice, world.phone("bob"))
    world.start_server()
    calls = FollowedCalls(world)
    sides = (talk.caller, talk.of_caller), (talk.callee, talk.of_callee)
    for phone, dialog in sides if sender == "caller" else sides[::-1]:  # both hang up
        phone.sends_within("BYE", dialog)
    for phone, _ in sides:
        phone.answers(phone.gets("BYE"), 200)
    (ended,) = calls.finished
    assert (ended.result, ended.ended_by, ended.call_id) == ("answered", "", talk.invite.call_id)
    assert (ended.caller.username, ended.callee.username) == ("alice", "bob")
    assert ended.from_tag == talk.invite.from_.tag
    ids = [world.users.find(name, REALM).id for name in ("alice", "bob")]
    assert [ended.caller.user_id, ended.callee.user_id] == ids


def test_a_bye_after_a_restart_names_no_other_user(world):
    """Its From and To are those of other users; the ticket knows better."""
    talk = talks(*world.phones("alice", "bob"))
    world.phones("carol", "dave")
    world.start_server()
    calls = FollowedCalls(world)
    talk.of_caller.remote = f"sip:dave@{REALM}"
    talk.caller.aor = f"sip:carol@{REALM}"
    talk.caller.sends_within("BYE", talk.of_caller)
    talk.callee.answers(talk.callee.gets("BYE"), 200)
    (ended,) = calls.finished
    assert (ended.caller.username, ended.callee.username) == ("alice", "bob")
    assert "carol" in ended.caller.uri


def test_a_failed_call_has_one_row_with_its_cure(world, calls):
    """Its end and its refusal are one."""
    alice, bob = world.phones("alice", "bob")
    world.dead.add(bob.address)
    alice.sends("INVITE", f"sip:bob@{REALM}")
    (ended,) = calls.finished
    assert (ended.result, ended.status, ended.ended_by) == ("failed", 500, "server")


@pytest.mark.parametrize(
    ("callee", "status", "result"), [("bob", 480, "missed"), ("nobody", 404, "failed")]
)
def test_a_call_refused_at_once_is_a_row(world, calls, callee, status, result):
    alice = world.phone("alice")
    world.phone("bob", registered=False)
    alice.sends("INVITE", f"sip:{callee}@{REALM}")
    (ended,) = calls.finished
    assert (ended.status, ended.result, ended.caller.username) == (status, result, "alice")
    assert bool(ended.callee.user_id) == (callee == "bob")


def test_a_stranger_leaves_no_row_and_ends_no_call(world, calls):
    """Its INVITE has the Call-ID and the tag of a call, and a From of ours."""
    talk = talks(*world.phones("alice", "bob"))
    mallory = world.phone("mallory", registered=False)
    tag = talk.invite.from_.tag
    forged = mallory.request(
        "INVITE", f"sip:bob@{REALM}", call_id=talk.invite.call_id, from_tag=tag
    )
    mallory.transmits(forged)
    mallory.sends("INVITE", f"sip:none@{REALM}", answers_challenge=False)
    assert calls.finished == []
    assert calls.the_one().call_id == talk.invite.call_id


def test_a_refused_bye_ends_nothing(world, calls):
    """A caller could hide a call that goes on behind a BYE that the callee must refuse (420)."""
    talk = talks(*world.phones("alice", "bob")).clears()
    talk.caller.sends_within("BYE", talk.of_caller, headers=("Require: x",))
    talk.callee.answers(talk.callee.gets("BYE"), 420)
    assert calls.the_one().state == "talking"
    assert calls.finished == []


def test_a_bye_for_a_dialog_that_is_gone_ends_the_call(world, calls):
    talk = talks(*world.phones("alice", "bob")).clears()
    talk.caller.sends_within("BYE", talk.of_caller)
    talk.callee.answers(talk.callee.gets("BYE"), 481)
    assert [call.cause for call in calls.finished] == ["hung up"]


def test_a_second_invite_hides_no_call(world, calls):
    """It has the Call-ID and the From tag of a call that goes on."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    talk = talks(alice, bob).clears()
    ids = {"call_id": talk.invite.call_id, "from_tag": talk.invite.from_.tag}
    alice.sends("INVITE", f"sip:carol@{REALM}", **ids, cseq=900)
    carol.answers(carol.gets("INVITE"), 486)
    assert calls.the_one().callee.username == "bob"
    talk.clears().caller_hangs_up()
    assert [call.result for call in calls.finished] == ["answered"]


def test_a_hang_up_reaches_sides_at_the_highest_cseq(world, calls):
    """An equal number is not lower (RFC 3261 §12.2.2), and one above is not allowed (§8.1.1.5)."""
    talk = talks(*world.phones("alice", "bob"))
    talk.caller.sends_within("INFO", talk.of_caller, cseq=2**31 - 1)
    talk.callee.answers(talk.callee.gets("INFO"), 200)
    talk.clears()
    assert calls.hangs_up()
    assert talk.callee.gets("BYE").cseq[0] == 2**31 - 1
    assert talk.caller.gets("BYE")
