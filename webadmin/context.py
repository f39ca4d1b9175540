"""What the pages are about: the stores they show, and what they may have done."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from bottle import HTTPError, HTTPResponse, request, response

from sip.config import Config
from sip.core.guard.guard import Guard
from sip.listening import ListeningAddress
from sip.monitor.events import Bus
from sip.monitor.refusals import Refusals
from sip.store.admin import USERNAME, Admin, Session
from sip.store.audit import ANONYMOUS, Act, Audit
from sip.store.bans import Bans
from sip.store.database import DatabaseError
from sip.store.directory import Directory
from sip.store.users import Users
from webadmin.encryption import is_encrypted, is_exposed
from webadmin.http.compression import HEAD_ONLY
from webadmin.templates import render
from webadmin.thread_pool import Workers

log = logging.getLogger(__name__)

# Where a request carries the session that it belongs to.
SESSION = "sipserver.session"

# Sign-ins that wait for a thread, some 12 ms each; and the steps of an import.
_SIGN_INS = 200
_IMPORTS = 4

# Notes kept for readers who never come to fetch them.
_MAX_NOTES = 200


# What a route gives: a page, or where the browser is to go instead.
Answer: TypeAlias = "str | HTTPResponse"


class Phones(Protocol):
    """The location service, as far as the pages need it."""

    def __len__(self) -> int:
        """How many addresses-of-record have a phone."""

    def remove_contact(self, aor: str, contact: str, flow: str) -> None:
        """Remove one contact.  Blocks until that is stored."""


class Advice(NamedTuple):
    """A warning for the operator, and what to do about it."""

    warning: str
    cure: str


class Note(NamedTuple):
    """What the page of `path` says once about an act; `secret` is a password to be copied."""

    path: str
    text: str
    secret: str


class Doer(NamedTuple):
    """Who does something, and where; a stranger has no name."""

    name: str
    address: str


def typed(name: str) -> str:
    """What somebody has typed into a field; "" where a form has none of that name."""
    try:
        return request.forms.getunicode(name) or ""
    except (LookupError, ValueError):  # of a charset that is none, of a type that can't be read
        raise HTTPError(400, "The form cannot be read.") from None


def go_to(path: str) -> HTTPResponse:
    """Send the browser to another page of ours, by GET.

    Only the path is said: which name and scheme lead here is the browser's to know.
    """
    answer = response.copy(cls=HTTPResponse)  # with the cookies that it sets
    answer.status, answer.body = 303, ""
    answer.set_header("Location", path)
    return answer


def _nowhere(network: str, username: str, realm: str) -> bool:
    """Tell of no user that it is registered."""
    return False


@dataclass
class Site:
    """What the routes work on.

    `advice` gives the warnings of this moment, `listening` the addresses that SIP listens on.

    `guard` and `refusals` are those of the running server: who has to wait, what was refused.
    `environment_password` is whether each start sets the password, see Admin.first_password.
    """

    config: Config
    users: Users
    directory: Directory
    admin: Admin
    audit: Audit
    phones: Phones
    bans: Bans
    sign_ins: Workers = field(default_factory=lambda: Workers(threads=2, most=_SIGN_INS))
    imports: Workers = field(default_factory=lambda: Workers(threads=2, most=_IMPORTS))
    advice: Callable[[], Sequence[Advice]] = tuple
    listening: Callable[[], Sequence[ListeningAddress]] = tuple
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic  # for waits, which no step of the clock changes
    environment_password: bool = False
    guard: Guard = field(
        default_factory=lambda: Guard(
            time.monotonic, time.time, (), _nowhere, lambda rules: False, Bus()
        )
    )
    refusals: Refusals = field(default_factory=Refusals)
    _notes: dict[int, Note] = field(default_factory=dict)

    def close(self) -> None:
        """Let the threads go."""
        self.sign_ins.close()
        self.imports.close()

    @property
    def session(self) -> Session | None:
        """Who is signed in by the request at hand."""
        session: Session | None = request.environ.get(SESSION)
        return session

    def leave_uncompressed(self) -> None:
        """Say that the answer at hand shows a secret, which its length must not tell.

        See compression.py.
        """
        response.set_header("Cache-Control", "no-store, no-transform")

    def page(self, template: str, *, section: str = "", **values: object) -> str:
        """Fill in a page for whoever is signed in, with the note that waits for them."""
        note = self._take_note()
        if note and note.secret:
            self.leave_uncompressed()
        return render(
            template,
            session=self.session,
            section=section,
            note=note,
            exposed=is_exposed(self.config) and not is_encrypted(),
            now=self.clock(),
            **values,
        )

    @property
    def doer(self) -> "Doer":
        """Who has sent the request at hand, for the audit."""
        return Doer(USERNAME if self.session else ANONYMOUS, request.environ.get("REMOTE_ADDR", ""))

    def record(self, act: Act, about: str = "", by: "Doer | None" = None) -> None:
        """Enter in the audit, and in the log, what has been done.

        `by` is for what ends after its request.  An entry that cannot be written fails no page.
        """
        who, address = by or self.doer
        what = f"{act}, {about}" if about else act
        log.info("%s from %s: %s", who or "a stranger", address, what)
        try:
            self.audit.note(act, who, address, about, self.clock())
        except DatabaseError as error:
            log.error("missing in the audit: %s", error)

    def say(self, path: str, text: str, secret: str = "") -> HTTPResponse:
        """Send the browser to a page of ours, which then says something, once.

        `path` may have a query.
        """
        if self.session:
            while len(self._notes) >= _MAX_NOTES:
                del self._notes[next(iter(self._notes))]
            self._notes[self.session.id] = Note(path.partition("?")[0], text, secret)
        return go_to(path)

    def _take_note(self) -> Note | None:
        """Take the note that waits for this page; a part that is refreshed would not show it."""
        note = self._notes.get(self.session.id) if self.session else None
        if self.session and note and note.path == request.path and is_read():
            return self._notes.pop(self.session.id)
        return None


def is_read() -> bool:
    """Tell whether the answer is a page that a person sees, so that it can show something once.

    A part that is refreshed, a HEAD and what a browser fetches in advance are none.
    """
    purpose = request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")
    is_part = bool(request.headers.get("HX-Request"))
    is_whole = request.method == "GET" and HEAD_ONLY not in request.environ
    return is_whole and not is_part and "prefetch" not in purpose
