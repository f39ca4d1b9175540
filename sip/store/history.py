"""The history of calls: lists, totals and charts, read from the database.

`HistoryWriter` (history_writer.py) writes one row for each finished call, and the totals of each
hour and day in the same transaction, so that they always agree.  All queries here run in
`Database.browse`.
"""

# ruff: noqa: S608 -- only our own column and index names are put into SQL; input is a value

import json
from collections.abc import Iterator
from dataclasses import dataclass
from time import gmtime, strftime, time
from typing import Any

from sip.monitor.calls import CallResult
from sip.store.database import Database, Tables, fetch

PAGE_SIZE = 50
HOUR, DAY = 3600, 86_400

# The results by their number in the column `result`; a released number is never changed.
RESULTS = (
    *(CallResult.ANSWERED, CallResult.MISSED, CallResult.BUSY, CallResult.DECLINED),
    *(CallResult.CANCELLED, CallResult.REFUSED, CallResult.FAILED),
)


@dataclass(frozen=True, slots=True)
class PastSide:
    """The caller or the callee of a past call.

    `user_id` is 0 where it was no user here; the account may have been deleted since.  `username`
    and `realm` are "" where it named no user; without a `user_id` the caller has only claimed them.
    `name` is the display name, at the latest call if the account is deleted.  `uri` is the URI of a
    side that is no user here.  `device` and `address` (host:port) are those of the phone, or "".
    """

    user_id: int
    username: str
    realm: str
    name: str
    uri: str
    device: str
    address: str

    def number(self, main_realm: str = "") -> str:
        """Return what people dial: `name`, `name@realm` of another realm, or the URI's own part."""
        if self.username:
            return f"{self.username}@{self.realm}" if self.realm != main_realm else self.username
        return self.uri.removeprefix("sips:").removeprefix("sip:").removeprefix("tel:")


@dataclass(frozen=True, slots=True)
class PastCall:
    """One call of the history.  `started_at` is in Unix seconds, `result` a text of CallResult.

    `id` is the microsecond of its start, or one of the next if that was taken.  `rang_seconds` and
    `talked_seconds` are 0.0 if no phone rang or answered.  `status` is the final one of the INVITE.
    `cause` is a clause that says why it ended, `cure` whole sentences or "".  `ended_by` is
    "caller", "callee", "server" or "".
    """

    id: int
    call_id: str
    caller: PastSide
    callee: PastSide
    started_at: float
    ended_at: float
    rang_seconds: float
    talked_seconds: float
    result: str
    status: int
    cause: str
    cure: str
    ended_by: str


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls of the history are meant; the default is all of them.

    `user` is a user name, `name@realm` for another realm.  `number` is a text within a number, name
    or URI of either side.  `results` are texts of CallResult; none means all.  `since` (included)
    and `until` (excluded) are Unix seconds of the start; 0.0 means no bound.
    """

    user: str = ""
    number: str = ""
    results: tuple[str, ...] = ()
    since: float = 0.0
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One page of the history, the newest call first.

    `next` is the cursor of the page after it, None on the last page.  `searched_to` is set where
    the search of a text has stopped before it had a whole page: the start of the oldest call that
    was looked at, in Unix seconds.
    """

    calls: tuple[PastCall, ...]
    next: int | None
    searched_to: float | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """The calls of one hour or of some days, from `start` (Unix seconds) on."""

    start: int
    calls: int
    answered: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of a filter, and its chart.

    `refused` are the calls that this server refused; `success_rate` is the share of answered calls
    among all others, None without any.  `average_ring` and `average_talk` are seconds, None where
    no phone rang or answered.  Each of `bars` lasts `step` seconds; they follow each other without
    gaps.  With `is_partial` only the newest calls of the filter were counted.
    """

    calls: int
    answered: int
    refused: int
    average_ring: float | None
    average_talk: float | None
    step: int
    bars: tuple[Bar, ...]
    is_partial: bool = False

    @property
    def success_rate(self) -> float | None:
        """The share of answered calls among those that were not refused, from 0 to 1."""
        tried = self.calls - self.refused
        return self.answered / tried if tried > 0 else None


@dataclass(frozen=True, slots=True)
class Today:
    """The calls since midnight (UTC), and those of each of the last 24 hours, oldest first.

    `success_rate` is a share from 0 to 1, `average_talk` is in seconds; both may be None.
    """

    calls: int
    answered: int
    success_rate: float | None
    average_talk: float | None
    hours: tuple[int, ...]


class History:
    """Queries of the history.  Each method blocks the greenlet for some milliseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, wanted: CallFilter, before: int | None = None, limit: int = PAGE_SIZE
    ) -> HistoryPage:
        """Return up to `limit` calls, the newest first; only those before a cursor."""
        raise NotImplementedError

    def latest(self, *, user_id: int = 0, limit: int = 10) -> tuple[PastCall, ...]:
        """Return the latest calls, the newest first; with a `user_id` those of one account."""
        raise NotImplementedError

    def summary(self, wanted: CallFilter, now: float) -> Summary:
        """Return totals and chart of a filter."""
        raise NotImplementedError

    def today(self, now: float | None = None) -> Today:
        """Return the totals of today, and the calls of each of the last 24 hours."""
        raise NotImplementedError

    def pieces(self, wanted: CallFilter) -> Iterator[tuple[PastCall, ...]]:
        """Yield all calls of a filter, the newest first, in pieces of some hundred."""
        raise NotImplementedError


def as_json(call: PastCall) -> dict[str, Any]:
    """Return a call in the words of the API: `id, call_id, from, to, started_at, …`."""
    raise NotImplementedError
