"""The page /metrics for Prometheus, and the check of the token that opens it."""

import gevent
from bottle import Bottle, HTTPResponse, request

from sip.store.database import DatabaseError
from sip.store.tokens import Token, token_hash
from webadmin.context import AppContext
from webadmin.login import SignInLimiter
from webadmin.routes import route

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Tokens recognized since the start; beyond them all are forgotten.
MAX_RECOGNIZED = 100


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route /metrics to `app`."""
    check = TokenCheck(context)

    def show() -> HTTPResponse:
        if not context.config.web_metrics_open:
            check.token()
        return HTTPResponse(context.metrics(), **{"Content-Type": CONTENT_TYPE})

    route(app, "GET", "/metrics", show)


class TokenCheck:
    """Checks the token of a request, and limits guesses of each address.

    Guesses count as failed sign-ins do, but apart from them.  A token that was recognized before is
    checked even from an address with too many guesses: another program there, or an attacker behind
    the same proxy, must not shut out the monitoring.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._limiter = SignInLimiter(context.monotonic)
        self._recognized: set[str] = set()  # hashes

    def token(self) -> Token:
        """Return the token of the current request.  Raises HTTPResponse with 401 or 429."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise _refusal(401, "A token is needed: send Authorization: Bearer TOKEN.")
        address, hashed = request.environ.get("REMOTE_ADDR", ""), token_hash(text.strip())
        seconds = self._limiter.seconds_blocked(address)
        if seconds and hashed not in self._recognized:
            raise _refusal(429, "Too many wrong tokens.", int(seconds) + 1)
        self._limiter.count_attempt(address)  # now: many at once would pass before the first fails
        try:
            token = self._context.tokens.find(hashed)
        except DatabaseError:
            self._limiter.uncount_attempt(address)
            raise
        if token is None:
            self._recognized.discard(hashed)
            raise _refusal(401, "The token is wrong.")
        self._limiter.uncount_attempt(address)
        if len(self._recognized) >= MAX_RECOGNIZED:
            self._recognized.clear()
        self._recognized.add(hashed)
        now = self._context.clock()
        if token.needs_touch(now):
            gevent.spawn(self._write_use, token.name, now)
        return token

    def _write_use(self, name: str, now: float) -> None:
        try:
            self._context.tokens.touch(name, now)
        except DatabaseError:
            return  # the next use writes it


def _refusal(status: int, sentence: str, retry_after: int = 0) -> HTTPResponse:
    answer = HTTPResponse(sentence + "\n", status, **{"Content-Type": "text/plain; charset=utf-8"})
    if status == 401:
        answer.set_header("WWW-Authenticate", 'Bearer realm="sipserver"')
    if retry_after:
        answer.set_header("Retry-After", str(retry_after))
    return answer
