"""The own account of an administrator: password, signed-in browsers, second factor, theme."""

from bottle import Bottle, HTTPError, response

from sip.store.admin_passwords import hash_password, password_weakness
from sip.store.audit import Act
from sip.store.sessions import Session
from webadmin.context import AppContext, form_value
from webadmin.language import _
from webadmin.login import check_password, open_session
from webadmin.navigation import THEMES
from webadmin.password_notes import weakness_note
from webadmin.routes import Needs, Result, route
from webadmin.sign_in_limits import SignInLimiter, TooManyAttempts, reject_for_now
from webadmin.templates import as_sentence, browser_of, shown_browser

PAGE = "/account"


def mount(app: Bottle, context: AppContext, limiter: SignInLimiter) -> None:
    """Add /account and its forms to `app`, but for those of the second factor."""
    page, own = AccountPage(context, limiter), Needs.OWN_ACCOUNT
    route(app, "GET", PAGE, page.show, own)
    route(app, "POST", f"{PAGE}/password", page.change_password, own)
    route(app, "POST", f"{PAGE}/sessions/<number:id>/end", page.end_session, own)
    route(app, "POST", f"{PAGE}/sessions/end", page.end_other_sessions, own)


def own_session(context: AppContext) -> Session:
    """Return the session of the current request.  Raises HTTPError(403) without one."""
    if context.session is None:  # request_checks.py lets no such request through
        raise HTTPError(403, "Sign in first.")
    return context.session


class AccountPage:
    """The page at /account, and its forms."""

    def __init__(self, context: AppContext, limiter: SignInLimiter) -> None:
        self._context = context
        self._limiter = limiter

    def show(self, **errors: str) -> str:
        """Return the page; `errors` are sentences by the name of the field."""
        context, name = self._context, own_session(self._context).username
        own = context.admins.find(name)
        if own is None:  # removed at this very moment
            raise HTTPError(403, "Sign in first.")
        return context.page(
            "account.tpl",
            section=PAGE,
            errors=errors,
            sessions=context.sessions.of(name, context.clock()),
            own=own,
            from_environment=context.environment_password and name == "admin",
            is_required=context.config.web_second_factor,
            themes=THEMES,
        )

    def _reject(self, **errors: str) -> str:
        response.status = 422
        return self.show(**errors)

    def change_password(self) -> Result:
        """Set a new password and end all other sessions of the administrator."""
        context, name = self._context, own_session(self._context).username
        current, password, again = map(form_value, ("current", "password", "again"))
        if password != again:
            return self._reject(again=_("The two passwords are not the same."))
        try:
            # The current password is required, so that an unattended browser is not enough to
            # take the account over.
            if check_password(context, self._limiter, name, current) is None:
                return self._reject(current=_("This password is wrong."))
            hashed = context.sign_ins.run(lambda: hash_password(password))
        except TooManyAttempts as error:
            return self.show(current=reject_for_now(error))
        except ValueError as error:
            return self._reject(password=as_sentence(str(error)))
        context.admins.set_password_hash(hashed, name)  # this ends every session
        context.record(Act.PASSWORD_CHANGED, "all other sessions ended")
        open_session(context, name, hashed)  # this browser gets a new token; the old one is invalid
        message = _("The password was changed. All other browsers are signed out.")
        return context.flash(PAGE, message + weakness_note(password_weakness(password, name)))

    def end_session(self, number: int) -> Result:
        """Sign one browser out.  Raises HTTPError(404)."""
        context, name = self._context, own_session(self._context).username
        for session in context.sessions.of(name, context.clock()):
            if session.id == number:
                browser = browser_of(session.user_agent)
                context.sessions.close(number)
                context.record(Act.SESSION_ENDED, f"{browser}, from {session.address}")
                return context.flash(
                    PAGE, _("{name} is signed out.").format(name=shown_browser(session.user_agent))
                )
        raise HTTPError(404, "This session has already ended.")

    def end_other_sessions(self) -> Result:
        """Sign all other browsers of the administrator out."""
        context, session = self._context, own_session(self._context)
        context.sessions.close_others(session.username, session.id)
        context.record(Act.OTHERS_ENDED)
        return context.flash(PAGE, _("All other browsers are signed out."))
