"""Writes finished calls into the history: behind the calls, in batches, within bounds.

Problem: a row costs more than the rest of a call if it is written at once, any sender can make
    calls that fail, and the database may be locked or full.
Model: the listener appends a finished call to a queue; a greenlet writes all of the queue in one
    transaction, WINDOW seconds after the first of them.  A row and its share of the totals are
    added and removed in one transaction, so a kill leaves both or neither.
Invariant: no call waits for this; the sum of the totals of all days is the number of rows.
Bounds: MAX_QUEUED calls wait while the database fails; rows by age and number; and for calls that
    any sender can make at will a rate and a share of the rows, so that they push out no others.
"""

import json
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import add
from time import monotonic, time
from typing import Any, NamedTuple

import gevent
from gevent.event import Event

from sip.monitor.calls import Call, CallFinished, CallResult, Side
from sip.monitor.events import NO_ADDRESS, Address
from sip.store.database import Database, DatabaseError, Tables, fetch, write_many
from sip.store.history import DAY, HOUR
from sip.store.history_search import RESULTS

log = logging.getLogger(__name__)

# Seconds that a finished call waits for others: a kill loses no more than these and one commit.
WINDOW = 0.8
# Rows of one transaction, some 20 µs each: a REGISTER may have to wait for it.
MAX_BATCH = 500
# Calls that wait while the database fails, about 1 kB each; the oldest is dropped.
MAX_QUEUED = 20_000
# Seconds until a failed write is tried again; doubled after each failure up to the second one.
FIRST_RETRY, LAST_RETRY = 1.0, 10.0
# Seconds between two looks for rows that are too old or too many, and between two removals.
PURGE_SECONDS, PIECE_SECONDS = 60.0, 0.05
# Unanswered calls of callers that have shown no password: rows a second on average, in a row, and
# the share of all rows that they may have.  A gateway with more has a row for each answered call.
OUTSIDE_PER_SECOND, OUTSIDE_BURST, OUTSIDE_SHARE = 20, 400, 0.2
# Calls of users that this server refuses: a phone that dials a wrong number again and again.
REFUSED_PER_SECOND, REFUSED_BURST = 50, 1000
# Characters of a text.
MAX_CALL_ID, MAX_URI, MAX_DEVICE, MAX_CAUSE = 255, 300, 100, 300
# Sides of calls whose row is known without a query.
MAX_KNOWN = 10_000

# Statuses for an unknown or unreachable callee: users are asked for their password before.
_AFTER_PASSWORD = frozenset({404, 480})

_NUMBERS = {result: number for number, result in enumerate(RESULTS)}


class _Bucket:
    """A token bucket: `rate` rows a second on average, `burst` of them in a row."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at = 0.0

    def take(self, now: float) -> bool:
        """Return True if one more row is allowed.  A clock that was set back adds no tokens."""
        passed = max(0.0, now - self._filled_at)
        self._tokens = min(self._burst, self._tokens + passed * self.rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass(slots=True)
class Limits:
    """What is kept: `days` of history and `rows` of it; no history is kept if one of them is 0."""

    days: int = 90
    rows: int = 1_000_000

    @property
    def is_off(self) -> bool:
        """True if no calls are kept."""
        return not (self.days and self.rows)


class HistoryWriter:
    """Writes each finished call that `listen` gets, and removes rows that `limits` exclude.

    `lost` counts calls dropped because the database failed for long, `refused` those above the
    rates for unanswered calls from outside and refused calls.
    """

    def __init__(
        self, database: Database, limits: Limits, unix_clock: Callable[[], float] = time
    ) -> None:
        self._database = database
        self.limits = limits
        self._clock = unix_clock
        self._queue: deque[Call] = deque()
        self._rows = _Rows()
        self._outside = _Bucket(OUTSIDE_PER_SECOND, OUTSIDE_BURST)
        self._by_users = _Bucket(REFUSED_PER_SECOND, REFUSED_BURST)
        self.lost = self.refused = 0
        self._unreported = 0  # of `refused`, since the last log line
        self._failures = 0  # in a row
        self._write_at = self._purge_at = 0.0
        self._wake = Event()
        self._closing = False
        self._greenlet = gevent.spawn(self._work)

    def listen(self, event: CallFinished) -> None:
        """Listen to CallFinished: queue the call, if there is room for calls of its kind."""
        call = event.call
        if self.limits.is_off or self._closing:
            return
        if is_outside(call):
            allowed = self._outside.take(call.ended_at)
        elif _is_refused(call):
            allowed = self._by_users.take(call.ended_at)
        else:
            allowed = True
        if not allowed:
            self.refused += 1
            self._unreported += 1
            return
        if len(self._queue) >= MAX_QUEUED:
            self._queue.popleft()
            self.lost += 1
        if not self._queue:
            self._write_at = max(self._write_at, monotonic() + WINDOW)
            self._wake.set()
        self._queue.append(call)

    def reconfigure(self, limits: Limits) -> None:
        """Use other limits from now on; rows beyond them are removed at once, piece by piece."""
        self.limits = limits
        self._purge_at = 0.0
        self._wake.set()

    def close(self) -> None:
        """Write the queued calls; later ones are ignored."""
        self._closing = True
        self._wake.set()
        self._greenlet.join()
        self.flush()
        if self._queue:
            log.error("history is incomplete: %d calls were not written", len(self._queue))

    def flush(self) -> None:
        """Write the queued calls now."""
        while self._queue and self._write():
            pass

    def purge(self) -> bool:
        """Remove up to MAX_BATCH rows that are too old or too many; return True if there are more.

        Raises DatabaseError.
        """
        limits, now = self.limits, self._clock()
        return self._database.run(lambda tables: self._rows.purge(tables, limits, now))

    def _work(self) -> None:
        """Write and purge when it is time, until `close`."""
        while not self._closing:
            now = monotonic()
            due = min(self._write_at, self._purge_at) if self._queue else self._purge_at
            if now < due:
                self._wake.clear()
                self._wake.wait(due - now)
                continue
            try:
                if self._queue and now >= self._write_at:
                    self._write_all()
                if monotonic() >= self._purge_at:
                    self._purge_now()
            except Exception:
                # The loop goes on after any error: later calls must be written.
                log.exception("unhandled error of the history")
                self._purge_at = monotonic() + PURGE_SECONDS

    def _purge_now(self) -> None:
        if self._unreported:
            dropped, self._unreported = self._unreported, 0
            log.warning(
                "history: dropped %d rows: more than %d unanswered calls a second from outside,"
                " or %d refused calls a second of users",
                *(dropped, OUTSIDE_PER_SECOND, REFUSED_PER_SECOND),
            )
        try:
            has_more = self.purge()
        except DatabaseError:  # the next write says why
            has_more = False
        self._purge_at = monotonic() + (PIECE_SECONDS if has_more else PURGE_SECONDS)

    def _write_all(self) -> None:
        """Write the calls that are queued now; those that come meanwhile wait for others."""
        for _ in range(-(-len(self._queue) // MAX_BATCH)):
            if not self._write():
                return

    def _write(self) -> bool:
        """Write the oldest calls of the queue; return False if that failed."""
        batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
        try:
            self._database.run(lambda tables: self._rows.add(tables, batch))
        except DatabaseError as error:
            self._keep(batch, error)
            return False
        except Exception:
            log.exception("cannot write history: %d calls are lost", len(batch))
            self._rows.forget()
            self.lost += len(batch)
            return True
        if self._failures:
            self._failures = 0
            log.info("history writes work again, %d calls were lost so far", self.lost)
        self._write_at = monotonic() + WINDOW
        return True

    def _keep(self, batch: Sequence[Call], error: DatabaseError) -> None:
        """Put calls that were not written back, and set the time of the next try."""
        self._rows.forget()
        room = max(0, MAX_QUEUED - len(self._queue))
        self.lost += len(batch) - min(room, len(batch))
        self._queue.extendleft(list(reversed(batch))[:room])
        if not self._failures:
            log.error("cannot write history, trying again: %s", error)
        pause = min(LAST_RETRY, FIRST_RETRY * 2 ** min(self._failures, 10))
        self._failures += 1
        self._write_at = monotonic() + pause


def is_outside(call: Call) -> bool:
    """Return True for an unanswered call whose caller has shown no password.

    The account in a refused request is only claimed, but if the refusal came after the password.
    """
    if call.result == CallResult.ANSWERED:
        return False
    is_claimed = _is_refused(call) and call.status not in _AFTER_PASSWORD
    return is_claimed or not call.caller.user_id


def _is_refused(call: Call) -> bool:
    """Return True if this server has ended the call before a phone rang."""
    return call.ended_by == "server" and not call.ringing_at and not call.answered_at


class _Party(NamedTuple):
    """The key of a side in `call_parties`; a user is the same side under each of its URIs."""

    username: str
    realm: str
    user_id: int
    uri: str


class _Rows:
    """The rows of the history; its methods run in the owner thread, in a transaction."""

    def __init__(self) -> None:
        self._known: dict[_Party, int] = {}

    def forget(self) -> None:
        """Forget the ids of sides: a transaction that made some of them was rolled back."""
        self._known.clear()

    def add(self, tables: Tables, calls: Sequence[Call]) -> None:
        """Add the rows of finished calls, and add them to the totals."""
        ids = _free_ids(tables, [call.id for call in calls])
        rows = [self._row(tables, *each) for each in zip(ids, calls, strict=True)]
        write_many(tables, _INSERT, rows)
        _add_totals(tables, ((row[0], *row[3:9]) for row in rows), 1)

    def purge(self, tables: Tables, limits: Limits, now: float) -> bool:
        """Remove up to MAX_BATCH rows beyond the limits; return True if there may be more."""
        self._known.clear()  # a side without calls is removed; and names may have changed
        rows = _rows_to_remove(tables, limits, now)
        write_many(tables, "DELETE FROM calls WHERE id = ?", [(row[0],) for row in rows])
        _add_totals(tables, ((row[0], *row[3:9]) for row in rows), -1)
        sides = {side for row in rows for side in row[1:3]}
        write_many(tables, _DELETE_PARTY, [(side,) for side in sides])
        return len(rows) >= MAX_BATCH

    def _row(self, tables: Tables, id_: int, call: Call) -> tuple[Any, ...]:
        return (
            id_,
            self._party(tables, call.caller),
            self._party(tables, call.callee),
            _NUMBERS[call.result],
            call.status,
            _after(call, call.ringing_at),
            _after(call, call.answered_at),
            _after(call, call.ended_at) or 0,
            int(is_outside(call)),
            _text(call.call_id, MAX_CALL_ID),
            _text(call.caller.device, MAX_DEVICE),
            _host_port(call.caller.address),
            _text(call.callee.device, MAX_DEVICE),
            _host_port(call.callee.address),
            call.ended_by,
            _text(call.cause, MAX_CAUSE),
            _text(call.cure, MAX_CAUSE),
            call.code,
        )

    def _party(self, tables: Tables, side: Side) -> int:
        """Return the id of the row of a side; a new one is added, with the display name."""
        uri = "" if side.user_id else _text(side.uri, MAX_URI)
        key = _Party(
            _text(side.username, MAX_URI), _text(side.realm or "", MAX_URI), side.user_id, uri
        )
        known = self._known.get(key)
        if known is None:
            known = _find_or_add(tables, key)
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = known
        return known


def _find_or_add(tables: Tables, key: _Party) -> int:
    """Return the id of the row of a side, and set the present display name in it."""
    name = ""
    if key.user_id:
        for (display_name,) in fetch(tables, _DISPLAY_NAME, (key.user_id,)):
            name = _text(display_name, MAX_URI)
    for id_, former in fetch(tables, _FIND_PARTY, key):
        if name and name != former:
            fetch(tables, _RENAME_PARTY, (name, id_))
        return int(id_)
    ((id_,),) = fetch(tables, _ADD_PARTY, (*key, name))
    return int(id_)


def _after(call: Call, at: float) -> int | None:
    """Return the milliseconds from the start of a call to `at`, None if that never happened."""
    return max(0, round((at - call.started_at) * 1000)) if at else None


def _host_port(address: Address) -> str:
    if tuple(address) == NO_ADDRESS:
        return ""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(text: str, most: int) -> str:
    """Return a text of at most `most` characters in which all can be stored and shown."""
    text = text[:most]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _free_ids(tables: Tables, wanted: Sequence[int]) -> list[int]:
    """Return these ids, each that is taken replaced by the next free one."""
    taken = {row[0] for row in fetch(tables, _TAKEN, (json.dumps(wanted),))}
    ids: dict[int, None] = {}
    for first in wanted:
        free = first
        while free in taken or free in ids or (free != first and fetch(tables, _IS_TAKEN, (free,))):
            free += 1
        ids[free] = None
    return list(ids)


def _add_totals(tables: Tables, rows: Iterable[Sequence[Any]], sign: int) -> None:
    """Add rows to the totals of their hours and days, or subtract them with a `sign` of -1.

    A row is: id, result, status, ringing_after, answered_after, ended_after, is_outside.
    """
    totals: defaultdict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0] * 5)
    for id_, result, _, ringing, answered, ended, outside in rows:
        second = id_ // 1_000_000
        sums = totals[HOUR, second - second % HOUR, result]
        sums[0] += sign
        sums[1] += sign * outside
        if ringing is not None:
            sums[2] += sign
            sums[3] += sign * max(0, (ended if answered is None else answered) - ringing)
        if answered is not None:
            sums[4] += sign * max(0, ended - answered)
    for (_, hour, result), of_hour in list(totals.items()):
        of_day = totals[DAY, hour - hour % DAY, result]
        of_day[:] = map(add, of_day, of_hour)
    write_many(tables, _ADD_TOTALS, [(*key, *sums) for key, sums in totals.items()])
    if sign < 0:
        write_many(tables, _DELETE_TOTALS, [*totals])


def _rows_to_remove(tables: Tables, limits: Limits, now: float) -> list[tuple[Any, ...]]:
    """Return up to MAX_BATCH rows that are too old, or the oldest of those that are too many."""
    keep = 0 if limits.is_off else limits.rows
    oldest = int((now - limits.days * DAY) * 1e6)
    found = fetch(tables, _OLDEST + "WHERE id < ? ORDER BY id LIMIT ?", (oldest, MAX_BATCH))
    if found:
        return found
    ((rows, outside),) = fetch(tables, _COUNT)
    if (too_many := min(MAX_BATCH, outside - int(keep * OUTSIDE_SHARE))) > 0:
        return fetch(tables, _OLDEST + "WHERE is_outside = 1 ORDER BY id LIMIT ?", (too_many,))
    if (too_many := min(MAX_BATCH, rows - keep)) > 0:
        return fetch(tables, _OLDEST + "ORDER BY id LIMIT ?", (too_many,))
    return []


_TAKEN = "SELECT id FROM calls WHERE id IN (SELECT value FROM json_each(?))"
_IS_TAKEN = "SELECT 1 FROM calls WHERE id = ?"
_INSERT = "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OLDEST = """
    SELECT id, caller, callee, result, status, ringing_after, answered_after, ended_after,
           is_outside
    FROM calls
"""
_COUNT = """
    SELECT ifnull(sum(calls), 0), ifnull(sum(outside), 0) FROM call_totals WHERE seconds = 86400
"""
_DISPLAY_NAME = "SELECT display_name FROM users WHERE id = ?"
_ADD_PARTY = """
    INSERT INTO call_parties (username, realm, user_id, uri, name) VALUES (?, ?, ?, ?, ?)
    RETURNING id
"""
_FIND_PARTY = """
    SELECT id, name FROM call_parties WHERE username = ? AND realm = ? AND user_id = ? AND uri = ?
"""
_RENAME_PARTY = "UPDATE call_parties SET name = ? WHERE id = ?"
_DELETE_PARTY = """
    DELETE FROM call_parties WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM calls WHERE caller = ?1)
    AND NOT EXISTS (SELECT 1 FROM calls WHERE callee = ?1)
"""
_ADD_TOTALS = """
    INSERT INTO call_totals VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        calls = calls + excluded.calls, outside = outside + excluded.outside,
        rung = rung + excluded.rung, rang_ms = rang_ms + excluded.rang_ms,
        talked_ms = talked_ms + excluded.talked_ms
"""
_DELETE_TOTALS = (
    "DELETE FROM call_totals WHERE seconds = ? AND start = ? AND result = ? AND calls <= 0"
)
