"""The event bus: what happened in the server, as values, and the readers of them.

An event is a frozen dataclass of plain values.  A class of events that nobody listens to costs one
look-up in a dictionary: build the event only if `bus.has_listener(Class)`.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

log = logging.getLogger(__name__)

# Events that wait for a reader; the oldest ones are lost when there are more.
MAX_PENDING_EVENTS = 1000

Event = TypeVar("Event")


class Reader:
    """A bounded queue of events; `lost` counts the oldest ones, dropped when it was full."""

    def __init__(self, bus: "Bus", classes: tuple[type, ...], limit: int) -> None:
        self._bus = bus
        self._classes = classes
        self._limit = limit
        self._pending: deque[Any] = deque()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._pending)

    def put(self, event: Any) -> None:
        """Add an event, and drop the oldest one if the queue is full."""
        if len(self._pending) >= self._limit:
            self._pending.popleft()
            self.lost += 1
        self._pending.append(event)

    def take(self) -> list[Any]:
        """Return all pending events, the oldest first, and empty the queue."""
        events = list(self._pending)
        self._pending.clear()
        return events

    def close(self) -> None:
        """Stop reading."""
        for each in self._classes:
            self._bus.remove_listener(each, self.put)


class Bus:
    """Hands each event to the listeners of its class, at once and in the order they were added.

    A listener is called in the publisher's greenlet and must not wait.  An exception of a listener
    is logged; the other listeners are called all the same.
    """

    def __init__(self) -> None:
        self._listeners: dict[type, tuple[Callable[[Any], object], ...]] = {}

    def has_listener(self, event_class: type) -> bool:
        """Return True if an event of this class would be heard."""
        return event_class in self._listeners

    def listen(self, event_class: type[Event], listener: Callable[[Event], object]) -> None:
        """Call `listener` with each event of a class."""
        self._listeners[event_class] = (*self._listeners.get(event_class, ()), listener)

    def remove_listener(self, event_class: type, listener: Callable[[Any], object]) -> None:
        """Stop calling a listener; one that is not there is no error."""
        left = tuple(each for each in self._listeners.get(event_class, ()) if each != listener)
        if left:
            self._listeners[event_class] = left
        else:
            self._listeners.pop(event_class, None)

    def read(self, *event_classes: type, limit: int = MAX_PENDING_EVENTS) -> Reader:
        """Return a reader that collects events of these classes; it may be emptied later."""
        reader = Reader(self, event_classes, limit)
        for each in event_classes:
            self.listen(each, reader.put)
        return reader

    def publish(self, event: object) -> None:
        """Hand an event to the listeners of its class."""
        for listener in self._listeners.get(type(event), ()):
            try:
                listener(event)
            except Exception:
                log.exception("unhandled error of a listener to %s", type(event).__name__)
