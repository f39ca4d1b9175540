"""What a database file is, seen before it is touched, and the sentences for when it won't do."""

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
    """The database won't do what is asked.  The text tells the operator what to do next."""


class Kind(enum.Enum):
    """What was found at a path."""

    NEW = "nothing yet, or an empty file"
    OURS = "a file that we have made"
    OLD_SERVER = "accounts of the server that came before us"


def examine(path: str) -> Kind:
    """Say what the file is without changing a byte of it.

    Raises DatabaseError for a file that is somebody else's, damaged, or out of reach.
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
        raise DatabaseError(f"{path} is no SQLite database; {_ELSEWHERE}")
    # Offset 68 of the header.  It is written before a file of ours first gets a log beside it.
    owner = int.from_bytes(header[68:72], "big")
    kind = Kind.OURS if owner == schema.APPLICATION_ID else _kind_by_tables(path, owner)
    _check_writable(path)
    if kind is Kind.OURS:
        _check_integrity(path)
    return kind


def _kind_by_tables(path: str, owner: int) -> Kind:
    """Recognise a file that doesn't say whose it is."""
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
    """Open a file so that not a byte of it is changed, not even by closing it."""
    # Without a log beside it nothing else can change, and SQLite needs to create nothing.
    mode = "ro" if os.path.exists(f"{path}-wal") else "ro&immutable=1"
    return sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True)


def _check_integrity(path: str) -> None:
    """Read all of a file of ours before anything is written to it.  Raises DatabaseError.

    A damaged page is met else when somebody's row is on it, and by then others have been written.
    It takes a tenth of a second for 100,000 accounts.
    """
    if os.path.exists(f"{path}-journal"):
        return  # an upgrade was cut off: half of it is there, until SQLite undoes it
    before = os.stat(path).st_mtime_ns
    fault = _first_error(path)
    if fault is not None and os.stat(path).st_mtime_ns != before:
        fault = _first_error(path)  # another process has brought its log into the file meanwhile
    if fault is not None:
        raise fault


def _first_error(path: str) -> DatabaseError | None:
    try:
        with closing(_open_read_only(path)) as connection:
            ((found,),) = connection.execute("PRAGMA quick_check(1)")
    except sqlite3.Error as error:
        return failure(path, error)
    if found == "ok":
        return None
    return DatabaseError(
        f"the database {path} is damaged ({' '.join(found.split())});"
        f" restore it from a backup, or {_ELSEWHERE}"
    )


def identity(path: str) -> tuple[int, int]:
    """What tells the file at a path from any other.  Raises DatabaseError where there is none."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise DatabaseError(
            f"the database {path} is gone ({error.strerror}); put it back, or start the server anew"
        ) from None
    return status.st_dev, status.st_ino


def as_text(octets: bytes) -> str:
    """Make text of what another program has written; what is no UTF-8 is spelled out."""
    return octets.decode("utf-8", "backslashreplace")


def _check_directory(path: str) -> None:
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise DatabaseError(
            f"cannot create the database {path}: there is no directory {directory};"
            f" make it, or {_ELSEWHERE}"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DatabaseError(
            f"cannot create the database {path}: this user may not write in {directory};"
            f" change that, or {_ELSEWHERE}"
        )


def _check_writable(path: str) -> None:
    # SQLite keeps its log beside the file, so the directory has to be writable too.
    for place in (path, os.path.dirname(path) or "."):
        if not os.access(place, os.W_OK):
            raise DatabaseError(
                f"cannot write to the database {path}: this user may not write to {place};"
                f" change its owner or mode, or {_ELSEWHERE}"
            )


def create(path: str) -> None:
    """Make the file, readable by its owner alone; one that is there keeps its mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise DatabaseError(
            f"cannot create the database {path}: {error.strerror}; {_ELSEWHERE}"
        ) from None


def back_up(path: str) -> str:
    """Copy a database beside itself under a name that is still free, and return that name.

    Reads through a connection of its own: one that holds the write lock cannot be copied from,
    yet while it holds it, nobody changes what is copied here.
    """
    for number in count(1):
        copy = f"{path}.backup-{number}"
        try:
            os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            continue
        except OSError as error:
            raise DatabaseError(
                f"cannot back {path} up as {copy}: {error.strerror}; make room for the copy"
            ) from None
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy
    raise AssertionError("unreachable: count() has no end")


def failure(path: str, error: Exception) -> DatabaseError:
    """Put what SQLite or SQLAlchemy complains about into a sentence for the operator."""
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", "")
    match name.split("_")[1:2]:
        case ["BUSY" | "LOCKED"]:
            advice = "another program keeps it locked; end that program and try again"
        case ["FULL"]:
            advice = "the disk is full; make room and try again"
        case ["READONLY" | "PERM" | "CANTOPEN" | "AUTH"]:
            advice = f"make it writable for this user, or {_ELSEWHERE}"
        case ["CORRUPT" | "NOTADB"]:
            advice = f"the file is damaged; restore it from a backup, or {_ELSEWHERE}"
        case _:
            advice = "see whether the disk is sound, and try again"
    return DatabaseError(f"cannot use the database {path} ({cause}): {advice}")
