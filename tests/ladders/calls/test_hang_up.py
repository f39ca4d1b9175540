"""An administrator hangs up: a BYE of ours to each side, or a CANCEL (RFC 3261 §15, §9)."""

import pytest

from sip.core.causes import HUNG_UP_BY_ADMIN
from sip.core.trunk import parse_trunks
from sip.message.message import Request
from tests.support.followed_calls import ANSWER, OFFER, FollowedCalls, Talk, talks
from tests.support.nat_phones import behind_nat
from tests.support.world import REALM, Phone, World

GATEWAY = "203.0.113.9"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def calls(world: World) -> FollowedCalls:
    return FollowedCalls(world)


def is_bye_of(bye: Request, side: Phone, talk: Talk) -> bool:
    """Return True if a side takes a BYE for one of its peer (RFC 3261 §12.2.2)."""
    own = talk.of_caller if side is talk.caller else talk.of_callee
    return (
        bye.call_id == own.call_id
        and bye.to.tag == own.local_tag
        and bye.from_.tag == own.remote_tag
        and bye.uri_text == side.contact.strip("<>")
        and "route" not in bye.present
    )


def test_both_sides_get_a_bye_in_their_dialog(world, calls):
    talk = talks(*world.phones("alice", "bob")).clears()
    assert calls.hangs_up()
    for side, peer_cseq in ((talk.caller, 0), (talk.callee, talk.invite.cseq[0])):
        bye = side.gets("BYE")
        assert is_bye_of(bye, side, talk)
        assert bye.cseq[0] > peer_cseq
        assert bye.value("reason") == f'Q.850;cause=16;text="{HUNG_UP_BY_ADMIN.text}"'
        side.answers(bye, 200)
        assert side.hears_nothing()
    (ended,) = calls.finished
    assert (ended.result, ended.cause, ended.ended_by) == (
        "answered",
        "hung up by an administrator",
        "server",
    )
    assert calls.table.now() == []
    world.passes(33)
    assert world.is_quiet


def test_the_cseq_is_above_all_that_a_side_has_seen(world, calls):
    """The caller has sent INFO, the callee a re-INVITE (RFC 3261 §12.2.2)."""
    talk = talks(*world.phones("alice", "bob"))
    alice, bob = talk.caller, talk.callee
    alice.sends_within("INFO", talk.of_caller, cseq=700)
    bob.answers(bob.gets("INFO"), 200)
    bob.sends_within("INVITE", talk.of_callee, cseq=90, body=OFFER)
    alice.gets(200)
    alice.answers(alice.gets("INVITE"), 200, body=ANSWER)
    talk.clears()
    calls.hangs_up()
    assert alice.gets("BYE").cseq == (91, "BYE")
    assert bob.gets("BYE").cseq == (701, "BYE")


def test_a_bye_goes_to_the_contact_of_the_last_refresh(world, calls):
    """A re-INVITE has moved the caller to another port (RFC 3261 §12.2)."""
    talk = talks(*world.phones("alice", "bob"))
    alice, bob = talk.caller, talk.callee
    moved = world.phone("alice", registered=False, host=alice.address[0], port=5070)
    alice.contact = moved.contact
    alice.sends_within("INVITE", talk.of_caller, body=OFFER)
    bob.answers(bob.gets("INVITE"), 200, body=ANSWER)
    talk.clears()
    calls.hangs_up()
    assert moved.gets("BYE").uri_text == moved.contact.strip("<>")


def test_phones_behind_nat_and_on_tcp_get_their_bye(world, calls):
    alice = behind_nat(world, "alice", 40_001)
    bob = world.phone("bob", transport="TCP")
    talk = talks(alice, bob).clears()
    calls.hangs_up()
    assert is_bye_of(alice.gets("BYE"), alice, talk)
    assert is_bye_of(bob.gets("BYE"), bob, talk)


def test_a_proxy_of_the_caller_gets_its_route(world, calls):
    """The caller's route set leads through it; the callee's does not (RFC 3261 §12.1)."""
    alice, bob = world.phones("alice", "bob")
    edge = world.phone("edge", registered=False, host=alice.address[0], port=5080)
    route = f"<sip:{edge.address[0]}:5080;lr>"
    headers = (f"Record-Route: {route}",)
    talk = talks(alice, bob, headers=headers, outer_routes=1).clears()
    calls.hangs_up()
    bye = bob.gets("BYE")
    assert "route" not in bye.present
    to_caller = (edge.inbox or alice.inbox)[0]
    assert f"Route: {route}".encode() in to_caller
    assert talk.invite.from_.tag.encode() in to_caller


def test_the_gateway_of_a_trunk_is_logged_in_to():
    """Its challenge is answered with the credentials of the trunk."""
    trunks = parse_trunks(f"0=sip:office:pass@{GATEWAY}")
    world = World(settings={"sip_trunk": trunks})
    calls = FollowedCalls(world)
    gateway = world.phone("gateway", registered=False, host=GATEWAY)
    talks(world.phone("alice"), gateway, to=f"sip:0891234@{REALM}").clears()
    calls.hangs_up()
    bye = gateway.gets("BYE")
    assert bye.value("reason") == "Q.850;cause=16"  # it is no user here
    challenge = 'Proxy-Authenticate: Digest realm="carrier", nonce="n", qop="auth"'
    gateway.answers(bye, 407, headers=(challenge,))
    again = gateway.gets("BYE")
    assert again.cseq == bye.cseq
    assert 'username="office"' in (again.value("proxy-authorization") or "")


def test_a_ringing_call_is_cancelled_and_answered(world, calls):
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}")
    rings = {phone: phone.gets("INVITE") for phone in (desk, mobile)}
    for phone, invite in rings.items():
        phone.answers(invite, 180)
    calls.hangs_up()
    for phone, invite in rings.items():
        cancel = phone.gets("CANCEL")
        assert cancel.value("reason") == f'SIP;cause=487;text="{HUNG_UP_BY_ADMIN.text}"'
        phone.answers(cancel, 200)
        phone.answers(invite, 487)
        phone.gets("ACK")
    alice.gets(180)
    alice.gets(180)
    alice.gets(487)
    (ended,) = calls.finished
    assert (ended.result, ended.status, ended.ended_by) == ("cancelled", 487, "server")
    assert ended.cause == "hung up by an administrator"


def test_an_answer_that_crosses_our_cancel_is_hung_up(world, calls):
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", body=OFFER)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    calls.hangs_up()
    bob.gets("CANCEL")
    bob.answers(at_bob, 200, body=ANSWER)
    alice.gets(180)
    alice.gets(200, invite)
    bob.inbox.clear()
    calls.passes(6)
    bob.inbox.popleft()  # the CANCEL again
    assert alice.gets("BYE").call_id == bob.gets("BYE").call_id == invite.call_id
    assert [call.ended_by for call in calls.finished] == ["server"]


def test_a_call_that_has_ended_cannot_be_hung_up(world, calls):
    talk = talks(*world.phones("alice", "bob"))
    call = calls.the_one()
    talk.caller_hangs_up()
    assert not calls.control.hang_up(call.call_id, call.from_tag)
    assert len(calls.finished) == 1


def test_the_byes_of_both_sides_after_ours_are_no_second_end(world, calls):
    talk = talks(*world.phones("alice", "bob")).clears()
    calls.hangs_up()
    talk.caller.sends_within("BYE", talk.of_caller)
    talk.callee.sends_within("BYE", talk.of_callee)
    assert len(calls.finished) == 1
