"""The context of all page handlers: the stores, the running server, flash messages, audit."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from bottle import HTTPError, HTTPResponse, request, response

from sip import __version__
from sip.config import Config
from sip.core.auth.phone_logins import PhoneLogins
from sip.core.guard.guard import Guard
from sip.listening import ListeningAddress
from sip.monitor.calls import Calls
from sip.monitor.day_lines import CallsToday, DayLines
from sip.monitor.events import AdminActed, Bus
from sip.monitor.health import Check
from sip.monitor.lost_phones import LostPhones
from sip.monitor.recent_events import RecentEvents
from sip.monitor.refusals import Refusals
from sip.monitor.traces import Traces
from sip.running_settings import RunningSettings
from sip.setting_sources import Sources
from sip.store.admins import Admins
from sip.store.audit import ANONYMOUS, Act, Audit
from sip.store.bans import Bans
from sip.store.directory import Directory
from sip.store.history import History
from sip.store.kept_settings import KeptSettings
from sip.store.registrations import Registrations
from sip.store.second_factor import SecondFactors
from sip.store.sessions import Session, Sessions
from sip.store.tokens import Role, Token, Tokens
from sip.store.users import Users
from sip.transport.flow import network_of
from webadmin.client_address import client_of_request
from webadmin.encryption import is_encrypted, is_exposed
from webadmin.http.compression import HEAD_ONLY
from webadmin.navigation import chosen_theme
from webadmin.phone_setups import PhoneSetups
from webadmin.templates import render
from webadmin.thread_pool import Workers

log = logging.getLogger(__name__)

# The key of the session in the WSGI environment of a request.
SESSION = "sipserver.session"
# The key of the token of a request to the API.
TOKEN = "sipserver.token"  # noqa: S105 -- a name

# Tasks that may wait for a thread: sign-ins, some 12 ms each, steps of an import, and ladders.
_SIGN_INS = 200
_IMPORTS = 4
_LADDERS = 20

# Flash messages kept for sessions that never load the page.
_MAX_FLASHES = 200


class Phones(Protocol):
    """The part of the location service that the pages use."""

    def __len__(self) -> int:
        """Return the number of addresses-of-record with a registered phone."""

    def remove_contact(self, aor: str, contact: str, flow: str) -> None:
        """Remove one contact.  Blocks until the database has it."""


class HealthChecks(Protocol):
    """The health checks of the running server."""

    def checks(self) -> Sequence[Check]:
        """Return all checks; waits for some seconds at most."""

    def known(self) -> Sequence[Check]:
        """Return the checks that have a result; does not wait."""


class _NoChecks:
    def checks(self) -> Sequence[Check]:
        return ()

    known = checks


class PastSide(Protocol):
    """The caller or the callee of a past call; `user_id` is 0 where it is no user here."""

    @property
    def user_id(self) -> int:
        """The id of the account."""

    @property
    def name(self) -> str:
        """The display name, "" without one."""

    def number(self, main_realm: str = "") -> str:
        """Return the dialled text."""


class PastCall(Protocol):
    """One call of the history; see sip/monitor/calls.py for its values."""

    @property
    def call_id(self) -> str:
        """The Call-ID."""

    @property
    def caller(self) -> PastSide:
        """The caller."""

    @property
    def callee(self) -> PastSide:
        """The callee."""

    @property
    def started_at(self) -> float:
        """The time of the INVITE, in Unix seconds."""

    @property
    def rang_seconds(self) -> float:
        """The seconds from the first ring to the answer or the end."""

    @property
    def talked_seconds(self) -> float:
        """The seconds from the answer to the end."""

    @property
    def result(self) -> str:
        """A text of CallResult."""

    @property
    def cause(self) -> str:
        """A clause that says why the call ended."""

    @property
    def cure(self) -> str:
        """What an administrator can do, in sentences, or ""."""


class TotalsOfToday(Protocol):
    """The calls that have ended since midnight (UTC): all, and the answered ones."""

    @property
    def calls(self) -> int:
        """Return the number of calls."""

    @property
    def answered(self) -> int:
        """Return the number of answered calls."""

    @property
    def average_talk(self) -> float | None:
        """Return the seconds that an answered call lasts, None without one."""


class OperatorWarning(NamedTuple):
    """A problem that the operator should know of, and what to do about it.

    `action` is the label of a link to `href`, the page where that is done.
    """

    text: str
    remedy: str
    action: str
    href: str


class FlashMessage(NamedTuple):
    """A message that the page of `path` shows once; `secret` is a text to copy.

    `kind` is "password" or "token".
    """

    path: str
    text: str
    secret: str
    kind: str


class Actor(NamedTuple):
    """The author of an act in the audit; the name is empty without a session."""

    name: str
    address: str


def form_value(name: str) -> str:
    """Return the value of a form field, "" if the form lacks it.  Raises HTTPError(400)."""
    try:
        return request.forms.getunicode(name) or ""
    except (LookupError, ValueError):  # an unknown charset, or a malformed body
        raise HTTPError(400, "The form cannot be read.") from None


def redirect(path: str) -> HTTPResponse:
    """Return a redirect (303) to another page of this server.

    The Location is a path: a proxy may serve the pages under another name and scheme.
    """
    answer = response.copy(cls=HTTPResponse)  # keeps the cookies that the handler has set
    answer.status, answer.body = 303, ""
    answer.set_header("Location", path)
    return answer


def _no_call(call_id: str, from_tag: str) -> bool:
    """Return False: without a running server there is no call to hang up."""
    return False


def _nowhere(network: str, username: str, realm: str) -> bool:
    """Return False: without a running server no user is registered."""
    return False


@dataclass
class AppContext:
    """The stores and services that the handlers use.

    `warnings` returns the current warnings, `listening` the addresses that SIP listens on.
    `guard`, `refusals`, `calls` and `traces` belong to the running server: blocked logins, refused
    requests, present calls, messages in memory; `hang_up` ends a call by its Call-ID and the
    caller's tag, or returns False.
    `metrics` returns the text of /metrics.
    `call_phone` rings the phones of a user name and realm, and returns the outcome as a sentence;
    None if there is no robot.
    `health`, `recent`, `lost_phones` and `lines` are what the overview shows.  `calls_today`
    returns the numbers of the calls that have ended since midnight, `last_calls` the latest calls
    of an account, at most as many as its second argument.
    `running_settings` belong to the running server; without them there are only defaults.
    `setups` are the links and secrets by which phones are set up.
    `environment_password` is True if each start sets the password, see Admins.first_password.
    """

    config: Config
    users: Users
    directory: Directory
    admins: Admins
    sessions: Sessions
    audit: Audit
    phones: Phones
    bans: Bans
    tokens: Tokens
    bus: Bus
    sign_ins: Workers = field(default_factory=lambda: Workers(threads=2, most=_SIGN_INS))
    imports: Workers = field(default_factory=lambda: Workers(threads=2, most=_IMPORTS))
    drawing: Workers = field(default_factory=lambda: Workers(threads=1, most=_LADDERS))
    # One makes a backup, while another one reads those that are sent.
    backups: Workers = field(default_factory=lambda: Workers(threads=2, most=8))
    warnings: Callable[[], Sequence[OperatorWarning]] = tuple
    listening: Callable[[], Sequence[ListeningAddress]] = tuple
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic  # for limits: the clock may be set
    environment_password: bool = False
    guard: Guard = field(
        default_factory=lambda: Guard(
            time.monotonic, time.time, (), _nowhere, lambda rules: False, Bus()
        )
    )
    refusals: Refusals = field(default_factory=Refusals)
    calls: Calls = field(default_factory=lambda: Calls(Bus()))
    hang_up: Callable[[str, str], bool] = _no_call
    traces: Traces = field(default_factory=lambda: Traces(Bus()))
    metrics: Callable[[], bytes] = bytes
    call_phone: Callable[[str, str], str] | None = None
    health: HealthChecks = field(default_factory=_NoChecks)
    recent: RecentEvents = field(default_factory=lambda: RecentEvents(Bus()))
    lost_phones: LostPhones = field(default_factory=lambda: LostPhones(Bus()))
    lines: DayLines = field(default_factory=lambda: DayLines(Bus(), Calls(Bus()), ()))
    calls_today: Callable[[], TotalsOfToday] = lambda: CallsToday(0, 0, None)
    last_calls: Callable[[int, int], Sequence[PastCall]] = lambda user_id, limit: ()
    running_settings: RunningSettings | None = None
    phone_logins: PhoneLogins = field(default_factory=PhoneLogins)
    setups: PhoneSetups = field(init=False)
    _flashes: dict[int, FlashMessage] = field(default_factory=dict)
    _started_at: float = field(init=False)  # monotonic

    def __post_init__(self) -> None:
        self._started_at = self.monotonic()
        self.setups = PhoneSetups(self.monotonic)

    def close(self) -> None:
        """Stop the threads."""
        self.sign_ins.close()
        self.imports.close()
        self.drawing.close()
        self.backups.close()

    @property
    def settings(self) -> RunningSettings:
        """The settings, with their sources."""
        if self.running_settings is None:
            self.running_settings = RunningSettings(
                Sources({}, {}, {}, ""),
                KeptSettings(self.users.database),
                self.config,
                lambda config: setattr(self, "config", config),
                self.clock,
            )
        return self.running_settings

    @property
    def history(self) -> History:
        """The history of calls, of which all is in the database."""
        return History(self.users.database)

    @property
    def registrations(self) -> Registrations:
        """The registrations of all users."""
        return Registrations(self.users.database, self.users, self.phones, self.clock)

    @property
    def session(self) -> Session | None:
        """The session of the current request."""
        session: Session | None = request.environ.get(SESSION)
        return session

    @property
    def can_change(self) -> bool:
        """True if the session of the current request has the role admin."""
        return self.session is not None and self.session.role is Role.ADMIN

    @property
    def lacks_second_factor(self) -> bool:
        """True if the administrator has to set up a second factor before anything else."""
        session = self.session
        return bool(self.config.web_second_factor and session and not session.has_second_factor)

    @property
    def second_factors(self) -> SecondFactors:
        """The second factors of the administrators."""
        return SecondFactors(self.users.database)

    def leave_uncompressed(self) -> None:
        """Send the current response uncompressed: it shows a secret.

        The length of a compressed page could reveal the secret (BREACH), see http/compression.py.
        """
        response.set_header("Cache-Control", "no-store, no-transform")

    def page(self, template: str, *, section: str = "", **values: object) -> str:
        """Render a page for the current session, with its flash message if there is one."""
        message = self._take_flash()
        if message and message.secret:
            self.leave_uncompressed()
        return render(
            template,
            session=self.session,
            can_change=self.can_change,
            section=section,
            message=message,
            version=__version__,
            exposed=is_exposed(self.config) and not is_encrypted(),
            is_part=is_part_of_page(),
            theme=chosen_theme(),
            counts=self.counts() if self.session else {},
            domain=self.config.sip_realm,
            uptime=self.monotonic() - self._started_at,
            now=self.clock(),
            **values,
        )

    def counts(self) -> Mapping[str, int]:
        """Return the numbers beside the links of the side bar, by path; each costs a len()."""
        return {
            "/calls": len(self.calls),
            "/users": len(self.users),
            "/trouble": len(self.refusals.refused),
        }

    @property
    def actor(self) -> Actor:
        """The sender of the current request, for the audit."""
        token: Token | None = request.environ.get(TOKEN)
        name = (
            self.session.username if self.session else f"token {token.name}" if token else ANONYMOUS
        )
        return Actor(name, client_of_request())

    def users_in_trouble(self) -> set[int]:
        """Return the ids of the users that cannot register or call.

        Their requests were refused since they last registered, or their logins are blocked.
        """
        names = {
            (row.username, row.realm or self.users.realm)
            for row in self.refusals.latest()
            if (row.user, network_of(row.address)) in self.refusals.refused
        }
        blocked = self.guard.blocked_logins()
        names |= {(login.username, realm) for login in blocked for realm in self.users.realms()}
        accounts = (self.users.find(username, realm) for username, realm in names)
        return {account.id for account in accounts if account is not None}

    def record(self, act: Act, about: str = "", by: Actor | None = None) -> None:
        """Log an act, and publish it for the audit.

        `by` is for an act that ends after its request.
        """
        name, address = by or self.actor
        what = f"{act.text}, {about}" if about else act.text
        fields = {"user": name, "address": address}
        log.info("audit: %s, by %s from %s", what, name or "unknown user", address, extra=fields)
        self.bus.publish(AdminActed(self.clock(), act, name, address, about))

    def flash(self, path: str, text: str, secret: str = "", kind: str = "password") -> HTTPResponse:
        """Redirect to a page of this server, which shows `text` once.

        `path` may have a query.
        """
        if self.session:
            while len(self._flashes) >= _MAX_FLASHES:
                del self._flashes[next(iter(self._flashes))]
            message = FlashMessage(path.partition("?")[0], text, secret, kind)
            self._flashes[self.session.id] = message
        return redirect(path)

    def _take_flash(self) -> FlashMessage | None:
        """Remove and return the flash message of this page; a refreshed part would not show it."""
        message = self._flashes.get(self.session.id) if self.session else None
        if self.session and message and message.path == request.path and is_full_page():
            return self._flashes.pop(self.session.id)
        return None


def is_part_of_page() -> bool:
    """Return True if a page asks for a part of itself, so that the frame can be left out.

    False for a page of the browser's history: htmx asks for it whole.
    """
    is_whole = request.headers.get("HX-History-Restore-Request")
    return bool(request.headers.get("HX-Request")) and not is_whole


def is_full_page() -> bool:
    """Return True if the browser shows the response as a page, so that it can show a secret once.

    False for a refreshed part of a page, a HEAD request and a prefetch.
    """
    purpose = request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")
    is_part = bool(request.headers.get("HX-Request"))
    is_get = request.method == "GET" and HEAD_ONLY not in request.environ
    return is_get and not is_part and "prefetch" not in purpose
