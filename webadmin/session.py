"""Signing in and out."""

import math
from collections.abc import Callable

from bottle import Bottle, request, response

from sip.store.admin import SESSION_SECONDS, USERNAME, verify
from webadmin.connections import address_and_network
from webadmin.guard import COOKIE, is_encrypted
from webadmin.site import Answer, Site, go_to
from webadmin.work import TooBusy

# Wrong passwords from one address until it has to wait, and for how long, in seconds.  What is
# limited is the address, never the account: nobody can lock the administrator out from elsewhere.
MAX_TRIES = 10
TRIES_SECONDS = 15 * 60
# Addresses remembered; beyond them the one that has been quiet for longest is forgotten.
MAX_ADDRESSES = 10_000

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


def mount(app: Bottle, site: Site) -> None:
    """Put /login and /logout on `app`."""
    tries = Tries(site.monotonic)

    def form(error: str = "", username: str = USERNAME, wanted: str = "") -> str:
        return site.page("login.tpl", error=error, username=username, next=wanted)

    @app.get("/login")  # type: ignore[untyped-decorator]
    def ask() -> Answer:
        if site.session:
            return go_to("/")
        return form(wanted=_own_path(request.query.getunicode("next") or ""))

    @app.post("/login")  # type: ignore[untyped-decorator]
    def sign_in() -> Answer:
        username = (request.forms.getunicode("username") or "").strip()
        password = request.forms.getunicode("password") or ""
        wanted = _own_path(request.forms.getunicode("next") or "")
        address = request.environ.get("REMOTE_ADDR", "")
        if wait := tries.wait(address):
            response.status = 429
            response.set_header("Retry-After", str(math.ceil(wait)))
            minutes = math.ceil(wait / 60)
            return form(f"Too many wrong passwords. Try again in {minutes} min.", username, wanted)
        tries.start(address)
        kept = site.admin.password_hash() if username == USERNAME else None
        try:
            is_right = site.sign_ins.run(lambda: verify(kept or _NOBODY, password))
        except TooBusy:
            tries.take_back(address)
            raise
        if not is_right:
            response.status = 403
            return form("That user name or password is wrong.", username, wanted)
        tries.succeeded(address)
        user_agent = request.headers.get("User-Agent", "")
        token = site.admin.open_session(address, user_agent, site.clock(), kept)
        response.set_cookie(
            COOKIE,
            token,
            path="/",
            httponly=True,
            samesite="strict",
            secure=is_encrypted(),
            max_age=SESSION_SECONDS,
        )
        return go_to(wanted or "/")

    @app.post("/logout")  # type: ignore[untyped-decorator]
    def sign_out() -> Answer:
        if site.session:
            site.admin.close_session(site.session.id)
        response.delete_cookie(COOKIE, path="/")
        return go_to("/login")


def _own_path(text: str) -> str:
    """Take only a path of this server: another address would be a trap behind the sign-in."""
    own = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if own else ""
