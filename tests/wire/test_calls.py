"""Calls of real phones as an administrator sees and ends them, by page and by command."""

import http.client
import json
import re
from contextlib import closing

import pytest

from tests.support.admin import Admin
from tests.support.baresip import Baresip, BaresipTcp
from tests.support.phone_calls import part, talk
from tests.support.pjsua import Pjsua
from tests.support.programs import until
from tests.support.sipp_calls import play

PASSWORD = "correct horse battery staple"


def calls_of(server) -> list[dict]:
    return json.loads(server.does("calls", "list", "--json"))


def trace_of(phone) -> str:
    """The messages of a phone; key presses make pjsua2 write down what it has kept back."""
    if isinstance(phone, Pjsua):
        phone.dials_digits("1")
    file = phone.log if isinstance(phone, Pjsua) else phone.output
    return file.read_text(errors="replace")


def hangs_up(server) -> None:
    (call,) = calls_of(server)
    server.does("calls", "hangup", str(call["id"]))


@pytest.fixture
def admin(server) -> Admin:
    server.does("admin", "password", "--password", PASSWORD)
    admin = Admin(server)
    assert admin.signs_in(PASSWORD)
    return admin


@pytest.mark.parametrize(
    ("one", "other"), [(Pjsua, Baresip), (Baresip, Pjsua), (BaresipTcp, Pjsua)]
)
def test_both_phones_hear_a_hang_up_of_the_page(registered, server, admin, one, other):
    """Each takes our BYE for one of its peer, and answers 200."""
    alice, bob = registered(one, "alice"), registered(other, "bob")
    talk(alice, bob)
    page = admin.reads("/calls")
    assert "Talking" in page
    (number,) = re.findall(r'action="/calls/(\d+)/hang-up"', page)
    admin.sends(f"/calls/{number}/hang-up")
    for phone in (alice, bob):
        phone.call_ends()
    assert calls_of(server) == []
    until(lambda: "was ended" in admin.reads("/calls"), "the page says so")
    talk(bob, alice)  # neither phone has been upset
    part(bob, alice)


def test_a_ringing_call_is_hung_up_by_command(registered, server):
    """The callee gets a CANCEL, the caller 487."""
    alice, bob = registered(Pjsua, "alice"), registered(Pjsua, "bob")
    alice.dials(bob)
    bob.gets_a_call(alice)
    alice.hears_ringing()
    (call,) = calls_of(server)
    assert (call["state"], call["from"]["name"], call["to"]["name"]) == ("ringing", "alice", "bob")
    assert re.search(
        rf"^{call['id']}  ringing  \d+ s  alice -> bob  \S", server.does("calls", "list")
    )
    hangs_up(server)
    alice.call_ends(status=487)
    bob.call_ends(status=487)
    bob.has_received("CANCEL .*", "Reason: .*administrator.*")


def test_phones_that_held_and_refreshed_still_take_the_bye(registered, server, admin):
    """The CSeq of both sides has grown by re-INVITE, UPDATE and INFO."""
    alice, bob = registered(Pjsua, "alice"), registered(Pjsua, "bob")
    talk(alice, bob)
    alice.agrees_anew_with(bob, alice.holds)
    until(lambda: "held by alice" in admin.reads("/calls"), "the page shows the hold")
    alice.agrees_anew_with(bob, alice.resumes)
    until(lambda: "On hold" not in admin.reads("/calls"), "the page shows the end of the hold")
    bob.agrees_anew_with(alice, lambda: bob.refreshes("UPDATE"))
    alice.dials_digits("12")
    hangs_up(server)
    alice.call_ends()
    bob.call_ends()
    assert "Invalid CSeq" not in alice.log.read_text() + bob.log.read_text()


def test_real_phones_name_their_codecs(registered, server):
    alice, bob = registered(Baresip, "alice"), registered(Pjsua, "bob")
    talk(alice, bob)
    (call,) = calls_of(server)
    assert set(call["codecs"]) <= {"PCMU", "PCMA", "opus", "G722", "L16", "speex", "GSM", "iLBC"}
    assert call["codecs"]
    part(alice, bob)


def test_a_call_of_two_dead_phones_leaves_the_list(registered, server):
    """Their connections close, so both registrations end; no BYE comes."""
    alice, bob = registered(BaresipTcp, "alice"), registered(BaresipTcp, "bob")
    talk(alice, bob)
    alice.dies()
    bob.dies()
    until(lambda: calls_of(server) == [], "the list is empty", seconds=30)


@pytest.mark.parametrize(("one", "other"), [(Pjsua, Pjsua), (Baresip, Baresip)])
def test_phones_that_are_asked_keep_their_call(registered, server, one, other):
    """Both lose their registration, and answer our OPTIONS; then they hang up themselves."""
    alice, bob = registered(one, "alice"), registered(other, "bob")
    talk(alice, bob)
    for user in ("alice", "bob"):
        server.does("users", "disable", user)
    until(lambda: "OPTIONS sip:" in trace_of(alice), "it was asked", seconds=30)
    for user in ("alice", "bob"):
        server.does("users", "enable", user)
    alice.hears()
    assert len(calls_of(server)) == 1
    part(alice, bob)
    assert calls_of(server) == []


def test_a_command_without_its_call_is_a_sentence(server):
    with pytest.raises(AssertionError, match=r"exit 1\n.*there is no call 77"):
        server.does("calls", "hangup", "77")


def test_a_browser_that_reads_nothing_holds_nothing_up(registered, server, admin):
    """Its stream says one thing for many changes, and others go on."""
    alice, bob = registered(Baresip, "alice"), registered(Baresip, "bob")
    with closing(http.client.HTTPConnection("127.0.0.1", server.web_port)) as silent:
        silent.request("GET", "/calls/events", headers={"Cookie": admin.cookie})
        for _ in range(3):
            talk(alice, bob)
            part(alice, bob)
        assert "No call rings or talks now." in admin.reads("/calls")


def test_many_calls_beside_a_silent_browser_leave_nothing(server, sipp, admin):
    """Every call is set up and ended, and none of them stays in the list."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.web_port)) as silent:
        silent.request("GET", "/calls/events", headers={"Cookie": admin.cookie})
        play(server, sipp, "caller_challenged", "callee", calls=300)
        until(lambda: calls_of(server) == [], "the list is empty")


def test_a_stream_ends_at_sign_out(server, admin):
    with closing(http.client.HTTPConnection("127.0.0.1", server.web_port, timeout=10)) as browser:
        browser.request("GET", "/calls/events", headers={"Cookie": admin.cookie})
        answer = browser.getresponse()
        assert answer.status == 200
        admin.sends("/logout")
        assert answer.read().decode().endswith("event: ended\ndata: 1\n\n")
