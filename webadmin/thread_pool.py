"""A bounded pool of real threads for slow work, so that SIP is not delayed."""

from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

from gevent.threadpool import ThreadPool

T = TypeVar("T")


class TooBusy(Exception):
    """Too many tasks wait for a thread; the text is for the user."""


class Workers:
    """A few real threads for work that would block the event loop.

    While `most` tasks wait, further ones raise TooBusy.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._pool = ThreadPool(threads)
        self._most = most
        self._waiting = 0

    def run(self, function: Callable[[], T]) -> T:
        """Run `function` in a thread and wait for its result; other greenlets run meanwhile.

        It has the language of the request.
        The function must not use gevent or the database.  Raises TooBusy, and the errors of the
        function.
        """
        if self._waiting >= self._most:
            raise TooBusy("the server is busy; try again in a minute")
        outcome: list[T] = []
        context = copy_context()

        def catch_errors() -> Exception | None:
            # The pool prints every exception that reaches it.
            try:
                outcome.append(context.run(function))
            except Exception as error:  # noqa: BLE001 -- raised again in run
                return error
            return None

        self._waiting += 1
        try:
            error = self._pool.spawn(catch_errors).get()
        finally:
            self._waiting -= 1
        if error is not None:
            try:
                raise error
            finally:
                del error  # breaks the reference cycle of this frame and the traceback
        return outcome[0]

    def close(self) -> None:
        """Stop the threads."""
        self._pool.kill()
