"""Changes of many chosen users in the background, one of each session."""

import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import gevent

from sip.memory import release_memory
from sip.store.audit import Act
from sip.store.bulk_change import BulkChange, Changed
from sip.store.database import DatabaseError
from sip.store.import_report import NewPassword
from webadmin.context import Actor, AppContext
from webadmin.thread_pool import TooBusy

log = logging.getLogger(__name__)

MAX_JOBS = 4
# How long generated passwords wait to be shown, in seconds.
MAX_AGE = 15 * 60
_NUMBERS = 10**12
# Seconds that a page waits for a small change, so that it need not show the progress.
_PATIENCE = 0.3

# What the forms call each change, and what the audit does.
ACTS = {
    "enable": Act.USERS_ENABLED,
    "disable": Act.USERS_DISABLED,
    "delete": Act.USERS_DELETED,
    "passwords": Act.USERS_PASSWORDS,
}


@dataclass
class BulkJob:
    """One change: `done` of `total` users; then the result, or an error as a sentence."""

    act: str
    total: int
    number: int
    done: int = 0
    is_working: bool = True
    changed: Changed = field(default_factory=Changed)
    error: str = ""

    def progress(self, users: int) -> None:
        """Count users that are done; called in another thread."""
        self.done += users

    def take_passwords(self) -> list[NewPassword]:
        """Return the generated passwords, and remove them: they are shown only once."""
        passwords, self.changed.passwords = self.changed.passwords, []
        return passwords


class BulkJobs:
    """The changes of all sessions."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._jobs: dict[int, BulkJob] = {}  # by session

    def of(self, session: int) -> BulkJob | None:
        """Return the latest change of a session."""
        return self._jobs.get(session)

    def start(self, session: int, act: str, ids: set[int]) -> BulkJob:
        """Begin a change, and wait a moment for its end.  Raises TooBusy."""
        before = self._jobs.get(session)
        if before and before.is_working:
            raise TooBusy("your last change is still running; wait until it has finished")
        if before and before.changed.passwords:
            raise TooBusy(
                "the new passwords of your last change were not shown yet; open them first"
            )
        if sum(job.is_working for job in self._jobs.values()) >= MAX_JOBS:
            raise TooBusy("too many changes at the same time; try again in a minute")
        job = BulkJob(act, len(ids), secrets.randbelow(_NUMBERS))
        self._jobs[session] = job
        worker = gevent.spawn(self._work, session, job, ids, self._context.actor)
        worker.join(_PATIENCE)
        return job

    def remove(self, session: int, job: BulkJob) -> None:
        """Remove a job with its passwords."""
        if self._jobs.get(session) is job:
            del self._jobs[session]
        if passwords := job.take_passwords():
            self.release(passwords)

    def release(self, passwords: list[NewPassword]) -> None:
        """Free many passwords in a thread: it would block the event loop."""
        with suppress(TooBusy):  # then they are freed at once
            self._context.imports.run(lambda: release_memory(passwords))

    def _work(self, session: int, job: BulkJob, ids: set[int], actor: Actor) -> None:
        change = BulkChange(
            self._context.users, actor.name, job.progress, self._context.imports.run
        )
        functions: dict[str, Callable[[set[int]], Changed]] = {
            "enable": change.enable,
            "disable": change.disable,
            "delete": change.delete,
            "passwords": change.set_passwords,
        }
        try:
            job.changed = functions[job.act](ids)
        except (DatabaseError, TooBusy) as error:
            job.error = f"{error}."
        except Exception:
            log.exception("unhandled error while changing users")
            job.error = "The server has a fault. Its log has the details."
        else:
            if job.changed.count:
                self._context.record(ACTS[job.act], job.changed.about, actor)
        job.is_working = False
        gevent.spawn_later(MAX_AGE, self.remove, session, job)
