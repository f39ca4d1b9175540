"""Limits on concurrent calls of external callers, while they wait to be answered.

An external caller shows no password, and by UDP its address may be forged.  So the bound per called
user keeps a phone from ringing with hundreds of calls; the bound per source leaves slots to others.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from sip.core import causes
from sip.core.errors import Refused
from sip.transaction.machine import State
from sip.transaction.server import ServerTransaction
from sip.transaction.upstream import Upstream
from sip.transport.flow import network_of

# Concurrent calls of one source: an IPv4 address, or an IPv6 /64.  A provider that is neither a
# trunk nor trusted may have so many ringing calls; the 10,000 slots of all are for thirty such.
MAX_CALLS_OF_SOURCE = 300
# Concurrent calls to one user.  A telephone has a handful of lines; a switch that has registered as
# one user may have the sixty of two trunk lines.
MAX_CALLS_FOR_USER = 100
# Header field of a refusal, in seconds: long enough for one of the calls to end.
RETRY_AFTER = (("Retry-After", "5"),)

_Key = TypeVar("_Key")
# An address or a /64, and whether it may be forged.
_Source = tuple[str, bool]
# Transaction states in which the client waits for an answer, or has not acknowledged a failure.
_OPEN_STATES = (State.PROCEEDING, State.COMPLETED)

# Stands for the slot of a call that is not limited.
NO_SLOT: AbstractContextManager[None] = nullcontext()


class CallLimits:
    """Counts the waiting calls of external callers, by source and by called user.

    A failure is sent eleven times to an address that may be forged, until an ACK arrives
    (RFC 3261 §17.2.1): so by UDP a call keeps the slot of its source until then.  `is_trusted`
    returns True for a host without limits.
    """

    def __init__(self, is_trusted: Callable[[str], bool]) -> None:
        self._is_trusted = is_trusted
        self._of_source: dict[_Source, int] = {}
        # Failed calls without an ACK; some of these transactions may have ended since.
        self._unacknowledged: dict[_Source, list[ServerTransaction]] = {}
        self._for_user: dict[str, int] = {}

    def slot(self, upstream: Upstream, aor: str) -> AbstractContextManager[None]:
        """Return a slot for a call to `aor`, to hold while it is handled.

        Entering it raises Refused if none is free.

        A 503 tells a proxy upstream to send nothing more here, for any user (§21.5.4): so it is
        only for a source that sends too much.  If one called user can take no more calls, the
        status is 486 (§21.4.24), so that ringing one user cannot shut out calls to others.
        """
        host = upstream.flow.remote[0]
        return NO_SLOT if self._is_trusted(host) else _Slot(self, upstream, network_of(host), aor)

    def take(self, source: _Source, aor: str) -> None:
        """Count a call.  Raises Refused as `slot` says."""
        of_source, for_user = self._of_source.get(source, 0), self._for_user.get(aor, 0)
        if for_user >= MAX_CALLS_FOR_USER:
            cause = causes.TOO_MANY_CALLS_FOR_USER.of(count=str(MAX_CALLS_FOR_USER), aor=aor)
            raise Refused(486, cause, extra=RETRY_AFTER)
        if of_source + self._unacknowledged_of(source) >= MAX_CALLS_OF_SOURCE:
            cause = causes.TOO_MANY_CALLS_OF_SOURCE.of(count=str(MAX_CALLS_OF_SOURCE))
            raise Refused(503, cause, extra=RETRY_AFTER)
        self._of_source[source] = of_source + 1
        self._for_user[aor] = for_user + 1

    def give_back(self, source: _Source, aor: str, transaction: ServerTransaction | None) -> None:
        """End a call, whose INVITE has this transaction."""
        _decrement(self._of_source, source)
        _decrement(self._for_user, aor)
        is_forgeable = source[1]
        if is_forgeable and transaction is not None and transaction.state in _OPEN_STATES:
            self._unacknowledged.setdefault(source, []).append(transaction)

    def _unacknowledged_of(self, source: _Source) -> int:
        """Return how many failed calls of a source have no ACK yet.

        Ended transactions are counted too, until the source seems to be at its bound.
        """
        transactions = self._unacknowledged.get(source)
        if not transactions:
            return 0
        if self._of_source.get(source, 0) + len(transactions) >= MAX_CALLS_OF_SOURCE:
            transactions[:] = [each for each in transactions if each.state in _OPEN_STATES]
        return len(transactions)

    def sweep(self) -> None:
        """Remove transactions that have ended."""
        for source, transactions in list(self._unacknowledged.items()):
            transactions[:] = [each for each in transactions if each.state in _OPEN_STATES]
            if not transactions:
                del self._unacknowledged[source]


class _Slot:
    """The slot of one call.  A generator would keep a frame for each call that rings."""

    __slots__ = ("_aor", "_limits", "_source", "_upstream")

    def __init__(self, limits: CallLimits, upstream: Upstream, network: str, aor: str) -> None:
        self._limits = limits
        self._upstream = upstream
        # A forged source address takes no slot of the connections from that address.
        self._source = network, not upstream.flow.source_is_verified
        self._aor = aor

    def __enter__(self) -> None:
        self._limits.take(self._source, self._aor)

    def __exit__(self, *error: object) -> None:
        self._limits.give_back(self._source, self._aor, self._upstream.transaction)


def _decrement(counts: dict[_Key, int], key: _Key) -> None:
    """Subtract one; a count of zero is removed."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
