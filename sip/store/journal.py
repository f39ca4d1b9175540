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
        self._writer = gevent.spawn(self._work)

    def commit(self, entry: Entry, undo: Callable[[], None]) -> None:
        """Wait until `entry` is on disk.  Raises NotSaved after `undo` was called.

        `undo` runs in another greenlet and must not wait.  It is called for a waiter that was
        killed as well: its entry stays in the batch.
        """
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
        except Exception as error:
            if isinstance(error, DatabaseError):
                log.error("%d changes are not saved: %s", len(batch), error)
            else:
                log.exception("%d changes are not saved", len(batch))
            behind, self._queue = self._queue, []
            self._filled.clear()
            self._settle(batch + behind, str(error) or type(error).__name__)
        else:
            self._settle(batch, "")

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
