"""DNS questions, asked by dnspython (RFC 1035, 2782, 3403).

With gevent's patch a question blocks only its greenlet.
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

# Seconds for one question with its retries; the caller hears nothing meanwhile.
SECONDS_PER_QUESTION = 4.0
# Seconds until the next name server is asked, or the same one again.
SECONDS_PER_TRY = 1.0
# Records that are read of one answer; no honest zone has more.
MAX_RECORDS = 32
# Characters of the flags or the service of a NAPTR record; no known service has a longer name.
MAX_SERVICE = 32
# Characters of the reason for a missing answer, which may name each server and its error.
MAX_REASON = 300

# SRV: priority, weight, port, target.  NAPTR: order, preference, flags, service, replacement.
Srv = tuple[int, int, int, str]
Naptr = tuple[int, int, str, str, str]


class NoAnswer(Exception):
    """No name server gave a usable answer; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one type that a name has, perhaps none, and their time to live in seconds.

    Addresses are texts; names end without a dot.
    """

    found: Sequence[Any]
    seconds: float


class NameServers:
    """Asks the given name servers, or those of the system configuration."""

    def __init__(self, servers: Sequence[Endpoint] = ()) -> None:
        self._servers = servers
        self._resolver: DnsResolver | None = None

    def __call__(self, name: str, kind: str) -> Records:
        """Return the records of a name; `kind` is A, AAAA, SRV or NAPTR.

        Blocks this greenlet.  Raises NoAnswer.
        """
        # The import takes 0.1 s and some megabytes; a server that looks up no name saves them.
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
            self._resolver = None  # the system may have another name server by now
            reason = f"no answer about {kind} of {name}: {error}"[:MAX_REASON]
        else:
            return _read(answer, kind)
        # Raised outside the except block, so that it keeps no other exception and no answer alive.
        raise NoAnswer(reason)

    def _configured(self) -> "DnsResolver":
        import dns.resolver

        from sip.transport.dns.exchange import NameServer

        resolver = dns.resolver.Resolver(configure=not self._servers)
        resolver.timeout = SECONDS_PER_TRY
        servers = self._servers or [(str(host), resolver.port) for host in resolver.nameservers]
        resolver.nameservers = [NameServer(host, port) for host, port in servers]
        return resolver


def _seconds_of_nothing(error: Any) -> float:
    """Return the time to live of a name error, from the SOA of its zone (RFC 2308 §5)."""
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
