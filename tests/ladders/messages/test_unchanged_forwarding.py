"""Unknown methods, fields and bodies are forwarded unchanged, octet for octet."""

import pytest

from tests.support.cases import cases
from tests.support.forwarding import (
    answered,
    calls,
    carried,
    each_pair,
    exchanged,
    next_in,
    placed,
    talks,
)
from tests.support.world import SDP, Phone, World

ALL_OCTETS = bytes(range(256)) + b"\0\r\n\r\nINVITE sip:x SIP/2.0\r\nVia: none\r\n\r\n\0"
MIXED = (
    b"--b\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--b\r\n"
    b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"\x89PNG\r\n\x1a\n\0\r\n--b--"
)
ODD_FIELDS = (
    "X-Folded: one\r\n two,\r\n\t three",
    "x-ODD  :\t  spaced  ,out  ",
    "X-Text: gar\u00e7on \u2615",
    "X-Empty:",
    "z: an unknown compact form",
    "Subject: first",
    'Warning: 399 a.test "a, b;\\" c"',
    "X-Again: 2",
    "s: second, by its compact form",
    "X-Again: 1",
    "e: gzip",
    "Date: Sat, 13 Nov 2010 23:29:00 GMT",
)


@pytest.fixture
def plain(world: World) -> tuple[Phone, Phone]:
    """The same, in the plainest way."""
    return placed(world, "plain")


@cases(
    "method",
    [
        "MESSAGE",
        "OPTIONS",
        "INFO",
        "REFER",
        "SUBSCRIBE",
        "PUBLISH",
        "FLY",
        "invite",
        "N.o-t!%*_+`'~",
    ],
)
@each_pair()
def test_a_method_with_any_name_is_forwarded(world: World, pair, method: str):
    """§7.1, §16: a method is any token, its case matters, and each may have a body."""
    alice, bob = pair
    request = alice.sends(method, bob.aor, headers=ODD_FIELDS, body=ALL_OCTETS)
    answered(carried(request, bob), bob, 299, alice, headers=ODD_FIELDS, body=ALL_OCTETS)
    call = talks(pair)
    for sender, dialog, receiver in ((alice, call.here, bob), (bob, call.there, alice)):
        fields, body = ODD_FIELDS, ALL_OCTETS
        exchanged(sender, method, dialog, receiver, 603, answer=fields, headers=fields, body=body)
    world.passes(40, step=0.5)
    assert world.is_quiet


def test_fields_arrive_in_their_order_and_spelling(plain):
    """§7.3.1, §16.6 step 1, §20: also those that are folded, empty or unknown."""
    alice, bob = plain
    alice.sends("INVITE", bob.aor, headers=ODD_FIELDS)
    assert "\r\n".join(ODD_FIELDS).encode() in next_in(bob)


def test_octets_that_are_no_text_pass(world: World, plain):
    """§25.1: TEXT-UTF8 may hold what isn't UTF-8 at all; it is not ours to mend."""
    alice, bob = plain
    octets = b"\xff\xfe, latin \xe9, utf-8 \xc3\xa9, half \xc3, \x01\x7f and \0"
    request = alice.request("FLY", bob.aor, from_uri="sip:x@y.org", headers=("X-Octets: here",))
    world.deliver(request.encode().replace(b"here", octets), alice.address)
    assert b"\r\nX-Octets: " + octets + b"\r\n" in next_in(bob)
    ringing = bob.answers(bob.gets("FLY"), 180, headers=("X-Octets: here",)).encode()
    ok = ringing.replace(b"180 Reason", b"200 \xe9").replace(b"here", octets)
    alice.inbox.clear()
    world.deliver(ok, bob.address)
    assert next_in(alice).startswith(b"SIP/2.0 200 \xe9\r\n")
    assert b"\r\nX-Octets: " + octets + b"\r\n" in next_in(alice)


@cases("body", [ALL_OCTETS, MIXED, b"\0" * 100, b"\r\n\r\n", b"x" * 60_000])
@each_pair()
def test_a_body_arrives_as_it_was_sent(pair, body: bytes):
    """§7.4: binary, multipart, empty lines, 60 kB: in requests, their answers, and an ACK."""
    alice, bob = pair
    kind = ("Content-Type: multipart/mixed;boundary=b", "MIME-Version: 1.0")
    call = calls(pair, headers=kind, body=body)
    assert call.received.body == body
    call.rings(183, headers=kind, body=body)
    call.is_answered(headers=kind, body=body)
    again = bob.sends_within("INVITE", call.there, headers=kind)
    answered(carried(again, alice), alice, 200, bob, headers=kind, body=body)
    ack = bob.sends_within("ACK", call.there, cseq=again.cseq[0], headers=kind, body=body)
    assert carried(ack, alice).body == body
    exchanged(bob, "MESSAGE", call.there, alice, headers=kind, body=body)


@cases(
    "field",
    [
        "X-Long: " + "x" * 8192,
        "Identity: " + '"' + "Ab+/" * 2048 + '"',
        "X-Params: " + ";".join(f"p{number}=v" for number in range(1000)),
        "X-Folded: " + "\r\n ".join(["x" * 70] * 115),
        "Geolocation: <cid:" + "x" * 8192 + "@x>",
    ],
)
@each_pair()
def test_a_long_field_arrives_whole(pair, field: str):
    """§7.3: a field has no bound of its own; 8 kB in each direction."""
    call = talks(pair, headers=(field,))
    alice, bob = pair
    assert field in call.received.lines
    exchanged(bob, "INFO", call.there, alice, headers=(field,), answer=(field,))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (181, "Call Is Being Forwarded"),
        (199, "Early Dialog Terminated"),
        (299, ""),
        (399, "Three"),
        (499, "g\u00e5r ikke"),
        (477, 'a  reason; with, "all" <of> it \u2615'),
        (599, "SIP/2.0 200 OK"),
        (699, "No"),
    ],
)
def test_an_unknown_status_is_relayed_with_its_phrase(plain, status: int, reason: str):
    """§7.2, §8.1.3.2, §16.7: treated as the x00 of its class, and sent on as what it is."""
    alice, bob = plain
    call = calls(plain)
    response = bob.answers(call.received, 180)
    alice.gets(180)
    response.status, response.reason = status, reason
    bob.transmits(response)
    assert next_in(alice).startswith(f"SIP/2.0 {status} {reason}\r\n".encode())


def test_credentials_of_the_phones_among_themselves_pass(plain):
    """§22.2, §22.3: 401 with its challenge, Authorization; Proxy-Authorization for others."""
    alice, bob = plain
    challenge = 'WWW-Authenticate: Digest realm="bob\'s own", nonce="n,1", qop="auth,auth-int"'
    first = alice.sends("MESSAGE", bob.aor)
    bob.answers(carried(first, bob), 401, headers=(challenge,))
    refused = alice.gets(401)  # challenges stand first, for there may be those of other branches
    assert refused.fields("www-authenticate") == [challenge.partition(": ")[2]]

    own = 'Authorization: Digest username="a", realm="bob\'s own", nonce="n,1", response="0"'
    other = 'Proxy-Authorization: Digest username="a", realm="next door", nonce="1", response="0"'
    second = alice.sends("MESSAGE", bob.aor, headers=(own,), answers_challenge=False)
    second = alice.with_credentials(second, alice.gets(407))
    second.put_first("proxy-authorization", other)
    alice.transmits(second)
    got = carried(second, bob)
    assert own in got.lines
    assert got.fields("proxy-authorization") == [other.partition(": ")[2]]
    answered(got, bob, 200, alice, headers=('Authentication-Info: nextnonce="2"',))
