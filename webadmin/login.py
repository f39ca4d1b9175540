"""Sign-in and sign-out, and the limit of wrong passwords."""

import math
from collections.abc import Callable

from bottle import Bottle, request, response

from sip.store.admin import SESSION_SECONDS, USERNAME, verify
from sip.store.audit import Act
from sip.transport.flow import network_of
from webadmin.context import SESSION, AppContext, form_value, redirect
from webadmin.encryption import is_encrypted
from webadmin.request_checks import COOKIE, sign_in_page
from webadmin.routes import Result, route
from webadmin.saved_form import local_path, saved_form
from webadmin.templates import browser_of
from webadmin.thread_pool import TooBusy

# Wrong passwords from one address until it is blocked, and for how long, in seconds.  The limit is
# per address and not per account, so that no other address can lock the administrator out.
MAX_TRIES = 10
TRIES_SECONDS = 15 * 60
# Addresses remembered; beyond them the one with the oldest attempt is removed.
MAX_ADDRESSES = 10_000

# The cookie outlives its session, so that the page can say that the session has ended.
_COOKIE_SECONDS = 10 * SESSION_SECONDS
# Signing out leaves an empty cookie for a minute, so that the next page can say so.
_SIGNED_OUT, _SIGNED_OUT_SECONDS = "", 60

# No password has this hash.  It is checked for a wrong user name, so that the answer takes as long
# as for the right one.
_NO_USER_HASH = f"$argon2id$v=19$m=19456,t=2,p=1$c2lwc2VydmVyLW5vYm9keQ${'A' * 43}"


class SignInLimiter:
    """Counts failed sign-ins per source: an IPv4 address, or the /64 network of an IPv6 one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}  # count, and when it is reset

    def seconds_blocked(self, address: str) -> float:
        """Return for how many seconds sign-ins from an address stay blocked; 0 if they aren't."""
        count, until = self._failures.get(source_of(address), (0, 0.0))
        return max(0.0, until - self._clock()) if count >= MAX_TRIES else 0.0

    def count_attempt(self, address: str) -> None:
        """Count an attempt when it starts: many at once would pass before the first one fails."""
        key, now = source_of(address), self._clock()
        count, until = self._failures.pop(key, (0, 0.0))
        if until <= now:
            count, until = 0, now + TRIES_SECONDS
        while len(self._failures) >= MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = (count + 1, until)

    def uncount_attempt(self, address: str) -> None:
        """Uncount an attempt whose password was not checked."""
        key = source_of(address)
        if key in self._failures:
            count, until = self._failures[key]
            self._failures[key] = (count - 1, until)

    def clear(self, address: str) -> None:
        """Remove the failures of an address."""
        self._failures.pop(source_of(address), None)


def source_of(address: str) -> str:
    """Return the network of an address; anything else, as of a Unix socket, is its own source."""
    try:
        return network_of(address)
    except ValueError:
        return address


class TooManyAttempts(Exception):
    """Too many wrong passwords from an address; the text says how long it is blocked."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many wrong passwords. Try again in {math.ceil(seconds / 60)} min.")
        self.seconds = math.ceil(seconds)


def check_password(
    context: AppContext, limiter: SignInLimiter, username: str, password: str
) -> str | None:
    """Return the hash that the password matches, None if the password is wrong.

    Raises TooManyAttempts, and TooBusy, which does not count as an attempt.
    """
    address = request.environ.get("REMOTE_ADDR", "")
    if seconds := limiter.seconds_blocked(address):
        raise TooManyAttempts(seconds)
    limiter.count_attempt(address)
    password_hash = context.admin.password_hash() if username == USERNAME else None
    try:
        is_right = context.sign_ins.run(lambda: verify(password_hash or _NO_USER_HASH, password))
    except TooBusy:
        limiter.uncount_attempt(address)
        raise
    if not is_right:
        # The name is not recorded: people sometimes type their password into that field.
        blocked = ", no further tries for a while" if limiter.seconds_blocked(address) else ""
        cause = "wrong password" if username == USERNAME else "wrong name"
        context.record(Act.SIGN_IN_REFUSED, cause + blocked)
        return None
    limiter.clear(address)
    return password_hash


def reject_for_now(error: TooManyAttempts) -> str:
    """Set status 429 and Retry-After, and return the sentence to show."""
    response.status = 429
    response.set_header("Retry-After", str(error.seconds))
    return str(error)


def open_session(context: AppContext, password_hash: str) -> None:
    """Open a session for the browser of the current request, and close its former one."""
    if context.session:
        context.admin.close_session(context.session.id)
    address, now = request.environ.get("REMOTE_ADDR", ""), context.clock()
    user_agent = request.headers.get("User-Agent", "")
    token = context.admin.open_session(address, user_agent, now, password_hash)
    request.environ[SESSION] = context.admin.session(token, now)
    set_cookie(token, _COOKIE_SECONDS)


def set_cookie(token: str, seconds: int) -> None:
    """Set the session cookie; it lives for `seconds`."""
    response.set_cookie(
        COOKIE,
        token,
        path="/",
        httponly=True,
        samesite="strict",
        secure=is_encrypted(),
        max_age=seconds,
    )


def mount(app: Bottle, context: AppContext, limiter: SignInLimiter) -> None:
    """Add /login and /logout to `app`."""
    page = SignInPage(context, limiter)
    route(app, "GET", "/login", page.show)
    route(app, "POST", "/login", page.sign_in)
    route(app, "POST", "/logout", page.sign_out)


class SignInPage:
    """The page at /login, and the forms to sign in and out."""

    def __init__(self, context: AppContext, limiter: SignInLimiter) -> None:
        self._context = context
        self._limiter = limiter

    def show(self) -> Result:
        """Return the page; the cookie shows if a session has ended, or if the user signed out."""
        if self._context.session:
            return redirect("/")
        next_path = local_path(request.query.getunicode("next") or "")
        token = request.cookies.get(COOKIE)
        if token is None:
            return sign_in_page(self._context, next_path=next_path)
        if token == _SIGNED_OUT:
            return sign_in_page(self._context, message="You have signed out.", next_path=next_path)
        message = "Your session has ended. Sign in again"
        message += " to open the page." if next_path else "."
        return sign_in_page(self._context, message=message, has_ended=True, next_path=next_path)

    def sign_in(self) -> Result:
        """Check the password, open a session, and redirect to the page that was asked for."""
        context = self._context
        username, password = form_value("username").strip(), form_value("password")
        next_path, saved = local_path(form_value("next")), saved_form()

        def form(error: str) -> str:
            return sign_in_page(context, error, username, next_path=next_path, saved=saved)

        try:
            password_hash = check_password(context, self._limiter, username, password)
        except TooManyAttempts as error:
            return form(reject_for_now(error))
        if password_hash is None:
            response.status = 403
            return form("The user name or the password is wrong.")
        open_session(context, password_hash)
        if context.session:  # None if the password was changed at this very moment
            context.record(Act.SIGNED_IN, browser_of(context.session.user_agent))
            if saved:
                return context.page("saved_form.tpl", saved=saved, next=next_path)
        return redirect(next_path or "/")

    def sign_out(self) -> Result:
        """Close the session."""
        if self._context.session:
            self._context.admin.close_session(self._context.session.id)
            self._context.record(Act.SIGNED_OUT)
        set_cookie(_SIGNED_OUT, _SIGNED_OUT_SECONDS)
        return redirect("/login")
