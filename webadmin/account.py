"""The administrator's account: the password, and the browsers that are signed in."""

from bottle import Bottle, HTTPError, response

from sip.store.admin import USERNAME, hash_password, password_weakness
from sip.store.audit import Act
from webadmin.context import AppContext, form_value
from webadmin.login import (
    SignInLimiter,
    TooManyAttempts,
    check_password,
    open_session,
    reject_for_now,
)
from webadmin.routes import Result, route
from webadmin.templates import as_sentence, browser_of


def mount(app: Bottle, context: AppContext, limiter: SignInLimiter) -> None:
    """Add the routes under /account to `app`."""
    page = AccountPage(context, limiter)
    route(app, "GET", "/account", page.show)
    route(app, "POST", "/account/password", page.change_password)
    route(app, "POST", "/account/sessions/<number:id>/end", page.end_session)
    route(app, "POST", "/account/sessions/end", page.end_other_sessions)


class AccountPage:
    """The page at /account, and its forms."""

    def __init__(self, context: AppContext, limiter: SignInLimiter) -> None:
        self._context = context
        self._limiter = limiter

    def show(self, **errors: str) -> str:
        """Return the page; `errors` are sentences by the name of the field."""
        return self._context.page(
            "account.tpl",
            section="/account",
            errors=errors,
            sessions=self._context.admin.sessions(self._context.clock()),
            from_environment=self._context.environment_password,
        )

    def _reject(self, **errors: str) -> str:
        response.status = 422
        return self.show(**errors)

    def change_password(self) -> Result:
        """Set a new password and end all other sessions."""
        context = self._context
        current, password, again = map(form_value, ("current", "password", "again"))
        if password != again:
            return self._reject(again="The two passwords are not the same.")
        try:
            # The current password is required, so that an unattended browser is not enough to
            # take the account over.
            if check_password(context, self._limiter, USERNAME, current) is None:
                return self._reject(current="This password is wrong.")
            hashed = context.sign_ins.run(lambda: hash_password(password))
        except TooManyAttempts as error:
            return self.show(current=reject_for_now(error))
        except ValueError as error:
            return self._reject(password=as_sentence(str(error)))
        context.admin.set_password_hash(hashed)  # this ends every session
        open_session(context, hashed)  # this browser gets a new token; the old one is invalid
        context.record(Act.PASSWORD_CHANGED, "all other sessions ended")
        message = "The password was changed. All other browsers are signed out."
        if reason := password_weakness(password):
            message += f" The password is weak: it {reason}."
        return context.flash("/account", message)

    def end_session(self, number: int) -> Result:
        """Sign one browser out.  Raises HTTPError(404)."""
        context = self._context
        for session in context.admin.sessions(context.clock()):
            if session.id == number:
                context.admin.close_session(number)
                browser = browser_of(session.user_agent)
                context.record(Act.SESSION_ENDED, f"{browser}, from {session.address}")
                return context.flash("/account", f"{browser} is signed out.")
        raise HTTPError(404, "This session has already ended.")

    def end_other_sessions(self) -> Result:
        """Sign all other browsers out."""
        context = self._context
        if context.session:  # always true here: request_checks.py requires a session
            context.admin.close_others(context.session.id)
        context.record(Act.OTHERS_ENDED)
        return context.flash("/account", "All other browsers are signed out.")
