"""Work that takes long: it is done in real threads, so that SIP goes on meanwhile."""

from collections.abc import Callable
from typing import TypeVar

from gevent.threadpool import ThreadPool

T = TypeVar("T")


class TooBusy(Exception):
    """There is more to do than can be done soon."""


class Workers:
    """A few real threads for what must not be done in the hub.

    Who comes while `most` wait for one is told to come again.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._pool = ThreadPool(threads)
        self._most = most
        self._waiting = 0

    def run(self, function: Callable[[], T]) -> T:
        """Run `function` in a thread and wait for it; other greenlets go on.

        It must touch nothing of gevent, and no database.  Raises what the function raises, and
        TooBusy.
        """
        if self._waiting >= self._most:
            raise TooBusy("the server has too much to do just now; try again in a minute")
        outcome: list[T] = []

        def quietly() -> Exception | None:
            # The pool prints whatever exception it gets to see.
            try:
                outcome.append(function())
            except Exception as error:  # noqa: BLE001 -- raised again where it is waited for
                return error
            return None

        self._waiting += 1
        try:
            error = self._pool.spawn(quietly).get()
        finally:
            self._waiting -= 1
        if error is not None:
            try:
                raise error
            finally:
                del error  # or this frame and the traceback would keep each other alive
        return outcome[0]

    def close(self) -> None:
        """Let the threads go."""
        self._pool.kill()
