"""Traces of real calls: each message is in the ladder, and tshark reads each from the pcap file."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.admin import Admin
from tests.support.baresip import Baresip, BaresipTcp
from tests.support.phone_calls import part, talk
from tests.support.pjsua import Pjsua
from tests.support.programs import until
from tests.support.server import Server
from tests.support.sipp_calls import play
from tests.support.tshark import has_no_trouble, read_fields, sip_messages

SHOWN = re.compile(r"The password of `admin` in the web admin is  (\S+)\n")
ROW = re.compile(r'<a href="/traces/([^"]+)"')


@pytest.fixture
def admin(server: Server) -> Admin:
    """A signed-in administrator."""
    admin = Admin(server)
    (password,) = SHOWN.findall(server.log.read_text())
    assert admin.signs_in(password)
    return admin


def call_ids(admin: Admin, search: str) -> list[str]:
    """The Call-IDs on the page of messages, the latest first."""
    return [unquote(path) for path in ROW.findall(admin.reads(f"/traces?q={search}"))]


def traced(server: Server, call_id: str, tmp_path: Path) -> list[str]:
    """Return the start lines in the pcap file of a call, which are those of its text."""
    text = server.does("trace", call_id)
    number = int(re.search(r"^Messages: (\d+)$", text, re.M)[1])
    lines = re.findall(r"^---- \d+ .*----\n(.*)$", text, re.M)
    file = tmp_path / "call.pcap"
    server.does("trace", call_id, "--pcap", str(file))
    has_no_trouble(file)
    assert sip_messages(file) == lines
    assert len(lines) == number
    assert set(read_fields(file, "sip.Call-ID")[0][0].split("|")) == {call_id}
    return lines


@pytest.mark.parametrize("kind", [Baresip, BaresipTcp])
def test_a_call_of_real_phones_has_a_ladder(server, admin, registered, tmp_path, kind):
    alice, bob = registered(kind, "alice"), registered(kind, "bob")
    talk(alice, bob)
    part(alice, bob)
    (call_id,) = call_ids(admin, "INVITE%20sip:bob")
    lines = traced(server, call_id, tmp_path)
    assert sum(line.startswith("BYE") for line in lines) == 2
    ladder = admin.reads(f"/traces/{call_id}")
    assert "alice → bob" in ladder
    for words in (
        "INVITE (SDP), alice to sipserver",
        "180 Ringing, bob to sipserver",
        "Answered by baresip",
    ):
        assert words in ladder


def test_a_refused_call_says_why(server, admin, registered, tmp_path):
    alice, bob = registered(Baresip, "alice"), registered(Baresip, "bob")
    alice.dials(bob)
    bob.gets_a_call(alice)
    bob.refuses()
    alice.call_ends(bob)
    (call_id,) = call_ids(admin, "INVITE%20sip:bob")
    until(lambda: "busy" in admin.reads("/traces?q=INVITE%20sip:bob"), "the call is busy")
    assert "s phone is busy." in admin.reads(f"/traces/{call_id}")
    assert "SIP/2.0 486 Rejected" in traced(server, call_id, tmp_path)


def test_a_fork_says_which_phone_has_answered(server, admin, registered, tmp_path):
    """One phone of bob is busy, the other answers; it names itself in its REGISTER only."""
    alice, desk = registered(Pjsua, "alice"), registered(Baresip, "bob")
    mobile = registered(Pjsua, "bob")
    alice.dials(f"sip:bob@{server.domain}")
    desk.gets_a_call(alice)
    mobile.gets_a_call(alice)
    alice.hears_ringing()
    mobile.refuses()
    desk.answers()
    alice.is_talking()
    alice.hangs_up()
    desk.call_ends(alice)
    (call_id,) = call_ids(admin, "INVITE%20sip:bob")
    lines = traced(server, call_id, tmp_path)
    assert sum(line.startswith("SIP/2.0 486") for line in lines) == 1
    ladder = admin.reads(f"/traces/{call_id}")
    assert re.search(r"Answered by baresip v[\d.]+<", ladder)
    assert re.search(rf"bob, baresip [^<]*, UDP {desk.address}:5060", ladder)
    for words in (f"bob, UDP {mobile.address}:5060", "· rang ", "· talked ", "486 Busy Here"):
        assert words in ladder


def test_a_registration_has_a_ladder_without_credentials(server, admin, registered, tmp_path):
    registered(Baresip, "carol")
    (call_id,) = call_ids(admin, "carol@")
    lines = traced(server, call_id, tmp_path)
    assert [line.split()[0] for line in lines] == ["REGISTER", "SIP/2.0", "REGISTER", "SIP/2.0"]
    page, text = admin.reads(f"/traces/{call_id}?m=3"), admin.reads(f"/traces/{call_id}.txt")
    secret = admin.reads(f"/traces/{call_id}.txt?secrets=true")
    nonces = re.findall('nonce="([^"]+)"', secret)
    assert len(nonces) == 3, "of the challenge and, with the cnonce, of the answer"
    assert not [nonce for nonce in nonces if nonce in page or nonce in text]
    assert "credentials shown" in admin.reads("/audit")


@pytest.mark.parametrize("by", [("udp", "udp"), ("tcp", "udp"), ("udp", "tcp")])
def test_calls_of_sipp_are_read_back(server, admin, sipp, tmp_path, by):
    play(server, sipp, "caller_challenged", "callee", calls=20, by=by)
    found = call_ids(admin, "INVITE%20")
    assert len(found) == 20
    for call_id in found[:3]:
        lines = traced(server, call_id, tmp_path)
        assert sum(line.startswith("INVITE") for line in lines) == 3
