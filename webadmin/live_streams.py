"""Server-sent events that say when a page has changed (HTML Standard §9.2).

The problem: a page should be live, but a browser that reads slowly must not hold memory, and a
browser that has gone must not hold a connection.
The model: a stream carries no data, only the word that something has changed; the browser then
loads the page again.  Each stream compares a version by itself a few times in a second, so a change
costs its author nothing, and many changes are one event.
The bounds: MAX_STREAMS in all and MAX_PER_SESSION of one session, where a new one ends the oldest.
A stream ends with its session, and after STREAM_SECONDS; the browser then opens another.
"""

import time
from collections.abc import Callable, Hashable, Iterator

import gevent

MAX_STREAMS = 50
MAX_PER_SESSION = 6
# Seconds of the longest stream, between two comparisons, after an event, until a heartbeat, and
# between two checks of the session.
STREAM_SECONDS = 1800.0
POLL_SECONDS = 0.25
PAUSE_SECONDS = 0.75
HEARTBEAT_SECONDS = 15.0
SESSION_SECONDS = 2.0
# Milliseconds until a browser opens another stream.
_RETRY = 3000


class _Stream:
    """One open stream; it ends when `is_ended` is True."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.is_ended = False


class LiveStreams:
    """The open streams of one page.

    `version` returns a value that changes with the page; `is_signed_in` returns False for the token
    of a session that has ended.
    """

    def __init__(
        self,
        version: Callable[[], Hashable],
        is_signed_in: Callable[[str], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self._version = version
        self._is_signed_in = is_signed_in
        self._clock = clock
        self._sleep = sleep
        self._streams: list[_Stream] = []  # the oldest first

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def is_full(self) -> bool:
        """Return True if no further stream may be opened."""
        return len(self._streams) >= MAX_STREAMS

    def events(
        self, session: int, token: str, version: Callable[[], Hashable] | None = None
    ) -> Iterator[str]:
        """Yield the events of a new stream of a session, until it ends.

        `version` replaces that of all streams.
        """
        stream = _Stream(session)
        own = [each for each in self._streams if each.session == session and not each.is_ended]
        for oldest in own[: max(0, len(own) - MAX_PER_SESSION + 1)]:
            oldest.is_ended = True
        self._streams.append(stream)
        try:
            yield from self._run(stream, token, version or self._version)
        finally:
            self._streams.remove(stream)

    def _run(
        self, stream: _Stream, token: str, read_version: Callable[[], Hashable]
    ) -> Iterator[str]:
        started = checked = written = self._clock()
        known = read_version()
        # The page may be older than this stream, so the first event is sent at once.
        yield f"retry: {_RETRY}\n\n{_event('changed')}"
        while not stream.is_ended:
            self._sleep(POLL_SECONDS)
            now = self._clock()
            if now - checked >= SESSION_SECONDS:
                checked = now
                if not self._is_signed_in(token):
                    yield _event("ended")
                    return
            version = read_version()
            if version != known:
                known, written = version, now
                yield _event("changed")
                self._sleep(PAUSE_SECONDS)
            elif now - written >= HEARTBEAT_SECONDS:
                written = now
                yield ": still here\n\n"
            if now - started >= STREAM_SECONDS:
                return


def _event(name: str) -> str:
    # A browser ignores an event without data.
    return f"event: {name}\ndata: 1\n\n"
