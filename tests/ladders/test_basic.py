"""Calls between two phones, from the top of the ladder to the bottom."""

import pytest
from world import REALM, World, dialog_of_callee, dialog_of_caller

from sip.message.message import Response


def test_options_to_the_server_is_answered_without_credentials(world: World):
    """RFC 3261 §11.2."""
    alice = world.phone("alice", registered=False)
    alice.sends("OPTIONS", "sip:192.0.2.1")
    answer = alice.gets(200)
    assert answer.values("allow") == ["ACK", "CANCEL", "OPTIONS", "REGISTER"]
    assert answer.value("accept") == "application/sdp"
    assert answer.value("accept-encoding") == "identity"
    assert answer.value("accept-language") == "en"
    assert answer.value("supported") == "path"
    assert answer.value("date") == "Tue, 14 Nov 2023 22:30:00 GMT"
    assert world.is_quiet


def test_a_call_goes_both_ways_along_the_record_route(world: World):
    """RFC 3261 §16.12.1, RFC 3665 §3.3."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", "sip:bob@example.com")
    alice.gets(100)
    invite = bob.gets("INVITE")
    bob.answers(invite, 180)
    alice.gets(180, call)
    ok = bob.answers(invite, 200)
    answer = alice.gets(200, call)
    dialog = dialog_of_caller(call, answer)
    alice.sends_within("ACK", dialog, cseq=call.cseq[0])
    bob.gets("ACK")
    bye = bob.sends_within("BYE", dialog_of_callee(invite, ok))
    alice.answers(alice.gets("BYE"), 200)
    bob.gets(200, bye)
    world.passes(40)
    assert world.is_quiet


@pytest.mark.parametrize(("method", "status"), [("INVITE", 405), ("MESSAGE", 405), ("FLY", 501)])
def test_what_the_server_itself_does_not_serve_is_refused(world: World, method: str, status: int):
    """§8.2.1, §21.4.6, §21.5.2: 405 with Allow for a method that we know, 501 for any other."""
    stranger = world.phone("stranger", registered=False)
    stranger.sends(method, "sip:192.0.2.1", from_uri="sip:x@elsewhere.example")
    answer = stranger.gets(status)
    allowed = ["ACK", "CANCEL", "OPTIONS", "REGISTER"] if status == 405 else []
    assert answer.values("allow") == allowed
    assert world.is_quiet


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER"])
def test_a_body_for_the_server_itself_is_one_that_it_takes(world: World, method: str):
    """§8.2.3, §21.4.13: 415 with Accept and Accept-Encoding, unless it may be passed over."""
    phone = world.phone("phone", registered=False)

    def answer_to(*fields: str) -> Response:
        more = {"headers": fields, "body": b"<x/>", "answers_challenge": False}
        phone.sends(method, f"sip:{REALM}", **more)
        return phone.takes()

    for fields in (
        (),
        ("Content-Type: text/xml",),
        ("Content-Type: application/sdp", "Content-Encoding: gzip"),
    ):
        refusal = answer_to(*fields)
        assert refusal.status == 415
        assert refusal.value("accept") == "application/sdp"
        assert refusal.value("accept-encoding") == "identity"
    optional = ("Content-Type: text/xml", "Content-Disposition: render; handling=optional")
    for fields in (("Content-Type: application/SDP; x=y",), optional):
        assert answer_to(*fields).status == (200 if method == "OPTIONS" else 401)


@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH"])
def test_a_phone_that_asks_its_own_address_for_events_is_told_that_nobody_serves_them(
    world: World, method: str
):
    """RFC 6665 §8.3.2, RFC 3903 §6: 489; it would only come back to the phone that has asked."""
    alice, bob = world.phones("alice", "bob")
    alice.sends(method, alice.aor, headers=("Event: message-summary",))
    alice.gets(489)
    assert alice.hears_nothing()
    alice.sends(method, bob.aor, headers=("Event: presence",))
    bob.gets(method)


def test_more_than_can_wait_is_told_when_to_come_again(world: World, monkeypatch):
    """§21.5.4: 503 with Retry-After, at once; who waits already goes on."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    invite = bob.gets("INVITE")
    monkeypatch.setattr("sip.server.MAX_WAITING", 1)
    bob.sends("INVITE", alice.aor)
    assert bob.gets(503).value("retry-after") == "5"
    bob.answers(invite, 200)
    alice.gets(200, call)


def test_a_fault_of_ours_is_a_500_and_ends_what_it_began(world: World, monkeypatch, caplog):
    """§21.5.1; §16.7, step 10: nobody goes on ringing for a call that has been answered."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    call = alice.sends("INVITE", desk.aor)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    mobile.answers(at_mobile, 180)
    alice.gets(180, call)
    monkeypatch.setattr("sip.core.forking.Fork._hear", lambda *_: 1 / 0)
    desk.answers(at_desk, 486)
    mobile.gets("CANCEL")
    alice.gets(500, call)
    assert "ZeroDivisionError" in caplog.text
