"""Backup and restore of the database, also while a server runs.

Problem: the file of a running server changes while it is copied, and its last changes are in the
WAL file beside it.
Model: SQLite's online backup copies pages under a read transaction, so the copy is the database of
one moment; no writer waits for it.  A new file gets its final name only when it is complete, synced
and checked.
Invariant: an error leaves no file, and an existing one unchanged.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from urllib.parse import quote

from sip.store import schema
from sip.store.database_file import DatabaseError, Kind, examine, failure

# Pages of 4 kB that are copied between two reports of the progress.
PAGES_AT_ONCE = 500
# Free octets that a copy leaves on its disk: the server needs room for its commits.
ROOM_LEFT = 64 * 1024 * 1024
# Seconds that a backup waits for another program that has locked the database.
BUSY_SECONDS = 10.0

_HEADER_BYTES = 100  # https://www.sqlite.org/fileformat.html, 1.3
_MAGIC = b"SQLite format 3\0"
_SUFFIXES = ("", "-wal", "-shm", "-journal")

# Called with a part from 0 to 1 that is done.
Progress = Callable[[float], object]


class BackupError(Exception):
    """A backup or a restore failed, and changed nothing.  The text is for the operator."""


def copy_database(path: str, target: str, progress: Progress) -> None:
    """Write a copy of the database at `path` to the new file `target`, and check the copy.

    It has mode 0600, and needs no file beside it.  Raises BackupError and DatabaseError; then there
    is no `target`.
    """
    if examine(path) is not Kind.OURS:
        raise BackupError(f"there is no database of this server at {path}; choose it with -db.path")
    _check_room(path, target)
    with _new_file(target):
        _copy(f"file:{quote(path)}?mode=rw", path, target, progress)


def backup(path: str, target: str, progress: Progress, *, force: bool = False) -> None:
    """Write a backup of the database at `path`; with `force` it may replace a file.

    Raises BackupError and DatabaseError.
    """
    if any(_is_same(target, path + suffix) for suffix in _SUFFIXES):
        raise BackupError(f"{target} is the database itself; write the backup to another file")
    if os.path.lexists(target):
        if not os.path.isfile(target):
            raise BackupError(f"{target} exists, and is not a file; choose another name")
        if not force:
            raise BackupError(f"{target} exists; choose another name, or replace it with --force")
    partial = _unused(f"{target}.partial")
    try:
        copy_database(path, partial, progress)
    except BackupError as error:
        raise BackupError(str(error).replace(partial, target)) from None
    _rename(partial, target)


def restore(
    source: str,
    path: str,
    upgrade: Callable[[str], object],
    progress: Progress,
    *,
    force: bool = False,
) -> str:
    """Put the backup `source` in the place of the database at `path`.

    `upgrade` brings a file to the present schema.  With `force` a database may be replaced: it is
    kept beside the new one, under the name that is returned; "" if there was none.  Sessions of the
    web admin are removed.  Raises BackupError and DatabaseError; then nothing was changed.
    """
    if _is_same(source, path):
        raise BackupError(f"{source} is the database itself; nothing was restored")
    check_backup(source)
    exists = any(_has_content(path + suffix) for suffix in _SUFFIXES)
    if exists and not force:
        raise BackupError(
            f"there is a database at {path} already; choose another place with -db.path, or replace"
            " it with --force"
        )
    _check_room(source, path)
    partial = _unused(f"{path}.partial")
    with _new_file(partial):
        _copy(f"file:{quote(source)}?mode=ro&immutable=1", source, partial, progress)
        try:
            upgrade(partial)
        except DatabaseError as error:
            raise BackupError(str(error).replace(partial, source)) from None
        _finish(partial)
        _give_to_owner_of(path if os.path.exists(path) else os.path.dirname(path) or ".", partial)
        former = _put_aside(path) if exists else ""
    try:
        _rename(partial, path)
    except BackupError:
        if former:
            os.replace(former, path)
        raise
    return former


def check_backup(path: str) -> None:
    """Check that a file is a backup that this version can restore.  Raises BackupError."""
    try:
        with open(path, "rb") as file:
            header, size = file.read(_HEADER_BYTES), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise BackupError(f"cannot read {path}: {error.strerror}") from None
    owner, version = (int.from_bytes(header[place : place + 4], "big") for place in (68, 60))
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise BackupError(f"{path} is not a backup of this server")
    if owner != schema.APPLICATION_ID:
        raise BackupError(f"{path} is the database of another program, or of the old server")
    if version > len(schema.STEPS):
        raise BackupError(
            f"{path} was written by a newer sipserver (schema {version}, supported:"
            f" {len(schema.STEPS)}); update this server"
        )
    page_bytes = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    if size < (65_536 if page_bytes == 1 else page_bytes) * pages:
        raise BackupError(f"{path} is cut off: its end is missing; use another backup")


def _copy(uri: str, path: str, target: str, progress: Progress) -> None:
    """Copy a database into an empty file, and check the copy."""

    def report(_: int, left: int, total: int) -> None:
        progress(1 - left / total if total else 1.0)

    try:
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as source,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            source.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
            copy.execute("PRAGMA synchronous = OFF")  # it is synced as a whole, see `_new_file`
            source.execute("BEGIN")
            source.execute(
                "SELECT count(*) FROM sqlite_schema"
            ).fetchone()  # from here on, one state
            source.backup(copy, pages=PAGES_AT_ONCE, progress=report)
            source.execute("COMMIT")
            copy.execute("PRAGMA journal_mode = DELETE")  # a WAL file would be a second file
            ((found,),) = copy.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        if "malformed" in str(error) or "not a database" in str(error):
            raise BackupError(f"{path} is damaged ({error}); use another backup") from None
        raise failure(path, error) from None
    if found != "ok":
        raise BackupError(f"{path} is damaged ({' '.join(found.split())}); use another backup")


def _finish(path: str) -> None:
    """Remove what must not come back with a backup, and leave one file only."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # A session that was ended after the backup would be open again.
        connection.execute("DELETE FROM sessions")
        connection.execute("PRAGMA journal_mode = DELETE")


def _give_to_owner_of(place: str, path: str) -> None:
    """Let the owner of another file or directory use a file that root has made."""
    if os.geteuid() == 0:
        status = os.stat(place)
        os.chown(path, status.st_uid, status.st_gid)


def _put_aside(path: str) -> str:
    """Rename a database that no program uses; return its new name.  Raises BackupError."""
    try:
        uri = f"file:{quote(path)}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0)) as connection:
            # Fails while another connection is open; else the WAL file is merged and removed.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise BackupError(f"another program uses {path}; stop it first") from None
    except sqlite3.Error:
        pass  # it is damaged, which may be the reason for the restore
    for number in count(1):
        former = f"{path}.backup-{number}"
        if not any(os.path.lexists(former + suffix) for suffix in _SUFFIXES):
            break
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            os.rename(path + suffix, former + suffix)
    return former


def _check_room(path: str, target: str) -> None:
    """Raise BackupError if a copy of a file would fill the disk of `target`."""
    directory = os.path.dirname(target) or "."
    try:
        needed = sum(
            os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end)
        )
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise BackupError(f"cannot write {target}: {error.strerror}") from None
    if free < needed + ROOM_LEFT:
        raise BackupError(
            f"the disk of {directory} has {free // 1_000_000} MB left, and the copy needs"
            f" {(needed + ROOM_LEFT) // 1_000_000} MB"
        )


@contextmanager
def _new_file(path: str) -> Iterator[None]:
    """Create an empty file with mode 0600, and sync it at the end; remove it after an error."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupError(f"cannot write {path}: {error.strerror}") from None
    try:
        yield
        _sync(path)
    except BaseException as error:
        for suffix in _SUFFIXES:
            with suppress(OSError):
                os.unlink(path + suffix)
        if isinstance(error, OSError):
            raise BackupError(f"cannot write {path}: {error.strerror}") from None
        raise


def _rename(partial: str, target: str) -> None:
    """Give a complete file its name.  Raises BackupError, and removes the file then."""
    try:
        os.replace(partial, target)
        _sync(os.path.dirname(target) or ".")
    except OSError as error:
        with suppress(OSError):
            os.unlink(partial)
        raise BackupError(f"cannot write {target}: {error.strerror}") from None


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unused(name: str) -> str:
    """Return a name that no file has."""
    names = (f"{name}-{number}" for number in count(1))
    return next(each for each in names if not os.path.lexists(each))


def _has_content(path: str) -> bool:
    return os.path.lexists(path) and not (os.path.isfile(path) and os.path.getsize(path) == 0)


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
