"""Amplification: a forged address gets one datagram, and three octets for one at most."""

import pytest

from sip.monitor.metrics import DROPPED_TOO_SHORT
from sip.transport.flow import Flow
from tests.support.cases import cases
from tests.support.fake_transport import SERVER
from tests.support.world import REALM, World

VICTIM = ("203.0.113.9", 5060)
VIA = "Via: SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bK-1;rport"


def request(method: str, uri: str, *more: str, who: str = f"bob@{REALM}", via: str = VIA) -> bytes:
    """A short request, in the usual spelling."""
    lines = [
        f"{method} {uri} SIP/2.0",
        via,
        f"From: <sip:{who}>;tag=1",
        f"To: <{uri}>",
        "Call-ID: 1",
        f"CSeq: 1 {method}",
        *more,
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def shortest(method: str, uri: str, who: str = "a@b") -> bytes:
    """As few octets as a request can have that is answered."""
    lines = [
        f"{method} {uri} SIP/2.0",
        "v:SIP/2.0/UDP h;branch=z9hG4bK2",
        f"f:sip:{who};tag=1",
        "t:sip:a@b",
        "i:1",
        f"CSeq:1 {method}",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


US, NOBODY, STRANGER = "sip:192.0.2.1", f"sip:nobody@{REALM}", "x@elsewhere.test"
REQUESTS = {
    "REGISTER": request("REGISTER", f"sip:{REALM}"),
    "REGISTER with credentials": request(
        "REGISTER", f"sip:{REALM}", f'Authorization: Digest username="bob", realm="{REALM}"'
    ),
    "OPTIONS": request("OPTIONS", US),
    "OPTIONS to a user": request("OPTIONS", NOBODY, who=STRANGER),
    "INVITE as a user": request("INVITE", NOBODY),
    "INVITE to nobody": request("INVITE", NOBODY, who=STRANGER),
    "INVITE to outside": request("INVITE", "sip:x@elsewhere.test", who=STRANGER),
    "MESSAGE": request("MESSAGE", NOBODY, who=STRANGER),
    "SUBSCRIBE": request("SUBSCRIBE", NOBODY, "Event: reg"),
    "BYE": request("BYE", NOBODY, who=STRANGER),
    "CANCEL": request("CANCEL", NOBODY),
    "ACK": request("ACK", NOBODY),
    "an unknown method": request("SHOUT", US),
    "another version": request("OPTIONS", US).replace(b" SIP/2.0\r\nVia", b" SIP/7.0\r\nVia"),
    "an unknown scheme": request("REGISTER", "tel:1"),
    "an unknown extension": request("OPTIONS", US, "Require: this, that, and, more"),
    "a field that can't be read": request("OPTIONS", US, "Max-Forwards: many"),
    "hardly a request": b"OPTIONS sip:192.0.2.1 SIP/2.0\r\nv: SIP/2.0/UDP h\r\n\r\n",
    "garbage": bytes(range(256)),
    "keep-alive": b"\r\n\r\n",
    "STUN": b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12),
    "STUN with an unknown attribute": b"\0\1\0\4\x21\x12\xa4\x42" + bytes(12) + b"\0\3\0\0",
    "a response": b"SIP/2.0 200 OK\r\n" + VIA.encode() + b"\r\nCSeq: 1 INVITE\r\n\r\n",
    "the shortest REGISTER": shortest("REGISTER", US),
    "the shortest OPTIONS": shortest("OPTIONS", US),
    "the shortest INVITE": shortest("INVITE", NOBODY, f"bob@{REALM}"),
    "a maddr": request("OPTIONS", US, via=VIA + ";maddr=203.0.113.200"),
}


def answers(world: World, datagram: bytes) -> list[bytes]:
    """All that goes out in the minute after a datagram, wherever to."""
    world.lost.clear()
    world.deliver(datagram, VICTIM)
    world.passes(64, step=1.0)
    phones = [data for phone in world.at.values() for data in phone.inbox]
    return world.lost + phones


@cases("name", REQUESTS)
def test_one_datagram_and_three_octets_come_for_one(world: World, name: str):
    world.phone("bob")
    sent = answers(world, REQUESTS[name])
    assert len(sent) <= 1
    assert sum(map(len, sent)) <= 3 * len(REQUESTS[name])
    assert not world.server.layer.servers


def test_a_flood_of_stun_counts_as_messages_of_its_source(world: World):
    """In an overload, its share is that of any other datagrams; a verified phone keeps its own."""
    guard, bob = world.server.guard, world.phone("bob")
    for _ in range(30):
        world.now += 0.05
        guard.tick(world.now, has_backlog=True)
        for _ in range(200):
            guard.allows(Flow("UDP", SERVER, VICTIM))
    world.lost.clear()
    for _ in range(1000):
        world.server.receiver.receive(REQUESTS["STUN"], Flow("UDP", SERVER, VICTIM))
    assert len(world.lost) < 100
    assert guard.dropped_for_overload > 900
    world.deliver(REQUESTS["STUN"], bob.address)
    assert len(bob.inbox) == 1


@pytest.mark.parametrize("name", ["REGISTER", "OPTIONS", "INVITE as a user"])
def test_usual_requests_are_answered_in_full(world: World, name: str):
    """Header fields left out for short requests are in the answers to phones."""
    longer = REQUESTS[name].replace(b"\r\n\r\n", b"\r\nUser-Agent: " + b"x" * 100 + b"\r\n\r\n")
    (answer,) = answers(world, longer)
    text = answer.decode()
    assert "algorithm=SHA-256" in text if "Authenticate" in text else "\r\nDate: " in text


def test_a_shortened_challenge_can_be_answered(world: World):
    (answer,) = answers(world, REQUESTS["the shortest REGISTER"])
    assert answer.count(b"WWW-Authenticate") == 1
    assert b"algorithm=MD5" in answer


def test_a_long_realm_is_not_sent_to_a_tiny_request():
    """A challenge of several hundred octets, for a request of a hundred."""
    world = World(settings={"sip_realm": "r" * 250})
    assert answers(world, REQUESTS["the shortest REGISTER"]) == []
    assert world.server.layer.counts[DROPPED_TOO_SHORT] == 1


def test_a_repeat_is_a_question_of_its_own(world: World):
    """Nothing is remembered of a stranger, so each datagram brings one back at most."""
    world.phone("bob")
    for _ in range(5):
        assert len(answers(world, REQUESTS["INVITE as a user"])) == 1
