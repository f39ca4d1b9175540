"""Where greenlets wait in gevent's hub: the mailbox of a handler, and turns in an order."""

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


def spawn(work: Callable[[], None]) -> None:
    """Run `work`, which may wait, in a new greenlet."""
    gevent.spawn(work)


class Turn:
    """A place in a line: `with` waits for the places before it, and its end is the next one's turn.

    Each place that is taken must be used, or the places behind it wait for ever.
    """

    __slots__ = ("_before", "_is_over", "_name", "_start", "_turns")

    def __init__(self, turns: "Turns", name: str, before: "Turn | None") -> None:
        self._turns = turns
        self._name = name
        self._before = before
        self._start: Mailbox | None = None  # of the place behind this one, if it waits
        self._is_over = False

    def __enter__(self) -> None:
        before, self._before = self._before, None
        if before is not None and not before._is_over:
            before._start = Mailbox()
            before._start.get()

    def __exit__(self, *error: object) -> None:
        self._is_over = True
        if self._start is not None:
            self._start.put(None)
        self._turns.leave(self._name, self)


class Turns:
    """Lines by name: the work of each line is done in the order in which its places were taken."""

    def __init__(self) -> None:
        self._last: dict[str, Turn] = {}

    def __len__(self) -> int:
        return len(self._last)

    def take(self, name: str) -> Turn:
        """Take the last place of a line."""
        turn = self._last[name] = Turn(self, name, self._last.get(name))
        return turn

    def is_taken(self, name: str) -> bool:
        """Return True if a place of the line is taken and not over."""
        return name in self._last

    def leave(self, name: str, turn: Turn) -> None:
        """Forget a line that has ended with this place."""
        if self._last.get(name) is turn:
            del self._last[name]
