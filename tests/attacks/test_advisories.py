"""The kinds of hole that advisories about SIP servers tell of, each tried on the whole server.

The docstrings name the kind, and one that was published where that says more.
"""

import contextlib
import http.client
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sip.message.headers import parse_credentials
from sip.message.message import parse
from tests.support.cases import cases
from tests.support.programs import own_address
from tests.support.raw_tcp import TcpClient
from tests.support.recording_world import RecordingWorld
from tests.support.server import Server
from tests.support.world import REALM, SERVER, Phone

STRANGER = "sip:eve@elsewhere.org"
LONG = 30_000


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture):
    """A server that logs no fault, loses no reader, sends to phones alone, and goes on."""
    caplog.set_level(logging.INFO)
    world = RecordingWorld()
    yield world
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not [reader.exception for reader in world.readers if reader.exception]
    assert world.hosts <= {host for host, _ in world.at}
    assert world.phone("later", registered=False).registers().status == 200


@pytest.fixture
def bob(world: RecordingWorld) -> Phone:
    return world.phone("bob")


@pytest.fixture
def eve(world: RecordingWorld) -> Phone:
    return world.phone("eve", registered=False, host="198.51.100.7")


def call(eve: Phone, method: str = "INVITE", uri: str = f"sip:bob@{REALM}", **more) -> bytes:
    """Return a request of a stranger, to be changed."""
    more.setdefault("from_uri", STRANGER)
    return eve.request(method, uri, headers=(f"Contact: {eve.contact}",), **more).encode()


def statuses(eve: Phone, data: bytes) -> list[int]:
    """Return the statuses of the answers to octets; 100 alone where they are passed on.

    An answer copies the faults of its request, so our parser may refuse it.
    """
    eve.inbox.clear()
    eve.world.deliver(data, eve.address)
    heard = [answer[8:11] for answer in eve.inbox if answer.startswith(b"SIP/2.0 ")]
    eve.inbox.clear()
    return [int(status) for status in heard]


# Parser faults


@pytest.mark.parametrize(
    ("pattern", "change"),
    [
        (rb"CSeq: .*\r", b"CSeq: 1 " + b"A" * LONG + b"\r"),
        (rb"branch=[^;]*", b"branch=" + b"x" * LONG),
        (rb";branch=[^;]*", b""),
        (rb";tag=[^\r]*", b";tag=" + b"t" * LONG),
        (rb"Call-ID: .*\r", b"Call-ID: " + b"c" * LONG + b"\r"),
        (rb"To: .*\r", b'To: "' + b"n" * LONG + b'" <sip:bob@example.com>\r'),
        (
            rb"Via: ",
            b"Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKq"
            + b",SIP/2.0/UDP h" * 1900
            + b"\r\nVia: ",
        ),
        (rb"Max-Forwards: 70", b"Max-Forwards: " + b"9" * LONG),
        (rb"Contact: .*\r", b"Contact: " + b"<sip:a@b>," * 1900 + b"<sip:c@d>\r"),
        (rb"INVITE", b"I" * LONG),
        (rb"sip:bob@", b"sip:" + b"b" * LONG + b"@"),
        (rb"Content-Length: .*\r", b"Content-Length: " + b"0" * LONG + b"\r"),
        (rb"Content-Length: .*\r", b"Content-Length: -1\r"),
        (rb"Content-Length: .*\r", b"Accept: " + b"application/x, " * 1900 + b"y\r"),
    ],
)
def test_a_part_that_is_far_too_long_overflows_nothing(bob, eve, pattern: bytes, change: bytes):
    """Overflows of buffers: a method in CSeq, a branch, a tag, an endless list."""
    (status,) = statuses(eve, re.sub(pattern, lambda _: change, call(eve), count=1))
    assert status == 100 or 400 <= status < 600
    assert statuses(eve, call(eve, "OPTIONS", f"sip:{SERVER[0]}")) == [200]


@pytest.mark.parametrize("name", ["From", "To", "Contact", "Via", "Call-ID", "CSeq", "Diversion"])
def test_a_part_that_is_empty_or_missing_is_no_fault(bob, eve, name: str):
    """Missing fields that a parser may rely on, as in CVE-2021-33056 (From, To and Diversion)."""
    for value in ("", "<>", '"', "<", ":", ";", ",", "sip:", "<sip:>", "<sip:@>"):
        line = f"{name}: {value}".encode()
        for method in ("INVITE", "REGISTER", "ACK", "CANCEL", "BYE"):
            first, _, fields = call(eve, method).partition(b"\r\n")
            others = re.sub(rb"(?m)^%s: .*\r\n" % name.encode(), b"", fields)
            for rest in (others, fields):
                heard = statuses(eve, b"\r\n".join([first, line, rest]))
                assert heard == [] or heard[0] == 100 or 400 <= heard[0] < 600


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            " ",
            "Digest",
            "Digest ",
            "Digest ,",
            "Digest =",
            'Digest "',
            "Digest a",
            'Digest a="',
        ),
        *('Digest realm="example.com', 'Digest username=""', "Digest nc=,nc=", "Digest \0=\0"),
        *(f'Digest realm="{REALM}", algorithm=, qop=auth, nc=00000001', 'Digest a="\\', "Digest\t"),
        f'Digest realm="{REALM}", username="bob", nonce="{"ü" * 40}", uri="", response=""',
        f'Digest realm="{REALM}", username="bob", nonce="{"f" * 40}", uri="sip:[", qop="\udcff',
        f'Digest realm="{REALM}", ' + ", ".join(f'a{n}="{n}"' for n in range(900)),
    ],
)
def test_credentials_that_make_no_sense_are_refused(world, bob, eve, value: str):
    """GreenletPool of digests that fall over, as in CVE-2023-28098."""
    for name in ("Authorization", "Proxy-Authorization"):
        for method, uri in (("REGISTER", f"sip:{REALM}"), ("INVITE", bob.aor)):
            data = call(eve, method, uri, from_uri=bob.aor, to=f"<{bob.aor}>")
            field = f"\r\n{name}: {value}\r\n\r\n".encode("utf-8", "surrogateescape")
            (status,) = statuses(eve, data.replace(b"\r\n\r\n", field))
            assert status in (400, 401, 407)
    assert bob.hears_nothing()


# Authentication


DIGESTS = {
    "nothing": {"response": ""},
    "another answer": {"response": "0" * 32},
    "a longer answer": {"response": "{response}0"},
    "a shorter answer": {"response": "{response:.31}"},
    "nobody": {"username": "nobody"},
    "an empty name": {"username": ""},
    "a name cut by NUL": {"username": "bob\0"},
    "a name in capitals": {"username": "BOB"},
    "another realm": {"realm": "elsewhere.org"},
    "another nonce": {"nonce": "0" * 40},
    "no nonce": {"nonce": ""},
    "another place": {"uri": "sip:elsewhere.org"},
    "no algorithm of ours": {"algorithm": "MD5-sess"},
    "an algorithm that is none": {"algorithm": "none"},
    "integrity": {"qop": "auth-int"},
    "another count": {"nc": "00000002"},
    "a count that is none": {"nc": "0000000g"},
}


@pytest.mark.parametrize("what", DIGESTS)
def test_only_the_right_digest_is_accepted(world, bob, what: str):
    """Digests that are passed by: each part of a right answer, made wrong (RFC 7616 §3.4)."""
    asked = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(asked)
    again = bob.with_credentials(asked, bob.gets(401))
    right = parse_credentials(again.fields("authorization")[0]).params
    wrong = right | {name: text.format(**right) for name, text in DIGESTS[what].items()}
    value = ", ".join(f'{name}="{text}"' for name, text in wrong.items())
    again.set("authorization", f"Authorization: Digest {value}")
    bob.transmits(again)
    assert bob.takes().status in (400, 401)


def test_a_digest_serves_once_and_only_where_it_was_asked_for(world, bob, eve):
    """Replays: the same credentials again, by another, and for something else (RFC 7616 §5.5)."""
    asked = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(asked)
    again = bob.with_credentials(asked, bob.gets(401))
    assert statuses(eve, again.encode()) == [401]
    bob.transmits(again)
    bob.gets(200)
    for number, more in enumerate((b"", b"Contact: *\r\nExpires: 0\r\n")):
        data = again.encode().replace(b"Content-Length", more + b"Content-Length")
        for same in (again.via.branch, again.call_id):  # else it would be the request itself
            data = data.replace(same.encode(), b"z9hG4bK%d" % number)
        assert statuses(bob, data) == [401]
    statuses(eve, call(eve))
    bob.gets("INVITE")


@pytest.mark.parametrize(
    "method", ["INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH", "invite", "X"]
)
@pytest.mark.parametrize("tag", ["", "pretended"])
def test_no_method_is_forwarded_in_a_users_name_without_password(bob, eve, method, tag):
    """Spoofing, as in CVE-2021-37624 (MESSAGE): nor by a tag that pretends to be in a dialog."""
    to = f"<{bob.aor}>" + (f";tag={tag}" if tag else "")
    for name in ("alice", "bob", "nobody"):
        (status,) = statuses(eve, call(eve, method, from_uri=f"sip:{name}@{REALM}", to=to))
        assert status in (403, 407)
    assert bob.hears_nothing()


@cases("octet", [*range(9), 11, 12, *range(14, 32), 0x7F, 0x85, 0xA0, 0xFF])
def test_a_field_name_with_an_odd_octet_is_unknown(bob, eve, octet: int):
    """Two readings of one message, as in CVE-2016-9938: no other may see a To there."""
    data = call(eve).replace(b"\r\n\r\n", b"\r\nTo" + bytes([octet]) + b": <sip:x@y>;tag=1\r\n\r\n")
    assert statuses(eve, data) == [400]
    assert bob.hears_nothing()


@pytest.mark.parametrize(
    "line",
    [
        *("P-Asserted-Identity : <sip:boss@example.com>", "p-asserted-IDENTITY:<sip:boss@x>"),
        *("P-Asserted-Identity\t:\r\n <sip:boss@example.com>", "P-Preferred-Identity: <sip:b@x>"),
        "X: y\r\nP-Asserted-Identity  \t : <tel:+1>",
    ],
)
def test_reserved_header_fields_are_removed_in_any_spelling(bob, eve, line: str):
    """Fields that are smuggled past the filter by white space or folds (RFC 3325 §5)."""
    statuses(eve, call(eve).replace(b"Content-Length", f"{line}\r\nContent-Length".encode()))
    assert "identity" not in bob.gets("INVITE").encode().decode().lower()


@pytest.mark.parametrize(
    "uri",
    [
        *("sip:bob%0d%0aX-Evil:%201@example.com", "sip:bob@example.com;x=%0d%0aX-Evil:%201"),
        *("sip:bob@example.com?X-Evil=1", "sip:bob@example.com?Route=%3Csip:evil.org;lr%3E"),
        *("sip:bob%00@example.com", "sip:bob@example.com%00.evil.org", "sip:bob@example.com\x0bX"),
    ],
)
def test_nothing_in_an_address_becomes_a_field_or_ends_a_name(bob, eve, uri: str):
    """Injection by escapes, and names that end with NUL for one and not for another."""
    data = call(eve).replace(f"sip:bob@{REALM} SIP".encode(), uri.encode() + b" SIP")
    statuses(eve, data)
    for heard in map(parse, bob.inbox):
        assert not {"x-evil", "route"} & set(heard.names)
        assert heard.uri.username == "bob"


@pytest.mark.parametrize(
    ("uri", "lines"),
    [
        ("sip:carol@victim.org", ""),
        ("sip:carol@203.0.113.9", ""),
        ("tel:+19005550123", ""),
        (f"sip:bob@{REALM};maddr=203.0.113.9", ""),
        (f"sip:bob@{REALM}", "Route: <sip:203.0.113.9;lr>"),
        (f"sip:bob@{REALM}", f"Route: <sip:{SERVER[0]};lr>, <sip:203.0.113.9;lr>"),
        (
            f"sip:bob@{REALM}",
            f"Route: <sip:{SERVER[0]};lr;t=00;f=UDP/{SERVER[0]}:5060/203.0.113.9:5060>",
        ),
        (f"sip:%62ob@{REALM}:5060;transport=tcp;maddr=203.0.113.9", ""),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "ACK", "BYE"])
def test_no_request_is_relayed_to_an_address_of_its_choice(world, bob, eve, method, uri, lines):
    """Toll fraud and open relays: by an address, a Route, a maddr, a false ticket."""
    more = f"{lines}\r\nContent-Length" if lines else "Content-Length"
    for to in (f"<{bob.aor}>", f"<{bob.aor}>;tag=x"):
        data = call(eve, method, uri, to=to).replace(b"Content-Length", more.encode())
        assert all(status == 100 or 400 <= status < 500 for status in statuses(eve, data))
    assert not world.lost
    assert not [name for name, _ in world.zone.asked if name != REALM]


def test_a_user_cannot_register_or_hang_up_for_another(world, bob, eve):
    """Hijacks: with a password of his own, and with what a call says of itself."""
    mallory = world.phone("mallory")
    for contact in (mallory.contact, "*"):
        lines = (f"Contact: {contact}", "Expires: 0")
        asked = mallory.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>", headers=lines)
        mallory.transmits(asked)
        mallory.transmits(mallory.with_credentials(asked, mallory.gets(401)))
        mallory.gets(403)
    statuses(eve, call(eve))
    invite = bob.gets("INVITE")
    for method in ("CANCEL", "BYE"):
        data = invite.encode().replace(b"INVITE", method.encode())
        assert statuses(mallory, data)[0] >= 400
    assert bob.hears_nothing()


def test_unknown_callers_do_not_learn_which_accounts_exist(bob, eve, world):
    """Scans for names: an answer is the same for every user."""
    world.phone("carol", registered=False)
    for method in ("REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE"):
        seen = set()
        for name in ("carol", "dave1", "zoe_9"):
            for claims in (STRANGER, f"sip:{name}@{REALM}"):
                eve.inbox.clear()
                uri = f"sip:{REALM}" if method == "REGISTER" else f"sip:{name}@{REALM}"
                data = call(eve, method, uri, from_uri=claims, to=f"<sip:{name}@{REALM}>")
                world.deliver(data, eve.address)
                said = [re.sub(rb'nonce="[^"]*"', b"", one) for one in eve.inbox]
                shape = [re.sub(rb"(?m)^(Via|From|To|Call-ID|CSeq): .*$", b"", one) for one in said]
                seen.add((claims == STRANGER, *shape))
        assert len(seen) == 2, method


# Amplification


@pytest.mark.parametrize(
    "method", ["REGISTER", "INVITE", "OPTIONS", "BYE", "SUBSCRIBE", "X", "CANCEL"]
)
@pytest.mark.parametrize("claims", [STRANGER, f"sip:bob@{REALM}"])
def test_an_answer_to_a_forged_address_is_one_and_small(world, eve, method: str, claims: str):
    """Reflection and amplification: its victim gets one answer, never repeated."""
    data = call(eve, method, f"sip:{REALM}", from_uri=claims, to=f"<sip:x@{REALM}>")
    eve.inbox.clear()
    world.deliver(data, eve.address)
    world.passes(64, step=0.5)
    assert len(eve.inbox) == 1
    assert len(eve.inbox[0]) < 2.5 * len(data)


@pytest.mark.parametrize(
    "params", ["maddr=203.0.113.9", "received=203.0.113.9;rport=9", "rport=9;ttl=255"]
)
def test_a_response_goes_to_the_source_whichever_via_is_sent(world, eve, params: str):
    """Reflection by the Via: the host is always the one that it came from (RFC 3261 §18.2.2)."""
    for host in ("198.51.100.7", "203.0.113.9", "victim.org"):
        via = f"Via: SIP/2.0/UDP {host};branch=z9hG4bK{host};{params}\r".encode()
        data = re.sub(rb"Via: .*\r", via, call(eve, "OPTIONS", f"sip:{SERVER[0]}"))
        for answered in (data, data.replace(b"CSeq: ", b"CSeq: x")):
            eve.inbox.clear()
            world.deliver(answered, eve.address)
            assert len(eve.inbox) + len(world.lost) == 1
            world.lost.clear()  # to a port of eve without a listener


def test_users_that_lead_to_each_other_multiply_no_request(world, eve):
    """Amplification by forks that loop (RFC 5393 §3): twenty contacts each, all users here."""
    phones = [world.phone(f"user{number}", registered=False) for number in range(10)]
    for phone in phones:
        others = [f"<sip:{other.name}@{REALM};x={n}>" for other in phones for n in range(2)]
        assert phone.registers(*others).status == 200
    before = world.sent
    statuses(eve, call(eve, uri=f"sip:user0@{REALM}"))
    world.passes(200, step=5)
    assert world.sent - before < 20


def test_unauthenticated_requests_leave_no_state(world, bob, eve):
    """Growth: thousands of requests without a sequel leave nothing behind."""
    layer = world.server.layer
    world.passes(40, step=1)
    nonces = world.server.proxy.authenticator.nonces
    used = len(nonces)
    for number in range(300):
        for method in ("REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "CANCEL", "ACK", "BYE"):
            claims = (STRANGER, bob.aor)[number % 2]
            data = call(eve, method, f"sip:u{number}@{REALM}", from_uri=claims)
            world.deliver(data, eve.address)
    assert not layer.servers
    assert not layer.clients
    assert len(nonces) == used


def test_a_challenge_of_another_is_never_answered_for_a_user(world, bob, eve):
    """Digest leaks: a callee that challenges gets no digest from us; only the caller is asked."""
    statuses(eve, call(eve))
    invite = bob.gets("INVITE")
    bob.answers(invite, 407, headers=(f'Proxy-Authenticate: Digest realm="{REALM}", nonce="mine"',))
    assert bob.gets("ACK")
    assert bob.hears_nothing()
    world.passes(5, step=0.5)
    assert not [data for data in bob.inbox if b"Authorization" in data]


def test_no_line_of_the_log_is_written_by_another(world, bob, eve, caplog):
    """Injection into logs: line ends, escapes for terminals, octets that are no UTF-8."""
    evil = 'x\x1b[31m\r\n 2026-01-01 ERROR sip: "\udcff\x07'
    for part in (f"User-Agent: {evil}", f"Require: {evil}", f'From: "{evil}" <sip:x@y>;tag=1'):
        field = f"{part}\r\nContent-Length".encode("utf-8", "surrogateescape")
        statuses(eve, call(eve).replace(b"Content-Length", field))
        statuses(eve, call(eve, f"{'A' * 300}").replace(b"Content-Length", field))
    lines = [record.getMessage() for record in caplog.records]
    assert lines
    assert all(line.isprintable() and len(line) < 400 for line in lines)


# The running server


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Server]:
    """The real one."""
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.close()


@pytest.mark.wire
def test_no_path_leads_out_of_the_public_files(running: Server):
    """Traversal: by dots, by their escapes, once or twice, by a backslash, from the root."""
    web = http.client.HTTPConnection("127.0.0.1", running.web_port, timeout=10)
    up = ("..", "%2e%2e", "..%2f..", "%252e%252e", "..\\..", "....//", "/", "%00", ".")
    targets = ("sipserver.py", "etc/passwd", "users.db", "webadmin/app.py", "login.tpl")
    for step in up:
        for target in targets:
            for depth in (1, 3, 8):
                path = f"/static/{'/'.join([step] * depth)}/{target}"
                web.request("GET", path)
                answer = web.getresponse()
                body = answer.read()
                assert answer.status in (303, 400, 403, 404), path
                assert not re.search(rb"import |root:|SQLite format|%% |{{", body), path
    web.close()


@pytest.mark.wire
def test_silent_connections_take_no_place_of_others(running: Server):
    """Exhaustion by connections, as in AST-2016-005: from one address, and nothing on them."""
    host = own_address()
    with contextlib.ExitStack() as silent:
        for number in range(300):
            with contextlib.suppress(OSError):
                line = silent.enter_context(contextlib.closing(TcpClient(running, host)))
                line.says((b"", b"INVITE sip:", b"\r\n", b"\0" * 1000)[number % 4])
        with contextlib.closing(TcpClient(running, own_address())) as phone:
            assert phone.asks("OPTIONS") == 200
        assert running.answers_options(1.0)
