"""The bindings of the location service in the database, so that they survive a restart."""

import json
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from time import time
from typing import Any, NamedTuple

from sip.store.database import Database, Tables, fetch, fetch_undecoded, write_many
from sip.store.group_commit import NOTHING_TO_SAVE, WINDOW, Commit, GroupCommit, NotSaved

__all__ = [
    "NOTHING_TO_SAVE",
    "BindingRow",
    "BindingStore",
    "Commit",
    "NotSaved",
    "remove_bindings",
]

# Account id, contact and flow: one private contact can be different phones in different networks.
Key = tuple[int, str, str]

# Maximum seconds that `last_seen` lags behind the bindings while an account is online.  Writing it
# is the most expensive part of a REGISTER, and some phones refresh every minute.
SEEN_LAG = 60
# Accounts whose `last_seen` is known in memory, some 100 bytes each; then all are read again.
MAX_KNOWN = 20_000


class BindingRow(NamedTuple):
    """One contact of an address-of-record, as plain values.

    `user_id` is the account that registered it.  `expires_at` and `updated_at` are Unix time in
    whole seconds, because a monotonic clock starts again with the machine.  Octets that are not
    UTF-8 are surrogates in the texts.
    """

    user_id: int
    aor: str
    contact: str
    expires_at: int
    q: float = 1.0
    call_id: str = ""
    cseq: int = 0
    path: str = ""
    instance: str = ""
    reg_id: int = 0  # 0: the REGISTER had none
    user_agent: str = ""
    flow: str = ""
    updated_at: int = 0
    params: str = ""
    generation: int = 0  # of the temporary GRUUs of its phone; 0 before the first

    @property
    def key(self) -> Key:
        """Primary key of the row."""
        return self.user_id, self.contact, self.flow


_Text = str | bytes  # ASCII as text, all other text as its octets
_WrittenKey = tuple[int, _Text, _Text]  # a Key as it is written to the database


class _Change(NamedTuple):
    kept: Sequence[tuple[Any, ...]]
    gone: Sequence[_WrittenKey]
    seen_at: int | None = None
    expired: Sequence[tuple[int, _Text, _Text, int]] = ()
    step: int = 0


_TEXT = {name for name, kind in BindingRow.__annotations__.items() if kind is str}

# A phone may send any octets.  Text that is not ASCII is written as bytes and cast, so that SQLite
# stores it unchanged, and an invalid User-Agent cannot make the whole batch fail.
_SAVE = (
    f"INSERT INTO bindings ({', '.join(BindingRow._fields)}) VALUES ("  # noqa: S608 -- our names
    + ", ".join("CAST(? AS TEXT)" if name in _TEXT else "?" for name in BindingRow._fields)
    + ") ON CONFLICT (user_id, contact, flow) DO UPDATE SET "
    + ", ".join(
        f"{name} = excluded.{name}"
        for name in BindingRow._fields
        if name not in ("user_id", "contact", "flow")
    )
)
_REMOVE = """
    DELETE FROM bindings
    WHERE user_id = ? AND contact = CAST(? AS TEXT) AND flow = CAST(? AS TEXT)
"""
_REMOVE_EXPIRED = f"{_REMOVE} AND expires_at <= ?"
_SHIFT = "UPDATE bindings SET expires_at = expires_at + ?, updated_at = updated_at + ?"
_CONTACT = BindingRow._fields.index("contact")
_FLOW = BindingRow._fields.index("flow")
_LOAD = (
    f"SELECT {', '.join(BindingRow._fields)} FROM bindings"  # noqa: S608 -- our names
    " ORDER BY user_id, contact, flow"
)
_DELETE_OLD = """
    DELETE FROM bindings WHERE expires_at <= ?
    OR NOT EXISTS (SELECT 1 FROM users WHERE id = user_id AND enabled = 1)
"""
_SET_ALL_ONLINE = """
    UPDATE users SET online = NOT online
    WHERE online <> EXISTS (SELECT 1 FROM bindings WHERE user_id = users.id)
"""
# Each statement skips rows that are right already: most REGISTERs are refreshes, and then no index
# with `online` has to be written.  `_Writer` does not even execute them where it knows the rows.
_SET_ONLINE = """
    UPDATE users SET online = 1, last_seen = coalesce(?, last_seen)
    WHERE id = ? AND online = 0 AND enabled = 1
"""
_SET_SEEN = """
    UPDATE users SET last_seen = ? WHERE id = ? AND coalesce(last_seen, 0) NOT BETWEEN ? AND ?
"""
_ONLINE = """
    SELECT id, coalesce(last_seen, 0) FROM users
    WHERE id IN (SELECT value FROM json_each(?)) AND online = 1
"""
# Run before bindings are deleted, because their `updated_at` may be later than `last_seen`.
_UPDATE_SEEN = """
    UPDATE users SET last_seen = (SELECT max(updated_at) FROM bindings WHERE user_id = users.id)
    WHERE id = ? AND last_seen < (SELECT max(updated_at) FROM bindings WHERE user_id = users.id)
"""
_SET_OFFLINE = """
    UPDATE users SET online = 0 WHERE id = ? AND online = 1
    AND NOT EXISTS (SELECT 1 FROM bindings WHERE user_id = users.id)
"""


class BindingStore:
    """The table of bindings.  Writes are batched, see GroupCommit."""

    def __init__(self, database: Database, window: float = WINDOW) -> None:
        self._database = database
        self._commits = GroupCommit(database, _Writer(database).write, window)

    @property
    def commit_seconds(self) -> Sequence[float]:
        """The seconds that the latest commits took, the oldest first."""
        return self._commits.recent_seconds

    @property
    def failure(self) -> str:
        """Why the last commit failed, "" if it did not."""
        return self._commits.failure

    def load(self, now: float) -> list[BindingRow]:
        """Return the bindings that are valid at Unix time `now`, oldest first; delete all others.

        Bindings of disabled or removed accounts are deleted, too.
        """

        def load(tables: Tables) -> list[BindingRow]:
            write_many(tables, _DELETE_OLD, [(int(now),)])
            write_many(tables, _SET_ALL_ONLINE, [()])
            rows = fetch_undecoded(tables, _LOAD, BindingRow._make)
            rows.sort(key=attrgetter("updated_at"))
            return rows

        return self._database.run(load)

    def save(
        self,
        kept: Sequence[BindingRow],
        gone: Sequence[Key],
        undo: Callable[[], None],
        seen_at: int | None = None,
    ) -> Commit:
        """Queue the result of one REGISTER, and return its commit, which takes milliseconds.

        `seen_at` is the Unix time of the REGISTER; None if the change is not by the phone.  If
        nothing is written, `undo` is called, after the `undo` of all later changes in the queue.
        Raises NotSaved, after `undo`, if it cannot be queued.
        """
        rows = [_values(row) for row in kept]
        return self._commits.commit(_Change(rows, [_key(key) for key in gone], seen_at), undo)

    def remove(self, gone: Sequence[Key]) -> None:
        """Remove rows without waiting, in order with the other changes."""
        self._commits.post(_Change((), [_key(key) for key in gone]))

    def remove_expired(self, expired: Sequence[Key], now: float | None = None) -> None:
        """Remove the rows of bindings that are expired at Unix time `now`, without waiting.

        A row that was refreshed in the meantime stays.
        """
        # Rows are rounded to whole seconds; a refreshed row is valid for far longer.
        latest = int(time() if now is None else now) + 1
        self._commits.post(_Change((), (), None, [(*_key(key), latest) for key in expired]))

    def shift(self, seconds: int) -> None:
        """Shift the times of all bindings after the system clock was set, without waiting."""
        self._commits.post(_Change((), (), step=seconds))

    def close(self) -> None:
        """Write the queued changes.  Later calls of `save` raise NotSaved."""
        self._commits.close()


class _Writer:
    """Writes the changes of many greenlets with few statements.

    Problem: a refresh changes one row of `bindings`, but has to find out that the account is online
        already and that its `last_seen` is recent enough; that costs a third of the time.
    Model: `_last_seen` has the `last_seen` of accounts that are online in the table `users`.
    Invariant: each entry is what the table says.  It is read or written in a transaction of this
        class, and `Database.write_stamp` tells if anything was written since, by other code of this
        process or by another one, or if a transaction failed; then all is read again.  A clock that
        was set back gives no `last_seen` in the future, because each REGISTER is compared.
    Bounds: MAX_KNOWN.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_seen: dict[int, int] = {}
        self._stamp = (0, 0, 0)  # none of the database, whose versions begin with 1

    def write(self, tables: Tables, batch: Sequence[_Change]) -> None:
        """Write a batch in one transaction; the last change of a key counts."""
        last: dict[_WrittenKey, tuple[Any, ...] | None] = {}
        seen: dict[int, int] = {}
        for change in batch:
            for key in change.gone:
                last[key] = None
            for row in change.kept:
                last[row[0], row[_CONTACT], row[_FLOW]] = row
            if change.seen_at is not None:
                for key_or_row in (*change.gone, *change.kept):
                    seen[key_or_row[0]] = change.seen_at
        expired = [key for change in batch for key in change.expired]
        kept = [row for row in last.values() if row is not None]
        gone = [key for key, row in last.items() if row is None]
        leaving = {key[0] for key in expired} | {key[0] for key in gone}
        online = dict.fromkeys(row[0] for row in kept)
        if self._database.write_stamp() != self._stamp:
            self._last_seen.clear()
        for number in leaving:
            self._last_seen.pop(number, None)
        write_many(tables, _SHIFT, [(change.step,) * 2 for change in batch if change.step])
        write_many(tables, _UPDATE_SEEN, [(number,) for number in leaving if number not in seen])
        write_many(tables, _REMOVE_EXPIRED, expired)
        write_many(tables, _REMOVE, gone)
        write_many(tables, _SAVE, kept)
        self._set_seen(tables, online, seen)
        write_many(tables, _SET_OFFLINE, [(number,) for number in leaving if number not in online])
        self._stamp = self._database.write_stamp()

    def _set_seen(self, tables: Tables, online: Collection[int], seen: dict[int, int]) -> None:
        """Set accounts online, and the `last_seen` of those for which it is not recent enough."""
        self._read_last_seen(tables, [number for number in online if number not in self._last_seen])
        offline = [number for number in online if number not in self._last_seen]
        write_many(tables, _SET_ONLINE, [(seen.get(number), number) for number in offline])
        rows: list[tuple[int, int, int, int]] = []
        for number, at in seen.items():
            oldest = at - SEEN_LAG + 1 if number in online else at + 1
            known = self._last_seen.get(number)
            if known is None:
                rows.append((at, number, oldest, at))
            elif not oldest <= known <= at:
                rows.append((at, number, oldest, at))
                self._last_seen[number] = at
        write_many(tables, _SET_SEEN, rows)

    def _read_last_seen(self, tables: Tables, numbers: list[int]) -> None:
        if not numbers:
            return
        if len(self._last_seen) + len(numbers) > MAX_KNOWN:
            self._last_seen.clear()
        self._last_seen.update(fetch(tables, _ONLINE, (json.dumps(numbers),)))


def remove_bindings(tables: Tables, accounts: Sequence[int]) -> None:
    """Remove all bindings of the accounts with these ids."""
    ids = [(number,) for number in accounts]
    write_many(tables, _UPDATE_SEEN, ids)
    write_many(tables, "DELETE FROM bindings WHERE user_id = ?", ids)
    write_many(tables, "UPDATE users SET online = 0 WHERE id = ? AND online = 1", ids)


def _key(key: Key) -> _WrittenKey:
    number, contact, flow = key
    return number, _octets(contact), _octets(flow)


def _values(row: BindingRow) -> tuple[Any, ...]:
    """Return the values of a row as they are written."""
    text = f"{row.aor}{row.contact}{row.call_id}{row.path}{row.instance}{row.user_agent}{row.flow}"
    if text.isascii() and row.params.isascii():
        return row
    return tuple([_octets(value) if isinstance(value, str) else value for value in row])


def _octets(text: str) -> _Text:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape")
