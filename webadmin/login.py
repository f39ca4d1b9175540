"""Sign-in, in one step or two, and sign-out."""

from typing import NamedTuple

from bottle import Bottle, request, response

from sip.store.admin_passwords import verify
from sip.store.admins import Administrator
from sip.store.audit import Act
from sip.store.sessions import SESSION_SECONDS
from webadmin.context import SESSION, AppContext, form_value, redirect
from webadmin.encryption import is_encrypted
from webadmin.language import _
from webadmin.request_checks import COOKIE, sign_in_page
from webadmin.routes import Needs, Result, route
from webadmin.saved_form import SavedForm, local_path, saved_form
from webadmin.second_step import CodeCheck, PendingSignIns
from webadmin.sign_in_limits import SignInLimiter, TooManyAttempts, reject_for_now
from webadmin.templates import browser_of
from webadmin.thread_pool import TooBusy

# The cookie outlives its session, so that the page can say that the session has ended.
_COOKIE_SECONDS = 10 * SESSION_SECONDS
# Signing out leaves an empty cookie for a minute, so that the next page can say so.
_SIGNED_OUT, _SIGNED_OUT_SECONDS = "", 60

# No password has this hash.  It is checked for a wrong user name, so that the answer takes as long
# as for the right one.
_NO_USER_HASH = f"$argon2id$v=19$m=19456,t=2,p=1$c2lwc2VydmVyLW5vYm9keQ${'A' * 43}"


class SignIn(NamedTuple):
    """An administrator whose password was right, and the hash that it was checked with."""

    administrator: Administrator
    password_hash: str


def check_password(
    context: AppContext, limiter: SignInLimiter, username: str, password: str
) -> SignIn | None:
    """Return the administrator, None if the name or the password is wrong.

    Raises TooManyAttempts, and TooBusy, which does not count as an attempt.
    """
    address = request.environ.get("REMOTE_ADDR", "")
    if seconds := limiter.seconds_blocked(address):
        raise TooManyAttempts(seconds)
    limiter.count_attempt(address, username)
    administrator = context.admins.find(username)
    password_hash = context.admins.password_hash(username) or _NO_USER_HASH
    try:
        is_right = context.sign_ins.run(lambda: verify(password_hash, password))
    except TooBusy:
        limiter.uncount_attempt(address, username)
        raise
    if not is_right or administrator is None:
        # An unknown name is not recorded: people sometimes type their password into that field.
        blocked = ", no further tries for a while" if limiter.seconds_blocked(address) else ""
        cause = f"wrong password of {administrator.name}" if administrator else "wrong name"
        context.record(Act.SIGN_IN_REFUSED, cause + blocked)
        return None
    if administrator.has_second_factor:
        limiter.uncount_attempt(address, username)  # wrong codes stay counted
    else:
        limiter.clear(address, username)
    return SignIn(administrator, password_hash)


def open_session(context: AppContext, username: str, password_hash: str) -> None:
    """Open a session for the browser of the current request, and close its former one."""
    if context.session:
        context.sessions.close(context.session.id)
    address, now = request.environ.get("REMOTE_ADDR", ""), context.clock()
    user_agent = request.headers.get("User-Agent", "")
    token = context.sessions.open(username, address, user_agent, now, password_hash)
    request.environ[SESSION] = context.sessions.find(token, now)
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


def mount(app: Bottle, context: AppContext, limiter: SignInLimiter, codes: CodeCheck) -> None:
    """Add /login, /login/code and /logout to `app`."""
    page = SignInPage(context, limiter, codes)
    route(app, "GET", "/login", page.show, Needs.NOTHING)
    route(app, "POST", "/login", page.sign_in, Needs.NOTHING)
    route(app, "GET", "/login/code", lambda: redirect("/login"), Needs.NOTHING)
    route(app, "POST", "/login/code", page.enter_code, Needs.NOTHING)
    # After the session has ended, too.
    route(app, "POST", "/logout", page.sign_out, Needs.NOTHING)


class SignInPage:
    """The page at /login, the one for the code, and the forms to sign in and out."""

    def __init__(self, context: AppContext, limiter: SignInLimiter, codes: CodeCheck) -> None:
        self._context = context
        self._limiter = limiter
        self._codes = codes
        self._pending = PendingSignIns(context.monotonic)

    def show(self) -> Result:
        """Return the page; the cookie shows if a session has ended, or if the user signed out."""
        if self._context.session:
            return redirect("/")
        next_path = local_path(request.query.getunicode("next") or "")
        token = request.cookies.get(COOKIE)
        if token is None:
            return sign_in_page(self._context, next_path=next_path)
        if token == _SIGNED_OUT:
            return sign_in_page(
                self._context, message=_("You have signed out."), next_path=next_path
            )
        message = (
            _("Your session has ended. Sign in again to open the page.")
            if next_path
            else _("Your session has ended. Sign in again.")
        )
        return sign_in_page(self._context, message=message, has_ended=True, next_path=next_path)

    def sign_in(self) -> Result:
        """Check the password; then ask for the code, or open a session."""
        context = self._context
        username, password = form_value("username").strip(), form_value("password")
        next_path, saved = local_path(form_value("next")), saved_form()

        def form(error: str) -> str:
            return sign_in_page(context, error, username, next_path=next_path, saved=saved)

        try:
            found = check_password(context, self._limiter, username, password)
        except TooManyAttempts as error:
            return form(reject_for_now(error))
        if found is None:
            response.status = 403
            return form(_("The user name or the password is wrong."))
        name = found.administrator.name
        if found.administrator.has_second_factor:
            ticket = self._pending.add(name, found.password_hash)
            return self._code_form(ticket, next_path, saved)
        return self._enter(name, found.password_hash, next_path, saved)

    def _code_form(
        self, ticket: str, next_path: str, saved: SavedForm | None, error: str = ""
    ) -> str:
        self._context.leave_uncompressed()
        return self._context.page(
            "login_code.tpl", ticket=ticket, next=next_path, saved=saved, error=error
        )

    def enter_code(self) -> Result:
        """Check the code of the second factor, and open a session."""
        context, ticket = self._context, form_value("ticket")
        next_path, saved = local_path(form_value("next")), saved_form()
        pending = self._pending.find(ticket)
        if pending is None:
            response.status = 403
            message = _("The sign-in took too long. Start again.")
            return sign_in_page(context, message, "", next_path=next_path, saved=saved)
        try:
            is_valid = self._codes.accept(pending.name, form_value("code"))
        except TooManyAttempts as error:
            return self._code_form(ticket, next_path, saved, reject_for_now(error))
        if not is_valid:
            response.status = 403
            error_text = _("The code is wrong, or it was used already.")
            return self._code_form(ticket, next_path, saved, error_text)
        self._pending.remove(ticket)
        return self._enter(pending.name, pending.password_hash, next_path, saved)

    def _enter(
        self, name: str, password_hash: str, next_path: str, saved: SavedForm | None
    ) -> Result:
        """Open a session, and redirect to the page that was asked for."""
        context = self._context
        open_session(context, name, password_hash)
        if context.session:  # None if the password was changed at this very moment
            context.record(Act.SIGNED_IN, browser_of(context.session.user_agent))
            if saved:
                return context.page("saved_form.tpl", saved=saved, next=next_path)
        return redirect(next_path or "/")

    def sign_out(self) -> Result:
        """Close the session."""
        if self._context.session:
            self._context.sessions.close(self._context.session.id)
            self._context.record(Act.SIGNED_OUT)
        set_cookie(_SIGNED_OUT, _SIGNED_OUT_SECONDS)
        return redirect("/login")
