"""Many accounts at once: a CSV file in, looked at before it is applied, and a CSV file out."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

import gevent
from bottle import BaseRequest, Bottle, HTTPError, HTTPResponse, request, response

from sip.store.database import DatabaseError
from sip.store.importing import BadFile, Report, Sheet, apply, check, exported, read_sheet
from webadmin.site import Answer, Site, go_to
from webadmin.work import TooBusy

log = logging.getLogger("webadmin")

# Octets of a file, and rows: a sheet waits in memory, at about a kilobyte a row.
MAX_IMPORT_BYTES = 32 * 1024 * 1024
MAX_IMPORT_ROWS = 200_000
# How long a sheet that was looked at waits to be applied, in seconds.
PATIENCE = 15 * 60

_PIECE_BYTES = 64 * 1024
_PIECES_AT_ONCE = 16  # a megabyte; then SIP has its turn
_BYTE_ORDER_MARK = "\ufeff"  # without it a spreadsheet takes UTF-8 for something else


@dataclass
class Import:
    """The one import of this server, from its upload to its report."""

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


class Imports:
    """Runs imports, one at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.current: Import | None = None

    def start(self, file: BinaryIO, *, update: bool) -> None:
        """Read a file, and see what applying it would do.  Raises TooBusy."""
        if self.current and self.current.is_working:
            raise TooBusy("another import is still at work; wait for it")
        self.cancel()
        job = self.current = Import(update, self._site.clock())
        gevent.spawn(self._work, job, lambda: self._look_at(job, file))

    def apply(self) -> None:
        """Write what was looked at, all rows or none."""
        job = self.current
        if job and job.sheet and job.state == "checked" and not job.report.refused:
            sheet, job.state = job.sheet, "applying"
            gevent.spawn(self._work, job, lambda: self._apply(job, sheet))

    def cancel(self) -> None:
        """Let go of what was looked at, or of the report of what was done."""
        job = self.current
        if job and not job.is_working:
            self.current = None
            if job.sheet:
                self._drop(job.sheet)

    def forget_old(self) -> None:
        """Let go of what nobody came back for."""
        job = self.current
        if job and self._site.clock() > job.started_at + PATIENCE:
            self.cancel()

    def _drop(self, sheet: Sheet) -> None:
        """Let go of the rows of a sheet; many of them at once would hold everybody up."""
        with suppress(TooBusy):  # then they go all at once
            self._site.workers.run(sheet.release)

    def _work(self, job: Import, work: Callable[[], None]) -> None:
        try:
            work()
        except (BadFile, DatabaseError, TooBusy) as error:
            job.state, job.error = "failed", f"{error}."
        except Exception:
            log.exception("while importing accounts")
            job.state, job.error = "failed", "Something went wrong in the server; see its log."
        if job.sheet and job.state != "checked":
            self._drop(job.sheet)
            job.sheet = None

    def _look_at(self, job: Import, file: BinaryIO) -> None:
        def progress(rows: int) -> None:
            job.rows_read = rows

        job.sheet = self._site.workers.run(
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

    def _apply(self, job: Import, sheet: Sheet) -> None:
        job.report = apply(self._site.users, sheet)
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
        )

    @app.get("/users/import")  # type: ignore[untyped-decorator]
    def show_import() -> str:
        return show()

    @app.post("/users/import")  # type: ignore[untyped-decorator]
    def look_at() -> Answer:
        try:
            file, update = _uploaded(site)
        except ValueError as error:
            response.status = 422
            return show(str(error))
        imports.start(file, update=update)
        return go_to("/users/import")

    @app.post("/users/import/apply")  # type: ignore[untyped-decorator]
    def apply_import() -> Answer:
        imports.apply()
        return go_to("/users/import")

    @app.post("/users/import/cancel")  # type: ignore[untyped-decorator]
    def cancel_import() -> Answer:
        imports.cancel()
        return go_to("/users/import")

    @app.get("/users/export.csv")  # type: ignore[untyped-decorator]
    def export() -> Iterator[str]:
        with_hashes = request.query.get("hashes") == "yes"
        response.content_type = "text/csv; charset=UTF-8"
        response.set_header("Content-Disposition", 'attachment; filename="users.csv"')
        yield _BYTE_ORDER_MARK
        yield from exported(site.users, with_hashes=with_hashes, for_spreadsheet=True)


def _uploaded(site: Site) -> tuple[BinaryIO, bool]:
    """Take the file, or the text, of an upload, and whether it may change accounts.

    Raises ValueError with a sentence for the person.
    """
    environ = {
        name: request.environ[name]
        for name in ("REQUEST_METHOD", "CONTENT_TYPE", "CONTENT_LENGTH")
        if name in request.environ
    }
    environ["wsgi.input"] = _received(request.environ["wsgi.input"], request.content_length)

    def parse() -> tuple[bytes, bool]:
        form = _Upload(environ).POST
        file, text = form.get("file"), form.getunicode("text") or ""
        content = file.file.read() if hasattr(file, "file") else b""
        return content or text.encode(), form.get("update") == "yes"

    try:
        # A thread, because it goes through the body line by line.
        content, update = site.workers.run(parse)
    except HTTPResponse as error:
        raise ValueError("The upload cannot be read; choose the file once more.") from error
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
