"""Database files: checks before a file is opened, and SQLite errors as text for the operator."""

import enum
import os
import sqlite3
from contextlib import closing
from itertools import count
from urllib.parse import quote

from sip.store import schema

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100  # https://www.sqlite.org/fileformat.html, 1.3
_ELSEWHERE = "choose another file with -db.path"


class DatabaseError(Exception):
    """The database cannot be used.  The text tells the operator what to do next."""


class Kind(enum.Enum):
    """The kind of a database file."""

    NEW = "no file, or an empty file"
    OURS = "a database of this server"
    OLD_SERVER = "a database of the old server"


def examine(path: str) -> Kind:
    """Return the kind of the file, without changing it.

    Raises DatabaseError for a file that belongs to another program, is damaged, or not accessible.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        _check_directory(path)
        return Kind.NEW
    except OSError as error:
        raise DatabaseError(
            f"cannot read the database {path}: {error.strerror}; {_ELSEWHERE}"
        ) from None
    if not header:
        _check_writable(path)
        return Kind.NEW
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise DatabaseError(f"{path} is not an SQLite database; {_ELSEWHERE}")
    # Offset 68 of the header is the application id.  We write it before the first WAL file exists.
    owner = int.from_bytes(header[68:72], "big")
    kind = Kind.OURS if owner == schema.APPLICATION_ID else _kind_by_tables(path, owner)
    _check_writable(path)
    if kind is Kind.OURS:
        _check_integrity(path)
    return kind


def _kind_by_tables(path: str, owner: int) -> Kind:
    """Return the kind of a file without our application id.  Raises DatabaseError."""
    try:
        with closing(_open_read_only(path)) as connection:
            tables = connection.execute(
                "SELECT name, (SELECT group_concat(name) FROM pragma_table_info(thing.name))"
                " FROM sqlite_schema AS thing"
                " WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*'"
            ).fetchall()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise failure(path, error) from None
    if owner == 0 and version == 0:
        if not tables:
            return Kind.NEW
        if tables == [("users", schema.OLD_SERVER_COLUMNS)]:
            return Kind.OLD_SERVER
    raise DatabaseError(f"{path} is the database of another program; {_ELSEWHERE}")


def _open_read_only(path: str) -> sqlite3.Connection:
    """Open a database read-only, so that not even closing it changes the file."""
    # Without a WAL file nothing can change, and with `immutable` SQLite creates no files.
    mode = "ro" if os.path.exists(f"{path}-wal") else "ro&immutable=1"
    return sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True)


def _check_integrity(path: str) -> None:
    """Check the file before anything is written to it.  Raises DatabaseError.

    Otherwise a damaged page is noticed only when a row on it is used, after other writes.  The
    check takes a tenth of a second for 100,000 accounts.  Past calls are left out: a million of
    them would take four tenths, at each start and command, and no other table depends on them.
    """
    if os.path.exists(f"{path}-journal"):
        return  # an upgrade was interrupted: SQLite will roll it back
    before = os.stat(path).st_mtime_ns
    fault = _first_error(path)
    if fault is not None and os.stat(path).st_mtime_ns != before:
        fault = _first_error(path)  # a checkpoint of another process changed the file meanwhile
    if fault is not None:
        raise fault


def _first_error(path: str) -> DatabaseError | None:
    try:
        with closing(_open_read_only(path)) as connection:
            tables = connection.execute(_CHECKED_TABLES).fetchall()
            for (table,) in tables:
                ((found,),) = connection.execute(f"PRAGMA quick_check({table})")
                if found != "ok":
                    break
            else:
                return None
    except sqlite3.Error as error:
        return failure(path, error)
    return DatabaseError(
        f"the database {path} is damaged ({' '.join(found.split())});"
        f" restore it from a backup, or {_ELSEWHERE}"
    )


# The first table contains the names of all others, and the check of the list of free pages.
_CHECKED_TABLES = """
    SELECT 'sqlite_schema' UNION ALL
    SELECT quote(name) FROM sqlite_schema WHERE type = 'table' AND name <> 'calls'
"""


def identity(path: str) -> tuple[int, int]:
    """Return device and inode of the file at a path.  Raises DatabaseError if there is none."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise DatabaseError(
            f"the database {path} is gone ({error.strerror}); put it back, or restart the server"
        ) from None
    return status.st_dev, status.st_ino


def as_text(octets: bytes) -> str:
    """Decode text written by another program; octets that are not UTF-8 become escapes."""
    return octets.decode("utf-8", "backslashreplace")


def _check_directory(path: str) -> None:
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise DatabaseError(
            f"cannot create the database {path}: there is no directory {directory};"
            f" create it, or {_ELSEWHERE}"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DatabaseError(
            f"cannot create the database {path}: this user may not write in {directory};"
            f" change that, or {_ELSEWHERE}"
        )


def _check_writable(path: str) -> None:
    # SQLite writes its WAL file in the same directory, so the directory must be writable, too.
    for place in (path, os.path.dirname(path) or "."):
        if not os.access(place, os.W_OK):
            raise DatabaseError(
                f"cannot write to the database {path}: this user may not write to {place};"
                f" change its owner or mode, or {_ELSEWHERE}"
            )


def create(path: str) -> None:
    """Create the file with mode 0600; an existing file keeps its mode.  Raises DatabaseError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise DatabaseError(
            f"cannot create the database {path}: {error.strerror}; {_ELSEWHERE}"
        ) from None


def back_up(path: str) -> str:
    """Copy a database to an unused name in the same directory, and return that name.

    Reads through a new connection, because SQLite cannot copy from a connection that holds the
    write lock; the caller holds the lock, so nothing changes during the copy.
    """
    for number in count(1):
        copy = f"{path}.backup-{number}"
        try:
            os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            continue
        except OSError as error:
            raise DatabaseError(
                f"cannot copy {path} to {copy}: {error.strerror}; make room for the copy"
            ) from None
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy
    raise AssertionError("unreachable: count() has no end")


def failure(path: str, error: Exception) -> DatabaseError:
    """Return a DatabaseError for an error of SQLite or SQLAlchemy, with advice for the operator."""
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", "")
    match name.split("_")[1:2]:
        case ["BUSY" | "LOCKED"]:
            advice = "another program has locked it; stop that program and try again"
        case ["FULL"]:
            advice = "the disk is full; make room and try again"
        case ["READONLY" | "PERM" | "CANTOPEN" | "AUTH"]:
            advice = f"make it writable for this user, or {_ELSEWHERE}"
        case ["CORRUPT" | "NOTADB"]:
            advice = f"the file is damaged; restore it from a backup, or {_ELSEWHERE}"
        case _:
            advice = "check the disk for errors and try again"
    return DatabaseError(f"cannot use the database {path} ({cause}): {advice}")
