"""One SQLite file, one thread that owns the connection to it, and one thread that only reads.

A dataset connection belongs to the thread that uses it, and under gevent each greenlet counts as a
thread; also, waiting for SQLite's lock would block all other greenlets.  So one real thread owns
the connection, greenlets pass functions to it, and only plain data comes back.  Queries of pages
may take milliseconds, and no REGISTER should wait for them, so a second thread executes these on
its own connection.
"""

import logging
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import quote

import dataset
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from sip.monitor.histogram import Histogram
from sip.monitor.metrics import DATABASE_ERRORS, Counters
from sip.store import database_file as files
from sip.store import schema
from sip.store.database_file import DatabaseError, Kind

__all__ = [
    "Database",
    "DatabaseError",
    "Tables",
    "fetch",
    "fetch_undecoded",
    "stream",
    "write_many",
]

log = logging.getLogger(__name__)
Tables: TypeAlias = dataset.Database  # the argument of functions passed to `run`, `read`, `browse`
T = TypeVar("T")

# Seconds.  Another process may apply a large import, which takes up to a second, or more on a slow
# disk.
BUSY_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class _Raised:
    """An exception raised in the thread, to be raised again in the waiting greenlet."""

    error: BaseException


class _Thread:
    """One real thread that runs functions, one after another, for waiting greenlets."""

    def __init__(self, path: str, counts: Counters) -> None:
        self._path = path
        self._counts = counts  # changed by the waiting greenlets, which all run in one thread
        self._pool = ThreadPool(1)

    def do(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread.  Raises the errors of `work`, DatabaseError if SQLite fails."""

        # The pool prints uncaught exceptions, so catch all of them here.
        def quietly() -> T | _Raised:
            try:
                return work()
            except (SQLAlchemyError, sqlite3.Error) as error:
                return _Raised(files.failure(self._path, error))
            except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
                return _Raised(error)

        outcome = cast(T | _Raised, self._pool.spawn(quietly).get())
        if isinstance(outcome, _Raised):
            if isinstance(outcome.error, DatabaseError):
                self._counts[DATABASE_ERRORS] += 1
            try:
                raise outcome.error
            finally:
                del outcome  # breaks the reference cycle of this frame and the traceback
        return outcome

    def end(self, last: Callable[[], object]) -> None:
        """Run a last function, and end the thread."""
        self._pool.spawn(last).get()
        self._pool.kill()


class Database:
    """An open database file.  Raises DatabaseError if the file cannot be used, and leaves it as is.

    Works with gevent and in a plain script.  `busy_timeout` is the maximum time in seconds to wait
    for another process that writes.  `commit_seconds` has the durations of transactions that may
    write, from their start in the owner thread to the end of the sync to disk.  A greenlet holds
    `long_change` during a change that it writes in several transactions, see pieces.py.
    """

    def __init__(self, path: str, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._begin = "BEGIN"
        self.counts = Counters()
        self.commit_seconds = Histogram()
        self.long_change = BoundedSemaphore()
        self._owner: _Thread | None = _Thread(path, self.counts)
        self._reader: _Thread | None = None  # created on first use
        self._pages: Tables | None = None  # the connection of the reader
        self._failures = 0  # transactions of the owner that were rolled back
        try:
            self._in_owner(self._open)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Database":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(
        self,
        function: Callable[[Tables], T],
        then: Callable[[T], object] | None = None,
        *,
        synced: bool = True,
    ) -> T:
        """Run `function` in the owner thread, in one transaction that may write.

        The write lock is taken at the start, so the data that the function reads does not change
        before the commit.  `then` is called with the result directly after the commit, in the owner
        thread: so memory is updated in the order of the commits, even if the calling greenlet was
        killed.  Without `synced`, a power failure may take the change back, together with all later
        ones up to the next sync.  Raises the errors of the function, after a rollback, and
        DatabaseError if SQLite fails.  May wait.
        """
        if synced:
            return self._in_owner(lambda: self._transact("BEGIN IMMEDIATE", function, then))
        return self._in_owner(lambda: self._transact_unsynced(function, then))

    def read(self, function: Callable[[Tables], T], then: Callable[[T], object] | None = None) -> T:
        """Run `function`, which only reads, on one snapshot, without waiting for a lock."""
        return self._in_owner(lambda: self._transact("BEGIN", function, then))

    def browse(self, function: Callable[[Tables], T]) -> T:
        """Run `function`, which only reads, on one snapshot, in the reader thread.

        It waits for no commit, and no commit waits for it.  It sees all changes whose `run` has
        returned.
        """
        if self._owner is None:
            raise self._closed()
        if self._reader is None:
            self._reader = _Thread(self.path, self.counts)
        return self._reader.do(lambda: self._browse(function))

    def changed_elsewhere(self) -> bool:
        """Return True if another connection has written since the last call."""
        return self._in_owner(self._has_changed)

    def write_stamp(self) -> tuple[int, int, int]:
        """Return numbers that stay the same until a row is written or a transaction fails.

        Call it in a function passed to `run`: in the owner thread, and under the write lock.  The
        numbers change with each row that is written by this connection, and with each commit of
        another one.
        """
        return self._data_version(), self._connection.total_changes, self._failures

    def secret(self, name: str) -> bytes:
        """Return the 32 random bytes with this name, generated once and stored in the database."""

        def made_or_kept(tables: Tables) -> bytes:
            key = f"secret {name}"
            fetch(tables, "INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, secrets.token_hex(32)))
            ((value,),) = fetch(tables, _META, (key,))
            return bytes.fromhex(value)

        return self.run(made_or_kept)

    def remember(self, name: str, value: str) -> None:
        """Store a value under a name, for example the realm that the server uses."""

        statement = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
        if self.remembered(name) != value:
            self.run(lambda tables: fetch(tables, statement, (name, value)))

    def remembered(self, name: str) -> str | None:
        """Return the value stored by `remember`, or None."""

        rows = self.read(lambda tables: fetch(tables, _META, (name,)))
        return str(rows[0][0]) if rows else None

    def close(self) -> None:
        """Close the file; later calls raise DatabaseError."""
        owner, self._owner = self._owner, None
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.end(self._close_reader)
        if owner is not None:
            owner.end(self._close_owner)

    def _closed(self) -> DatabaseError:
        return DatabaseError(f"the database {self.path} is closed")

    def _in_owner(self, work: Callable[[], T]) -> T:
        if self._owner is None:
            raise self._closed()
        return self._owner.do(work)

    # The methods below run in the reader thread.

    def _browse(self, function: Callable[[Tables], T]) -> T:
        if self._pages is None:
            self._read_only = sqlite3.connect(
                f"file:{quote(self.path)}?mode=ro",
                uri=True,
                timeout=self._busy_timeout,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            self._pages = _dataset(self._read_only, lambda: "BEGIN")
        return _in_transaction(self._pages, function)

    def _close_reader(self) -> None:
        if self._pages is not None:
            self._pages.close()
            self._read_only.close()

    # The methods below run in the owner thread.

    def _transact(
        self, begin: str, function: Callable[[Tables], T], then: Callable[[T], object] | None
    ) -> T:
        if begin == "BEGIN IMMEDIATE" and files.identity(self.path) != self._identity:
            # SQLite would go on writing to the deleted or renamed file.
            raise DatabaseError(
                f"the database {self.path} was replaced by another file;"
                " restart the server to use it, or put the old file back"
            )
        self._begin = begin
        started_at = monotonic()
        try:
            result = _in_transaction(self._tables, function)
        except BaseException:
            self._failures += 1
            raise
        if begin != "BEGIN":
            self.commit_seconds.observe(monotonic() - started_at)
        if then is not None:
            then(result)
        return result

    def _transact_unsynced(
        self, function: Callable[[Tables], T], then: Callable[[T], object] | None
    ) -> T:
        # In WAL mode, NORMAL syncs at checkpoints only, and keeps the order of the transactions.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            return self._transact("BEGIN IMMEDIATE", function, then)
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")

    def _open(self) -> None:
        kind = files.examine(self.path)
        if kind is Kind.NEW:
            files.create(self.path)
        try:
            self._connection = sqlite3.connect(
                self.path,
                timeout=self._busy_timeout,
                isolation_level=None,  # we execute BEGIN, see `_dataset`
                check_same_thread=False,
                cached_statements=256,
            )
            self._prepare(kind)
        except sqlite3.Error as error:
            raise files.failure(self.path, error) from None
        self._identity = files.identity(self.path)
        self._tables = _dataset(self._connection, lambda: self._begin)
        self._seen_version = self._data_version()

    def _prepare(self, kind: Kind) -> None:
        """Upgrade the file to our schema, then set the journal mode."""
        connection = self._connection
        # Before WAL mode is set, so that the application id is in the file itself, not in the WAL.
        if kind is not Kind.OURS or self._schema_version() < len(schema.STEPS):
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._upgrade()
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        if self._schema_version() > len(schema.STEPS):
            raise DatabaseError(
                f"{self.path} was written by a newer sipserver (schema {self._schema_version()},"
                f" supported: {len(schema.STEPS)}); update this server, or choose another"
                " file with -db.path"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # data of a 200 survives a power failure
        connection.execute("PRAGMA foreign_keys = ON")

    def _upgrade(self) -> None:
        # Read again under the lock: another process may have upgraded the file, or SQLite may have
        # rolled back the upgrade of a killed process.
        connection = self._connection
        version = self._schema_version()
        ((columns,),) = connection.execute(_COLUMNS_OF_USERS)
        old_users = version == 0 and columns == schema.OLD_SERVER_COLUMNS
        if old_users:
            files.back_up(self.path)
            connection.create_function("as_text", 1, files.as_text)
            connection.execute(schema.RENAME_OLD_USERS)
        for step in schema.STEPS[version:]:
            for statement in step:
                connection.execute(statement)
        if old_users:
            ((had,),) = connection.execute("SELECT count(*) FROM old_users")
            for statement in schema.COPY_OLD_USERS:
                connection.execute(statement)
            ((have,),) = connection.execute("SELECT count(*) FROM users")
            if have < had:
                log.warning(
                    "skipped %d rows of the old database %s: user name empty or not unique;"
                    " they are in the backup copy beside it",
                    *(had - have, self.path),
                )
        if version < len(schema.STEPS):
            connection.execute(f"PRAGMA user_version = {len(schema.STEPS)}")
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")

    def _schema_version(self) -> int:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _data_version(self) -> int:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _has_changed(self) -> bool:
        before, self._seen_version = self._seen_version, self._data_version()
        return before != self._seen_version

    def _close_owner(self) -> None:
        if hasattr(self, "_tables"):
            self._tables.close()
        if hasattr(self, "_connection"):
            self._connection.close()


_META = "SELECT value FROM meta WHERE key = ?"
_COLUMNS_OF_USERS = "SELECT group_concat(name) FROM pragma_table_info('users')"


def _dataset(raw: sqlite3.Connection, begin: Callable[[], str]) -> Tables:
    """Wrap a connection in dataset; `begin` returns the statement that starts a transaction."""
    tables = dataset.connect(
        "sqlite://",
        ensure_schema=False,
        row_type=dict,
        # Always the same connection: `data_version` counts the writes of other connections.
        engine_kwargs={"poolclass": StaticPool, "creator": lambda: raw},
    )

    @event.listens_for(cast(Engine, tables.engine), "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin())

    return tables


def _in_transaction(tables: Tables, function: Callable[[Tables], T]) -> T:
    """Run a function and commit, or roll back on an exception."""
    try:
        with tables:
            return function(tables)
    except BaseException:
        # If COMMIT itself fails, for example on a full disk, dataset leaves the transaction open,
        # and all later transactions would fail.
        tables.executable.rollback()
        raise


def _raw(tables: Tables) -> sqlite3.Connection:
    """Return the SQLite connection, which is in the transaction of `tables`."""
    return cast(sqlite3.Connection, tables.executable.connection.driver_connection)


def fetch(
    tables: Tables, statement: str, values: Sequence[object] | Mapping[str, object] = ()
) -> list[tuple[Any, ...]]:
    """Execute a statement with SQLite's own placeholders, and return all rows as tuples."""
    return list(stream(tables, statement, values))


def stream(
    tables: Tables, statement: str, values: Sequence[object] | Mapping[str, object] = ()
) -> Iterator[tuple[Any, ...]]:
    """Return an iterator over the rows of a query, so that no large list is built or freed."""
    return iter(_raw(tables).execute(statement, values))


def fetch_undecoded(
    tables: Tables, statement: str, made: Callable[[tuple[Any, ...]], T]
) -> list[T]:
    """Return `made(row)` for each row; octets that are not UTF-8 become surrogates in the texts."""
    connection = _raw(tables)
    try:
        return list(map(made, connection.execute(statement)))
    except sqlite3.OperationalError:  # a text is not UTF-8; read all rows again, the slow way
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        return list(map(made, connection.execute(statement)))
    finally:
        connection.text_factory = str


def write_many(tables: Tables, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Execute one statement with `?` placeholders for every row, for thousands of rows."""
    if rows:
        _raw(tables).executemany(statement, rows)
