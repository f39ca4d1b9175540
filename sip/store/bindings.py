"""The bindings of the location service, kept so that a restart forgets no phone."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from time import time
from typing import Any, NamedTuple

from sip.store.database import Database, Tables, fetch_as_it_came, write_many
from sip.store.group_commit import WINDOW, Journal, NotSaved

__all__ = ["BindingRow", "BindingStore", "NotSaved", "let_go"]

# The account's id, contact and flow: a private contact may mean another phone in each home.
Key = tuple[int, str, str]

# Seconds that `last_seen` may lag behind while an account is online; its bindings know better.  To
# write it costs a REGISTER more than all else does, and some phones refresh every minute.
SEEN_LAG = 60


class BindingRow(NamedTuple):
    """One contact of an address-of-record, in plain values.

    `user_id` is the account that registered it.  `expires_at` and `updated_at` are whole seconds
    since 1970, so a step of the monotonic clock across a restart does no harm.  Text may hold
    octets that are no UTF-8, as surrogates.
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
    reg_id: int = 0  # 0: none was given
    user_agent: str = ""
    flow: str = ""
    updated_at: int = 0
    params: str = ""

    @property
    def key(self) -> Key:
        """What the row is found by."""
        return self.user_id, self.contact, self.flow


_Octets = tuple[int, bytes, bytes]  # a Key as it is written


class _Change(NamedTuple):
    kept: Sequence[tuple[Any, ...]]
    gone: Sequence[_Octets]
    seen_at: int | None = None
    expired: Sequence[tuple[int, bytes, bytes, int]] = ()
    step: int = 0


_TEXT = {name for name, kind in BindingRow.__annotations__.items() if kind is str}

# A phone may send any octet.  Text goes in as bytes and is cast, so SQLite keeps it as it came,
# and one odd User-Agent cannot spoil the batch of everybody else.
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
_FORGET = f"{_REMOVE} AND expires_at <= ?"
_SHIFT = "UPDATE bindings SET expires_at = expires_at + ?, updated_at = updated_at + ?"
_CONTACT = BindingRow._fields.index("contact")
_FLOW = BindingRow._fields.index("flow")
_LOAD = (
    f"SELECT {', '.join(BindingRow._fields)} FROM bindings"  # noqa: S608 -- our names
    " ORDER BY user_id, contact, flow"
)
_DROP_OLD = """
    DELETE FROM bindings WHERE expires_at <= ?
    OR NOT EXISTS (SELECT 1 FROM users WHERE id = user_id AND enabled = 1)
"""
_SET_ALL_ONLINE = """
    UPDATE users SET online = NOT online
    WHERE online <> EXISTS (SELECT 1 FROM bindings WHERE user_id = users.id)
"""
# Each leaves alone what is right already: most phones refresh, and of the indexes that hold
# `online` none is then written.
_SET_ONLINE = """
    UPDATE users SET online = 1, last_seen = coalesce(?, last_seen)
    WHERE id = ? AND online = 0 AND enabled = 1
"""
_SET_SEEN = """
    UPDATE users SET last_seen = ? WHERE id = ? AND coalesce(last_seen, 0) NOT BETWEEN ? AND ?
"""
# Before rows go: what `last_seen` may lag behind by is in them.
_KEEP_SEEN = """
    UPDATE users SET last_seen = (SELECT max(updated_at) FROM bindings WHERE user_id = users.id)
    WHERE id = ? AND last_seen < (SELECT max(updated_at) FROM bindings WHERE user_id = users.id)
"""
_SET_OFFLINE = """
    UPDATE users SET online = 0 WHERE id = ? AND online = 1
    AND NOT EXISTS (SELECT 1 FROM bindings WHERE user_id = users.id)
"""


class BindingStore:
    """The table of bindings.  Writes are gathered: see Journal."""

    def __init__(self, database: Database, window: float = WINDOW) -> None:
        self._database = database
        self._journal = Journal(database, _write, window)

    def load(self, now: float) -> list[BindingRow]:
        """Give the bindings that still hold at Unix time `now`, the oldest first, and delete the
        others.

        So goes what belongs to an account that is disabled, or gone.
        """

        def load(tables: Tables) -> list[BindingRow]:
            write_many(tables, _DROP_OLD, [(int(now),)])
            write_many(tables, _SET_ALL_ONLINE, [()])
            rows = fetch_as_it_came(tables, _LOAD, BindingRow._make)
            rows.sort(key=attrgetter("updated_at"))
            return rows

        return self._database.run(load)

    def save(
        self,
        kept: Sequence[BindingRow],
        gone: Sequence[Key],
        undo: Callable[[], None],
        seen_at: int | None = None,
    ) -> None:
        """Write one REGISTER's outcome, and return when it is durable.

        `seen_at` is when the phone was heard, in Unix seconds; None where it isn't the phone that
        asks.  Blocks the greenlet for some milliseconds.  Raises NotSaved when nothing of it is
        on disk; `undo` has then been called, and every later change that waited was undone before.
        """
        rows = [tuple(map(_octets, row)) for row in kept]
        self._journal.commit(_Change(rows, [_key(key) for key in gone], seen_at), undo)

    def drop(self, gone: Sequence[Key]) -> None:
        """Remove rows without waiting; in the order of what was and will be saved."""
        self._journal.post(_Change((), [_key(key) for key in gone]))

    def forget(self, expired: Sequence[Key], now: float | None = None) -> None:
        """Remove the rows of bindings whose time is over at Unix time `now`; doesn't wait.

        A row that has been refreshed meanwhile stays.
        """
        # Rows are rounded to whole seconds; a refreshed one holds for far longer than that.
        latest = int(time() if now is None else now) + 1
        self._journal.post(_Change((), (), None, [(*_key(key), latest) for key in expired]))

    def shift(self, seconds: int) -> None:
        """Have every binding last so much longer by the clock of the machine, which was set by as
        much; doesn't wait.
        """
        self._journal.post(_Change((), (), step=seconds))

    def close(self) -> None:
        """Write what is still queued.  Whoever saves afterwards gets NotSaved."""
        self._journal.close()


def _write(tables: Tables, batch: Sequence[_Change]) -> None:
    """Put the changes of many greenlets into few statements; of each contact the last counts."""
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
    write_many(tables, _KEEP_SEEN, [(number,) for number in leaving if number not in seen])
    write_many(tables, _FORGET, expired)
    write_many(tables, _REMOVE, gone)
    write_many(tables, _SAVE, kept)
    online = dict.fromkeys(row[0] for row in kept)
    write_many(tables, _SET_ONLINE, [(seen.get(number), number) for number in online])
    lags = [(at, number, SEEN_LAG if number in online else 0) for number, at in seen.items()]
    write_many(tables, _SET_SEEN, [(at, number, at - lag + 1, at) for at, number, lag in lags])
    write_many(tables, _SET_OFFLINE, [(number,) for number in leaving if number not in online])


def let_go(tables: Tables, accounts: Sequence[int]) -> None:
    """Remove every binding of these accounts, by their ids."""
    ids = [(number,) for number in accounts]
    write_many(tables, _KEEP_SEEN, ids)
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
