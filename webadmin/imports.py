"""Import of users from CSV files; an import is previewed before it is applied.

Each session has an import of its own, which other sessions do not see.
"""

import logging
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

import gevent
from bottle import Bottle, HTTPError, response

from sip.memory import release_memory
from sip.store.audit import Act
from sip.store.column_choices import ColumnChoices
from sip.store.columns import ColumnChoice
from sip.store.csv_file import UnknownColumns
from sip.store.database import DatabaseError
from sip.store.importing import BadFile, CsvFile, NewPassword, Report, password_blocks
from sip.store.passwords import WEAK
from sip.store.undo import NoSuchStep, Undo, Undone
from webadmin.context import Actor, AppContext, form_value, is_full_page, redirect
from webadmin.exports import download
from webadmin.import_columns import OPTIONS, FileColumns, chosen, peek
from webadmin.import_preview import KIND_NAMES, preview, refusals_as_csv
from webadmin.import_service import (
    MAX_AGE_SECONDS,
    MAX_IMPORT_BYTES,
    MAX_IMPORTS,
    ImportService,
)
from webadmin.language import N_, _, ngettext, translated
from webadmin.numbers import thousands
from webadmin.routes import Needs, Result, route
from webadmin.thread_pool import TooBusy
from webadmin.undo_text import undone_text
from webadmin.uploads import uploaded

log = logging.getLogger(__name__)

# Generated passwords that a page shows; more are offered as a file.
MAX_SHOWN_PASSWORDS = 500

# Seconds between searches for imports that are too old, or whose session has ended.
_SWEEP_SECONDS = 60
# The number of an import is random, so that a page from before a restart cannot match it.
_NUMBERS = 10**12
_NUMBER = re.compile("[0-9]{1,12}")

_STALE = N_(
    "This import no longer exists: it was replaced, or it has expired. The import page shows the"
    " current one."
)


@dataclass
class ImportJob:
    """The import of one session, from its upload to its report.

    `number` identifies the preview that a page has shown: it changes with the preview.  `columns`
    are there until the file is applied, so that it can be read again.
    """

    session: int
    number: int
    started_at: float
    update: bool = False
    generate: bool = False
    state: str = "reading"  # then columns or checked, applying, done, undoing, undone; or failed
    rows_read: int = 0
    report: Report = field(default_factory=Report)
    csv_file: CsvFile | None = None
    columns: FileColumns | None = None
    error: str = ""
    undone: Undone | None = None

    @property
    def is_working(self) -> bool:
        """Return True while the file is read or applied, or the import undone."""
        return self.state in ("reading", "applying", "undoing")

    @property
    def samples(self) -> list[str]:
        """Names from the file, to check a guessed encoding by."""
        return self.csv_file.samples if self.csv_file else []

    @property
    def apply_label(self) -> str:
        """The text of the apply button, with the assumptions that it confirms."""
        report, parts = self.report, []
        if report.encoding != "UTF-8":
            parts.append(_("read it as {encoding}").format(encoding=report.encoding))
        if report.unknown:
            count = len(report.unknown)
            part = ngettext("leave {count} column out", "leave {count} columns out", count)
            parts.append(part.format(count=count))
        if not parts:
            return _("Apply")
        label = _("{steps} and apply").format(steps=", ".join(parts))
        return label[0].upper() + label[1:]

    @property
    def error_text(self) -> str:
        """The error, or the result of the undo, in the language of the request."""
        if self.undone:
            return undone_text(self.undone)
        return translated(self.error)

    @property
    def summary(self) -> str:
        """The number of the written changes."""
        new, changed = self.report.new, self.report.changed
        text = _("{new} new, {changed} changed")
        text = text.format(new=thousands(new), changed=thousands(changed))
        if generated := self.report.generated:
            text += ngettext(
                ", {count} password generated", ", {count} passwords generated", generated
            ).format(count=thousands(generated))
        return text

    def take_passwords(self) -> list[NewPassword]:
        """Return the generated passwords, and remove them: they are shown only once."""
        passwords, self.report.passwords = self.report.passwords, []
        return passwords


class StaleImport(Exception):
    """The preview that a page has shown is no longer current: applied, cancelled or expired."""


class ImportJobs:
    """Runs imports: one per session, for a few sessions at a time."""

    def __init__(self, context: AppContext, service: ImportService) -> None:
        self._context = context
        self._service = service
        self._jobs: dict[int, ImportJob] = {}  # by session, the oldest first
        self._choices = ColumnChoices(context.users.database)
        service.passwords_held = lambda: sum(len(j.report.passwords) for j in self._jobs.values())
        self._sweeper: gevent.Greenlet[[], None] | None = None

    @property
    def current(self) -> ImportJob | None:
        """The import of the current session."""
        return self._jobs.get(self._session)

    @contextmanager
    def upload(self) -> Iterator[None]:
        """Count an upload while it is received.  Raises TooBusy before anything is received."""
        self._check_replaceable()
        self._job_to_replace()
        with self._service.upload():
            yield

    def start(self, file: BinaryIO, *, update: bool, generate: bool) -> None:
        """Read a file and prepare its preview, in the background.  Raises TooBusy."""
        self._check_replaceable()  # again: another window may have started one meanwhile
        replaced = [old for old in (self.current, self._job_to_replace()) if old]
        for old in replaced:
            del self._jobs[old.session]
        job = ImportJob(self._session, _number(), self._context.clock(), update, generate)
        self._jobs[job.session] = job
        gevent.spawn(self._work, job, lambda: self._read_first(job, file))
        if not self._sweeper:
            self._sweeper = gevent.spawn(self._sweep)
        for old in replaced:
            self._release_rows(old)

    def change(self, number: int, *, update: bool, generate: bool) -> None:
        """Prepare the preview again, with more allowed.  Raises StaleImport."""
        job = self._find(number)
        if job.csv_file and job.state == "checked":
            job.update = job.csv_file.update = update or job.csv_file.update
            job.generate = job.csv_file.generate = generate or job.csv_file.generate
            job.number, job.state = _number(), "reading"
            gevent.spawn(self._work, job, lambda: self._check(job))

    def choose(self, number: int, read_choice: Callable[[int], ColumnChoice]) -> None:
        """Read the file again with other columns, and keep them.  Raises StaleImport.

        `read_choice` returns what each of so many columns is to be taken for.
        """
        job = self._find(number)
        columns = job.columns
        if columns and job.state in ("checked", "columns"):
            columns.choice, columns.is_kept = read_choice(len(columns.header)), False
            job.number, job.state, job.rows_read = _number(), "reading", 0
            self._release_rows(job)
            gevent.spawn(self._work, job, lambda: self._read_chosen(job, columns))

    def apply(self, number: int) -> None:
        """Apply the import, all rows or none, in the background.  Raises StaleImport."""
        job = self._find(number)
        if job.csv_file and job.state == "checked" and not job.report.refused:
            csv_file, job.state = job.csv_file, "applying"
            actor = self._context.actor
            gevent.spawn(self._work, job, lambda: self._apply(job, csv_file, actor))

    def undo(self, number: int) -> None:
        """Undo the import, in the background.  Raises StaleImport."""
        job = self._find(number)
        if job.state == "done" and job.report.undo_step:
            actor, job.state = self._context.actor, "undoing"
            gevent.spawn(self._work, job, lambda: self._undo(job, actor))

    def cancel(self, number: int) -> None:
        """Remove the preview or the report.  Raises StaleImport.

        A report stays until its generated passwords were shown.
        """
        job = self._find(number)
        if not (job.is_working or job.report.passwords):
            self._remove(job)

    def remove_expired(self) -> None:
        """Remove the imports that are too old."""
        for job in [*self._jobs.values()]:
            if not job.is_working and self._context.clock() > job.started_at + MAX_AGE_SECONDS:
                self._remove(job)

    def remove_orphans(self) -> None:
        """Remove the imports of sessions that have ended, unless one is being applied."""
        alive = self._context.sessions.ids(self._context.clock())
        for job in [*self._jobs.values()]:
            if not job.is_working and job.session not in alive:
                self._remove(job)

    @property
    def _session(self) -> int:
        return (
            self._context.session.id if self._context.session else 0
        )  # request_checks.py requires a session

    def _find(self, number: int) -> ImportJob:
        job = self.current
        if job is None or job.number != number:
            raise StaleImport
        return job

    def _check_replaceable(self) -> None:
        """Raise TooBusy if the import of the session must not be replaced."""
        job = self.current
        if job and job.is_working:
            raise TooBusy("your last import is still running; wait until it has finished")
        if job and job.report.passwords:
            raise TooBusy(
                "the generated passwords of your last import were not shown yet; open them first"
            )

    def _job_to_replace(self) -> ImportJob | None:
        """Return the import to remove for a new one of this session, None if there is room.

        It is the oldest that is not running and has no generated passwords to show.  Raises
        TooBusy if there is none.
        """
        others = [job for job in self._jobs.values() if job.session != self._session]
        if len(others) < MAX_IMPORTS:
            return None
        for job in others:
            if not (job.is_working or job.report.passwords):
                return job
        raise TooBusy(f"{len(others)} other imports are running; try again in a minute")

    def _remove(self, job: ImportJob) -> None:
        self._jobs.pop(job.session, None)
        self._release_rows(job)

    def _release_rows(self, job: ImportJob) -> None:
        """Release the rows, and the passwords if the import was removed."""
        csv_file, job.csv_file = job.csv_file, None
        if csv_file:
            self._service.free(csv_file)
        if job is not self._jobs.get(job.session) and (passwords := job.take_passwords()):
            self._service.release(lambda: release_memory(passwords))

    def _sweep(self) -> None:
        while self._jobs:
            gevent.sleep(_SWEEP_SECONDS)
            self.remove_expired()
            with suppress(DatabaseError):  # tried again in the next round
                self.remove_orphans()
        self._sweeper = None

    def _work(self, job: ImportJob, work: Callable[[], None]) -> None:
        try:
            work()
        except UnknownColumns as error:
            job.state, job.error = "columns", f"{error}."
        except NoSuchStep as error:
            job.report.undo_step = 0
            job.state, job.error = "done", f"{error}."
        except (BadFile, DatabaseError, TooBusy) as error:
            job.state, job.error = "failed", f"{error}."
        except Exception:
            log.exception("unhandled error while handling an import")
            job.state, job.error = "failed", "The server has a fault. Its log has the details."
        if job.state not in ("checked", "columns"):
            job.columns = None
            self._release_rows(job)

    def _read_first(self, job: ImportJob, file: BinaryIO) -> None:
        """Read a file with the columns that were chosen for its header, if there are any."""
        rows = self._context.imports.run(lambda: peek(file))
        job.columns = FileColumns.known(file, rows, self._choices)
        self._read(job, file, job.update, job.generate)

    def _read_chosen(self, job: ImportJob, columns: FileColumns) -> None:
        columns.keep(self._choices)
        self._read(job, columns.file, job.update, job.generate)

    def _read(self, job: ImportJob, file: BinaryIO, update: bool, generate: bool) -> None:
        def progress(rows: int) -> None:
            job.rows_read = rows

        # The page shows unknown columns and a guessed encoding; the apply button confirms both.
        job.csv_file = self._service.read(
            file,
            update=update,
            generate=generate,
            ask_later=True,
            choice=job.columns.choice if job.columns else None,
            progress=progress,
        )
        self._check(job)

    def _check(self, job: ImportJob) -> None:
        if job.csv_file:
            job.report = self._service.check(job.csv_file)
        job.state = "checked"

    def _apply(self, job: ImportJob, csv_file: CsvFile, actor: Actor) -> None:
        report = self._service.apply(csv_file, actor)
        # Report and state change together, so that no page shows one without the other.
        job.report, job.state = report, "checked" if report.refused else "done"
        job.started_at = self._context.clock()  # the age of the report

    def _undo(self, job: ImportJob, actor: Actor) -> None:
        done = Undo(self._context.users).undo(job.report.undo_step)
        self._context.record(Act.USERS_UNDONE, f"{done.step.act}, {done.step.about}", actor)
        job.state, job.undone = "undone", done
        passwords = job.take_passwords()
        self._service.release(lambda: release_memory(passwords))


def _number() -> int:
    return secrets.randbelow(_NUMBERS)


def mount(app: Bottle, context: AppContext, service: ImportService) -> None:
    """Add /users/import to `app`."""
    page = ImportPage(context, service)
    route(app, "GET", "/users/import", page.show, Needs.ADMIN)
    route(app, "POST", "/users/import", page.upload)
    route(app, "POST", "/users/import/change", page.change)
    route(app, "POST", "/users/import/columns", page.choose_columns)
    route(app, "POST", "/users/import/apply", page.apply)
    route(app, "POST", "/users/import/undo", page.undo)
    route(app, "POST", "/users/import/cancel", page.cancel)
    route(app, "GET", "/users/import/refused.csv", page.download_refusals)
    route(app, "POST", "/users/import/passwords.csv", page.download_passwords)


class ImportPage:
    """The page at /users/import, and its forms."""

    def __init__(self, context: AppContext, service: ImportService) -> None:
        self._context = context
        self._service = service
        self._imports = ImportJobs(context, service)

    def show(self, error: str = "") -> str:
        """Return the page; it shows generated passwords once."""
        self._imports.remove_expired()
        job = self._imports.current
        passwords: list[NewPassword] = []
        if job and job.report.passwords and len(job.report.passwords) <= MAX_SHOWN_PASSWORDS:
            if is_full_page():
                passwords = job.take_passwords()
            else:
                response.set_header("HX-Refresh", "true")  # reload: a full page shows them
        if passwords or (job and job.columns):  # samples of a column may be passwords
            self._context.leave_uncompressed()
        rows = job.csv_file if job and job.state == "checked" else None
        return self._context.page(
            "import.tpl",
            section="/users",
            job=job,
            error=error,
            refresh=2 if job and job.is_working else 0,
            max_megabytes=MAX_IMPORT_BYTES // 1024 // 1024,
            preview=preview(self._context.users, rows, job.report) if job and rows else None,
            options=OPTIONS,
            max_passwords=MAX_SHOWN_PASSWORDS,
            weak=WEAK,
            summary=job.summary if job else "",
            kind_names={kind: _(name) for kind, name in KIND_NAMES.items()},
            passwords=passwords,
            password_sheet="".join(password_blocks(passwords)),
        )

    def upload(self) -> Result:
        """Receive a file and start to read it."""
        with self._imports.upload():
            try:
                file, ticked = uploaded(self._context, "update", "generate")
            except ValueError as error:
                response.status = 422
                return self.show(_(str(error)))
            self._imports.start(file, update="update" in ticked, generate="generate" in ticked)
        return redirect("/users/import")

    def change(self) -> Result:
        """Allow changes of users, or generated passwords, and prepare the preview again."""
        update, generate = (form_value(name) == "yes" for name in ("update", "generate"))
        return self._act(
            lambda number: self._imports.change(number, update=update, generate=generate)
        )

    def choose_columns(self) -> Result:
        """Read the file again with the columns in the form."""
        return self._act(lambda number: self._imports.choose(number, chosen))

    def apply(self) -> Result:
        """Apply the import."""
        return self._act(self._imports.apply)

    def undo(self) -> Result:
        """Undo the import."""
        return self._act(self._imports.undo)

    def cancel(self) -> Result:
        """Remove the preview or the report."""
        return self._act(self._imports.cancel)

    def _act(self, action: Callable[[int], None]) -> Result:
        number = form_value("number")
        try:
            action(int(number) if _NUMBER.fullmatch(number) else 0)
        except StaleImport:
            raise HTTPError(409, _STALE) from None
        return redirect("/users/import")

    def download_refusals(self) -> Iterable[str]:
        """Return the refused rows and their reasons as a CSV file.  Raises HTTPError(409)."""
        if not ((job := self._imports.current) and job.report.refused):
            raise HTTPError(409, _STALE)
        return download("refused.csv", refusals_as_csv(job.report))

    def download_passwords(self) -> Iterable[str]:
        """Return the generated passwords as a CSV file, once.  Raises HTTPError(409)."""
        job = self._imports.current
        passwords = job.take_passwords() if job and str(job.number) == form_value("number") else []
        if not passwords:
            raise HTTPError(409, "These passwords were already shown. There is no copy of them.")
        self._context.leave_uncompressed()
        return download("passwords.csv", self._released_after(passwords))

    def _released_after(self, passwords: list[NewPassword]) -> Iterator[str]:
        try:
            yield from password_blocks(passwords, for_spreadsheet=True)
        finally:
            self._service.release(lambda: release_memory(passwords))
