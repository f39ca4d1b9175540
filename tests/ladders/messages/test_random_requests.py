"""Random requests and randomly changed calls: none harms the server (RFC 3261 §16)."""

import logging
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.message.message import Request, Response, parse
from tests.support.recording_world import RecordingWorld
from tests.support.world import REALM, SDP, SERVER, Phone, World

US = "192.0.2.1"
uris = st.sampled_from(
    [
        f"sip:{REALM}",
        f"sip:bob@{REALM}",
        f"sip:alice@{US}:5060",
        f"sip:bob@{REALM};lr;t=x",
        f"sip:{US};lr;t=AAAA;f=UDP/{US}:5060/203.0.113.9:5060",
        f"sip:bob@{REALM};maddr=203.0.113.9",
        f"sip:bob@{REALM};maddr=[",
        f"sips:bob@{REALM}",
        "sip:x@203.0.113.9",
        "sip:x@[2001:db8::9]:5061;transport=tcp",
        "sip:x@999.1.2.3",
        "sip:x%ff%00%0d%0a@elsewhere.invalid",
        "sip:bob@example.com?Route=%3Csip:evil%3E",
        "tel:+1-555",
        "tel:bob",
        "mailto:x@y",
        "sip:",
        "*",
        "sip:bob@example.com:99999",
    ]
)
names = st.builds(
    lambda name, uri, params: f"{name}<{uri}>{params}",
    st.sampled_from(["", '"sip:alice@example.com" ', "caf\u00e9 ", '"\\"<" ']),
    uris,
    st.sampled_from(["", ";tag=a", ";tag", ";expires=0", ";q=0.5", ";q=2", ';x="<>,;"']),
)
fields = st.builds(
    lambda name, values: f"{name}: {', '.join(values)}",
    st.sampled_from(["Route", "Contact", "Record-Route", "Path", "Require", "Proxy-Require"]),
    st.lists(names, max_size=3),
)
others = st.sampled_from(
    [
        "Max-Forwards: 0",
        "Max-Forwards: x",
        "Max-Breadth: 1",
        "Max-Breadth: -",
        "Expires: 0",
        "Expires: never",
        "Contact: *",
        "Supported: path, outbound",
        "Proxy-Authorization: Digest",
        f'Authorization: Digest realm="{REALM}", username="bob", nc=zz, qop=auth',
        f'Proxy-Authorization: Digest realm="{REALM}", uri="sip:", nonce="", response=""',
        "User-Agent: baresip v1",
        "Timestamp: 1",
    ]
)
methods = st.sampled_from("INVITE ACK CANCEL BYE REGISTER OPTIONS MESSAGE SUBSCRIBE X".split())


@contextmanager
def faults() -> Iterator[list[str]]:
    """Collect the log lines about faults of the server."""
    shown: list[str] = []

    class Faults(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

    handler = Faults(logging.ERROR)
    logging.getLogger("sip").addHandler(handler)
    try:
        yield shown
    finally:
        logging.getLogger("sip").removeHandler(handler)


@given(methods, uris, names, names, st.lists(fields | others, max_size=4))
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_any_request_is_answered_or_forwarded_without_a_fault(method, uri, sender, to, more):
    """Strangers: nothing leaves towards a place that only the request named."""
    with faults() as shown:
        world = World()
        bob, phone = world.phone("bob"), world.phone("phone", registered=False)
        lines = [
            f"{method} {uri} SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.102:5060;branch=z9hG4bKany;rport",
            f"From: {sender}",
            f"To: {to}",
            "Call-ID: any",
            f"CSeq: 1 {method}",
            *more,
            "",
            "",
        ]
        world.deliver("\r\n".join(lines).encode("utf-8", "surrogateescape"), phone.address)
    assert not shown
    assert not world.lost
    for data in bob.inbox:
        parse(data)
    if method == "ACK":
        assert not bob.inbox
        assert not phone.inbox
        return
    answers = [parse(data) for data in phone.inbox]
    assert bob.inbox or answers, "silence"
    for answer in answers:
        assert isinstance(answer, Response)
        assert answer.status != 500 or answer.reason == "Next Hop Unreachable"


@given(st.binary(max_size=40), st.integers(0, 400))
@settings(max_examples=80)
def test_any_octets_in_the_midst_of_a_request_harm_nothing(octets: bytes, at: int):
    """A few octets of a request are changed on the way."""
    with faults() as shown:
        world = World()
        phone, _ = world.phone("phone", registered=False), world.phone("bob")
        headers = (f"Route: <sip:{US};lr>", f"Contact: {phone.contact}")
        data = phone.request("INVITE", f"sip:bob@{REALM}", headers=headers).encode()
        world.deliver(data[:at] + octets + data[at + len(octets) :], phone.address)
    assert not shown


# Valid messages of a call, changed at random


SEEDS = range(4)
DAMAGED_CALLS = 12
# Pieces of a change: separators, values out of range, whole fields that lead elsewhere.
PIECES = (
    b'\r\n|\n|\r|"|<|>|;|,|:|@|%|%00|%zz|\\|\x00|\xff|\xc3\xa9| |\t|=|*|0|-1|4294967296|sips:|'
    b"tel:+1|[::1]|[|?|z9hG4bK|;lr|;maddr=203.0.113.9|;received=203.0.113.9|;rport|SIP/2.0|\r\n |"
    b"Route: <sip:203.0.113.9;lr>\r\n|Via: SIP/2.0/UDP 203.0.113.9\r\n|Max-Forwards: 0\r\n|"
    b"Require: x\r\n|Content-Length: 5\r\n|To: <sip:a@b>\r\n|Max-Breadth: 1\r\n|Timestamp: 1\r\n"
).split(b"|")


def changed(data: bytes, rng: random.Random) -> bytes:
    """One message with a few things changed: octets, pieces, lines, the parts of a line."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) or 1)
        lines = data.split(b"\r\n")
        line = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[at + rng.choice((1, 5, 40)) :]
            case 2:
                data = data[:at] + rng.choice(PIECES) + data[at:]
            case 3:
                lines.insert(line, rng.choice(lines))
                data = b"\r\n".join(lines)
            case 4:
                del lines[line]
                data = b"\r\n".join(lines)
            case _:
                parts = re.split(rb'([;,:=@<> "])', lines[line])
                parts[rng.randrange(len(parts))] = rng.choice(PIECES)
                lines[line] = b"".join(parts)
                data = b"\r\n".join(lines)
    return data


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mutated_call_neither_stops_the_server_nor_strays(
    seed: int, caplog: pytest.LogCaptureFixture
):
    """RFC 3261 §7.3.1, §16.3, §18.3; nothing is left when all timers have run (§17)."""
    caplog.set_level(logging.WARNING)
    world, rng = RecordingWorld(), random.Random(seed)
    bob = world.phone("bob")
    eve = world.phone("eve", registered=False, host="198.51.100.7")
    for number in range(DAMAGED_CALLS):
        _call(world, eve, bob, rng, number)
        eve.inbox.clear()
        bob.inbox.clear()
    world.passes(400, step=1.0)

    assert not [reader.exception for reader in world.readers if not reader.successful()]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert world.hosts <= {bob.address[0], eve.address[0]}
    assert world.server.dispatcher.pending == 0
    assert not world.server.layer.servers
    assert not world.server.layer.clients
    eve.inbox.clear()
    bob.inbox.clear()
    bob.registers()
    eve.transmits(eve.request("OPTIONS", f"sip:{SERVER[0]}", from_uri="sip:eve@elsewhere.org"))
    eve.gets(200)


def _call(world: World, eve: Phone, bob: Phone, rng: random.Random, number: int) -> None:
    """A call from outside that rings, is cancelled or answered; each message comes changed too."""
    call = eve.request(
        "INVITE",
        f"sip:bob@{REALM}",
        from_uri="sip:eve@elsewhere.org",
        headers=(f"Contact: {eve.contact}",),
        body=SDP,
    )
    _comes_changed(world, eve, call.encode(), rng)
    bob.inbox.clear()
    eve.transmits(call)
    heard = [parse(data) for data in bob.inbox if data.startswith(b"INVITE")]
    for invite in heard:
        assert isinstance(invite, Request)
        for status in rng.sample((100, 180, 200, 302, 407, 486, 503, 603), 2):
            sent: list[bytes] = []
            at_world, bob.transmits = bob.transmits, lambda m, sent=sent: sent.append(m.encode())  # type: ignore[method-assign]
            bob.answers(invite, status)
            bob.transmits = at_world  # type: ignore[method-assign]
            _comes_changed(world, bob, sent[0], rng)
            world.deliver(sent[0], bob.address)
    for method in ("CANCEL", "ACK", "BYE"):
        last = call.encode().replace(b"INVITE", method.encode()).partition(b"\r\n\r\n")[0]
        _comes_changed(world, eve, last + b"\r\n\r\n", rng)
    register = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    _comes_changed(world, bob, register.encode(), rng)
    if number % 4 == 0:
        world.passes(rng.choice((0.5, 5, 33)), step=0.5)


def _comes_changed(world: World, phone: Phone, data: bytes, rng: random.Random) -> None:
    for _ in range(5):
        world.deliver(changed(data, rng), phone.address)
