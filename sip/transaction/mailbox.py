"""Where a handler waits: the one place, besides the readers, where a greenlet leaves the hub."""

from collections.abc import Callable
from typing import Any

import gevent
from greenlet import getcurrent


class Mailbox:
    """Where a handler waits.  One greenlet reads, anybody puts.

    The items are a plain list: a fork brings a few dozen at most, and most handlers never wait.
    """

    __slots__ = ("_items", "_waiter")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._waiter: Any = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: object) -> None:
        """Leave something; the reader wakes in the next turn of the hub."""
        self._items.append(item)
        if self._waiter is not None and len(self._items) == 1:
            gevent.get_hub().loop.run_callback(self._wake)

    def put_result(self, work: Callable[[], object]) -> None:
        """Do in a greenlet of its own what may take long; what comes of it is left here."""
        gevent.spawn(lambda: self.put(work()))

    def _wake(self) -> None:
        """In the hub.  A reader that a Timeout has called away meanwhile waits elsewhere by now."""
        if self._waiter is not None:
            self._waiter.switch()

    def get(self) -> Any:
        """Take the oldest item; blocks this greenlet until there is one."""
        while not self._items:
            self._waiter = getcurrent()
            try:
                gevent.get_hub().switch()
            finally:
                self._waiter = None
        return self._items.pop(0)

    def take_all(self) -> list[Any]:
        """Take all that is there, without waiting."""
        items = self._items
        if items:
            self._items = []
        return items
