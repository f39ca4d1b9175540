"""Threads for the operator's code, each run with a deadline.

The problem: Python code cannot be interrupted, and a hook that waits or computes in the thread of
the server would stop all calls.
The model: a few threads of the operating system, apart from all others of the server.  A run waits
for a free thread and for the outcome, both within its deadline; after that it is left alone.
The invariant: `run` returns at its deadline at the latest.  A function that was left alone occupies
its thread until it returns; one that does so for HUNG_SECONDS hangs.
The bounds: `size` threads for each version of the file.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import gevent
from gevent.event import AsyncResult
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool

# Seconds beyond its deadline after which a function counts as hung: a busy machine is slower.
HUNG_SECONDS = 5.0


class LateError(Exception):
    """The function has not returned in time, or found no free thread."""


class Outcome(NamedTuple):
    """The result of a function, or the exception that it has raised."""

    result: Any
    error: BaseException | None


class HookThreads:
    """Runs functions in at most `size` threads, which are made when they are needed."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool: ThreadPool | None = None
        self._free = Semaphore(size)
        self._late: dict[AsyncResult[Outcome], float] = {}  # since when, by the monotonic clock

    @property
    def hung(self) -> int:
        """The number of threads that hang."""
        since = time.monotonic() - HUNG_SECONDS
        return sum(late_at <= since for late_at in self._late.values())

    def run(self, function: Callable[[Any], object], argument: object, seconds: float) -> Outcome:
        """Return the outcome of `function(argument)`.  Raises LateError after `seconds`."""
        deadline = time.monotonic() + seconds
        if not self._free.acquire(timeout=seconds):
            raise LateError
        if self._pool is None:
            self._pool = ThreadPool(self.size)
        result = self._pool.spawn(_call, function, argument)
        result.rawlink(self._end)
        result.wait(max(0.0, deadline - time.monotonic()))
        if not result.ready():
            self._late[result] = time.monotonic()
            raise LateError
        return result.get() or Outcome(None, None)

    def _end(self, result: "AsyncResult[Outcome]") -> None:
        self._free.release()
        self._late.pop(result, None)


def _call(function: Callable[[Any], object], argument: object) -> Outcome:
    """Call a function in a thread of the pool; the pool would print a traceback of an error."""
    try:
        return Outcome(function(argument), None)
    except BaseException as error:  # noqa: BLE001 -- any error of the operator's code
        return Outcome(None, error)


def in_background(work: Callable[[], object]) -> None:
    """Run `work`, which may wait, in a greenlet of its own."""
    gevent.spawn(work)
