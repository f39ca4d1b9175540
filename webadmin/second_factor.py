"""The pages that turn the own second factor on and off, and show the recovery codes once."""

from collections.abc import Sequence
from typing import TypeVar

import segno
from bottle import Bottle, response

from sip.store.audit import Act
from sip.store.second_factor import key_uri, make_secret
from webadmin.account import PAGE as ACCOUNT
from webadmin.account import own_session
from webadmin.context import AppContext, form_value, is_full_page, redirect
from webadmin.language import N_, _
from webadmin.login import check_password
from webadmin.routes import Needs, Result, route
from webadmin.second_step import CodeCheck
from webadmin.sign_in_limits import SignInLimiter, TooManyAttempts, reject_for_now

PAGE = f"{ACCOUNT}/second-factor"
CODES = f"{ACCOUNT}/recovery-codes"

# Secrets and recovery codes kept for sessions that do not go on with them.
MAX_KEPT = 200

_WRONG_PASSWORD = N_("This password is wrong.")
_WRONG_CODE = N_("The code is wrong, or it was used already. Wait for the next one.")
_QR_SCALE = 4  # pixels of a module

T = TypeVar("T")


def mount(app: Bottle, context: AppContext, limiter: SignInLimiter, codes: CodeCheck) -> None:
    """Add the routes of the own second factor to `app`."""
    page, own = SecondFactorPage(context, limiter, codes), Needs.OWN_ACCOUNT
    route(app, "GET", PAGE, page.show, own)
    route(app, "POST", PAGE, page.turn_on, own)
    route(app, "POST", f"{PAGE}/off", page.turn_off, own)
    route(app, "GET", CODES, page.show_codes, own)


class SecondFactorPage:
    """The page at /account/second-factor, its forms, and the page of the recovery codes."""

    def __init__(self, context: AppContext, limiter: SignInLimiter, codes: CodeCheck) -> None:
        self._context = context
        self._limiter = limiter
        self._codes = codes
        self._secrets: dict[int, str] = {}  # not yet confirmed, by the id of the session
        self._recovery_codes: dict[int, Sequence[str]] = {}  # not yet shown

    def show(self, **errors: str) -> str:
        """Return the page that turns the second factor on, or the one that turns it off."""
        context, session = self._context, own_session(self._context)
        values = {"errors": errors, "is_required": context.config.web_second_factor}
        if session.has_second_factor:
            return context.page("second_factor_off.tpl", section=ACCOUNT, **values)
        secret = self._secrets.get(session.id) or make_secret()
        _keep(self._secrets, session.id, secret)
        uri = key_uri(secret, session.username, context.config.sip_realm)
        context.leave_uncompressed()
        return context.page(
            "second_factor.tpl",
            section=ACCOUNT,
            picture=segno.make(uri, error="m").svg_data_uri(scale=_QR_SCALE, light="white"),
            secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
            **values,
        )

    def _reject(self, **errors: str) -> str:
        response.status = 422
        return self.show(**errors)

    def _is_own_password(self) -> bool:
        """Return True if the form has the own password.  Raises TooManyAttempts."""
        name = own_session(self._context).username
        password = form_value("current")
        return check_password(self._context, self._limiter, name, password) is not None

    def turn_on(self) -> Result:
        """Turn the second factor on, if password and code are right, and end other sessions."""
        context, session = self._context, own_session(self._context)
        secret = self._secrets.get(session.id)
        if session.has_second_factor or secret is None:
            return context.flash(PAGE, _("Start again: this page was too old."))
        try:
            # An unattended browser must not be enough to lock the administrator out.
            if not self._is_own_password():
                return self._reject(current=_(_WRONG_PASSWORD))
        except TooManyAttempts as error:
            return self.show(current=reject_for_now(error))
        code, now = form_value("code"), context.clock()
        codes = context.second_factors.turn_on(session.username, secret, code, now)
        if not codes:
            return self._reject(
                code=_("The code is wrong. Are the clocks of the phone and of this server right?")
            )
        del self._secrets[session.id]
        context.sessions.close_others(session.username, session.id)
        context.record(Act.FACTOR_ON, "all other sessions ended")
        _keep(self._recovery_codes, session.id, codes)
        return redirect(CODES)

    def show_codes(self) -> Result:
        """Return the page with the recovery codes, once."""
        context, session = self._context, own_session(self._context)
        if not is_full_page() or session.id not in self._recovery_codes:
            return redirect(ACCOUNT)
        context.leave_uncompressed()
        codes = self._recovery_codes.pop(session.id)
        return context.page("recovery_codes.tpl", section=ACCOUNT, codes=codes)

    def turn_off(self) -> Result:
        """Turn the second factor off, if password and code are right."""
        context, session = self._context, own_session(self._context)
        if not session.has_second_factor:
            return redirect(ACCOUNT)
        if context.config.web_second_factor:
            return self._reject(code=_("This server requires a second factor: it stays on."))
        try:
            if not self._is_own_password():
                return self._reject(current=_(_WRONG_PASSWORD))
            if not self._codes.accept(session.username, form_value("code")):
                return self._reject(code=_(_WRONG_CODE))
        except TooManyAttempts as error:
            return self.show(code=reject_for_now(error))
        context.second_factors.turn_off(session.username)
        context.record(Act.FACTOR_OFF)
        return context.flash(ACCOUNT, _("The second factor is off."))


def _keep(kept: dict[int, T], session_id: int, value: T) -> None:
    """Keep a value for a session; beyond the limit the oldest one is removed."""
    kept.pop(session_id, None)
    while len(kept) >= MAX_KEPT:
        del kept[next(iter(kept))]
    kept[session_id] = value
