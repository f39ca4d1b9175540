"""The history of calls: lists, totals and charts, read from the database.

`HistoryWriter` (history_writer.py) writes one row for each finished call, and the totals of each
hour and day in the same transaction, so that they always agree.  All queries here run in
`Database.browse`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

from sip.monitor.calls import CallResult
from sip.store.database import Database, Tables, fetch
from sip.store.history_search import (
    MAX_SIDES,
    RESULT_NUMBERS,
    RESULTS,
    Found,
    Span,
    newest,
    search,
)

PAGE_SIZE = 50
HOUR, DAY = 3600, 86_400


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
        """Return the dialled text: `name`, `name@realm` of another realm, or the URI's own part."""
        if self.username:
            return f"{self.username}@{self.realm}" if self.realm != main_realm else self.username
        return self.uri.removeprefix("sips:").removeprefix("sip:").removeprefix("tel:")


@dataclass(frozen=True, slots=True)
class PastCall:
    """One call of the history.  `started_at` is in Unix seconds, `result` a text of CallResult.

    `id` is the one that it had while it rang or talked: the microsecond of its start, or one of the
    next if that was taken.  `rang_seconds` and `talked_seconds` are 0.0 if no phone rang or
    answered.  `status` is the final one of the INVITE.  `cause` is a clause that says why it ended,
    `cure` whole sentences or "", `code` the key of both, "" for calls of an earlier version.
    `ended_by` is "caller", "callee", "server" or "".
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
    code: str = ""


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

        def page(tables: Tables) -> HistoryPage:
            return _page(tables, _search(tables, wanted, before, limit + 1), limit)

        return self._database.browse(page)

    def view(
        self, wanted: CallFilter, now: float, before: int | None = None
    ) -> tuple[HistoryPage, Summary]:
        """Return a page and the summary of a filter, with as few searches as possible."""

        def view(tables: Tables) -> tuple[HistoryPage, Summary]:
            if not wanted.user and not wanted.number:
                found = _search(tables, wanted, before, PAGE_SIZE + 1)
                return _page(tables, found, PAGE_SIZE), _summary_of_totals(tables, wanted, now)
            newest_ones = _search(tables, wanted, None, MAX_COUNTED + 1)
            found = newest_ones
            if before is not None:
                found = _search(tables, wanted, before, PAGE_SIZE + 1)
            summary = _summary_of_rows(tables, wanted, now, newest_ones)
            return _page(tables, found, PAGE_SIZE), summary

        return self._database.browse(view)

    def latest(self, *, user_id: int = 0, limit: int = 10) -> tuple[PastCall, ...]:
        """Return the latest calls, the newest first; with a `user_id` those of one account."""

        def latest(tables: Tables) -> tuple[PastCall, ...]:
            sides = None
            if user_id:
                sides = [row[0] for row in fetch(tables, _SIDES_OF_USER, (user_id, MAX_SIDES))]
            return _calls(tables, newest(tables, Span(), RESULT_NUMBERS, sides, limit))

        return self._database.browse(latest)

    def summary(self, wanted: CallFilter, now: float) -> Summary:
        """Return totals and chart of a filter; a user or number counts its newest calls alone."""
        return self.view(wanted, now)[1]

    def today(self, now: float | None = None) -> Today:
        """Return the totals of today, and the calls of each of the last 24 hours."""
        at = int(time() if now is None else now)
        midnight, first = at - at % DAY, at - at % HOUR - 23 * HOUR

        def today(tables: Tables) -> Today:
            rows = fetch(tables, _TOTALS, (HOUR, min(midnight, first), at + 1))
            of_today = _Sums()
            hours = dict.fromkeys(range(first, first + DAY, HOUR), 0)
            for start, *amounts in rows:
                if start >= midnight:
                    of_today.add(*amounts)
                if start in hours:
                    hours[start] += amounts[1]
            summary = of_today.summary(HOUR, ())
            return Today(
                summary.calls,
                summary.answered,
                summary.success_rate,
                summary.average_talk,
                tuple(hours.values()),
            )

        return self._database.browse(today)

    def pieces(self, wanted: CallFilter) -> Iterator[tuple[PastCall, ...]]:
        """Yield all calls of a filter, the newest first, in pieces of some hundred."""
        before: int | None = None
        while True:
            page = self.page(wanted, before, _PIECE)
            yield page.calls
            if page.next is None:
                return
            before = page.next


def _search(tables: Tables, wanted: CallFilter, before: int | None, limit: int) -> Found:
    """Find the ids of the newest calls of a filter."""
    results = (
        tuple(RESULTS.index(each) for each in wanted.results) if wanted.results else RESULT_NUMBERS
    )
    latest = int(wanted.until * 1e6) if wanted.until else Span().before
    span = Span(int(wanted.since * 1e6), min(latest, Span().before if before is None else before))
    return search(tables, span, results, wanted.user, wanted.number, limit)


def _page(tables: Tables, found: Found, limit: int) -> HistoryPage:
    """Return a page of what was found; there are more than `limit` ids if another page follows."""
    ids = found.ids[:limit]
    if len(found.ids) > limit:
        return HistoryPage(_calls(tables, ids), ids[-1])
    searched_to = None if found.searched_to is None else found.searched_to / 1e6
    return HistoryPage(_calls(tables, ids), found.searched_to, searched_to)


def _calls(tables: Tables, ids: Sequence[int]) -> tuple[PastCall, ...]:
    """Read the calls with these ids, in this order."""
    return tuple(_call(row) for row in fetch(tables, _ROWS, (json.dumps(ids),)))


def _call(row: tuple[Any, ...]) -> PastCall:
    (id_, result, status, ringing, answered, ended, call_id, ended_by, cause, cure, *more) = row
    code, *sides = more
    started_at = id_ / 1e6
    return PastCall(
        id_,
        call_id,
        PastSide(*sides[:7]),
        PastSide(*sides[7:]),
        started_at,
        started_at + ended / 1000,
        0.0 if ringing is None else max(0, _or(answered, ended) - ringing) / 1000,
        0.0 if answered is None else max(0, ended - answered) / 1000,
        RESULTS[result],
        status,
        cause,
        cure,
        ended_by,
        code,
    )


def _or(answered: int | None, ended: int) -> int:
    return ended if answered is None else answered


class _Sums:
    """Sums for a summary."""

    def __init__(self) -> None:
        self.calls = self.answered = self.refused = self.rung = self.rang = self.talked = 0

    def add(self, result: int, calls: int, rung: int, rang_ms: int, talked_ms: int) -> None:
        """Add some calls of one result."""
        self.calls += calls
        self.answered += calls if result == _ANSWERED else 0
        self.refused += calls if result == _REFUSED else 0
        self.rung += rung
        self.rang += rang_ms
        self.talked += talked_ms

    def summary(self, step: int, bars: tuple[Bar, ...], *, is_partial: bool = False) -> Summary:
        """Return the sums as a summary."""
        return Summary(
            self.calls,
            self.answered,
            self.refused,
            self.rang / 1000 / self.rung if self.rung else None,
            self.talked / 1000 / self.answered if self.answered else None,
            step,
            bars,
            is_partial,
        )


class _Chart:
    """The bars of a summary from `since` to `until`, Unix seconds."""

    def __init__(self, since: int, until: int) -> None:
        span = max(1, until - since)
        self.step = next((step for step, most in _STEPS if span <= most), _STEPS[-1][0])
        # Days begin at midnight (UTC), so longer bars do, too.
        self._first = since - since % min(self.step, DAY)
        count = min(_MAX_BARS, -(-(until - self._first) // self.step))
        self._bars = [[0, 0] for _ in range(max(1, count))]

    @property
    def unit(self) -> int:
        """The unit of the totals that the bars are made of."""
        return min(self.step, DAY)

    def add(self, at: int, result: int, calls: int) -> None:
        """Add calls to the bar of a time."""
        number = (at - self._first) // self.step
        if 0 <= number < len(self._bars):
            self._bars[number][0] += calls
            self._bars[number][1] += calls if result == _ANSWERED else 0

    def bars(self) -> tuple[Bar, ...]:
        """Return the bars, the oldest first."""
        return tuple(
            Bar(self._first + number * self.step, *bar) for number, bar in enumerate(self._bars)
        )


def _chart(tables: Tables, wanted: CallFilter, now: float, oldest: int | None) -> _Chart:
    """Return an empty chart of a filter: of a day, or from the oldest call on, until now."""
    first = int(now) - DAY + 1 if oldest is None else min(oldest, int(now) - DAY + 1)
    if wanted.since:
        first = (
            int(wanted.since) if now - wanted.since < _LONGEST else max(first, int(wanted.since))
        )
    last = min(int(wanted.until), int(now) + 1) if wanted.until else int(now) + 1
    return _Chart(min(first, last), last)


def _summary_of_totals(tables: Tables, wanted: CallFilter, now: float) -> Summary:
    ((oldest,),) = fetch(tables, "SELECT min(start) FROM call_totals WHERE seconds = 3600")
    chart, sums = _chart(tables, wanted, now, oldest), _Sums()
    until = int(wanted.until) if wanted.until else _END
    since = int(wanted.since)
    chosen = {RESULTS.index(each) for each in wanted.results} or set(RESULT_NUMBERS)
    for start, result, *amounts in fetch(tables, _TOTALS, (chart.unit, since, until)):
        if result in chosen:
            sums.add(result, *amounts)
            chart.add(start, result, amounts[0])
    return sums.summary(chart.step, chart.bars())


def _summary_of_rows(tables: Tables, wanted: CallFilter, now: float, found: Found) -> Summary:
    """Return the summary of the newest MAX_COUNTED calls of a filter."""
    ids = found.ids[:MAX_COUNTED]
    is_partial = len(found.ids) > MAX_COUNTED or found.searched_to is not None
    chart, sums = _chart(tables, wanted, now, ids[-1] // 1_000_000 if ids else None), _Sums()
    for id_, result, ringing, answered, ended in fetch(tables, _TIMES, (json.dumps(ids),)):
        rang = 0 if ringing is None else max(0, _or(answered, ended) - ringing)
        talked = 0 if answered is None else max(0, ended - answered)
        sums.add(result, 1, int(ringing is not None), rang, talked)
        chart.add(id_ // 1_000_000, result, 1)
    return sums.summary(chart.step, chart.bars(), is_partial=is_partial)


_ANSWERED, _REFUSED = RESULTS.index(CallResult.ANSWERED), RESULTS.index(CallResult.REFUSED)
# Calls of a user or number that a summary counts, some 4 µs each.
MAX_COUNTED = 1_000
# Rows of one piece of an export, 10 ms of the reader thread.
_PIECE = 500
# Seconds of a bar, and up to which length of a chart it is used.
_STEPS = ((HOUR, 8 * DAY), (DAY, 100 * DAY), (7 * DAY, 700 * DAY), (28 * DAY, 2800 * DAY))
_LONGEST = 100 * DAY  # a chart begins before its oldest call only if it is not longer
_MAX_BARS = 400
_END = 2**62

_SIDES_OF_USER = "SELECT id FROM call_parties WHERE user_id = ? LIMIT ?"
_TOTALS = """
    SELECT start, result, calls, rung, rang_ms, talked_ms FROM call_totals
    WHERE seconds = ? AND start >= ? AND start < ?
"""
_TIMES = """
    SELECT calls.id, result, ringing_after, answered_after, ended_after
    FROM json_each(?) CROSS JOIN calls ON calls.id = value
"""
_ROWS = """
    SELECT calls.id, result, status, ringing_after, answered_after, ended_after, call_id, ended_by,
           cause, cure, code,
           a.user_id, a.username, a.realm, coalesce(ua.display_name, a.name), a.uri,
           caller_device, caller_address,
           b.user_id, b.username, b.realm, coalesce(ub.display_name, b.name), b.uri,
           callee_device, callee_address
    FROM json_each(?) CROSS JOIN calls ON calls.id = value
    JOIN call_parties AS a ON a.id = caller
    JOIN call_parties AS b ON b.id = callee
    LEFT JOIN users AS ua ON ua.id = a.user_id
    LEFT JOIN users AS ub ON ub.id = b.user_id
    ORDER BY calls.id DESC
"""
