"""Questions to the DNS, asked by dnspython (RFC 1035, 2782, 3403).

Under gevent's patch a question blocks its greenlet alone.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sip.transport.flow import Endpoint

if TYPE_CHECKING:
    from dns.resolver import Answer as DnsAnswer
    from dns.resolver import Resolver as DnsResolver

log = logging.getLogger(__name__)

# One question may take so long, its repeats included: a caller hears nothing meanwhile.
SECONDS_PER_QUESTION = 4.0
# So long before the next name server is asked, or the same one again.
SECONDS_PER_TRY = 1.0
# Records of one answer that are read; no honest zone has more.
MAX_RECORDS = 32
# Characters of a NAPTR's flags or service: no service that is known has a longer name.
MAX_SERVICE = 32
# Characters of the reason why there is no answer; it may name each server and its fault.
MAX_REASON = 300

# SRV: priority, weight, port, target.  NAPTR: order, preference, flags, service, replacement.
Srv = tuple[int, int, int, str]
Naptr = tuple[int, int, str, str, str]


class Unanswered(Exception):
    """No name server has said anything that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Records:
    """What a name has of one kind, nothing perhaps, and for how many seconds that is true.

    Addresses are texts; names end without a dot.
    """

    found: Sequence[Any]
    seconds: float


class NameServers:
    """Asks the given name servers, or those of the system."""

    def __init__(self, servers: Sequence[Endpoint] = ()) -> None:
        self._servers = servers
        self._resolver: DnsResolver | None = None

    def __call__(self, name: str, kind: str) -> Records:
        """The records of a name; `kind` is A, AAAA, SRV or NAPTR.

        Blocks this greenlet.  Raises Unanswered.
        """
        # Takes 0.1 s and some megabytes: a server that calls nobody by name does without.
        import dns.exception
        import dns.resolver

        try:
            if self._resolver is None:
                self._resolver = self._configured()
            answer = self._resolver.resolve(
                name, kind, raise_on_no_answer=False, lifetime=SECONDS_PER_QUESTION, search=False
            )
        except dns.resolver.NXDOMAIN as error:
            return Records((), _seconds_of_nothing(error))
        except (dns.exception.DNSException, OSError, UnicodeError, ValueError) as error:
            self._resolver = None  # the network may have another server by now
            reason = f"no answer about {kind} of {name}: {error}"[:MAX_REASON]
        else:
            return _read(answer, kind)
        # Out here it holds on to no other exception, and so to none of the answers that led to it.
        raise Unanswered(reason)

    def _configured(self) -> "DnsResolver":
        import dns.resolver

        from sip.transport.dns.exchange import NameServer

        resolver = dns.resolver.Resolver(configure=not self._servers)
        resolver.timeout = SECONDS_PER_TRY
        servers = self._servers or [(str(host), resolver.port) for host in resolver.nameservers]
        resolver.nameservers = [NameServer(host, port) for host, port in servers]
        return resolver


def _seconds_of_nothing(error: Any) -> float:
    """How long a name stays unknown: the SOA of its zone says it (RFC 2308 §5)."""
    answers = [answer.resolve_chaining() for answer in error.responses().values()]
    return min((float(answer.minimum_ttl) for answer in answers), default=0.0)


def _read(answer: "DnsAnswer", kind: str) -> Records:
    seconds = float(answer.chaining_result.minimum_ttl)
    if answer.rrset is None:
        return Records((), seconds)
    rows = list(answer.rrset)[:MAX_RECORDS]
    if kind == "SRV":
        return Records([(r.priority, r.weight, r.port, _name(r.target)) for r in rows], seconds)
    if kind == "NAPTR":
        return Records([_naptr(row) for row in rows], seconds)
    return Records([row.address for row in rows], seconds)


def _naptr(row: Any) -> Naptr:
    flags, service = (
        text[:MAX_SERVICE].decode("ascii", "replace").upper() for text in (row.flags, row.service)
    )
    return row.order, row.preference, flags, service, _name(row.replacement)


def _name(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True))
