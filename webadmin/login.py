"""Signing in and out."""

import math
from collections.abc import Callable

from bottle import Bottle, request, response

from sip.store.admin import SESSION_SECONDS, USERNAME, verify
from sip.store.audit import Act
from webadmin.context import SESSION, Answer, Site, go_to, typed
from webadmin.encryption import is_encrypted
from webadmin.http.connections import address_and_network
from webadmin.request_checks import COOKIE, sign_in_page
from webadmin.saved_form import own_path, typed_form
from webadmin.templates import browser_of
from webadmin.thread_pool import TooBusy

# Wrong passwords from one address until it has to wait, and for how long, in seconds.  What is
# limited is the address, never the account: nobody can lock the administrator out from elsewhere.
MAX_TRIES = 10
TRIES_SECONDS = 15 * 60
# Addresses remembered; beyond them the one that has been quiet for longest is forgotten.
MAX_ADDRESSES = 10_000

# A browser shows a token longer than it opens anything, to be told that the session has ended;
# and the empty one of a browser that has signed out.
_COOKIE_SECONDS = 10 * SESSION_SECONDS
_SIGNED_OUT, _SIGNED_OUT_SECONDS = "", 60

# No password has this hash: who signs in by another name waits as long for the same answer.
_NOBODY = f"$argon2id$v=19$m=19456,t=2,p=1$c2lwc2VydmVyLW5vYm9keQ${'A' * 43}"


class Tries:
    """Counts the sign-ins that failed, by address."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}  # count, and when it starts anew

    def wait(self, address: str) -> float:
        """Tell how many seconds an address has to wait; 0 is not at all."""
        count, until = self._failures.get(network_of(address), (0, 0.0))
        return max(0.0, until - self._clock()) if count >= MAX_TRIES else 0.0

    def start(self, address: str) -> None:
        """Count a try.  It counts from its start, or many at once would pass before one fails."""
        key, now = network_of(address), self._clock()
        count, until = self._failures.pop(key, (0, 0.0))
        if until <= now:
            count, until = 0, now + TRIES_SECONDS
        while len(self._failures) >= MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = (count + 1, until)

    def take_back(self, address: str) -> None:
        """Uncount a try that was not even looked at."""
        key = network_of(address)
        if key in self._failures:
            count, until = self._failures[key]
            self._failures[key] = (count - 1, until)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        self._failures.pop(network_of(address), None)


def network_of(address: str) -> str:
    """Give what one person has: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        return address_and_network(address)[1]
    except ValueError:
        return address


class TooManyTries(Exception):
    """Too many wrong passwords from an address; the text says how long it has to wait."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"Too many wrong passwords. Try again in {math.ceil(wait / 60)} min.")
        self.seconds = math.ceil(wait)


def check_password(site: Site, tries: Tries, username: str, password: str) -> str | None:
    """Give the hash that a password belongs to, None where it is wrong.

    Raises TooManyTries, and TooBusy, which counts as no try.
    """
    address = request.environ.get("REMOTE_ADDR", "")
    if wait := tries.wait(address):
        raise TooManyTries(wait)
    tries.start(address)
    kept = site.admin.password_hash() if username == USERNAME else None
    try:
        is_right = site.sign_ins.run(lambda: verify(kept or _NOBODY, password))
    except TooBusy:
        tries.take_back(address)
        raise
    if not is_right:
        # Which name it was is nobody's business: people type their password where it belongs.
        waits = ", no further tries for a while" if tries.wait(address) else ""
        known = "wrong password" if username == USERNAME else "wrong name"
        site.record(Act.SIGN_IN_REFUSED, known + waits)
        return None
    tries.succeeded(address)
    return kept


def refuse_for_now(error: TooManyTries) -> str:
    """Answer 429, and give the sentence to show."""
    response.status = 429
    response.set_header("Retry-After", str(error.seconds))
    return str(error)


def open_session(site: Site, password_hash: str) -> None:
    """Sign the browser in that asks; what it showed before opens nothing any more."""
    if site.session:
        site.admin.close_session(site.session.id)
    address, now = request.environ.get("REMOTE_ADDR", ""), site.clock()
    user_agent = request.headers.get("User-Agent", "")
    token = site.admin.open_session(address, user_agent, now, password_hash)
    request.environ[SESSION] = site.admin.session(token, now)
    set_cookie(token, _COOKIE_SECONDS)


def set_cookie(token: str, seconds: int) -> None:
    """Have the browser show a token from now on."""
    response.set_cookie(
        COOKIE,
        token,
        path="/",
        httponly=True,
        samesite="strict",
        secure=is_encrypted(),
        max_age=seconds,
    )


def mount(app: Bottle, site: Site, tries: Tries) -> None:
    """Put /login and /logout on `app`."""

    @app.get("/login")  # type: ignore[untyped-decorator]
    def ask() -> Answer:
        if site.session:
            return go_to("/")
        wanted = own_path(request.query.getunicode("next") or "")
        token = request.cookies.get(COOKIE)
        if token is None:
            return sign_in_page(site, wanted=wanted)
        if token == _SIGNED_OUT:
            return sign_in_page(site, said="You have signed out.", wanted=wanted)
        said = "Your session has ended. Sign in again"
        said += ", and the page that you wanted opens." if wanted else "."
        return sign_in_page(site, said=said, has_ended=True, wanted=wanted)

    @app.post("/login")  # type: ignore[untyped-decorator]
    def sign_in() -> Answer:
        username = typed("username").strip()
        password = typed("password")
        wanted, kept_form = own_path(typed("next")), typed_form()

        def form(error: str) -> str:
            return sign_in_page(site, error, username, wanted=wanted, kept=kept_form)

        try:
            kept = check_password(site, tries, username, password)
        except TooManyTries as error:
            return form(refuse_for_now(error))
        if kept is None:
            response.status = 403
            return form("That user name or password is wrong.")
        open_session(site, kept)
        if site.session:  # else the password was replaced this very moment
            site.record(Act.SIGNED_IN, browser_of(site.session.user_agent))
            if kept_form:
                return site.page("kept_form.tpl", kept=kept_form, next=wanted)
        return go_to(wanted or "/")

    @app.post("/logout")  # type: ignore[untyped-decorator]
    def sign_out() -> Answer:
        if site.session:
            site.admin.close_session(site.session.id)
            site.record(Act.SIGNED_OUT)
        # Without its token the cookie is for the next page alone, which says so.
        set_cookie(_SIGNED_OUT, _SIGNED_OUT_SECONDS)
        return go_to("/login")
