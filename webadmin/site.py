"""What the pages are about: the stores they show, and what they may have done."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from bottle import HTTPResponse, request, response

from sip.config import Config
from sip.store.admin import Admin, Session
from sip.store.directory import Directory
from sip.store.users import Users
from webadmin.pages import render
from webadmin.work import Workers

# Where a request carries the session that it belongs to.
SESSION = "sipserver.session"

# Notes kept for readers who never come to fetch them.
_MAX_NOTES = 200


# What a route gives: a page, or where the browser is to go instead.
Answer: TypeAlias = "str | HTTPResponse"


class Phones(Protocol):
    """The location service, as far as the pages need it."""

    def __len__(self) -> int:
        """How many addresses-of-record have a phone."""

    def drop(self, aor: str, contact: str) -> None:
        """Let go of one contact.  Blocks until that is kept."""


class Advice(NamedTuple):
    """A warning for the operator, and what to do about it."""

    warning: str
    cure: str


class Note(NamedTuple):
    """What a page says once about the act before it; `secret` is a password to be copied."""

    text: str
    secret: str = ""


def go_to(path: str) -> HTTPResponse:
    """Send the browser to another page of ours, by GET.

    Only the path is said: which name and scheme lead here is the browser's to know.
    """
    answer = response.copy(cls=HTTPResponse)  # with the cookies that it sets
    answer.status, answer.body = 303, ""
    answer.set_header("Location", path)
    return answer


@dataclass
class Site:
    """What the routes work on.  `advice` gives the warnings of this moment."""

    config: Config
    users: Users
    directory: Directory
    admin: Admin
    phones: Phones
    workers: Workers = field(default_factory=Workers)
    advice: Callable[[], Sequence[Advice]] = tuple
    clock: Callable[[], float] = time.time
    _notes: dict[int, Note] = field(default_factory=dict)

    @property
    def session(self) -> Session | None:
        """Who is signed in by the request at hand."""
        session: Session | None = request.environ.get(SESSION)
        return session

    def page(self, template: str, *, section: str = "", **values: object) -> str:
        """Fill in a page for whoever is signed in, with the note that waits for them."""
        session = self.session
        note = self._notes.pop(session.id, None) if session else None
        return render(
            template, session=session, section=section, note=note, now=self.clock(), **values
        )

    def leave_note(self, text: str, secret: str = "") -> None:
        """Have the next page of this session say something, once."""
        if self.session is None:
            return
        while len(self._notes) >= _MAX_NOTES:
            del self._notes[next(iter(self._notes))]
        self._notes[self.session.id] = Note(text, secret)
