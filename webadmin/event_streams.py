"""Server-sent events of what happens in the server, for programs (HTML Standard §9.2).

The problem: programs want each event at once, but one that reads slowly must not hold memory, and
must never delay SIP.
The model: an event is encoded once, when it happens, and put into the queue of each reader that has
asked for its name.  A greenlet for each reader sends what its queue has.
The bounds: MAX_READERS in all and MAX_PER_TOKEN of one token; a queue holds EventQueue's number of
events, refusals have a share of it, and a reader learns how many it has lost.  Events without a
reader are not listened to.  A stream ends when its token is removed.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

from gevent.event import Event

from sip.monitor.event_queue import EventQueue, is_refusal
from sip.monitor.events import Bus
from sip.serializers.events import EVENT_CLASSES, event_json, event_name, is_left_out
from webadmin.thread_pool import TooBusy

MAX_READERS = 20
MAX_PER_TOKEN = 5
# Seconds until a heartbeat, and between two checks of the token.
HEARTBEAT_SECONDS = 15.0
TOKEN_SECONDS = 2.0
# Events that are sent together.
_BATCH = 50
# Milliseconds until a browser's EventSource opens another stream.
_RETRY = 3000


class Wakes(Protocol):
    """What a reader waits for; gevent's Event."""

    def set(self) -> object:
        """Wake the reader."""

    def clear(self) -> object:
        """Let the next wait last."""

    def wait(self, timeout: float) -> object:
        """Wait until `set`, at most for some seconds."""


class _Reader:
    """One open stream, of the events with some names."""

    def __init__(self, owner: str, names: Collection[str], wakes: Wakes) -> None:
        self.owner = owner
        self.names = frozenset(names)
        self.queue: EventQueue[str] = EventQueue()
        self.wakes = wakes


class EventStreams:
    """The open streams of events on `bus`."""

    def __init__(
        self,
        bus: Bus,
        *,
        clock: Callable[[], float] = time.monotonic,
        new_event: Callable[[], Wakes] = Event,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._new_event = new_event
        self._readers: list[_Reader] = []
        self._classes: set[type] = set()  # that are listened to

    def __len__(self) -> int:
        return len(self._readers)

    def check_room(self, owner: str) -> None:
        """Raise TooBusy if no further stream of a token may be opened."""
        own = sum(reader.owner == owner for reader in self._readers)
        if own >= MAX_PER_TOKEN or len(self._readers) >= MAX_READERS:
            raise TooBusy(f"{own} streams of this token and {len(self)} in all are open already")

    def events(
        self, owner: str, names: Collection[str], is_allowed: Callable[[], bool]
    ) -> Iterator[str]:
        """Yield the events with some names, until `is_allowed` returns False."""
        reader = _Reader(owner, names, self._new_event())
        self._readers.append(reader)
        self._listen()
        try:
            yield from self._run(reader, is_allowed)
        finally:
            self._readers.remove(reader)
            self._listen()

    def _listen(self) -> None:
        """Listen to the classes of events that a reader has asked for, and to no others."""
        wanted = {EVENT_CLASSES[name] for reader in self._readers for name in reader.names}
        for each in wanted - self._classes:
            self._bus.listen(each, self._put)
        for each in self._classes - wanted:
            self._bus.remove_listener(each, self._put)
        self._classes = wanted

    def _put(self, event: Any) -> None:
        """Add an event to the queues of its readers; does not wait."""
        name = event_name(event)
        readers = [reader for reader in self._readers if name in reader.names]
        if not readers or is_left_out(event):
            return
        fields = _encoded(event_json(event, self._bus.now()))
        text = f"event: {name}\ndata: {fields}\n\n"
        for reader in readers:
            lost = reader.queue.lost
            reader.queue.put(text, is_refusal=is_refusal(event))
            self._bus.lost += reader.queue.lost - lost
            reader.wakes.set()

    def _run(self, reader: _Reader, is_allowed: Callable[[], bool]) -> Iterator[str]:
        checked = written = self._clock()
        told = 0
        yield f"retry: {_RETRY}\n\n"
        while True:
            if not reader.queue:
                reader.wakes.clear()
                reader.wakes.wait(TOKEN_SECONDS)
            now = self._clock()
            if now - checked >= TOKEN_SECONDS:
                checked = now
                if not is_allowed():
                    return
            parts = [reader.queue.take() for _ in range(min(_BATCH, len(reader.queue)))]
            if (lost := reader.queue.lost - told) > 0:
                told += lost
                parts.insert(0, f": {lost} events were lost\n\n")
            if not parts and now - written >= HEARTBEAT_SECONDS:
                parts = [": still here\n\n"]
            if parts:
                written = now
                yield "".join(parts)


def _encoded(fields: dict[str, Any]) -> str:
    """Return fields as JSON in one line; octets of a peer that are not UTF-8 become "?"."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()
