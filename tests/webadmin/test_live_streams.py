"""Server-sent events: one word for many changes, and an end for each stream."""

import pytest

from webadmin import live_streams
from webadmin.live_streams import (
    HEARTBEAT_SECONDS,
    MAX_PER_SESSION,
    SESSION_SECONDS,
    STREAM_SECONDS,
    LiveStreams,
)


class Page:
    """A page with a version, streams on a clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.version = 1
        self.is_signed_in = True
        self.at: dict[float, object] = {}  # what happens when the clock has passed a time
        self.streams = LiveStreams(
            lambda: self.version,
            lambda token: self.is_signed_in,
            clock=lambda: self.now,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        for at in [at for at in self.at if at <= self.now]:
            self.at.pop(at)()

    def changes(self) -> None:
        self.version += 1

    def ends_session(self) -> None:
        self.is_signed_in = False


@pytest.fixture
def page() -> Page:
    return Page()


def test_changes_within_a_moment_are_one_event(page):
    events = page.streams.events(1, "token")
    assert "event: changed" in next(events)
    page.at = {2.8: page.changes, 2.95: page.changes}
    assert next(events) == "event: changed\ndata: 1\n\n"
    assert page.now == 3.0
    assert next(events).startswith(":")  # the next thing to say is a heartbeat
    assert page.now >= 3.0 + HEARTBEAT_SECONDS


def test_a_stream_ends_with_its_session(page):
    events = page.streams.events(1, "token")
    next(events)
    page.at = {5.0: page.ends_session}
    assert next(events) == "event: ended\ndata: 1\n\n"
    assert page.now <= 5.0 + SESSION_SECONDS + 1
    assert list(events) == []
    assert len(page.streams) == 0


def test_no_stream_is_endless(page):
    heartbeats = list(page.streams.events(1, "token"))
    assert page.now < STREAM_SECONDS + 1
    assert len(heartbeats) < STREAM_SECONDS / HEARTBEAT_SECONDS + 2


def test_a_new_stream_of_a_session_ends_its_oldest(page):
    open_now = [page.streams.events(1, "token") for _ in range(MAX_PER_SESSION)]
    other = page.streams.events(2, "token")
    for each in (*open_now, other):
        next(each)
    page.version += 1
    assert all("changed" in next(each) for each in open_now), "none of them has ended yet"
    newest = page.streams.events(1, "token")
    next(newest)
    assert list(open_now[0]) == []
    assert len(page.streams) == MAX_PER_SESSION + 1


def test_a_closed_stream_frees_its_place(page, monkeypatch):
    monkeypatch.setattr(live_streams, "MAX_STREAMS", 1)
    events = page.streams.events(1, "token")
    next(events)
    assert page.streams.is_full
    events.close()
    assert not page.streams.is_full
