"""The application of /me: users sign in with their SIP name and password.

It is an application of its own, with a cookie of its own: no session of it opens a page of the
administrators, and none of theirs opens it.  A handler takes all that it shows from the account of
its session; no form names an account.
"""

import dataclasses
import logging
from typing import cast

from bottle import Bottle, HTTPError, request, response

from sip.monitor.refusals import Refusal
from sip.phone_numbers import number_of
from sip.store.accounts import check_password, full_name, normalized
from sip.store.audit import ANONYMOUS, Act
from sip.store.call_changes import change_call_settings, is_known_target
from sip.store.call_settings import DEFAULT_SECONDS, TARGETS, BadSetting, CallSettings
from sip.store.directory import Entry
from sip.store.passwords import weakness
from sip.store.users import NoSuchUser, UserExists
from webadmin.client_address import client_of_request
from webadmin.context import Actor, AppContext, form_value, redirect
from webadmin.encryption import is_encrypted
from webadmin.http.compression import WSGIApp
from webadmin.language import N_, _, translated
from webadmin.password_notes import weakness_note
from webadmin.request_checks import catch_errors, check_form_request
from webadmin.routes import Result, route
from webadmin.self_service.sessions import SESSION_SECONDS, UserSession, UserSessions
from webadmin.self_service.sign_in import PasswordCheck, SignInBlocked
from webadmin.sign_in_limits import SignInLimiter
from webadmin.templates import as_sentence
from webadmin.user_calls import last_calls
from webadmin.users import SIGNED_OFF

log = logging.getLogger(__name__)

PREFIX = "/me"
COOKIE = "sipserver_me"
# Refusals on the page.
SOME_REFUSALS = 5

_SENTENCES = {
    404: N_("There is no page at this address."),
    405: N_("This page does not support that request method."),
}


def build(context: AppContext, page: "OwnPage") -> WSGIApp:
    """Return the application, which is served for PREFIX and the paths under it."""
    app = Bottle()
    app.add_hook("before_request", check_form_request)
    app.install(catch_errors)
    route(app, "GET", PREFIX, page.show)
    route(app, "POST", f"{PREFIX}/login", page.sign_in)
    route(app, "POST", f"{PREFIX}/logout", page.sign_out)
    route(app, "POST", f"{PREFIX}/phones/drop", page.drop_phone)
    route(app, "POST", f"{PREFIX}/password", page.change_password)
    route(app, "POST", f"{PREFIX}/calls", page.change_calls)
    app.default_error_handler = lambda error: error_page(context, error)
    return cast(WSGIApp, app)


class OwnPage:
    """The page of a user, and its forms."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self.sessions = UserSessions(context.users, context.monotonic)
        limiter = SignInLimiter(context.monotonic)
        self._passwords = PasswordCheck(context.users, context.guard, limiter)

    def show(self, **errors: str) -> str:
        """Return the page of the user, or the form to sign in; `errors` are by field."""
        session = self.session()
        if session is None:
            has_ended = bool(request.get_cookie(COOKIE))
            return self.form(
                PREFIX, notice=_("Your session has ended. Sign in again.") if has_ended else ""
            )
        return self._page(session, errors)

    def sign_in(self) -> Result:
        """Open a session for the right name and password."""
        refused = self.open_session(PREFIX)
        return redirect(PREFIX) if refused is None else refused

    def open_session(self, path: str) -> str | None:
        """Open a session by the posted form of `path`; return the form again if it is refused."""
        context = self._context
        username, password = form_value("username").strip(), form_value("password")
        realm = form_value("realm").strip() or context.users.realm
        try:
            account = self._passwords.account(client_of_request(), username, realm, password)
        except SignInBlocked as error:
            return self.form(path, self._blocked(error), username=username, realm=realm)
        if account is None:
            response.status = 403
            text = _("The user name or the password is wrong.")
            return self.form(path, text, username=username, realm=realm)
        if token := self.token():
            self.sessions.close(token)
        _set_cookie(self.sessions.open(account), SESSION_SECONDS)
        return None

    def sign_out(self) -> Result:
        """End the session."""
        self.close_session()
        return redirect(PREFIX)

    def close_session(self) -> None:
        """End the session of the current request."""
        if token := self.token():
            self.sessions.close(token)
        _set_cookie("", 0)

    def drop_phone(self) -> Result:
        """Remove one contact of the user; its phone can register again."""
        session = self._signed_in()
        entry, key = self._entry(session), form_value("contact")
        found = [each for each in entry.contacts if each.key == key]
        if not found:
            session.message = _("This phone is not registered any more.")
            return redirect(PREFIX)
        for each in found:
            self._context.phones.remove_contact(each.aor, each.contact, each.flow)
        self._record(Act.OWN_PHONE, session)
        session.message = _(SIGNED_OFF)
        return redirect(PREFIX)

    def change_password(self) -> Result:
        """Set a new password: this ends all other sessions of the user."""
        context, session = self._context, self._signed_in()
        current, password, again = map(form_value, ("current", "password", "again"))
        if password != again:
            return self._refuse(session, again=_("The two passwords are not the same."))
        try:
            check_password(normalized(password))
        except ValueError as error:
            return self._refuse(session, password=as_sentence(str(error)))
        username, realm = session.username, session.realm
        try:
            account = self._passwords.account(client_of_request(), username, realm, current)
        except SignInBlocked as error:
            return self._page(session, {"current": self._blocked(error)})
        if account is None:
            return self._refuse(session, current=_("This password is wrong."))
        try:
            context.users.set_password(username, password, realm, number=session.user_id)
        except NoSuchUser:  # removed at this moment
            return redirect(PREFIX)
        self._record(Act.OWN_PASSWORD, session)
        changed = context.users.find(username, realm)
        if changed is None:
            return redirect(PREFIX)
        token = self.sessions.open(changed)
        _set_cookie(token, SESSION_SECONDS)
        if (new := self.sessions.find(token)) is not None:
            new.message = _("The password was changed. Type it into your phones, too.")
            new.message += weakness_note(weakness(password, username))
        return redirect(PREFIX)

    def change_calls(self) -> Result:
        """Change forwarding and do not disturb of the user; its aliases are the admins' alone."""
        context, session = self._context, self._signed_in()
        before = self._entry(session).call_settings
        typed = {field: form_value(field).strip() for field in (*TARGETS, "no_answer_seconds")}
        typed["no_answer_seconds"] = typed["no_answer_seconds"] or str(DEFAULT_SECONDS)
        typed["dnd"] = form_value("dnd")
        changes = {**typed, "dnd": typed["dnd"] != ""}
        username, realm, number = session.username, session.realm, session.user_id
        try:
            settings = change_call_settings(context.users, username, changes, realm, number=number)
        except NoSuchUser:  # removed at this moment
            return redirect(PREFIX)
        except BadSetting as error:
            return self._refuse_calls(session, typed, error.field, str(error))
        except UserExists as error:  # possible after the main realm was renamed
            text = _("An administrator has to change your aliases first: {reason}")
            text = text.format(reason=translated(str(error)))
            return self._refuse_calls(session, typed, "dnd", text)
        changed = [field for field in changes if getattr(settings, field) != getattr(before, field)]
        if changed:
            self._record(Act.USER_CALLS, session, f": {settings.text_of(changed)}")
        session.message = " ".join([_("Saved."), *self._unknown_targets(settings, realm)])
        return redirect(PREFIX)

    def _unknown_targets(self, settings: CallSettings, realm: str) -> list[str]:
        """Return a sentence for each target that is a name, but not of a user or a group."""
        users, targets = self._context.users, (getattr(settings, field) for field in TARGETS)
        text = _("There is no user or group {name}: calls that are forwarded there fail.")
        return [
            text.format(name=target)
            for target in dict.fromkeys(targets)
            if target and ":" not in target and not number_of(target)
            if not is_known_target(users, target, realm)
        ]

    def _refuse_calls(
        self, session: UserSession, typed: dict[str, str], field: str, error: str
    ) -> str:
        response.status = 422
        return self._page(session, {field: as_sentence(error)}, typed)

    def token(self) -> str | None:
        """Return the token of the current request, if it has one."""
        token: str | None = request.get_cookie(COOKIE)
        return token

    def session(self) -> UserSession | None:
        """Return the session of the current request, None if there is none or it has ended."""
        token = self.token()
        return self.sessions.find(token) if token else None

    def _signed_in(self) -> UserSession:
        """Return the session.  Raises a redirect to the sign-in without one."""
        session = self.session()
        if session is None:
            raise redirect(PREFIX)
        return session

    def _entry(self, session: UserSession) -> Entry:
        entry = self._context.directory.entry(session.user_id)
        if entry is None:  # removed at this moment
            raise redirect(PREFIX)
        return entry

    def _page(
        self,
        session: UserSession,
        errors: dict[str, str],
        typed: dict[str, str] | None = None,
    ) -> str:
        """Return the page; `typed` are refused values of the form of calls."""
        context, entry = self._context, self._entry(session)
        said, session.message = session.message, ""
        name = full_name(session.username, context.users.key_realm(session.realm))
        refusals = context.refusals.of_user(name, session.username, session.realm)
        return context.page(
            "me.tpl",
            user=entry,
            said=said,
            errors=errors,
            typed=typed or dataclasses.asdict(entry.call_settings),
            calls=last_calls(context, entry.id),
            refusals=[row for row in refusals if is_own(row, name)][:SOME_REFUSALS],
        )

    def form(
        self, path: str, error: str = "", *, notice: str = "", username: str = "", realm: str = ""
    ) -> str:
        """Return the form to sign in, which is posted to `path`/login."""
        context = self._context
        return context.page(
            "me_login.tpl",
            path=path,
            error=error,
            notice=notice,
            username=username,
            realm=realm or context.users.realm,
            asks_realm=len(context.users.realms()) > 1,
        )

    def _refuse(self, session: UserSession, **errors: str) -> str:
        response.status = 422
        return self._page(session, errors)

    def _blocked(self, error: SignInBlocked) -> str:
        response.status = 429
        if error.seconds:
            response.set_header("Retry-After", str(error.seconds))
        return str(error)

    def _record(self, act: Act, session: UserSession, details: str = "") -> None:
        # Without a name, so that a user cannot push out the entries of administrators.
        name = full_name(session.username, self._context.users.key_realm(session.realm))
        self._context.record(
            act, f"{name}, on {PREFIX}{details}", by=Actor(ANONYMOUS, client_of_request())
        )


def is_own(row: Refusal, name: str) -> bool:
    """Return True for a refusal that a user may see: of its own registration, or its own call.

    Those of calls to the user name other users, and their addresses.
    """
    return row.user == name if row.method != "REGISTER" else not row.to


def _set_cookie(token: str, seconds: int) -> None:
    response.set_cookie(
        COOKIE,
        token,
        path="/",  # of /phone, too
        httponly=True,
        samesite="strict",
        secure=is_encrypted(),
        max_age=seconds,
    )


def error_page(context: AppContext, error: HTTPError) -> str:
    """Return the page of an error."""
    if error.exception:  # raised inside bottle; catch_errors logs the errors of handlers
        log.error("unhandled error while handling %r", request.path, exc_info=error.exception)
    sentence = str(error.body)
    if sentence.startswith(("Not found: ", "Method not allowed")):
        sentence = _(_SENTENCES[error.status_code])
    sentence = translated(_(sentence))
    return context.page("error.tpl", title=_("Not possible"), sentence=sentence, is_of_users=False)
