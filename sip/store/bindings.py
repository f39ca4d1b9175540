"""The bindings of the location service in the database, so that they survive a restart."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from time import time
from typing import Any, NamedTuple

from sip.store.database import Database, Tables, fetch_undecoded, write_many
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

    @property
    def key(self) -> Key:
        """Primary key of the row."""
        return self.user_id, self.contact, self.flow


_Octets = tuple[int, bytes, bytes]  # a Key as it is written to the database


class _Change(NamedTuple):
    kept: Sequence[tuple[Any, ...]]
    gone: Sequence[_Octets]
    seen_at: int | None = None
    expired: Sequence[tuple[int, bytes, bytes, int]] = ()
    step: int = 0


_TEXT = {name for name, kind in BindingRow.__annotations__.items() if kind is str}

# A phone may send any octets.  Text is written as bytes and cast, so that SQLite stores it
# unchanged, and an invalid User-Agent cannot make the whole batch fail.
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
# with `online` has to be written.
_SET_ONLINE = """
    UPDATE users SET online = 1, last_seen = coalesce(?, last_seen)
    WHERE id = ? AND online = 0 AND enabled = 1
"""
_SET_SEEN = """
    UPDATE users SET last_seen = ? WHERE id = ? AND coalesce(last_seen, 0) NOT BETWEEN ? AND ?
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
        self._commits = GroupCommit(database, _write, window)

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
        rows = [tuple(map(_octets, row)) for row in kept]
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


def _write(tables: Tables, batch: Sequence[_Change]) -> None:
    """Write the changes of many greenlets with few statements; the last change of a key counts."""
    last: dict[_Octets, tuple[Any, ...] | None] = {}
    seen: dict[int, int] = {}
    for change in batch:
        for key in change.gone:
            last[key] = None
        for row in change.kept:
            last[row[0], row[_CONTACT], row[_FLOW]] = row
        if change.seen_at is not None:
            for number, *_ in (*change.gone, *change.kept):
                seen[number] = change.seen_at
    expired = [key for change in batch for key in change.expired]
    kept = [row for row in last.values() if row is not None]
    gone = [key for key, row in last.items() if row is None]
    leaving = dict.fromkeys(key[0] for key in (*expired, *gone))
    write_many(tables, _SHIFT, [(change.step,) * 2 for change in batch if change.step])
    write_many(tables, _UPDATE_SEEN, [(number,) for number in leaving if number not in seen])
    write_many(tables, _REMOVE_EXPIRED, expired)
    write_many(tables, _REMOVE, gone)
    write_many(tables, _SAVE, kept)
    online = dict.fromkeys(row[0] for row in kept)
    write_many(tables, _SET_ONLINE, [(seen.get(number), number) for number in online])
    lags = [(at, number, SEEN_LAG if number in online else 0) for number, at in seen.items()]
    write_many(tables, _SET_SEEN, [(at, number, at - lag + 1, at) for at, number, lag in lags])
    write_many(tables, _SET_OFFLINE, [(number,) for number in leaving if number not in online])


def remove_bindings(tables: Tables, accounts: Sequence[int]) -> None:
    """Remove all bindings of the accounts with these ids."""
    ids = [(number,) for number in accounts]
    write_many(tables, _UPDATE_SEEN, ids)
    write_many(tables, "DELETE FROM bindings WHERE user_id = ?", ids)
    write_many(tables, "UPDATE users SET online = 0 WHERE id = ? AND online = 1", ids)


def _key(key: Key) -> _Octets:
    number, contact, flow = key
    return (
        number,
        contact.encode("utf-8", "surrogateescape"),
        flow.encode("utf-8", "surrogateescape"),
    )


def _octets(value: object) -> object:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
