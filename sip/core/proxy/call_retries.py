"""Failed INVITEs that their phone sends again by itself, so that both are one call.

A phone answers the challenge of another proxy (RFC 3261 §22.3), and a session interval that is too
small (RFC 4028 §7.3), by an INVITE with the same Call-ID and From tag (§8.1.3.5).  So such a
failure is the end of the call only if no INVITE follows it.
"""

from collections import OrderedDict
from typing import NamedTuple

from sip.core.errors import Cause
from sip.core.proxy.call import Call, Key

# Statuses after which a phone sends its INVITE again, without its user.
RETRIED = frozenset({401, 407, 422})
# Seconds until a failure is final, and failures that wait for that.
RETRY_SECONDS = 4.0
MAX_WAITING = 1000


class Failure(NamedTuple):
    """The failure of an INVITE: the arguments of `CallEvents.end`, and when it is final."""

    call: Call
    status: int
    cause: Cause
    ended_by: str
    final_at: float


class CallRetries:
    """Failures that may be followed by another INVITE of the same call, the oldest first."""

    def __init__(self) -> None:
        self._failures: OrderedDict[Key, Failure] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def add(self, failure: Failure) -> None:
        """Keep a failure until it is final."""
        self._failures[failure.call.key] = failure

    def take(self, key: Key) -> Failure | None:
        """Remove and return the failure before an INVITE, None if there was none."""
        return self._failures.pop(key, None) if self._failures else None

    def take_final(self, now: float) -> list[Failure]:
        """Remove and return the failures that are final by now, and those above MAX_WAITING."""
        final: list[Failure] = []
        while self._failures:
            oldest = next(iter(self._failures.values()))
            if oldest.final_at > now and len(self._failures) <= MAX_WAITING:
                break
            self._failures.popitem(last=False)
            final.append(oldest)
        return final
