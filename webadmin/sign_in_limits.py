"""The limit of wrong passwords and codes at the sign-in."""

import math
from collections.abc import Callable

from bottle import response

from sip.transport.flow import network_of
from webadmin.language import _

# Wrong passwords from one address until it is blocked, and for how long, in seconds.  The limit is
# per address and not per account, so that no other address can lock the administrator out.
MAX_TRIES = 10
TRIES_SECONDS = 15 * 60
# Addresses remembered; beyond them the one with the oldest attempt is removed.
MAX_ADDRESSES = 10_000


class SignInLimiter:
    """Counts failed sign-ins per source: an IPv4 address, or the /64 network of an IPv6 one.

    A success forgives only the failures with its own name: else an administrator could guess the
    passwords of others without a limit.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # The failures by the hash of the name, and when they are forgotten.
        self._failures: dict[str, tuple[dict[int, int], float]] = {}

    def seconds_blocked(self, address: str) -> float:
        """Return for how many seconds sign-ins from an address stay blocked; 0 if they aren't."""
        counts, until = self._failures.get(source_of(address), ({}, 0.0))
        return max(0.0, until - self._clock()) if sum(counts.values()) >= MAX_TRIES else 0.0

    def count_attempt(self, address: str, name: str = "") -> None:
        """Count an attempt when it starts: many at once would pass before the first one fails."""
        key, now = source_of(address), self._clock()
        counts, until = self._failures.pop(key, ({}, 0.0))
        if until <= now:
            counts, until = {}, now + TRIES_SECONDS
        while len(self._failures) >= MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        counts[_hash(name)] = counts.get(_hash(name), 0) + 1
        self._failures[key] = counts, until

    def uncount_attempt(self, address: str, name: str = "") -> None:
        """Uncount an attempt whose password was not checked."""
        counts, _ = self._failures.get(source_of(address), ({}, 0.0))
        if counts.get(_hash(name), 0) > 0:
            counts[_hash(name)] -= 1

    def clear(self, address: str, name: str = "") -> None:
        """Remove the failures of an address with a name."""
        key = source_of(address)
        counts, _ = self._failures.get(key, ({}, 0.0))
        counts.pop(_hash(name), None)
        if not any(counts.values()):
            self._failures.pop(key, None)


def _hash(name: str) -> int:
    """Return what is stored of a name: it may be as long as a form."""
    return hash(name)


def source_of(address: str) -> str:
    """Return the network of an address; anything else, as of a Unix socket, is its own source."""
    try:
        return network_of(address)
    except ValueError:
        return address


class TooManyAttempts(Exception):
    """Too many wrong passwords or codes; the text says how long the next attempt has to wait."""

    def __init__(self, seconds: float, what: str = "passwords") -> None:
        text = (
            _("Too many wrong codes. Try again in {minutes} min.")
            if what == "codes"
            else _("Too many wrong passwords. Try again in {minutes} min.")
        )
        super().__init__(text.format(minutes=math.ceil(seconds / 60)))
        self.seconds = math.ceil(seconds)


def reject_for_now(error: TooManyAttempts) -> str:
    """Set status 429 and Retry-After, and return the sentence to show."""
    response.status = 429
    response.set_header("Retry-After", str(error.seconds))
    return str(error)
