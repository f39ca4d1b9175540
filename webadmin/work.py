"""Work that takes long: it is done in real threads, so that SIP goes on meanwhile."""

from collections.abc import Callable
from typing import TypeVar

from gevent.threadpool import ThreadPool

T = TypeVar("T")

# One may read an import for some seconds while the other checks who signs in.
_THREADS = 2
# Who waits for a thread beyond these is told to come back: each sign-in takes 23 ms of one.
_MAX_WAITING = 40


class TooBusy(Exception):
    """There is more to do than can be done soon."""


class Workers:
    """A few real threads for what must not be done in the hub."""

    def __init__(self) -> None:
        self._pool = ThreadPool(_THREADS)
        self._waiting = 0

    def run(self, function: Callable[[], T]) -> T:
        """Run `function` in a thread and wait for it; other greenlets go on.

        It must touch nothing of gevent, and no database.  Raises what the function raises, and
        TooBusy.
        """
        if self._waiting >= _MAX_WAITING:
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
            raise error
        return outcome[0]

    def close(self) -> None:
        """Let the threads go."""
        self._pool.kill()
