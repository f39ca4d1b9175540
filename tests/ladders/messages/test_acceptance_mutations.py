"""Valid messages of a call, changed at random: the server answers or drops, and goes on."""

import logging
import random
import re

import pytest

from sip.message.message import Request, parse
from tests.support.recording_world import RecordingWorld
from tests.support.world import REALM, SDP, SERVER, Phone, World

SEEDS = range(4)
CALLS = 12
# What a change brings in: what separates, what is out of range, whole fields that lead elsewhere.
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
    for number in range(CALLS):
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
