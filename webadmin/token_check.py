"""The check of the token in a request: `Authorization: Bearer TOKEN` (RFC 6750 §2.1)."""

import gevent
from bottle import request

from sip.store.database import DatabaseError
from sip.store.tokens import Token, token_hash
from webadmin.client_address import client_of_request
from webadmin.context import AppContext
from webadmin.sign_in_limits import SignInLimiter

CHALLENGE = 'Bearer realm="sipserver"'
# Tokens recognized since the start; beyond them all are forgotten.
MAX_RECOGNIZED = 100


class TokenRefused(Exception):
    """The request has no valid token.  The text is a sentence for its sender.

    `status` is 401, or 429 after too many wrong tokens, which are accepted again after
    `retry_after` seconds.
    """

    def __init__(self, status: int, sentence: str, retry_after: int = 0) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """The header fields that the response needs besides."""
        if self.status == 401:
            return {"WWW-Authenticate": CHALLENGE}
        return {"Retry-After": str(self.retry_after)}


def sent_hash() -> str:
    """Return the `token_hash` of the token in the current request, "" without a token."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    is_token = scheme.lower() == "bearer" and text.strip()
    return token_hash(text.strip()) if is_token else ""


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
        """Return the token of the current request.  Raises TokenRefused."""
        address, hashed = client_of_request(), sent_hash()
        if not hashed:
            raise TokenRefused(401, "A token is needed: send Authorization: Bearer TOKEN.")
        seconds = self._limiter.seconds_blocked(address)
        if seconds and hashed not in self._recognized:
            raise TokenRefused(429, "Too many wrong tokens.", int(seconds) + 1)
        self._limiter.count_attempt(address)  # now: many at once would pass before the first fails
        try:
            token = self._context.tokens.find(hashed)
        except DatabaseError:
            self._limiter.uncount_attempt(address)
            raise
        if token is None:
            self._recognized.discard(hashed)
            raise TokenRefused(401, "The token is wrong.")
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
