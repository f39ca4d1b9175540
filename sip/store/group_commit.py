"""Group commit: many greenlets wait, one transaction and one sync pay for all of them."""

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

# How long the first entry of a batch waits for company, in seconds.  A commit costs about half a
# millisecond of CPU: at 50 a second that is a fortieth of a core, and no phone notices 20 ms.
WINDOW = 0.02
# Entries that may wait behind the batch that is being written, while a disk is stuck or another
# program keeps the file locked: half of the requests that may wait at all, so that calls have room.
MAX_QUEUED = 6000
# What cannot be written fails batch by batch; it is said once in so many seconds.
SECONDS_BETWEEN_COMPLAINTS = 1.0


class NotSaved(Exception):
    """What was to be kept is not on disk, and its undo has been called.  Says why."""


class _Place(Generic[Entry]):
    """One entry's place in the queue, and the greenlet parked on it, if any."""

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
        """Resume the greenlet, unless it was killed or timed out and waits elsewhere by now."""
        if self.waiting is not None:
            self.waiting.switch()


class Journal(Generic[Entry]):
    """Writes entries in the order in which they came, a batch to a transaction.

    `write` puts a whole batch into the tables.  When it fails, all of the batch fails, and with
    it whatever has queued up meanwhile, since that was decided on what is now undone.
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
        self._queue: list[_Place[Entry]] = []
        self._first_at = 0.0  # when the oldest entry of the queue came
        self._filled = Event()
        self._closing = False
        self._unsaved = 0  # since it was said last
        self._complain_at = 0.0
        self._is_failing = False
        self._writer = gevent.spawn(self._work)

    def commit(self, entry: Entry, undo: Callable[[], None]) -> None:
        """Wait until `entry` is on disk.  Raises NotSaved after `undo` was called.

        `undo` runs in another greenlet and must not wait.  It is called for a waiter that was
        killed as well: its entry stays in the batch.
        """
        if len(self._queue) >= MAX_QUEUED:
            undo()
            raise NotSaved(f"{MAX_QUEUED} changes wait for the disk already")
        place = _Place(entry, undo, getcurrent())
        self._append(place)
        hub = gevent.get_hub()
        try:
            # An Event or AsyncResult would cost three times as much, for thousands of waiters.
            while not place.done:
                hub.switch()
        finally:
            place.waiting = None
        if place.failure:
            raise NotSaved(place.failure)

    def post(self, entry: Entry) -> None:
        """Have `entry` written with the next batch, and don't wait.  A failure is only logged."""
        if not self._closing:
            self._append(_Place(entry, None, None))

    def close(self) -> None:
        """Write what is queued, then take no more."""
        self._closing = True
        self._filled.set()
        self._writer.join()

    def _append(self, place: _Place[Entry]) -> None:
        if self._closing:
            if place.undo is not None:
                place.undo()
            raise NotSaved("the server is stopping")
        if not self._queue:
            self._first_at = monotonic()
            self._filled.set()
        self._queue.append(place)

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

    def _commit(self, batch: list[_Place[Entry]]) -> None:
        entries = [place.entry for place in batch]
        try:
            self._database.run(lambda tables: self._write(tables, entries))
        except Exception as error:  # noqa: BLE001 -- logged by _complain
            behind, self._queue = self._queue, []
            self._filled.clear()
            self._complain(len(batch) + len(behind), error)
            self._settle(batch + behind, str(error) or type(error).__name__)
        else:
            if self._is_failing:
                self._is_failing = False
                log.info("changes are saved again")
            self._settle(batch, "")

    def _complain(self, count: int, error: Exception) -> None:
        self._unsaved += count
        if not isinstance(error, DatabaseError):
            log.error("%d changes are not saved", self._unsaved, exc_info=error)
        elif not self._is_failing or monotonic() >= self._complain_at:
            log.error("%d changes are not saved: %s", self._unsaved, error)
        else:
            return
        self._is_failing = True
        self._unsaved = 0
        self._complain_at = monotonic() + SECONDS_BETWEEN_COMPLAINTS

    def _settle(self, places: list[_Place[Entry]], failure: str) -> None:
        """Tell everybody.  Nothing here waits, so no new work comes in between the undos."""
        if failure:
            for place in reversed(places):
                if place.undo is not None:
                    try:
                        place.undo()
                    except Exception:
                        log.exception("what is not saved could not be undone in memory")
        loop = gevent.get_hub().loop
        for place in places:
            place.failure = failure
            place.done = True
            if place.waiting is not None:
                # One callback each: between them the loop looks at the sockets.
                loop.run_callback(place.wake)
