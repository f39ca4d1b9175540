"""The phone in the browser, at /phone: for a user who signs in there, or an admin as any user.

The page gets a digest name and an HA1 of its own, see sip/core/auth/phone_logins.py: they end with
the session, and the password of the user is in no page.
"""

import json
import re
from typing import cast
from urllib.parse import quote
from weakref import WeakValueDictionary

import gevent
from bottle import Bottle, HTTPError, request, response

from sip.core.auth.phone_logins import PhoneLogin, PhoneLogins
from sip.monitor.events import AdminActed
from sip.store.accounts import Account, full_name
from sip.store.audit import Act
from sip.store.database import DatabaseError
from sip.store.sessions import Session
from sip.store.tokens import Role
from webadmin.context import SESSION, Actor, AppContext, redirect
from webadmin.http.compression import WSGIApp
from webadmin.language import _
from webadmin.phone_texts import phone_texts
from webadmin.request_checks import COOKIE as ADMIN_COOKIE
from webadmin.request_checks import catch_errors, check_form_request
from webadmin.routes import Result, route
from webadmin.saved_form import full_path
from webadmin.self_service.app import OwnPage, error_page

PREFIX = "/phone"
# Where the script opens its WebSocket; a reverse proxy may route it apart.
WEBSOCKET_PATH = "/ws"
# Characters of the user of a SIP URI that need no escape (RFC 3261 §25.1).
_USER_CHARACTERS = "-_.!~*'()&=+$,;?/"
# A Host field; any other one is not repeated in the Content-Security-Policy.
_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)
# The page may use the microphone; its WebSocket is on its own host, which older browsers do not
# take for "self".
_HEADERS = {
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'{sockets}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def build(context: AppContext, own_page: OwnPage) -> WSGIApp:
    """Return the application, which is served for PREFIX and the paths under it."""
    app = Bottle()
    app.add_hook("before_request", check_form_request)
    app.install(catch_errors)
    page = PhonePage(context, own_page, context.phone_logins)
    context.bus.listen(AdminActed, page.look_at_sessions)
    route(app, "GET", PREFIX, page.show)
    route(app, "POST", f"{PREFIX}/login", page.sign_in)
    route(app, "POST", f"{PREFIX}/logout", page.sign_out)
    app.default_error_handler = lambda error: error_page(context, error)
    return cast(WSGIApp, app)


class AdminSession:
    """The session of an administrator, as the phones see it that were opened in it.

    SIP must not wait for the database: each look starts to read the session again, and returns what
    was read last.
    """

    def __init__(self, context: AppContext, session: Session, token: str) -> None:
        self._context = context
        self._token = token
        self._expires_at = session.expires_at
        self._has_ended = self._is_reading = self._is_wanted = False

    def goes_on(self) -> bool:
        """Return False once the session has ended, or its administrator may change nothing."""
        self._is_wanted = True
        if not self._has_ended and not self._is_reading:
            self._is_reading = True
            gevent.spawn(self._read)
        return not self._has_ended and self._context.clock() < self._expires_at

    def _read(self) -> None:
        try:
            while self._is_wanted and not self._has_ended:
                self._is_wanted = False
                session = self._context.sessions.find(self._token, self._context.clock())
                self._has_ended = session is None or session.role is not Role.ADMIN
        except DatabaseError:  # the next look reads it again
            return
        finally:
            self._is_reading = False


class PhonePage:
    """The page with the phone, and its form to sign in; users share their sessions with /me."""

    def __init__(self, context: AppContext, own_page: OwnPage, logins: PhoneLogins) -> None:
        self._context = context
        self._own_page = own_page
        self._logins = logins
        self._admins: WeakValueDictionary[str, AdminSession] = WeakValueDictionary()  # by token

    def look_at_sessions(self, acted: AdminActed) -> None:
        """Look at the sessions with a phone: the act of an administrator may have ended one."""
        for session in list(self._admins.values()):
            session.goes_on()

    def show(self) -> str:
        """Return the phone of the signed-in user, or of `user` for an admin."""
        name = request.query.getunicode("user", "")
        if name and (token := request.get_cookie(ADMIN_COOKIE)):
            session = self._admin_session(token)
            if session is None:
                here = quote(full_path(request.environ), safe="/")
                raise redirect(f"/login?next={here}")
            return self._show_as_admin(session, token, name)
        own, token = self._own_page.session(), self._own_page.token()
        if own is None or token is None:
            return self._own_page.form(PREFIX, username=name)
        account = self._context.users.find(own.username, own.realm)
        if account is None:  # removed at this moment
            return self._own_page.form(PREFIX, username=name)
        login = self._logins.of(account, token) or self._logins.issue(
            account, own.realm, token, lambda: self._of_user(own.username, own.realm, token)
        )
        return self._page(account, own.realm, login)

    def sign_in(self) -> Result:
        """Open a session for the right name and password."""
        refused = self._own_page.open_session(PREFIX)
        return redirect(PREFIX) if refused is None else refused

    def sign_out(self) -> Result:
        """End the session, the login of its phones, and their registrations."""
        own, token = self._own_page.session(), self._own_page.token()
        if own is not None and token is not None:
            for name in self._logins.end(token):
                self._remove_contacts(own.user_id, name)
        self._own_page.close_session()
        return redirect(PREFIX)

    def _remove_contacts(self, user_id: int, login: str) -> None:
        """Remove the registrations of a login, whose name is the user of their contacts."""
        entry = self._context.directory.entry(user_id)
        for each in entry.contacts if entry else ():
            if each.contact.startswith(f"sip:{login}@"):
                self._context.phones.remove_contact(each.aor, each.contact, each.flow)

    def _show_as_admin(self, session: Session, token: str, name: str) -> str:
        context = self._context
        request.environ[SESSION] = session
        if context.lacks_second_factor:
            raise redirect("/account")
        if not context.can_change:
            raise HTTPError(403, _("Your role is viewer: a phone would call as the user."))
        realm = request.query.getunicode("realm", "") or context.users.realm
        account = context.users.find(name, realm)
        if account is None:
            raise HTTPError(404, _("There is no user of this name."))
        if not account.enabled:
            raise HTTPError(409, _("This user is disabled, so its phones cannot register."))
        login = self._logins.of(account, token)
        if login is None:
            user = full_name(account.username, context.users.key_realm(realm))
            address = request.environ.get("REMOTE_ADDR", "")
            context.record(Act.PHONE_OPENED, user, by=Actor(session.username, address))
            known = self._admins.get(token)
            if known is None or not known.goes_on():
                known = self._admins[token] = AdminSession(context, session, token)
            login = self._logins.issue(
                account, realm, token, lambda: self._of_admin(account.username, realm, known)
            )
        return self._page(account, realm, login)

    def _admin_session(self, token: str) -> Session | None:
        """Return the session of an administrator, None if it has ended."""
        try:
            return self._context.sessions.find(token, self._context.clock())
        except DatabaseError as error:
            raise HTTPError(503, str(error)) from None

    def _of_user(self, username: str, realm: str, token: str) -> Account | None:
        """Return the account as long as the session of its user goes on."""
        own = self._own_page.sessions.find(token)
        return self._context.users.find(username, realm) if own else None

    def _of_admin(self, username: str, realm: str, session: AdminSession) -> Account | None:
        """Return the account as long as the session of the administrator goes on."""
        return self._context.users.find(username, realm) if session.goes_on() else None

    def _page(self, account: Account, realm: str, login: PhoneLogin) -> str:
        context = self._context
        host = request.get_header("Host", "")
        sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
        for name, value in _HEADERS.items():
            response.set_header(name, value.format(sockets=sockets))
        context.leave_uncompressed()
        phone = {
            "uri": f"sip:{quote(account.username, safe=_USER_CHARACTERS)}@{realm}",
            "name": account.display_name,
            "authorizationUser": login.name,
            "ha1": login.ha1,
            "realm": realm,
            "path": WEBSOCKET_PATH,
            "ice": [server.as_json() for server in context.config.phone_ice],
            "texts": phone_texts(),
        }
        return context.page(
            "browser_phone.tpl",
            user=account,
            realm=realm,
            phone=json.dumps(phone, ensure_ascii=False, separators=(",", ":")),
        )
