"""The download of a backup: made in a thread, beside the database, and removed once it is open."""

import logging
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
from webadmin.http.connections import PeerFailed
from webadmin.thread_pool import TooBusy

log = logging.getLogger(__name__)

# Octets of the file that are read and sent at a time.
_PIECE_BYTES = 256 * 1024
# Backups that are sent at a time: each takes the room of the database on the disk.
MAX_SENT = 3
# Until a download ends that is slower than 1 Mbit/s, in seconds, so that it makes room for others.
_PATIENCE = 60
_SLOWEST_BYTES = 125_000


class Backups:
    """Makes backups for the pages, one at a time, and sends some of them at a time.

    A slow reader delays no other backup: its download ends when it takes too long.  The file is
    beside the database, with the end of its name, until it is open.  A server that is killed
    meanwhile leaves it there; the next backup replaces it.
    """

    END = ".download"

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._workers = context.backups
        self._is_making = False
        self._sent = 0

    def download(self) -> HTTPResponse:
        """Make a backup and return it as a response.

        Raises TooBusy while another one is made or too many are sent, and DatabaseError.
        """
        if self._is_making:
            raise TooBusy("another backup is being made; try again when it is done")
        if self._sent >= MAX_SENT:
            raise TooBusy(f"{MAX_SENT} backups are being sent; try again when one is done")
        self._is_making = True
        try:
            file, size = self._workers.run(self._make)
        except BackupError as error:
            raise DatabaseError(str(error)) from None
        finally:
            self._is_making = False
        self._sent += 1
        name = strftime("sipserver-%Y-%m-%d.db", gmtime(self._context.clock()))
        self._context.record(Act.BACKED_UP, f"{size:,} octets")
        headers = {
            "Content-Type": "application/vnd.sqlite3",
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store, no-transform",
        }
        ends_at = self._context.monotonic() + _PATIENCE + size / _SLOWEST_BYTES
        return HTTPResponse(_Download(self, file, ends_at), 200, headers)

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

    def read(self, file: BinaryIO, ends_at: float) -> bytes:
        """Read a piece in the thread: the disk may be slow.  Raises PeerFailed after `ends_at`."""
        if self._context.monotonic() > ends_at:
            log.warning("a download of a backup has ended: it was slower than 1 Mbit/s")
            raise PeerFailed
        return self._workers.run(lambda: file.read(_PIECE_BYTES))

    def done(self, file: BinaryIO) -> None:
        """Close the file in the thread: to free its room on the disk takes milliseconds."""
        try:
            self._workers.run(file.close)
        finally:
            self._sent -= 1


class _Download:
    """The octets of a backup for the web server, which closes it in the end."""

    def __init__(self, backups: Backups, file: BinaryIO, ends_at: float) -> None:
        self._backups = backups
        self._file = file
        self._ends_at = ends_at
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._backups.read(self._file, self._ends_at):
            yield piece

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._backups.done(self._file)
