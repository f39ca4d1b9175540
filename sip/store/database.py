"""One SQLite file, one thread that owns the connection to it, and one that only reads.

A dataset connection belongs to the thread that uses it, and under gevent each greenlet passes
for a thread; besides, a writer that waits for SQLite's lock would stop every other greenlet.  So
one real thread holds the connection, greenlets hand it functions, and only plain data comes back.
What pages ask may take milliseconds, which no REGISTER is to wait for: a second thread reads that,
on a connection of its own.
"""

import logging
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import quote

import dataset
from gevent.threadpool import ThreadPool
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

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
Tables: TypeAlias = dataset.Database  # what a function given to `run` or `read` works on
T = TypeVar("T")

# Another process may be merging a large import, which takes up to a second; a slow disk more.
BUSY_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a function has raised in its thread, on its way to who waits."""

    error: BaseException


class _Thread:
    """One real thread that runs functions, one after the other, for greenlets that wait."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pool = ThreadPool(1)

    def do(self, work: Callable[[], T]) -> T:
        """Run `work` there.  Raises what it raises, DatabaseError where SQLite fails."""

        # The pool prints whatever exception it gets to see, so it gets to see none.
        def quietly() -> T | _Raised:
            try:
                return work()
            except (SQLAlchemyError, sqlite3.Error) as error:
                return _Raised(files.failure(self._path, error))
            except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
                return _Raised(error)

        outcome = cast(T | _Raised, self._pool.spawn(quietly).get())
        if isinstance(outcome, _Raised):
            try:
                raise outcome.error
            finally:
                del outcome  # or this frame and the traceback would keep each other alive
        return outcome

    def end(self, last: Callable[[], object]) -> None:
        """Run one function more, and let the thread go."""
        self._pool.spawn(last).get()
        self._pool.kill()


class Database:
    """The file, open.  Raises DatabaseError where it cannot be used, and then leaves it alone.

    Works in a server full of greenlets as well as in a plain script.  `busy_timeout` is how many
    seconds to wait for another process that is writing.
    """

    def __init__(self, path: str, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._begin = "BEGIN"
        self._owner: _Thread | None = _Thread(path)
        self._reader: _Thread | None = None  # made when it is first needed
        self._pages: Tables | None = None  # what the reader looks at
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

    def run(self, function: Callable[[Tables], T], then: Callable[[T], object] | None = None) -> T:
        """Run `function` in the owner thread, inside one transaction that may write.

        The write lock is taken at the start, so what the function reads stays true until its
        commit.  `then` gets the result right after the commit, still in the owner thread: what
        it does to memory happens in the order of the commits, whether or not the greenlet that
        asked is still there.  Raises what the function raises, after a rollback, and
        DatabaseError where SQLite fails.
        """
        return self._in_owner(lambda: self._transact("BEGIN IMMEDIATE", function, then))

    def read(self, function: Callable[[Tables], T], then: Callable[[T], object] | None = None) -> T:
        """Run `function`, which only reads, on one snapshot; it waits for no other process."""
        return self._in_owner(lambda: self._transact("BEGIN", function, then))

    def browse(self, function: Callable[[Tables], T]) -> T:
        """Run `function`, which only reads, on one snapshot, beside whatever is written.

        It waits for no commit, and none waits for it.  Changes that have returned are seen.
        """
        if self._owner is None:
            raise self._closed()
        if self._reader is None:
            self._reader = _Thread(self.path)
        return self._reader.do(lambda: self._browse(function))

    def changed_elsewhere(self) -> bool:
        """Tell whether another connection has written since this was last asked."""
        return self._in_owner(self._has_changed)

    def secret(self, name: str) -> bytes:
        """Give the 32 random bytes of this name, made once and kept in the file."""

        def made_or_kept(tables: Tables) -> bytes:
            key = f"secret {name}"
            kept = tables["meta"].find_one(key=key)
            if kept is None:
                kept = {"key": key, "value": secrets.token_hex(32)}
                tables["meta"].insert(kept)
            return bytes.fromhex(kept["value"])

        return self.run(made_or_kept)

    def remember(self, name: str, value: str) -> None:
        """Keep a word about this file, such as the realm that its server uses."""

        def keep(tables: Tables) -> None:
            tables["meta"].delete(key=name)
            tables["meta"].insert({"key": name, "value": value})

        if self.remembered(name) != value:
            self.run(keep)

    def remembered(self, name: str) -> str | None:
        """Give what was kept under this name."""

        def find(tables: Tables) -> str | None:
            row = tables["meta"].find_one(key=name)
            return None if row is None else str(row["value"])

        return self.read(find)

    def close(self) -> None:
        """Let go of the file; whoever asks later gets DatabaseError."""
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

    # What follows runs in the reader thread.

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

    # What follows runs in the owner thread.

    def _transact(
        self, begin: str, function: Callable[[Tables], T], then: Callable[[T], object] | None
    ) -> T:
        if begin == "BEGIN IMMEDIATE" and files.identity(self.path) != self._identity:
            # SQLite would go on to write into what nobody will ever find again.
            raise DatabaseError(
                f"another file stands in the place of the database {self.path};"
                " start the server anew to use it, or put the former one back"
            )
        self._begin = begin
        result = _in_transaction(self._tables, function)
        if then is not None:
            then(result)
        return result

    def _open(self) -> None:
        kind = files.examine(self.path)
        if kind is Kind.NEW:
            files.create(self.path)
        try:
            self._connection = sqlite3.connect(
                self.path,
                timeout=self._busy_timeout,
                isolation_level=None,  # BEGIN comes from us, see `begin` below
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
        """Bring the file up to our schema, then set how it is written."""
        connection = self._connection
        # First, while a file of an older kind still has its own journal: so what the file is
        # stands in the file itself, and not in a log beside it.
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
                f" this one knows {len(schema.STEPS)}); update this server, or choose another"
                " file with -db.path"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a promised 200 outlives a power cut
        connection.execute("PRAGMA foreign_keys = ON")

    def _upgrade(self) -> None:
        # Looked at anew: another process may have been quicker, and SQLite may just have undone
        # what a process that was killed had half written.
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
                    "%d rows of the old %s are no accounts, for they have no name, or that of"
                    " another; they stand in the copy beside it",
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


_COLUMNS_OF_USERS = "SELECT group_concat(name) FROM pragma_table_info('users')"


def _dataset(raw: sqlite3.Connection, begin: Callable[[], str]) -> Tables:
    """Put dataset around a connection; a transaction starts with what `begin` says."""
    tables = dataset.connect(
        "sqlite://",
        ensure_schema=False,
        row_type=dict,
        # One connection for good: `data_version` counts what others than *it* have written.
        engine_kwargs={"poolclass": StaticPool, "creator": lambda: raw},
    )

    @event.listens_for(cast(Engine, tables.engine), "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin())

    return tables


def _in_transaction(tables: Tables, function: Callable[[Tables], T]) -> T:
    """Run a function and commit, or roll back what it has done."""
    try:
        with tables:
            return function(tables)
    except BaseException:
        # Where COMMIT itself fails, for want of room, dataset takes the transaction for ended; left
        # open, it would fail every later one.
        tables.executable.rollback()
        raise


def _raw(tables: Tables) -> sqlite3.Connection:
    """Give SQLite's own connection, in the transaction that `tables` are in."""
    return cast(sqlite3.Connection, tables.executable.connection.driver_connection)


def fetch(
    tables: Tables, statement: str, values: Sequence[object] | Mapping[str, object] = ()
) -> list[tuple[Any, ...]]:
    """Give all rows of a query as tuples, for values as SQLite itself takes them."""
    return list(stream(tables, statement, values))


def stream(
    tables: Tables, statement: str, values: Sequence[object] | Mapping[str, object] = ()
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a query one by one: no large list is made, nor freed, in one go."""
    return iter(_raw(tables).execute(statement, values))


def fetch_undecoded(
    tables: Tables, statement: str, made: Callable[[tuple[Any, ...]], T]
) -> list[T]:
    """Give what is `made` of each row; octets in a text that are no UTF-8 come as surrogates."""
    connection = _raw(tables)
    try:
        return list(map(made, connection.execute(statement)))
    except sqlite3.OperationalError:  # the quick way ends at the first such text
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        return list(map(made, connection.execute(statement)))
    finally:
        connection.text_factory = str


def write_many(tables: Tables, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Execute one statement, with `?` for values, for every row: thousands of rows at a time."""
    if rows:
        _raw(tables).executemany(statement, rows)
