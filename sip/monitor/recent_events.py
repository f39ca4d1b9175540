"""The latest events that an administrator may want to read, in memory only.

Problem: after a power cut thousands of phones register within a minute, and must not push out the
    one ban or act of the administrator before them.
Model: each kind of event has a queue of its own; an event that is equal to the one before it is
    counted there.  `latest` merges the queues.
Bounds: KEPT_OF_KIND rows of each kind.  A row that is pushed out is counted for a minute.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from sip.monitor.calls import CallFinished
from sip.monitor.events import (
    AdminActed,
    Banned,
    Bus,
    Overload,
    Registered,
    Unbanned,
    Unregistered,
)

# Rows of each kind of event, less than 1 kB each.
KEPT_OF_KIND = 20
# Rows that are shown.
MAX_SHOWN = 30
# Seconds that the number of rows that were pushed out is shown.
MORE_SECONDS = 60.0


@dataclass(slots=True)
class Recent:
    """One row: the event, when it happened last in Unix seconds, and how often in a row.

    `more` counts the events of this kind that were pushed out in the last minute, in the oldest row
    of its kind only.
    """

    at: float
    event: Any
    count: int = 1
    more: int = 0


class _Kind:
    """The latest events of one kind; `same` returns a value that is equal for equal events."""

    def __init__(self, same: Callable[[Any], Hashable]) -> None:
        self._same = same
        self._latest: Hashable = None  # `same` of the latest row
        self._rows: deque[Recent] = deque(maxlen=KEPT_OF_KIND)
        self._more = 0
        self._more_at = 0.0

    def add(self, at: float, event: Any) -> None:
        rows, before = self._rows, self._latest
        self._latest = self._same(event)
        if rows and self._latest == before:
            rows[-1].at, rows[-1].event = at, event
            rows[-1].count += 1
            return
        if len(rows) == KEPT_OF_KIND:
            if at - self._more_at > MORE_SECONDS:
                self._more = 0
            self._more += 1
            self._more_at = at
        rows.append(Recent(at, event))

    def latest(self, now: float) -> list[Recent]:
        rows = [*self._rows]
        if rows:
            is_recent = now - self._more_at <= MORE_SECONDS
            rows[0].more = self._more if is_recent else 0
        return rows


class RecentEvents:
    """The latest events on `bus`: registrations, calls, bans, overload, acts of administrators.

    Refreshed registrations are left out, and refused calls, because Refusals has them; and of
    overload the start, and the end of one that has dropped nothing.
    """

    def __init__(self, bus: Bus) -> None:
        self._registered = _Kind(lambda event: (event.user_id, event.address[0]))
        self._unregistered = _Kind(lambda event: (event.user_id, event.reason))
        self._calls = _Kind(lambda event: event.call.id)
        self._banned = _Kind(lambda event: event.network)
        self._unbanned = _Kind(lambda event: event.network)
        self._overload = _Kind(lambda event: event)
        self._acts = _Kind(lambda event: (event.act, event.name, event.host, event.about))
        bus.listen(Registered, self._on_registered)
        bus.listen(CallFinished, self._on_finished)
        bus.listen(Unregistered, lambda event: self._unregistered.add(event.at, event))
        bus.listen(Banned, lambda event: self._banned.add(event.at, event))
        bus.listen(Unbanned, lambda event: self._unbanned.add(event.at, event))
        bus.listen(Overload, self._on_overload)
        bus.listen(AdminActed, lambda event: self._acts.add(event.at, event))

    def latest(self, now: float) -> list[Recent]:
        """Return the latest rows, the newest first."""
        kinds = (
            *(self._registered, self._unregistered, self._calls, self._banned),
            *(self._unbanned, self._overload, self._acts),
        )
        rows = [row for kind in kinds for row in kind.latest(now)]
        return sorted(rows, key=lambda row: row.at, reverse=True)[:MAX_SHOWN]

    def _on_registered(self, event: Registered) -> None:
        if not event.is_refresh:
            self._registered.add(event.at, event)

    def _on_finished(self, event: CallFinished) -> None:
        call = event.call
        is_refused = call.ended_by == "server" and not (call.ringing_at or call.answered_at)
        if not is_refused:
            self._calls.add(call.ended_at, event)

    def _on_overload(self, event: Overload) -> None:
        if event.dropped:
            self._overload.add(event.at, event)
