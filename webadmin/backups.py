"""The download of a backup: made in a thread, beside the database, and removed once it is open."""

import os
from collections.abc import Iterator
from contextlib import suppress
from time import gmtime, strftime
from typing import BinaryIO

from bottle import HTTPResponse

from sip.store.audit import Act
from sip.store.backup import BackupError, copy_database
from sip.store.database import DatabaseError
from webadmin.context import AppContext
from webadmin.thread_pool import TooBusy

# Octets of the file that are read and sent at a time.
_PIECE_BYTES = 256 * 1024


class Backups:
    """Makes backups for the pages, one at a time.  Its file is beside the database, with this end.

    A server that is killed meanwhile leaves it there; the next backup replaces it.
    """

    END = ".download"

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._workers = context.backups
        self._is_busy = False

    def download(self) -> HTTPResponse:
        """Make a backup and return it as a response.

        Raises TooBusy during another one, and DatabaseError.
        """
        if self._is_busy:
            raise TooBusy("another backup is being made or sent; try again when it is done")
        self._is_busy = True
        try:
            file, size = self._workers.run(self._make)
        except BaseException as error:
            self._is_busy = False
            if isinstance(error, BackupError):
                raise DatabaseError(str(error)) from None
            raise
        name = strftime("sipserver-%Y-%m-%d.db", gmtime(self._context.clock()))
        self._context.record(Act.BACKED_UP, f"{size:,} octets")
        headers = {
            "Content-Type": "application/vnd.sqlite3",
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store, no-transform",
        }
        return HTTPResponse(_Download(self, file), 200, headers)

    def _make(self) -> tuple[BinaryIO, int]:
        """Make the file, open it, and remove its name.  Runs in the thread."""
        path = self._context.users.database.path
        target = path + self.END
        for suffix in ("", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(target + suffix)
        copy_database(path, target, lambda part: None)
        try:
            file = open(target, "rb")  # noqa: SIM115 -- _Download closes it
        finally:
            os.unlink(target)
        return file, os.fstat(file.fileno()).st_size

    def read(self, file: BinaryIO) -> bytes:
        """Read a piece in the thread: the disk may be slow."""
        return self._workers.run(lambda: file.read(_PIECE_BYTES))

    def done(self, file: BinaryIO) -> None:
        """Close the file in the thread: to free its room on the disk takes milliseconds."""
        try:
            self._workers.run(file.close)
        finally:
            self._is_busy = False


class _Download:
    """The octets of a backup for the web server, which closes it in the end."""

    def __init__(self, backups: Backups, file: BinaryIO) -> None:
        self._backups = backups
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._backups.read(self._file):
            yield piece

    def close(self) -> None:
        self._backups.done(self._file)
