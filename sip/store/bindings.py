"""The bindings of the location service, kept so that a restart forgets no phone."""

from collections.abc import Callable, Sequence
from time import time
from typing import NamedTuple

from sip.store.database import Database, Tables, write_many
from sip.store.journal import WINDOW, Journal, NotSaved

__all__ = ["BindingRow", "Bindings", "NotSaved"]

Key = tuple[str, str]  # aor, contact


class BindingRow(NamedTuple):
    """One contact of an address-of-record, in plain values.

    `expires_at` and `updated_at` are whole seconds since 1970, so a step of the monotonic clock
    across a restart does no harm.  Text may hold octets that are no UTF-8, as surrogates.
    """

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


class _Change(NamedTuple):
    kept: Sequence[tuple[object, ...]]
    gone: Sequence[tuple[bytes, bytes]]
    expired: Sequence[tuple[bytes, bytes, int]] = ()


_TEXT = {name for name, kind in BindingRow.__annotations__.items() if kind is str}

# A phone may send any octet.  Text goes in as bytes and is cast, so SQLite keeps it as it came,
# and one odd User-Agent cannot spoil the batch of everybody else.
_SAVE = (
    f"INSERT INTO bindings ({', '.join(BindingRow._fields)}) VALUES ("  # noqa: S608 -- our names
    + ", ".join("CAST(? AS TEXT)" if name in _TEXT else "?" for name in BindingRow._fields)
    + ") ON CONFLICT (aor, contact) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in BindingRow._fields[2:])
)
_REMOVE = "DELETE FROM bindings WHERE aor = CAST(? AS TEXT) AND contact = CAST(? AS TEXT)"
_FORGET = f"{_REMOVE} AND expires_at <= ?"
_LOAD = (
    "SELECT "  # noqa: S608 -- our names
    + ", ".join(
        f"CAST({name} AS BLOB) AS {name}" if name in _TEXT else name for name in BindingRow._fields
    )
    + " FROM bindings ORDER BY aor, updated_at, contact"
)


class Bindings:
    """The table of bindings.  Writes are gathered: see Journal."""

    def __init__(self, database: Database, window: float = WINDOW) -> None:
        self._database = database
        self._journal = Journal(database, _write, window)

    def load(self, now: float) -> list[BindingRow]:
        """Give the bindings that still hold at Unix time `now`, and delete the others."""

        def load(tables: Tables) -> list[BindingRow]:
            tables["bindings"].delete(expires_at={"<=": int(now)})
            return [BindingRow._make(map(_text, row.values())) for row in tables.query(_LOAD)]

        return self._database.run(load)

    def save(
        self, kept: Sequence[BindingRow], gone: Sequence[Key], undo: Callable[[], None]
    ) -> None:
        """Write one REGISTER's outcome, and return when it is durable.

        Blocks the greenlet for some milliseconds.  Raises NotSaved when nothing of it is on
        disk; `undo` has then been called, and every later change that waited was undone before.
        """
        change = _Change([tuple(map(_octets, row)) for row in kept], [_key(key) for key in gone])
        self._journal.commit(change, undo)

    def forget(self, expired: Sequence[Key], now: float | None = None) -> None:
        """Remove the rows of bindings whose time is over at Unix time `now`; doesn't wait.

        A row that has been refreshed meanwhile stays.
        """
        # Rows are rounded to whole seconds; a refreshed one holds for far longer than that.
        latest = int(time() if now is None else now) + 1
        self._journal.post(_Change((), (), [(*_key(key), latest) for key in expired]))

    def close(self) -> None:
        """Write what is still queued.  Whoever saves afterwards gets NotSaved."""
        self._journal.close()


def _write(tables: Tables, batch: Sequence[_Change]) -> None:
    """Put the changes of many greenlets into three statements; of each contact the last counts."""
    last: dict[tuple[object, object], tuple[object, ...] | None] = {}
    for change in batch:
        for key in change.gone:
            last[key] = None
        for row in change.kept:
            last[row[0], row[1]] = row
    write_many(tables, _FORGET, [key for change in batch for key in change.expired])
    write_many(tables, _REMOVE, [key for key, row in last.items() if row is None])
    write_many(tables, _SAVE, [row for row in last.values() if row is not None])


def _key(key: Key) -> tuple[bytes, bytes]:
    aor, contact = key
    return aor.encode("utf-8", "surrogateescape"), contact.encode("utf-8", "surrogateescape")


def _octets(value: object) -> object:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _text(value: object) -> object:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
