"""A bounded queue of events for a slow reader, with a share for refusals.

Any sender can cause refusals, as many as it likes: they must not push out calls and registrations.
So at most a part of the queue are refusals, and a refusal never discards another event.
"""

from collections import deque
from typing import Any, Generic, TypeVar

from sip.monitor.calls import CallChanged
from sip.monitor.events import Refused

# Events that wait for one reader, about 1 kB each, and refusals among them.
MAX_EVENTS = 1000
MAX_REFUSALS = 200

Item = TypeVar("Item")


def is_refusal(event: Any) -> bool:
    """Return True for the events of a refused request, of which any sender can cause many."""
    if isinstance(event, CallChanged):
        call = event.call
        return call.ended_by == "server" and not call.ringing_at and not call.answered_at
    return isinstance(event, Refused)


class EventQueue(Generic[Item]):
    """Events in their order, at most `size`, of them `refusals` refusals.

    In a full queue an event takes the place of the oldest one; a refusal that finds no place is
    discarded itself.  `lost` counts both.
    """

    def __init__(self, size: int = MAX_EVENTS, refusals: int = MAX_REFUSALS) -> None:
        self._size = size
        self._max_refusals = refusals
        self._items: deque[tuple[Item, bool]] = deque()
        self._refusals = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, *, is_refusal: bool) -> None:
        """Add an event; does not wait."""
        is_full = len(self._items) >= self._size
        if is_refusal and (is_full or self._refusals >= self._max_refusals):
            self.lost += 1
            return
        if is_full:
            self.take()
            self.lost += 1
        self._items.append((item, is_refusal))
        self._refusals += is_refusal

    def take(self) -> Item:
        """Remove the oldest event and return it.  Raises IndexError if there is none."""
        item, is_refusal = self._items.popleft()
        self._refusals -= is_refusal
        return item
