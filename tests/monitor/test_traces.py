"""The messages in memory: how they are found again, and which ones are removed first."""

import pytest

from sip.monitor.calls import Call, CallFinished, Side
from sip.monitor.events import Bus, MessagePassed, RefusalSent, Refused, Sender
from sip.monitor.traces import (
    BATCH,
    CAUSE_OVERHEAD,
    FIRST_MESSAGES,
    MAX_CAUSES,
    MAX_REGISTRATION,
    MAX_TRACE,
    MESSAGE_OVERHEAD,
    MIB,
    TRACE_OVERHEAD,
    Traces,
)

SERVER = ("192.0.2.1", 5060)
ALICE, BOB = ("192.0.2.10", 5060), ("192.0.2.20", 5060)


def message(start: str, call_id: str, *fields: str, body: bytes = b"") -> bytes:
    lines = [start, *fields, f"Call-ID: {call_id}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Passing:
    """A bus, and the traces of the messages that pass on it."""

    def __init__(self, limit: int = 64 * MIB) -> None:
        self.bus = Bus(lambda: self.now)
        self.now = 100.0
        self.traces = Traces(self.bus, limit)

    def comes(self, octets: bytes, remote=ALICE, transport: str = "UDP") -> None:
        self._passes("in", octets, remote, transport)

    def leaves(self, octets: bytes, remote=BOB, transport: str = "UDP") -> None:
        self._passes("out", octets, remote, transport)

    def _passes(self, direction: str, octets: bytes, remote, transport: str) -> None:
        self.now += 0.001
        values = self.now, direction, SERVER, remote, transport, octets
        self.bus.topic(MessagePassed).publish(values)

    def call(self, call_id: str, size: int = 0, remote=ALICE, by: str = "alice") -> None:
        """An INVITE that is forwarded to bob."""
        fields = f"From: <sip:{by}@example.com>", f"Subject: {'x' * size}"
        invite = message("INVITE sip:bob@example.com SIP/2.0", call_id, *fields)
        self.comes(invite, remote)
        self.leaves(invite)

    def noise(self, call_id: str, method: str, remote, size: int = 0) -> None:
        """A request of a stranger, and our answer."""
        field = f"Subject: {'x' * size}"
        self.comes(message(f"{method} sip:x@example.com SIP/2.0", call_id, field), remote)
        status = "200 OK" if method == "OPTIONS" else "401 Unauthorized"
        self.leaves(message(f"SIP/2.0 {status}", call_id, field), remote)

    def has(self, call_id: str) -> bool:
        return self.traces.find(call_id.encode()) is not None


@pytest.fixture
def passing() -> Passing:
    return Passing()


def test_a_message_is_found_by_its_call_id_at_once(passing):
    passing.call("one")
    passing.call("two")
    trace = passing.traces.find(b"one")
    assert [each.direction for each in trace.messages] == ["in", "out"]
    assert passing.traces.find(b"three") is None


@pytest.mark.parametrize(
    ("octets", "call_id"),
    [
        (b"A\r\nCall-ID: one\r\n\r\n", b"one"),
        (b"A\r\ni: one\r\n\r\n", b"one"),
        (b"A\r\nCALL-ID :\tone \r\n\r\n", b"one"),
        (b"A\r\nCall-ID:\r\n one\r\nX: y\r\n\r\n", b"one"),
        (b"A\nCall-ID: one\n\nbody", b"one"),
        (b"A\r\nCall-ID: \xff/\x00?\r\n\r\n", b"\xff/\x00?"),
        (b"A\r\nX: y\r\n\r\nz\r\nCall-ID: one\r\n", b""),
        (b"A\r\ni: one\r\n\r\nz\r\nCall-ID: two\r\n", b"one"),
        (b"A\r\nX: y\r\n\r\nz\r\nCall-ID: one\r\n\r\n", b""),
        (b"Call-ID: one", b""),
        (b"\xff\x00", b""),
    ],
)
def test_a_call_id_is_found_in_any_spelling(passing, octets, call_id):
    """In the head alone: a body may hold another message."""
    passing.comes(octets)
    assert passing.traces.find(call_id).messages[0].octets == octets


def test_old_calls_are_removed_and_the_bound_is_kept():
    passing = Passing(limit=MIB)
    for number in range(2000):
        passing.call(f"call-{number}", size=1000)
    assert passing.has("call-1999")
    assert not passing.has("call-0")
    assert passing.traces.octets <= MIB
    counted = sum(
        TRACE_OVERHEAD
        + 2 * len(trace.call_id)
        + sum(len(each.octets) + MESSAGE_OVERHEAD for each in trace.messages)
        for trace in passing.traces.latest()
    )
    assert counted == passing.traces.octets
    kept = [trace.call_id for trace in passing.traces.latest()]
    assert kept == [b"call-%d" % number for number in range(1999, 1999 - len(kept), -1)]


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE", "MESSAGE"])
def test_noise_of_strangers_pushes_out_no_call(method):
    """From an address each: those of datagrams can be forged."""
    passing = Passing(limit=MIB)
    for number in range(100):
        passing.call(f"call-{number}", size=1000)
    for number in range(5000):
        source = (f"198.51.{number // 250}.{number % 250}", 5060)
        passing.noise(f"noise-{number}", method, source, size=500)
    assert all(passing.has(f"call-{number}") for number in range(100))


def test_one_source_cannot_push_out_the_calls_of_others():
    """A user whose phone calls all the time loses its own calls first."""
    passing = Passing(limit=MIB)
    for number in range(100):
        passing.call(f"call-{number}", size=1000, remote=(f"192.0.2.{number}", 5060))
    for number in range(3000):
        passing.call(f"flood-{number}", size=1000, remote=("203.0.113.5", 1024 + number))
    assert all(passing.has(f"call-{number}") for number in range(100))
    assert passing.has("flood-2999")


def test_ipv6_sources_are_counted_by_their_network():
    passing = Passing(limit=MIB)
    for number in range(100):
        passing.call(f"call-{number}", size=1000, remote=(f"192.0.2.{number}", 5060))
    for number in range(3000):
        passing.call(f"flood-{number}", size=1000, remote=(f"2001:db8::{number:x}", 5060))
    assert all(passing.has(f"call-{number}") for number in range(100))


def test_registrations_push_out_no_calls():
    passing = Passing(limit=MIB)
    for number in range(100):
        passing.call(f"call-{number}", size=1000)
    for number in range(3000):
        call_id, source = f"reg-{number}", (f"198.51.100.{number % 250}", 5060)
        passing.noise(call_id, "REGISTER", source, size=300)
        passing.leaves(message("SIP/2.0 200 OK", call_id), source)
    assert all(passing.has(f"call-{number}") for number in range(100))


def test_noise_takes_no_more_memory_than_its_part():
    """So that a flood takes little, also while there are no calls."""
    passing = Passing(limit=MIB)
    for number in range(3000):
        passing.noise(f"noise-{number}", "OPTIONS", (f"198.51.100.{number % 250}", 5060), size=500)
    assert len(passing.traces) > 10
    assert passing.traces.octets <= MIB / 10


def test_refused_requests_of_users_are_no_noise():
    passing = Passing(limit=MIB)
    passing.noise("mine", "REGISTER", ALICE)
    refused = Refused(
        *(1.0, Sender.USER, "REGISTER", 403, "account alice is disabled", "Enable it.", "alice"),
        *("example.com", "alice", "", ALICE, ALICE[0], "UDP", "Desk", "mine", "a"),
    )
    passing.bus.publish(refused)
    for number in range(5000):
        source = (f"198.51.{number // 250}.{number % 250}", 5060)
        passing.noise(f"noise-{number}", "REGISTER", source, size=500)
    assert passing.traces.find(b"mine").note.cause == "account alice is disabled"


def test_a_long_call_keeps_its_beginning_and_its_end(passing):
    for number in range(1200):
        fields = f"CSeq: {number} INFO", f"Subject: {'x' * 4000}"
        passing.comes(message("INFO sip:bob@example.com SIP/2.0", "long", *fields))
    trace = passing.traces.find(b"long")
    assert trace.octets <= MAX_TRACE
    assert len(trace.messages) + trace.omitted == 1200
    numbers = [int(each.octets.split(b"CSeq: ")[1].split()[0]) for each in trace.messages]
    assert numbers[:FIRST_MESSAGES] == list(range(FIRST_MESSAGES))
    assert numbers[-1] == 1199
    assert passing.traces.octets == trace.octets


def test_messages_of_any_size_keep_the_bound_of_a_call(passing):
    for _ in range(60):
        passing.comes(message("INFO sip:b@example.com SIP/2.0", "big", body=b"x" * 190_000))
    assert passing.traces.find(b"big").octets <= MAX_TRACE


def test_a_registration_keeps_its_latest_messages(passing):
    for number in range(300):
        passing.noise("phone", "REGISTER", ALICE, size=number)
    trace = passing.traces.find(b"phone")
    assert trace.octets <= MAX_REGISTRATION
    assert b"x" * 299 in trace.messages[-1].octets
    assert trace.omitted


def test_the_messages_of_a_pinned_user_stay():
    passing = Passing(limit=MIB)
    passing.call("before", by="alice")
    passing.traces.pin("alice")
    passing.call("after", by="alice")
    for number in range(3000):
        passing.call(f"call-{number}", size=1000, by="mallory")
    assert passing.has("before")
    assert passing.has("after")
    passing.traces.pin("")
    for number in range(3000):
        passing.call(f"more-{number}", size=1000, by="mallory")
    assert not passing.has("before")


def test_a_stranger_is_not_pinned_by_a_name(passing):
    """Anyone can write the name of the pinned user into a message, from any address."""
    passing.traces.pin("alice")
    passing.call("one", by="alice")
    assert passing.has("one")
    octets = passing.traces._pinned.octets
    noise = message("REGISTER sip:x@example.com SIP/2.0", "noise", "From: <sip:alice@example.com>")
    passing.comes(noise)
    passing.leaves(message("SIP/2.0 401 Unauthorized", "noise", "From: <sip:alice@example.com>"))
    assert passing.has("noise")
    assert passing.traces._pinned.octets == octets


def test_the_messages_of_a_pinned_user_are_bounded_too():
    passing = Passing(limit=MIB)
    passing.call("other", by="bob", size=1000)
    passing.traces.pin("alice")
    for number in range(3000):
        passing.call(f"call-{number}", size=1000, by="%61lice")
    assert passing.traces.octets <= MIB
    assert passing.has("other")


def test_the_causes_of_refusals_are_bounded_and_counted(passing):
    passing.comes(message("REGISTER sip:example.com SIP/2.0", "one"))
    before = passing.traces.find(b"one").octets
    for number in range(MAX_CAUSES + 5):
        cseq = f"{number} REGISTER"
        passing.bus.publish(RefusalSent(1.0, "one", cseq, 403, "full", "Wait.", "x"))
    passing.bus.publish(RefusalSent(1.0, "another", "1 REGISTER", 403, "full", "Wait.", "x"))
    trace = passing.traces.find(b"one")
    assert list(trace.causes)[-1] == (f"{MAX_CAUSES + 4} REGISTER", 403)
    assert len(trace.causes) == MAX_CAUSES
    assert trace.octets == trace.share.octets == before + MAX_CAUSES * CAUSE_OVERHEAD
    assert trace.copy().causes == trace.causes


def test_the_end_of_a_call_is_noted(passing):
    passing.call("one")
    sides = Side("sip:alice@example.com"), Side("sip:bob@example.com")
    call = Call(1, "one", "a", *sides, 1.0, status=486, cause="Busy Here", result="busy")
    passing.bus.publish(CallFinished(call))
    assert passing.traces.find(b"one").note.result == "busy"


def test_a_search_finds_what_the_first_message_has(passing):
    passing.call("one", by="alice")
    passing.call("two", by="carol")
    found = [trace.call_id for trace in passing.traces.latest("CAROL@")]
    assert found == [b"two"]
    assert [trace.call_id for trace in passing.traces.latest()] == [b"two", b"one"]


def test_without_memory_nothing_is_kept_and_no_event_built():
    passing = Passing(limit=0)
    assert not passing.bus.has_listener(MessagePassed)
    assert not passing.has("one")
    assert not len(passing.traces)


def test_messages_that_pass_after_a_reading_are_read_next_time(passing):
    passing.call("one")
    assert [each.direction for each in passing.traces.find(b"one").messages] == ["in", "out"]
    passing.comes(message("SIP/2.0 200 OK", "one"), BOB)
    read = passing.traces.find(b"one").messages
    assert [(each.direction, each.remote) for each in read[1:]] == [("out", BOB), ("in", BOB)]


def test_waiting_messages_are_bounded(passing):
    for number in range(BATCH):
        passing.comes(message("INFO sip:b@example.com SIP/2.0", str(number)))
    assert not passing.traces._pending


def test_a_smaller_limit_removes_the_oldest_and_zero_all(passing):
    for number in range(100):
        passing.call(str(number), size=10_000)
    assert passing.has("0")
    passing.traces.set_limit(MIB)
    assert passing.traces.octets <= MIB
    assert (passing.has("0"), passing.has("99")) == (False, True)
    passing.traces.set_limit(0)
    assert len(passing.traces) == 0
    assert not any(map(passing.bus.has_listener, (MessagePassed, CallFinished, RefusalSent)))
    passing.traces.set_limit(MIB)
    passing.call("again")
    assert passing.has("again")
