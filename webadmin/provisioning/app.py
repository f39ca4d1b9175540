"""The application of /provision: settings for phones, which have no session.

Both ways demand TLS, but from this machine: what they send is enough to register.
"""

import hmac
import logging
import re
from collections.abc import Callable
from typing import cast

from bottle import Bottle, HTTPError, HTTPResponse, request, response

from sip.store.accounts import full_name
from sip.store.audit import Act
from sip.store.bindings import NotSaved
from sip.store.database import DatabaseError
from sip.store.desk_phones import DeskPhones, shown_mac
from sip.store.directory import Entry
from sip.store.passwords import make_password
from sip.store.users import NoSuchUser
from webadmin.client_address import client_of_request
from webadmin.context import Actor, AppContext
from webadmin.encryption import is_private
from webadmin.http.compression import HEAD_ONLY, WSGIApp
from webadmin.phone_settings import phone_settings, usual_transport
from webadmin.phone_setups import Grant
from webadmin.provisioning.files import PhoneAccount, grandstream, linphone, snom, yealink
from webadmin.routes import route
from webadmin.sign_in_limits import SignInLimiter

log = logging.getLogger(__name__)

PREFIX = "/provision"

# The names of files that phones ask for, by their maker.
_FILES = (
    ("yealink", re.compile(r"([0-9a-f]{12})\.cfg", re.IGNORECASE)),
    ("grandstream", re.compile(r"cfg([0-9a-f]{12})\.xml", re.IGNORECASE)),
    ("snom", re.compile(r"(?:snom[0-9a-z]*-)?([0-9a-f]{12})\.xml", re.IGNORECASE)),
)
_NO_LINK = "This link is not valid. It was used already, or it has expired. Ask for a new one."
_NO_FILE = "There is no file for this phone."
_SENTENCES = {404: _NO_FILE, 405: "This address does not support that request method."}


def build(context: AppContext) -> WSGIApp:
    """Return the application, which is served for the paths under PREFIX."""
    app = Bottle()
    app.add_hook("before_request", _check_method)
    app.install(_catch_errors)
    provisioning = Provisioning(context)
    route(app, "GET", f"{PREFIX}/link/<token>", provisioning.link)
    route(app, "GET", f"{PREFIX}/<secret>/<name>", provisioning.file)
    app.default_error_handler = _error
    return cast(WSGIApp, app)


class Provisioning:
    """Answers links and desk phones, and limits the guesses of each address.

    A right secret works from a blocked address, too: it has 16 characters or more, and behind one
    NAT a guesser would block all phones.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        # Guesses of links and of the secret; and apart from these guesses of MAC addresses, which
        # only a client with the secret can make: so no other client can block a phone.
        self._limiter = SignInLimiter(context.monotonic)
        self._mac_limiter = SignInLimiter(context.monotonic)
        self._desk_phones = DeskPhones(context.users.database)

    def link(self, token: str) -> str:
        """Return the settings of an account for Linphone, once."""
        if HEAD_ONLY in request.environ:  # before a phone fetches the link
            raise HTTPError(405, "Send GET: this link can be opened only once.")
        # A valid token works from a blocked address, too: no guess finds one of 192 bits, and
        # behind a proxy a guesser would block all phones.
        grant = self._context.setups.take_link(token)
        if grant is None:
            _refuse_guesser(self._limiter)
            self._limiter.count_attempt(client_of_request())
            raise HTTPError(404, _NO_LINK)
        if not is_private():
            raise HTTPError(
                403,
                "This link needs HTTPS. Others could have read it, so it is no longer valid:"
                " open the pages of the server by HTTPS, and make a new link.",
            )
        try:
            entry = self._context.directory.entry(grant.user_id)
            ha1s = self._context.directory.hashes(grant.user_id)
        except DatabaseError:
            self._context.setups.put_link_back(token, grant)
            raise
        if entry is None or not entry.enabled or not ha1s:
            raise HTTPError(404, "The user of this link was deleted or disabled.")
        offered = {name: ha1s[name] for name in self._context.config.sip_digest if name in ha1s}
        self._record(entry, grant, "by a link")
        response.content_type = "application/xml; charset=UTF-8"
        self._context.leave_uncompressed()
        return linphone(self._account(entry), offered)

    def file(self, secret: str, name: str) -> str:
        """Return the file of a desk phone, with a new password if its window is open."""
        own = self._context.config.provision_secret
        if not own:
            raise HTTPError(404, _NO_FILE)
        if not is_private():
            raise HTTPError(403, "Settings are sent by HTTPS only: write https:// in the phone.")
        if not hmac.compare_digest(own.encode(), secret.encode("utf-8", "surrogateescape")):
            _refuse_guesser(self._limiter)
            self._limiter.count_attempt(client_of_request())
            raise HTTPError(404, _NO_FILE)
        found = next(((kind, m[1].lower()) for kind, f in _FILES if (m := f.fullmatch(name))), None)
        if found is None:  # phones ask for files of their model, too
            raise HTTPError(404, _NO_FILE)
        kind, mac = found
        entry = self._entry_of(mac)
        account = self._account(entry, self._new_password(entry, mac))
        is_text = kind == "yealink"
        response.content_type = f"{'text/plain' if is_text else 'application/xml'}; charset=UTF-8"
        self._context.leave_uncompressed()
        if kind == "grandstream":
            return grandstream(account, mac)
        return yealink(account) if is_text else snom(account)

    def _entry_of(self, mac: str) -> Entry:
        """Return the user of a desk phone.  Raises HTTPError, also after too many other MACs."""
        _refuse_guesser(self._mac_limiter)
        user_id = self._desk_phones.user_of(mac)
        entry = None if user_id is None else self._context.directory.entry(user_id)
        if entry is None or not entry.enabled:
            self._mac_limiter.count_attempt(client_of_request())
            raise HTTPError(404, _NO_FILE)
        return entry

    def _new_password(self, entry: Entry, mac: str) -> str:
        """Set and return a password if the window of the phone is open, else return ""."""
        windows = self._context.setups.windows
        grant = None if HEAD_ONLY in request.environ else windows.take(mac)
        if grant is None or grant.user_id != entry.id:
            return ""
        password = make_password()
        try:
            self._context.users.set_password(entry.username, password, entry.realm, number=entry.id)
        except NoSuchUser:  # removed at this moment
            raise HTTPError(404, _NO_FILE) from None
        except (DatabaseError, NotSaved):
            windows.put_back(mac, grant)
            raise
        self._record(entry, grant, f"with a new password, by the desk phone {shown_mac(mac)}")
        return password

    def _account(self, entry: Entry, password: str = "") -> PhoneAccount:
        context = self._context
        listening = context.listening()
        settings = phone_settings(context.config, listening, entry.username, entry.realm)
        return PhoneAccount(settings, entry.display_name, usual_transport(listening), password)

    def _record(self, entry: Entry, grant: Grant, how: str) -> None:
        name = full_name(entry.username, self._context.users.key_realm(entry.realm))
        actor = Actor(grant.by, client_of_request())
        self._context.record(Act.SETTINGS_FETCHED, f"{name}, {how}", by=actor)


def _refuse_guesser(limiter: SignInLimiter) -> None:
    if seconds := limiter.seconds_blocked(client_of_request()):
        minutes = int(seconds // 60) + 1
        raise HTTPError(
            429,
            f"Too many wrong requests. Try again in {minutes} min.",
            headers={"Retry-After": str(int(seconds) + 1)},
        )


def _check_method() -> None:
    """Refuse a method in lower case: bottle would change it, and a `head` would use a link up."""
    if request.environ["REQUEST_METHOD"] != request.method:
        raise HTTPError(405, _SENTENCES[405])


def _catch_errors(handler: Callable[..., str]) -> Callable[..., str]:
    """Wrap a handler as request_checks.py does, but log no path: it has a secret in it."""

    def call(*args: str, **kwargs: str) -> str:
        try:
            return handler(*args, **kwargs)
        except HTTPResponse:
            raise
        except (DatabaseError, NotSaved) as error:
            raise HTTPError(503, str(error)) from None
        except Exception:
            log.exception("unhandled error while handling a request of a phone")
            raise HTTPError(500, "The server has a fault. Its log has the details.") from None

    return call


def _error(error: HTTPError) -> str:
    if error.exception:  # raised inside bottle; _catch_errors logs the errors of handlers
        log.error("unhandled error while handling a request of a phone", exc_info=error.exception)
    sentence = str(error.body)
    if sentence.startswith(("Not found: ", "Method not allowed")):
        sentence = _SENTENCES[error.status_code]
    response.content_type = "text/plain; charset=UTF-8"
    return f"{sentence}\n"
