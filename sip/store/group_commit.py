"""Group commit: many changes share one transaction and one sync to disk."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Generic, TypeVar

import gevent
from gevent.event import Event
from greenlet import getcurrent, greenlet

from sip.store.database import Database, DatabaseError, Tables

log = logging.getLogger(__name__)
Entry = TypeVar("Entry")

# Seconds that the first entry of a batch waits for more entries.  A commit costs about half a
# millisecond of CPU: at 50 a second that is a fortieth of a core, and no phone notices 20 ms.
WINDOW = 0.02
# Maximum entries that wait behind the batch being written, while the disk is slow or another
# program locks the database: half of all requests that may wait, so that calls can go on.
MAX_QUEUED = 6000
# Callbacks in a row before the event loop polls the sockets: a millisecond of work.
CALLBACKS_IN_A_ROW = 64
# Commits whose times are kept for the health checks.
RECENT_COMMITS = 200
# Minimum seconds between log lines about failed batches.
LOG_INTERVAL = 1.0

# Called in the hub with the reason why a change is not on disk, "" if it is; must not wait.
Callback = Callable[[str], None]


class NotSaved(Exception):
    """The change is not on disk, and its `undo` was called.  The text says why."""


class Commit:
    """The commit of one change: wait for it, or have functions called when it is done.

    `failure` says why the change is not on disk: "" if it is, and while that is not known.  `undo`
    takes it back in memory then; it must not wait.
    """

    __slots__ = ("_callbacks", "_waiting", "failure", "is_done", "undo")

    def __init__(self, undo: Callable[[], None] | None = None, *, is_done: bool = False) -> None:
        self.undo = undo
        self.is_done = is_done
        self.failure = ""
        self._callbacks: tuple[Callback, ...] = ()
        self._waiting: greenlet | None = None

    def when_done(self, callback: Callback) -> None:
        """Call this function in the hub when the commit is done; at once if it is done already."""
        if self.is_done:
            callback(self.failure)
        else:
            self._callbacks += (callback,)

    def wait(self) -> None:
        """Block until the change is on disk.  Raises NotSaved if it is not, and `undo` was called.

        One greenlet may wait.  If it is killed, the change is written all the same.
        """
        self._waiting = getcurrent()
        try:
            # An Event or AsyncResult would cost three times as much, with thousands waiting.
            while not self.is_done:
                gevent.get_hub().switch()
        finally:
            self._waiting = None
        if self.failure:
            raise NotSaved(self.failure)

    def finish(self, failure: str) -> list[Callback]:
        """End the commit, and return the functions to call."""
        self.failure = failure
        self.is_done = True
        callbacks, self._callbacks = [*self._callbacks], ()
        if self._waiting is not None:
            callbacks.append(self._wake)
        return callbacks

    def _wake(self, failure: str) -> None:
        """Resume the greenlet, unless it was killed or timed out."""
        if self._waiting is not None:
            self._waiting.switch()


# The commit of a request that has changed nothing.
NOTHING_TO_SAVE = Commit(is_done=True)


class GroupCommit(Generic[Entry]):
    """Writes entries in their order, one transaction per batch.

    `write` writes a whole batch to the tables.  If it fails, all entries of the batch fail, and all
    entries queued in the meantime, because these were based on changes that are undone now.
    `recent_seconds` says how long the latest commits took, `failure` why the last one failed, "" if
    it did not.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Tables, Sequence[Entry]], None],
        window: float = WINDOW,
    ) -> None:
        self._database = database
        self._write = write
        self._window = window
        self._queue: list[tuple[Entry, Commit]] = []
        self._first_at = 0.0  # when the first entry of the queue was added
        self._filled = Event()
        self._closing = False
        self._unsaved = 0  # failed changes since the last log line
        self._next_log_at = 0.0
        self._is_failing = False
        self.recent_seconds: deque[float] = deque(maxlen=RECENT_COMMITS)
        self.failure = ""
        self._writer = gevent.spawn(self._work)

    def commit(self, entry: Entry, undo: Callable[[], None]) -> Commit:
        """Queue `entry`, and return its commit without waiting.

        `undo` is called in another greenlet if the commit fails.  Raises NotSaved, after `undo`, if
        too many entries wait already, or if the server is stopping.
        """
        failure = ""
        if len(self._queue) >= MAX_QUEUED:
            failure = f"{MAX_QUEUED} changes are waiting for the disk"
        elif self._closing:
            failure = "the server is stopping"
        if failure:
            undo()
            raise NotSaved(failure)
        commit = Commit(undo)
        self._append(entry, commit)
        return commit

    def post(self, entry: Entry) -> None:
        """Queue `entry` for the next batch without waiting.  A failure is only logged."""
        if not self._closing:
            self._append(entry, Commit())

    def close(self) -> None:
        """Write the queued entries, and refuse new ones."""
        self._closing = True
        self._filled.set()
        self._writer.join()

    def _append(self, entry: Entry, commit: Commit) -> None:
        if not self._queue:
            self._first_at = monotonic()
            self._filled.set()
        self._queue.append((entry, commit))

    def _work(self) -> None:
        while True:
            self._filled.wait()
            if not self._closing:
                gevent.sleep(max(0.0, self._first_at + self._window - monotonic()))
            batch, self._queue = self._queue, []
            self._filled.clear()
            if batch:
                self._commit(batch)
            elif self._closing:
                return
            if self._closing:
                self._filled.set()

    def _commit(self, batch: list[tuple[Entry, Commit]]) -> None:
        entries = [entry for entry, _ in batch]
        started_at = monotonic()
        try:
            self._database.run(lambda tables: self._write(tables, entries))
        except Exception as error:  # noqa: BLE001 -- logged by _log_failure
            behind, self._queue = self._queue, []
            self._filled.clear()
            self._log_failure(len(batch) + len(behind), error)
            self.failure = str(error) or type(error).__name__
            self._finish(batch + behind, self.failure)
        else:
            self.failure = ""
            self.recent_seconds.append(monotonic() - started_at)
            if self._is_failing:
                self._is_failing = False
                log.info("database writes work again")
            self._finish(batch, "")

    def _log_failure(self, count: int, error: Exception) -> None:
        self._unsaved += count
        if not isinstance(error, DatabaseError):
            log.error("database write failed, %d changes not saved", self._unsaved, exc_info=error)
        elif not self._is_failing or monotonic() >= self._next_log_at:
            log.error("database write failed, %d changes not saved: %s", self._unsaved, error)
        else:
            return
        self._is_failing = True
        self._unsaved = 0
        self._next_log_at = monotonic() + LOG_INTERVAL

    def _finish(self, batch: list[tuple[Entry, Commit]], failure: str) -> None:
        """Undo failed changes, and have the callbacks called, without a switch in between."""
        if failure:
            for _, commit in reversed(batch):
                if commit.undo is not None:
                    try:
                        commit.undo()
                    except Exception:
                        log.exception("cannot undo a failed change in memory")
        callbacks = [callback for _, commit in batch for callback in commit.finish(failure)]
        loop = gevent.get_hub().loop
        for at in range(0, len(callbacks), CALLBACKS_IN_A_ROW):
            loop.run_callback(_call_all, callbacks[at : at + CALLBACKS_IN_A_ROW], failure)


def _call_all(callbacks: Sequence[Callback], failure: str) -> None:
    """Call functions in the hub, where an exception would be lost."""
    for callback in callbacks:
        try:
            callback(failure)
        except Exception:
            log.exception("unhandled error after a commit")
