"""Calls of strangers that wait to be answered: how many there may be at once.

A stranger shows no password, and by UDP its address may be forged.  So what keeps a phone from
being rung by hundreds is the bound of each user; that of each source leaves places to others.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sip.core.errors import Cause, Refused
from sip.transaction.machine import State
from sip.transaction.server import ServerTransaction
from sip.transaction.upstream import Upstream
from sip.transport.flow import network_of

# Calls of one source at once: of an address, or in IPv6 a /64.  A provider that is neither a trunk
# nor trusted may have so many that ring, and the ten thousand places are for thirty such.
MAX_CALLS_OF_SOURCE = 300
# Calls for one user at once.  A telephone has a handful of lines; a switch that has registered as
# one user may have the sixty of two trunk lines.
MAX_CALLS_FOR_USER = 100
# What is told who comes when there are so many: long enough for one of them to end.
RETRY_AFTER = (("Retry-After", "5"),)
_CURE = "If they come from your provider or gateway, name it by -sip.trunk or -guard.trusted."

_Key = TypeVar("_Key")
# An address, or a /64, and whether it may be forged.
_Source = tuple[str, bool]
# Of a transaction whose client is still owed an answer, or has not acknowledged a failure.
_OWES = (State.PROCEEDING, State.COMPLETED)


class Strangers:
    """Counts the calls of strangers while they wait, by source and by the user who is called.

    A failure is sent eleven times to an address that may be forged, until somebody acknowledges it
    (RFC 3261 §17.2.1): so by UDP a call keeps the place of its source until then.  `is_trusted`
    tells of a host that it is limited in nothing.
    """

    def __init__(self, is_trusted: Callable[[str], bool]) -> None:
        self._is_trusted = is_trusted
        self._of_source: Counter[_Source] = Counter()
        self._unheard: dict[_Source, list[ServerTransaction]] = {}  # which may be over by now
        self._for_user: Counter[str] = Counter()

    @contextmanager
    def place(self, upstream: Upstream, aor: str) -> Iterator[None]:
        """Hold a place for a call to `aor` while it is served.  Raises Refused for want of it.

        A 503 would tell a proxy upstream to send nothing more here, for whomever it is (§21.5.4):
        it is for the source that sends too much alone.  That one user can take no more calls is a
        486 (§21.4.24), so nobody shuts others out by ringing that one.
        """
        host = upstream.flow.remote[0]
        if self._is_trusted(host):
            yield
            return
        # A forged source address takes no slot of the connections from that address.
        source = network_of(host), not upstream.flow.source_is_verified
        if self._for_user[aor] >= MAX_CALLS_FOR_USER:
            cause = Cause(f"{MAX_CALLS_FOR_USER} calls of strangers for {aor} wait", _CURE)
            raise Refused(486, cause, extra=RETRY_AFTER)
        if self._of_source[source] + self._owed_to(source) >= MAX_CALLS_OF_SOURCE:
            waiting = f"{MAX_CALLS_OF_SOURCE} calls from there wait to be answered or acknowledged"
            raise Refused(503, Cause(waiting, _CURE), extra=RETRY_AFTER)
        self._of_source[source] += 1
        self._for_user[aor] += 1
        try:
            yield
        finally:
            _let_go(self._of_source, source)
            _let_go(self._for_user, aor)
            transaction, is_forgeable = upstream.transaction, source[1]
            if is_forgeable and transaction is not None and transaction.state in _OWES:
                self._unheard.setdefault(source, []).append(transaction)

    def _owed_to(self, source: _Source) -> int:
        """How many calls of a source have failed, and nobody has acknowledged that."""
        unheard = self._unheard.get(source)
        if not unheard:
            return 0
        if self._of_source[source] + len(unheard) >= MAX_CALLS_OF_SOURCE:
            unheard[:] = [each for each in unheard if each.state in _OWES]
        return len(unheard)

    def sweep(self) -> None:
        """Let go of what is over."""
        for source, unheard in list(self._unheard.items()):
            unheard[:] = [each for each in unheard if each.state in _OWES]
            if not unheard:
                del self._unheard[source]


def _let_go(counts: Counter[_Key], key: _Key) -> None:
    """Count one less; who has none is not remembered."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
