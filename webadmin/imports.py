"""Many accounts at once: a CSV file in, looked at before it is applied, and a CSV file out."""

import io
import logging
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

import gevent
from bottle import BaseRequest, Bottle, FileUpload, HTTPError, HTTPResponse, request, response

from sip.store.audit import Act
from sip.store.database import DatabaseError
from sip.store.importing import BadFile, Report, Sheet, apply, check, exported, read_sheet
from sip.store.passwords import WEAK
from webadmin.site import Answer, Doer, Site, go_to, typed
from webadmin.work import TooBusy

log = logging.getLogger("webadmin")

# Octets of a file, and rows: a sheet waits in memory, at about a kilobyte a row.
MAX_IMPORT_BYTES = 32 * 1024 * 1024
MAX_IMPORT_ROWS = 200_000
# How long a sheet that was looked at waits to be applied, in seconds.
PATIENCE = 15 * 60

_PIECE_BYTES = 64 * 1024
_PIECES_AT_ONCE = 16  # a megabyte; then SIP has its turn
# An import's number is one that no page of an earlier server holds.
_NUMBERS = 10**12

_UNREADABLE = "The upload cannot be read; choose the file once more."
_BYTE_ORDER_MARK = "\ufeff"  # without it a spreadsheet takes UTF-8 for something else


@dataclass
class Import:
    """The one import of this server, from its upload to its report."""

    number: int
    update: bool
    started_at: float
    state: str = "reading"  # then checked, applying, done; or failed
    rows_read: int = 0
    report: Report = field(default_factory=Report)
    sheet: Sheet | None = None
    error: str = ""

    @property
    def is_working(self) -> bool:
        """Tell whether it goes on by itself."""
        return self.state in ("reading", "applying")


class WrongImport(Exception):
    """Somebody has begun another import in the meantime, or this one was let go of."""


class Imports:
    """Runs imports, one at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.current: Import | None = None

    def check_free(self) -> None:
        """Raise TooBusy while an import is at work."""
        if self.current and self.current.is_working:
            raise TooBusy("another import is still at work; wait for it")

    def start(self, file: BinaryIO, *, update: bool) -> None:
        """Read a file, and see what applying it would do.  Raises TooBusy."""
        self.check_free()
        before = self.current
        job = self.current = Import(secrets.randbelow(_NUMBERS), update, self._site.clock())
        gevent.spawn(self._work, job, lambda: self._look_at(job, file))
        if before:
            self._drop(before)

    def apply(self, number: int) -> None:
        """Write what was looked at, all rows or none.  Raises WrongImport."""
        job = self._of(number)
        if job.sheet and job.state == "checked" and not job.report.refused:
            sheet, job.state = job.sheet, "applying"
            doer = self._site.doer
            gevent.spawn(self._work, job, lambda: self._apply(job, sheet, doer))

    def cancel(self, number: int) -> None:
        """Let go of what was looked at, or of the report of what was done.  Raises WrongImport."""
        job = self._of(number)
        if not job.is_working:
            self.current = None
            self._drop(job)

    def forget_old(self) -> None:
        """Let go of what nobody came back for."""
        job = self.current
        if job and self._site.clock() > job.started_at + PATIENCE:
            self.cancel(job.number)

    def _of(self, number: int) -> Import:
        if self.current is None or self.current.number != number:
            raise WrongImport
        return self.current

    def _drop(self, job: Import) -> None:
        """Let go of the rows; many of them at once would hold everybody up."""
        sheet, job.sheet = job.sheet, None
        if sheet:
            with suppress(TooBusy):  # then they go all at once
                self._site.imports.run(sheet.release)

    def _work(self, job: Import, work: Callable[[], None]) -> None:
        try:
            work()
        except (BadFile, DatabaseError, TooBusy) as error:
            job.state, job.error = "failed", f"{error}."
        except Exception:
            log.exception("while importing accounts")
            job.state, job.error = "failed", "Something went wrong in the server; see its log."
        if job.state == "checked":
            gevent.spawn_later(PATIENCE + 1, self.forget_old)
        else:
            self._drop(job)

    def _look_at(self, job: Import, file: BinaryIO) -> None:
        def progress(rows: int) -> None:
            job.rows_read = rows

        job.sheet = self._site.imports.run(
            lambda: read_sheet(
                file,
                self._site.users.realm,
                update=job.update,
                max_rows=MAX_IMPORT_ROWS,
                progress=progress,
            )
        )
        job.report = check(self._site.users, job.sheet)
        job.state = "checked"

    def _apply(self, job: Import, sheet: Sheet, doer: Doer) -> None:
        job.report = apply(self._site.users, sheet)
        if job.report.written:
            self._site.record(Act.IMPORTED, job.report.summary, doer)
        job.state = "done" if job.report.written or not job.report.refused else "checked"


def mount(app: Bottle, site: Site) -> None:
    """Put /users/import and /users/export.csv on `app`."""
    imports = Imports(site)

    def show(error: str = "") -> str:
        imports.forget_old()
        job = imports.current
        return site.page(
            "import.tpl",
            section="/users/import",
            job=job,
            error=error,
            refresh=2 if job and job.is_working else 0,
            max_megabytes=MAX_IMPORT_BYTES // 1024 // 1024,
            weak=WEAK,
        )

    @app.get("/users/import")  # type: ignore[untyped-decorator]
    def show_import() -> str:
        return show()

    @app.post("/users/import")  # type: ignore[untyped-decorator]
    def look_at() -> Answer:
        imports.check_free()  # before a large upload is read for nothing
        try:
            file, update = _uploaded(site)
        except ValueError as error:
            response.status = 422
            return show(str(error))
        imports.start(file, update=update)
        return go_to("/users/import")

    def act(deed: Callable[[int], None]) -> Answer:
        number = typed("number")
        try:
            deed(int(number) if number.isascii() and number.isdecimal() else 0)
        except WrongImport:
            raise HTTPError(
                409, "Another file was looked at in the meantime. See what there is now."
            ) from None
        return go_to("/users/import")

    @app.post("/users/import/apply")  # type: ignore[untyped-decorator]
    def apply_import() -> Answer:
        return act(imports.apply)

    @app.post("/users/import/cancel")  # type: ignore[untyped-decorator]
    def cancel_import() -> Answer:
        return act(imports.cancel)

    @app.get("/users/export.csv")  # type: ignore[untyped-decorator]
    def export() -> Iterable[str]:
        with_hashes = request.query.get("hashes") == "yes"
        blocks = exported(site.users, with_hashes=with_hashes, for_spreadsheet=True)
        # Asked for before the answer begins: what fails here can still be said.
        start = _BYTE_ORDER_MARK + next(blocks) + next(blocks, "")
        site.record(Act.EXPORTED, "with HA1s" if with_hashes else "without HA1s")
        response.content_type = "text/csv; charset=UTF-8"
        response.set_header("Content-Disposition", 'attachment; filename="users.csv"')
        return chain([start], blocks)


def _uploaded(site: Site) -> tuple[BinaryIO, bool]:
    """Take the file, or the text, of an upload, and whether it may change accounts.

    Raises ValueError with a sentence for the person.
    """
    environ = {
        name: request.environ[name]
        for name in ("REQUEST_METHOD", "CONTENT_TYPE", "CONTENT_LENGTH")
        if name in request.environ
    }

    def parse() -> tuple[bytes, bool]:
        form = _Upload(environ).POST
        file, text = form.get("file"), form.get("text")
        content = file.file.read() if isinstance(file, FileUpload) else b""
        pasted = text.encode() if isinstance(text, str) else b""
        return content or pasted, form.get("update") == "yes"

    if not environ.get("CONTENT_TYPE", "").startswith("multipart/form-data"):
        raise ValueError(_UNREADABLE)
    environ["wsgi.input"] = _received(request.environ["wsgi.input"], request.content_length)
    try:
        # A thread, because it goes through the body line by line.
        content, update = site.imports.run(parse)
    except (HTTPResponse, LookupError, ValueError):  # of a charset, of a type that can't be read
        raise ValueError(_UNREADABLE) from None
    if not content.strip():
        raise ValueError("Choose a file, or paste some rows.")
    return io.BytesIO(content), update


class _Upload(BaseRequest):  # type: ignore[misc]  # bottle has no types
    """A form as large as an import may be."""

    MEMFILE_MAX = MAX_IMPORT_BYTES


def _received(source: BinaryIO, length: int) -> BinaryIO:
    """Read a body into memory, and let the other greenlets run now and then."""
    body = io.BytesIO()
    pieces = 0
    while body.tell() < length:
        piece = source.read(min(_PIECE_BYTES, length - body.tell()))
        if not piece:
            raise HTTPError(400, "The upload ended before its end.")
        body.write(piece)
        pieces += 1
        if pieces % _PIECES_AT_ONCE == 0:
            gevent.sleep(0.001)  # 0 would let no socket have its turn
    body.seek(0)
    return body
