"""One SQLite file, one thread that owns the connection to it.

A dataset connection belongs to the thread that uses it, and under gevent each greenlet passes
for a thread; besides, a writer that waits for SQLite's lock would stop every other greenlet.  So
one real thread holds the connection, greenlets hand it functions, and only plain data comes back.
"""

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast

import dataset
from gevent.threadpool import ThreadPool
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from sip.store import files, schema
from sip.store.files import DatabaseError, Kind

__all__ = ["Database", "DatabaseError", "Tables", "write_many"]

Tables: TypeAlias = dataset.Database  # what a function given to `run` or `read` works on
T = TypeVar("T")

# Another process may be merging a large import, which takes up to a second; a slow disk more.
BUSY_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a function has raised in the owner thread, on its way to who waits."""

    error: BaseException


class Database:
    """The file, open.  Raises DatabaseError where it cannot be used, and then leaves it alone.

    Works in a server full of greenlets as well as in a plain script.  `busy_timeout` is how many
    seconds to wait for another process that is writing.
    """

    def __init__(self, path: str, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._begin = "BEGIN"
        self._pool: ThreadPool | None = ThreadPool(1)
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

    def changed_elsewhere(self) -> bool:
        """Tell whether another connection has written since this was last asked."""
        return self._in_owner(self._has_changed)

    def stamp(self) -> tuple[int, int]:
        """Give a value that differs once anybody has written.  For functions inside `run`."""
        return self._data_version(), self._connection.total_changes

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
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.spawn(self._hang_up).get()
            pool.kill()

    # What follows runs in the owner thread, but for the hand-over itself.

    def _in_owner(self, work: Callable[[], T]) -> T:
        if self._pool is None:
            raise DatabaseError(f"the database {self.path} is closed")

        # The pool prints whatever exception it gets to see, so it gets to see none.
        def quietly() -> T | _Raised:
            try:
                return work()
            except (SQLAlchemyError, sqlite3.Error) as error:
                return _Raised(files.failure(self.path, error))
            except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
                return _Raised(error)

        outcome = cast(T | _Raised, self._pool.spawn(quietly).get())
        if isinstance(outcome, _Raised):
            try:
                raise outcome.error
            finally:
                del outcome  # or this frame and the traceback would keep each other alive
        return outcome

    def _transact(
        self, begin: str, function: Callable[[Tables], T], then: Callable[[T], object] | None
    ) -> T:
        self._begin = begin
        with self._tables as tables:
            result = function(tables)
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
        self._tables = dataset.connect(
            "sqlite://",
            ensure_schema=False,
            row_type=dict,
            # One connection for good: `data_version` counts what others than *it* have written.
            engine_kwargs={"poolclass": StaticPool, "creator": lambda: self._connection},
        )

        @event.listens_for(cast(Engine, self._tables.engine), "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql(self._begin)

        self._seen_version = self._data_version()

    def _prepare(self, kind: Kind) -> None:
        """Bring the file up to our schema, then set how it is written."""
        connection = self._connection
        # First, while a file of an older kind still has its own journal: so what the file is
        # stands in the file itself, and not in a log beside it.
        if kind is not Kind.OURS or self._schema_version() < len(schema.STEPS):
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._upgrade(kind)
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

    def _upgrade(self, kind: Kind) -> None:
        connection = self._connection
        version = self._schema_version()  # another process may have been quicker
        old_users = kind is Kind.OLD_SERVER and version == 0
        if old_users:
            files.back_up(self.path)
            connection.execute(schema.SET_OLD_USERS_ASIDE)
        for step in schema.STEPS[version:]:
            for statement in step:
                connection.execute(statement)
        if old_users:
            for statement in schema.TAKE_OLD_USERS_OVER:
                connection.execute(statement)
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

    def _hang_up(self) -> None:
        if hasattr(self, "_tables"):
            self._tables.close()
        if hasattr(self, "_connection"):
            self._connection.close()


def write_many(tables: Tables, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Execute one statement, with `?` for values, for every row: thousands of rows at a time."""
    if rows:
        tables.executable.exec_driver_sql(statement, rows)
