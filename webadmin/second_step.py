"""The second step of a sign-in: codes of the second factor, and sign-ins that wait for one."""

import secrets
from collections.abc import Callable
from typing import NamedTuple

from sip.store.audit import Act
from sip.store.database import DatabaseError
from sip.store.second_factor import Accepted
from webadmin.client_address import client_of_request
from webadmin.context import AppContext
from webadmin.sign_in_limits import SignInLimiter, TooManyAttempts

# Seconds from the password to the code.
MAX_AGE_SECONDS = 5 * 60
# Sign-ins that wait for a code; each of them has shown a right password.  Beyond them the oldest is
# removed.
MAX_PENDING = 100

_TICKET_BYTES = 16


class CodeCheck:
    """Checks codes, and limits wrong ones per address and per administrator.

    Only a client with the password gets here, so the limit per administrator locks no one out by
    guessing names.  Without it, a million codes could be tried from many addresses.
    """

    def __init__(self, context: AppContext, limiter: SignInLimiter) -> None:
        self._context = context
        self._by_address = limiter
        self._by_name = SignInLimiter(context.monotonic)

    def accept(self, name: str, code: str) -> bool:
        """Return True if a code is valid; it is used up then.  Raises TooManyAttempts."""
        context, address = self._context, client_of_request()
        limits = ((self._by_address, address), (self._by_name, name))
        if seconds := max(limiter.seconds_blocked(key) for limiter, key in limits):
            raise TooManyAttempts(seconds, "codes")
        for limiter, key in limits:
            limiter.count_attempt(key, name)
        try:
            accepted = context.second_factors.accept(name, code, context.clock())
        except DatabaseError:
            for limiter, key in limits:
                limiter.uncount_attempt(key, name)
            raise
        if accepted is None:
            context.record(Act.SIGN_IN_REFUSED, f"wrong code of {name}")
            return False
        for limiter, key in limits:
            limiter.clear(key, name)
        if accepted is Accepted.RECOVERY_CODE:
            administrator = context.admins.find(name)
            left = administrator.recovery_codes if administrator else 0
            context.record(Act.RECOVERY_CODE_USED, f"{name}, {left} left")
        return True


class PendingSignIn(NamedTuple):
    """An administrator whose password was right; `ends_at` is monotonic, in seconds."""

    name: str
    password_hash: str
    ends_at: float


class PendingSignIns:
    """The sign-ins that wait for a code, by the ticket in the form."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pending: dict[str, PendingSignIn] = {}

    def add(self, name: str, password_hash: str) -> str:
        """Add a sign-in and return its ticket."""
        while len(self._pending) >= MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        ticket = secrets.token_urlsafe(_TICKET_BYTES)
        ends_at = self._clock() + MAX_AGE_SECONDS
        self._pending[ticket] = PendingSignIn(name, password_hash, ends_at)
        return ticket

    def find(self, ticket: str) -> PendingSignIn | None:
        """Return the sign-in of a ticket, None if there is none or it is too old."""
        found = self._pending.get(ticket)
        return found if found and self._clock() < found.ends_at else None

    def remove(self, ticket: str) -> None:
        """Remove a sign-in that is complete."""
        self._pending.pop(ticket, None)
