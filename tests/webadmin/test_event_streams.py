"""Streams of events for programs: names, bounds, heartbeats, and the end of a token."""

import json

import pytest

from sip.monitor.event_queue import MAX_EVENTS
from sip.monitor.events import Bus, Overload, Refused, Registered, Sender, Unbanned
from webadmin.event_streams import (
    HEARTBEAT_SECONDS,
    MAX_PER_TOKEN,
    MAX_READERS,
    TOKEN_SECONDS,
    EventStreams,
)
from webadmin.thread_pool import TooBusy


class Streams:
    """Streams on a clock that advances whenever a reader waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.is_allowed = True
        self.bus = Bus(lambda: 1_700_000_000.0)
        self.streams = EventStreams(self.bus, clock=lambda: self.now, new_event=lambda: self)

    def set(self) -> None:
        """Wake: readers of this test never wait."""

    clear = set

    def wait(self, timeout: float) -> None:
        self.now += timeout

    def opens(self, *names: str, owner: str = "api"):
        """Open a stream, and read its first line."""
        texts = self.streams.events(owner, names, lambda: self.is_allowed)
        assert next(texts).startswith("retry: ")
        return texts

    def lifts(self, network: str = "192.0.2.7") -> None:
        self.bus.publish(Unbanned(1_700_000_000.0, network, "lifted"))


@pytest.fixture
def server() -> Streams:
    return Streams()


def registered(*, is_refresh: bool) -> Registered:
    values = (1, "alice", "example.com", "sip:a@b", "\udcff", ("192.0.2.7", 5060), "UDP")
    return Registered(0.0, *values, False, 60.0, is_refresh)


def test_a_reader_gets_the_events_that_it_asked_for(server):
    texts = server.opens("unbanned")
    server.bus.publish(Overload(0.0, True, 0))
    server.lifts()
    name, data, *end = next(texts).split("\n")
    assert (name, end) == ("event: unbanned", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {
        "at": "2023-11-14T22:13:20Z",
        "network": "192.0.2.7",
        "reason": "lifted",
    }


def test_events_that_nobody_reads_are_not_listened_to(server):
    first, second = server.opens("unbanned"), server.opens("unbanned", "overload")
    assert server.bus.has_listener(Overload)
    second.close()
    assert server.bus.has_listener(Unbanned)
    assert not server.bus.has_listener(Overload)
    first.close()
    assert not server.bus.has_listener(Unbanned)
    assert len(server.streams) == 0


def test_refreshes_and_forged_refusals_are_left_out(server):
    texts = server.opens("registered", "refused")
    server.bus.publish(registered(is_refresh=True))
    values = ("REGISTER", 401, "wrong password", "", "alice", None, "alice", "")
    where = (("192.0.2.7", 5060), "192.0.2.7", "UDP", "", "one", "a")
    server.bus.publish(Refused(0.0, Sender.UNVERIFIED, *values, *where))
    server.bus.publish(registered(is_refresh=False))
    (event,) = next(texts).removesuffix("\n\n").split("\n\n")
    assert event.startswith("event: registered\n")
    assert '"device":"?"' in event  # octets that are no text


def test_a_slow_reader_loses_the_oldest_events(server):
    slow = server.opens("unbanned")
    for number in range(MAX_EVENTS + 7):
        server.lifts(f"network {number}")
    first = next(slow)
    assert first.startswith(": 7 events were lost\n\n")
    assert "network 6" not in first
    assert "network 7" in first
    assert server.bus.lost == 7
    rest = "".join(next(slow) for _ in range(MAX_EVENTS // 50 - 1))
    assert f"network {MAX_EVENTS + 6}" in rest
    server.now += HEARTBEAT_SECONDS
    assert next(slow) == ": still here\n\n"


def test_a_stream_ends_when_its_token_is_removed(server):
    texts = server.opens("unbanned")
    server.now += TOKEN_SECONDS
    server.lifts()
    assert "unbanned" in next(texts)
    server.is_allowed = False
    server.now += TOKEN_SECONDS
    server.lifts()
    assert list(texts) == []
    assert len(server.streams) == 0


def test_streams_are_bounded_by_token_and_in_all(server):
    streams = [server.opens("unbanned", owner="one") for _ in range(MAX_PER_TOKEN)]
    with pytest.raises(TooBusy):
        server.streams.check_room("one")
    others = range(MAX_PER_TOKEN, MAX_READERS)
    streams += [server.opens("unbanned", owner=f"token {number}") for number in others]
    with pytest.raises(TooBusy):
        server.streams.check_room("another")
    streams.pop().close()
    server.streams.check_room("another")
