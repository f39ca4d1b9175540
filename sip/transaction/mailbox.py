"""The mailbox of a handler: the place where its greenlet waits in gevent's hub."""

from collections.abc import Callable
from typing import Any

import gevent
from greenlet import getcurrent

from sip.transport.wake_ups import wake_soon


class Mailbox:
    """A queue with one reader; any greenlet and the hub may put.

    The items are a plain list: a fork puts a few dozen at most, and most handlers never wait.
    """

    __slots__ = ("_items", "_waiter")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._waiter: Any = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: object) -> None:
        """Add an item; the reader wakes in the next turn of the hub."""
        self._items.append(item)
        if self._waiter is not None and len(self._items) == 1:
            wake_soon(self._wake)

    def put_result(self, work: Callable[[], object]) -> None:
        """Run `work`, which may wait, in a new greenlet, and put its result."""
        gevent.spawn(lambda: self.put(work()))

    def _wake(self) -> None:
        """Wake the reader, in the hub; a reader that a Timeout has ended waits no more."""
        if self._waiter is not None:
            self._waiter.switch()

    def get(self) -> Any:
        """Take the oldest item; waits until there is one."""
        while not self._items:
            self._waiter = getcurrent()
            try:
                gevent.get_hub().switch()
            finally:
                self._waiter = None
        return self._items.pop(0)

    def take_all(self) -> list[Any]:
        """Take all items, without waiting."""
        items = self._items
        if items:
            self._items = []
        return items
