"""Many accounts at once: a CSV file in, looked at before it is applied, and a CSV file out.

Each session has an import of its own, which no other session sees.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

import gevent
from bottle import Bottle, HTTPError, request, response
from gevent.lock import BoundedSemaphore

from sip.memory import release_memory
from sip.store.audit import Act
from sip.store.database import DatabaseError
from sip.store.importing import (
    BadFile,
    CsvFile,
    NewPassword,
    Report,
    TooManyRows,
    apply,
    check,
    exported,
    password_blocks,
    read_csv,
)
from sip.store.passwords import WEAK
from webadmin.context import Answer, Doer, Site, go_to, is_read, typed
from webadmin.thread_pool import TooBusy
from webadmin.uploads import MAX_UPLOAD_BYTES, uploaded

log = logging.getLogger(__name__)

MAX_IMPORT_BYTES = MAX_UPLOAD_BYTES
# Rows of all imports together: a sheet waits in memory, at about a kilobyte a row.
MAX_IMPORT_ROWS = 200_000
# Sessions that have an import at once, and uploads on their way: each holds its file in memory.
MAX_IMPORTS = 4
# How long an import waits to be applied, or its report to be read, in seconds.
PATIENCE = 15 * 60
# Generated passwords that a page shows; more are a file to download.
MAX_SHOWN_PASSWORDS = 500
# Rows of each table of a report: a page of them takes some milliseconds to make.
_MAX_SHOWN = 500

# Seconds between looks for imports that waited too long, or whose session has ended.
_SWEEP_SECONDS = 60
# An import's number is one that no page of an earlier server holds.
_NUMBERS = 10**12

_GONE = (
    "That import is no longer there: it was replaced, or it waited for too long."
    " See what there is now."
)
_BYTE_ORDER_MARK = "\ufeff"  # without it a spreadsheet takes UTF-8 for something else


@dataclass
class Import:
    """The import of one session, from its upload to its report.

    `number` stands for what a page has shown of it: another one begins whenever that changes.
    """

    session: int
    number: int
    started_at: float
    state: str = "reading"  # then checked, applying, done; or failed
    rows_read: int = 0
    report: Report = field(default_factory=Report)
    sheet: CsvFile | None = None
    error: str = ""

    @property
    def is_working(self) -> bool:
        """Tell whether it goes on by itself."""
        return self.state in ("reading", "applying")

    @property
    def rows(self) -> int:
        """Rows, and generated passwords, that it holds in memory."""
        return len(self.report.passwords) + (len(self.sheet.rows) if self.sheet else 0)

    @property
    def samples(self) -> list[str]:
        """Names as they read in an encoding that is a guess."""
        return self.sheet.samples if self.sheet else []

    @property
    def apply_label(self) -> str:
        """Say on the button what applying the file takes for granted."""
        report, parts = self.report, []
        if report.encoding != "UTF-8":
            parts.append(f"read it as {report.encoding}")
        if report.unknown:
            number = len(report.unknown)
            parts.append("leave 1 column out" if number == 1 else f"leave {number} columns out")
        if not parts:
            return "Apply"
        label = f"{', '.join(parts)} and apply"
        return label[0].upper() + label[1:]

    def take_passwords(self) -> list[NewPassword]:
        """Give the generated passwords: the first call does, and afterwards there are none."""
        passwords, self.report.passwords = self.report.passwords, []
        return passwords


class WrongImport(Exception):
    """What the page has shown is no longer there: applied, cancelled, or too old."""


class Imports:
    """Runs imports: one of each session, of a few sessions at once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._jobs: dict[int, Import] = {}  # by session, the oldest first
        self._uploads = 0
        self._reads = BoundedSemaphore()  # one reads at a time, so that each knows the room left
        self._sweeper: gevent.Greenlet[[], None] | None = None

    @property
    def current(self) -> Import | None:
        """The import of the session at hand."""
        return self._jobs.get(self._session)

    @contextmanager
    def upload(self) -> Iterator[None]:
        """Let a file come in.  Raises TooBusy, before it is read for nothing."""
        self._check_free()
        if self._uploads >= MAX_IMPORTS:
            raise TooBusy("too many files are uploaded just now; try again in a minute")
        self._makes_way()
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    def start(self, file: BinaryIO, *, update: bool, generate: bool) -> None:
        """Read a file, and see what applying it would do.  Raises TooBusy."""
        self._check_free()  # once more, as another window may have been quicker
        dropped = [gone for gone in (self.current, self._makes_way()) if gone]
        for gone in dropped:
            del self._jobs[gone.session]
        job = Import(self._session, _number(), self._site.clock())
        self._jobs[job.session] = job
        gevent.spawn(self._work, job, lambda: self._look_at(job, file, update, generate))
        if not self._sweeper:
            self._sweeper = gevent.spawn(self._sweep)
        for gone in dropped:
            self._drop(gone)

    def change(self, number: int, *, update: bool, generate: bool) -> None:
        """Look once more at what was looked at, with more allowed.  Raises WrongImport."""
        job = self._of(number)
        if job.sheet and job.state == "checked":
            job.sheet.update |= update
            job.sheet.generate |= generate
            job.number, job.state = _number(), "reading"
            gevent.spawn(self._work, job, lambda: self._check(job))

    def apply(self, number: int) -> None:
        """Write what was looked at, all rows or none.  Raises WrongImport."""
        job = self._of(number)
        if job.sheet and job.state == "checked" and not job.report.refused:
            sheet, job.state = job.sheet, "applying"
            doer = self._site.doer
            gevent.spawn(self._work, job, lambda: self._apply(job, sheet, doer))

    def cancel(self, number: int) -> None:
        """Let go of what was looked at, or of the report of what was done.  Raises WrongImport.

        A report stays while its generated passwords are still to be shown.
        """
        job = self._of(number)
        if not (job.is_working or job.report.passwords):
            self._remove(job)

    def forget_old(self) -> None:
        """Remove the imports that waited too long."""
        for job in [*self._jobs.values()]:
            if not job.is_working and self._site.clock() > job.started_at + PATIENCE:
                self._remove(job)

    def forget_ended(self) -> None:
        """Remove the imports of sessions that have ended; what is applied just now goes on."""
        alive = {session.id for session in self._site.admin.sessions(self._site.clock())}
        for job in [*self._jobs.values()]:
            if not job.is_working and job.session not in alive:
                self._remove(job)

    @property
    def _session(self) -> int:
        return self._site.session.id if self._site.session else 0  # the guard lets no other in

    def _of(self, number: int) -> Import:
        job = self.current
        if job is None or job.number != number:
            raise WrongImport
        return job

    def _check_free(self) -> None:
        """Raise TooBusy where the import that a session has may not be replaced."""
        job = self.current
        if job and job.is_working:
            raise TooBusy("your last import is still at work; wait for it")
        if job and job.report.passwords:
            raise TooBusy(
                "the passwords of your last import were not shown yet; look at them first"
            )

    def _makes_way(self) -> Import | None:
        """Give the import that makes way for one of a session, None where there is room.

        It is the oldest that does not work just now, and holds no password that is still to be
        shown.  Raises TooBusy where there is none.
        """
        others = [job for job in self._jobs.values() if job.session != self._session]
        if len(others) < MAX_IMPORTS:
            return None
        for job in others:
            if not (job.is_working or job.report.passwords):
                return job
        raise TooBusy(f"{len(others)} other imports are at work; try again in a minute")

    def _remove(self, job: Import) -> None:
        self._jobs.pop(job.session, None)
        self._drop(job)

    def _drop(self, job: Import) -> None:
        """Release the rows, and of a removed import the passwords."""
        sheet, job.sheet = job.sheet, None
        if sheet:
            self.release(sheet.release)
        if job is not self._jobs.get(job.session) and (passwords := job.take_passwords()):
            self.release(lambda: release_memory(passwords))

    def release(self, work: Callable[[], None]) -> None:
        """Release many objects in a thread; all at once they would hold everybody up."""
        with suppress(TooBusy):  # then they go all at once
            self._site.imports.run(work)

    def _sweep(self) -> None:
        while self._jobs:
            gevent.sleep(_SWEEP_SECONDS)
            self.forget_old()
            with suppress(DatabaseError):  # then at the next round, or by its age
                self.forget_ended()
        self._sweeper = None

    def _work(self, job: Import, work: Callable[[], None]) -> None:
        try:
            work()
        except (BadFile, DatabaseError, TooBusy) as error:
            job.state, job.error = "failed", f"{error}."
        except Exception:
            log.exception("while importing accounts")
            job.state, job.error = "failed", "Something went wrong in the server; see its log."
        if job.state != "checked":
            self._drop(job)

    def _look_at(self, job: Import, file: BinaryIO, update: bool, generate: bool) -> None:
        def progress(rows: int) -> None:
            job.rows_read = rows

        with self._reads:
            waiting = sum(each.rows for each in self._jobs.values())
            room = MAX_IMPORT_ROWS - waiting
            try:
                job.sheet = self._site.imports.run(
                    lambda: read_csv(
                        file,
                        self._site.users.realm,
                        update=update,
                        generate=generate,
                        # The page tells both, and the button says so.
                        skip_unknown=True,
                        accept_guess=True,
                        max_rows=room,
                        progress=progress,
                    )
                )
            except TooManyRows:
                if not waiting:
                    raise
                raise TooBusy(
                    f"there is room for {room:,} rows until other imports are applied or cancelled;"
                    f" try again in {PATIENCE // 60} min"
                ) from None
        self._check(job)

    def _check(self, job: Import) -> None:
        if job.sheet:
            job.report = check(self._site.users, job.sheet)
        job.state = "checked"

    def _apply(self, job: Import, sheet: CsvFile, doer: Doer) -> None:
        report = apply(self._site.users, sheet, self._site.imports.run)
        if report.written:
            self._site.record(Act.IMPORTED, report.summary, doer)
        # Report and state change together: a page that shows one of them shows the other.
        job.report, job.state = report, "checked" if report.refused else "done"
        job.started_at = self._site.clock()  # of the report, which is new


def _number() -> int:
    return secrets.randbelow(_NUMBERS)


def mount(app: Bottle, site: Site) -> None:
    """Put /users/import and /users/export.csv on `app`."""
    imports = Imports(site)

    def show(error: str = "") -> str:
        imports.forget_old()
        job = imports.current
        passwords: list[NewPassword] = []
        if job and job.report.passwords and len(job.report.passwords) <= MAX_SHOWN_PASSWORDS:
            if is_read():
                passwords = job.take_passwords()
            else:
                response.set_header("HX-Refresh", "true")  # a page of its own shows them
        if passwords:
            site.leave_uncompressed()
        return site.page(
            "import.tpl",
            section="/users/import",
            job=job,
            error=error,
            refresh=2 if job and job.is_working else 0,
            max_megabytes=MAX_IMPORT_BYTES // 1024 // 1024,
            max_shown=_MAX_SHOWN,
            max_passwords=MAX_SHOWN_PASSWORDS,
            weak=WEAK,
            passwords=passwords,
            password_sheet="".join(password_blocks(passwords)),
        )

    @app.get("/users/import")  # type: ignore[untyped-decorator]
    def show_import() -> str:
        return show()

    @app.post("/users/import")  # type: ignore[untyped-decorator]
    def look_at() -> Answer:
        with imports.upload():
            try:
                file, ticked = uploaded(site, "update", "generate")
            except ValueError as error:
                response.status = 422
                return show(str(error))
            imports.start(file, update="update" in ticked, generate="generate" in ticked)
        return go_to("/users/import")

    def act(deed: Callable[[int], None]) -> Answer:
        number = typed("number")
        try:
            deed(int(number) if number.isascii() and number.isdecimal() else 0)
        except WrongImport:
            raise HTTPError(409, _GONE) from None
        return go_to("/users/import")

    @app.post("/users/import/change")  # type: ignore[untyped-decorator]
    def change_import() -> Answer:
        update, generate = (typed(name) == "yes" for name in ("update", "generate"))
        return act(lambda number: imports.change(number, update=update, generate=generate))

    @app.post("/users/import/apply")  # type: ignore[untyped-decorator]
    def apply_import() -> Answer:
        return act(imports.apply)

    @app.post("/users/import/cancel")  # type: ignore[untyped-decorator]
    def cancel_import() -> Answer:
        return act(imports.cancel)

    @app.post("/users/import/passwords.csv")  # type: ignore[untyped-decorator]
    def download_passwords() -> Iterable[str]:
        job = imports.current
        passwords = job.take_passwords() if job and str(job.number) == typed("number") else []
        if not passwords:
            raise HTTPError(409, "These passwords were shown already; they are kept nowhere.")
        site.leave_uncompressed()
        return _download("passwords.csv", blocks(passwords))

    def blocks(passwords: list[NewPassword]) -> Iterator[str]:
        try:
            yield from password_blocks(passwords, for_spreadsheet=True)
        finally:
            imports.release(lambda: release_memory(passwords))

    @app.get("/users/export.csv")  # type: ignore[untyped-decorator]
    def export() -> Iterable[str]:
        with_hashes = request.query.get("hashes") == "yes"
        blocks = exported(site.users, with_hashes=with_hashes, for_spreadsheet=True)
        # Asked for before the answer begins: what fails here can still be said.
        start = next(blocks) + next(blocks, "")
        site.record(Act.EXPORTED, "with HA1s" if with_hashes else "without HA1s")
        return _download("users.csv", chain([start], blocks))


def _download(name: str, blocks: Iterable[str]) -> Iterable[str]:
    """Answer with a CSV file."""
    response.content_type = "text/csv; charset=UTF-8"
    response.set_header("Content-Disposition", f'attachment; filename="{name}"')
    return chain([_BYTE_ORDER_MARK], blocks)
