"""Small print that an engineer with a raw socket tries first (RFC 3261 §16.3, §21.4.1, §22)."""

import hashlib

import pytest

from sip.message.headers import parse_credentials
from sip.message.message import parse
from tests.support.world import REALM, SERVER, Dialog, World, dialog_of_caller


@pytest.fixture
def world() -> World:
    return World()


def test_an_ack_to_a_scheme_that_is_not_served_goes_no_further(world: World):
    """RFC 3261 §16.3, step 2; §26.2.2: what says sips never travels without TLS."""
    bob = world.phone("bob")
    eve = world.phone("eve", registered=False, host="198.51.100.7")
    call = eve.request(
        "INVITE",
        f"sip:bob@{REALM}",
        from_uri="sip:eve@elsewhere.org",
        headers=(f"Contact: {eve.contact}",),
    )
    eve.transmits(call)
    bob.answers(bob.gets("INVITE"), 200)
    dialog = dialog_of_caller(call, eve.gets(200))
    secret = Dialog(
        dialog.call_id,
        dialog.local_tag,
        dialog.remote_tag,
        dialog.target.replace("sip:", "sips:", 1),
        dialog.routes,
    )

    eve.sends_within("ACK", secret, cseq=1)
    assert bob.hears_nothing()

    eve.sends_within("ACK", dialog, cseq=1)
    bob.gets("ACK")


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP {at};branch=z9hG4bK1;;rport",
        "SIP/2.0/UDP {at};rport;branch=z9hG4bK1;rport",
        'SIP/2.0/UDP {at};branch=z9hG4bK1;rport;x="open',
    ],
)
def test_a_phrase_names_the_via_that_cannot_be_read(world: World, via: str):
    """RFC 3261 §21.4.1: the phrase says where the fault is."""
    eve = world.phone("eve", registered=False, host="198.51.100.7")
    lines = [
        f"OPTIONS sip:{SERVER[0]} SIP/2.0",
        "Via: " + via.format(at=f"{eve.address[0]}:{eve.address[1]}"),
        "From: <sip:eve@elsewhere.org>;tag=1",
        f"To: <sip:{SERVER[0]}>",
        "Call-ID: 1",
        "CSeq: 1 OPTIONS",
        "",
        "",
    ]
    world.deliver("\r\n".join(lines).encode(), eve.address)

    assert eve.inbox.popleft().startswith(b"SIP/2.0 400 Via: ")


@pytest.mark.parametrize("count", ["00000001", "7fffffff", "ffffffc0", "ffffffff"])
def test_a_nonce_used_without_a_count_takes_no_count_later(world: World, count: str):
    """RFC 2069 has no count, so such a nonce serves once; nc has eight digits (RFC 7616 §3.4)."""
    alice = world.phone("alice", registered=False)
    request = alice.request("REGISTER", f"sip:{REALM}", to=f"<{alice.aor}>")
    alice.transmits(request)
    challenge = alice.gets(401)
    nonce = parse_credentials(challenge.fields("www-authenticate")[0]).params["nonce"]

    assert _answer(alice, nonce, "").status == 200
    again = _answer(alice, nonce, count)
    assert again.status == 401
    assert "stale=true" in again.fields("www-authenticate")[0]


def _answer(phone, nonce: str, count: str):
    ha1, ha2 = _md5(f"{phone.name}:{REALM}:secret"), _md5(f"REGISTER:sip:{REALM}")
    qop = f', qop=auth, nc={count}, cnonce="c"' if count else ""
    middle = f"{count}:c:auth:" if count else ""
    response = _md5(f"{ha1}:{nonce}:{middle}{ha2}")
    line = (
        f'Authorization: Digest username="{phone.name}", realm="{REALM}", nonce="{nonce}", '
        f'uri="sip:{REALM}", response="{response}"{qop}'
    )
    phone.transmits(phone.request("REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>", headers=(line,)))
    return parse(phone.inbox.popleft())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
