"""Group commit: many greenlets share one transaction and one sync to disk."""

import logging
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
# Minimum seconds between log lines about failed batches.
LOG_INTERVAL = 1.0


class NotSaved(Exception):
    """The change is not on disk, and its `undo` was called.  The text says why."""


class _QueuedEntry(Generic[Entry]):
    """An entry in the queue, and the greenlet that waits for it, if any."""

    __slots__ = ("done", "entry", "failure", "undo", "waiting")

    def __init__(
        self, entry: Entry, undo: Callable[[], None] | None, waiting: greenlet | None
    ) -> None:
        self.entry = entry
        self.undo = undo
        self.waiting = waiting
        self.done = False
        self.failure = ""

    def wake(self) -> None:
        """Resume the greenlet, unless it was killed or timed out."""
        if self.waiting is not None:
            self.waiting.switch()


class GroupCommit(Generic[Entry]):
    """Writes entries in their order, one transaction per batch.

    `write` writes a whole batch to the tables.  If it fails, all entries of the batch fail, and all
    entries queued in the meantime, because these were based on changes that are undone now.
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
        self._queue: list[_QueuedEntry[Entry]] = []
        self._first_at = 0.0  # when the first entry of the queue was added
        self._filled = Event()
        self._closing = False
        self._unsaved = 0  # failed changes since the last log line
        self._next_log_at = 0.0
        self._is_failing = False
        self._writer = gevent.spawn(self._work)

    def commit(self, entry: Entry, undo: Callable[[], None]) -> None:
        """Wait until `entry` is on disk.  Raises NotSaved after `undo` was called.

        `undo` runs in another greenlet and must not wait.  It is called even if the waiting
        greenlet was killed, because the entry stays in the batch.
        """
        if len(self._queue) >= MAX_QUEUED:
            undo()
            raise NotSaved(f"{MAX_QUEUED} changes are waiting for the disk")
        item = _QueuedEntry(entry, undo, getcurrent())
        self._append(item)
        hub = gevent.get_hub()
        try:
            # An Event or AsyncResult would cost three times as much, with thousands waiting.
            while not item.done:
                hub.switch()
        finally:
            item.waiting = None
        if item.failure:
            raise NotSaved(item.failure)

    def post(self, entry: Entry) -> None:
        """Queue `entry` for the next batch without waiting.  A failure is only logged."""
        if not self._closing:
            self._append(_QueuedEntry(entry, None, None))

    def close(self) -> None:
        """Write the queued entries, and refuse new ones."""
        self._closing = True
        self._filled.set()
        self._writer.join()

    def _append(self, item: _QueuedEntry[Entry]) -> None:
        if self._closing:
            if item.undo is not None:
                item.undo()
            raise NotSaved("the server is stopping")
        if not self._queue:
            self._first_at = monotonic()
            self._filled.set()
        self._queue.append(item)

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

    def _commit(self, batch: list[_QueuedEntry[Entry]]) -> None:
        entries = [item.entry for item in batch]
        try:
            self._database.run(lambda tables: self._write(tables, entries))
        except Exception as error:  # noqa: BLE001 -- logged by _log_failure
            behind, self._queue = self._queue, []
            self._filled.clear()
            self._log_failure(len(batch) + len(behind), error)
            self._finish(batch + behind, str(error) or type(error).__name__)
        else:
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

    def _finish(self, items: list[_QueuedEntry[Entry]], failure: str) -> None:
        """Undo failed entries and wake the waiting greenlets, without a switch in between."""
        if failure:
            for item in reversed(items):
                if item.undo is not None:
                    try:
                        item.undo()
                    except Exception:
                        log.exception("cannot undo a failed change in memory")
        loop = gevent.get_hub().loop
        for item in items:
            item.failure = failure
            item.done = True
            if item.waiting is not None:
                # One callback each, so that the event loop polls the sockets in between.
                loop.run_callback(item.wake)
