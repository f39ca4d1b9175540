"""The commands `backup` and `restore`."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sip.cli.prompt import add_audit_entry, store_warnings
from sip.config import CommandError, Config
from sip.control.protocol import connect, control_path
from sip.store.audit import Act
from sip.store.backup import BackupError, Progress, backup, restore
from sip.store.database import Database, DatabaseError, fetch


def execute(options: argparse.Namespace, config: Config) -> int:
    """Execute one of the commands and return the exit code.  Raises CommandError."""
    try:
        with store_warnings():
            if options.command == "backup":
                _backup(options.file, config.db_path, force=options.force)
            else:
                _restore(options.file, config.db_path, force=options.force)
    except (BackupError, DatabaseError) as error:
        raise CommandError(str(error)) from None
    return 0


def _backup(file: str, path: str, *, force: bool) -> None:
    if not os.path.exists(path):
        raise BackupError(f"there is no database {path}; give the file of the server with -db.path")
    with _progress("backup") as progress:
        backup(path, file, progress, force=force)
    with Database(path) as database:
        add_audit_entry(database, Act.BACKED_UP, os.path.abspath(file))
    _say(f"backup written to {file}, {os.path.getsize(file):,} octets; it contains secrets")


def _restore(file: str, path: str, *, force: bool) -> None:
    if _is_running(path):
        raise BackupError(f"a server is running with the database {path}; stop it first")
    with _progress("restore") as progress:
        former = restore(file, path, _upgrade, progress, force=force)
    with Database(path) as database:
        add_audit_entry(database, Act.RESTORED, os.path.abspath(file))
        ((users,),) = database.read(lambda tables: fetch(tables, "SELECT count(*) FROM users"))
    noun = "user" if users == 1 else "users"
    kept = f"; the former database is {former}" if former else ""
    _say(f"restored {path}, {users:,} {noun}{kept}")


def _is_running(path: str) -> bool:
    """Return True if a server answers at the control socket of a database."""
    try:
        connect(control_path(path)).close()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _upgrade(path: str) -> None:
    Database(path).close()


@contextmanager
def _progress(word: str) -> Iterator[Progress]:
    """Return a function that shows the progress on a terminal."""
    shown = -1
    is_terminal = sys.stderr is not None and sys.stderr.isatty()

    def show(part: float) -> None:
        nonlocal shown
        percent = int(part * 100)
        if is_terminal and percent != shown:
            shown = percent
            print(f"\r{word}: {percent} %", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if shown >= 0:
            print(file=sys.stderr)


def _say(sentence: str) -> None:
    if sys.stdout is not None:
        print(sentence)
