"""From a URI to the addresses of its next hop (RFC 3263)."""

import random
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain, zip_longest
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage
from sip.message.uri import SipUri, is_address, parse_host_port
from sip.transport.dns.cache import Answer, Ask, DnsCache
from sip.transport.dns.client import Naptr, Srv, Unanswered
from sip.transport.flow import DEFAULT_PORT, Endpoint

# Ways to one next hop that are handed out: a silent one takes a caller half a minute.
MAX_HOPS = 8
# Services of a name, and servers of each, that are looked at, the best first: in a hostile zone
# each leads to as many more.
MAX_SERVICES = 4
MAX_SERVERS = 8
# Servers and addresses of one gateway that is let in; its zone is a partner's, not a stranger's.
MAX_SERVERS_LET_IN = 128
MAX_PLACES_LET_IN = 512

# Services of RFC 3263 §4.1 that we speak, in the order of preference where a domain has none.
_SERVICES = {"SIP+D2U": "UDP", "SIP+D2T": "TCP"}
TRANSPORTS = ("UDP", "TCP")
# Top-level domains that no name server knows: RFC 6761 §6.4, RFC 6762 §3, RFC 7686 §2, RFC 9476.
# Those of RFC 6761 for examples and tests are looked up like any other (§6.2, §6.5).
_NEVER_IN_DNS = frozenset({"invalid", "local", "onion", "alt"})
# RFC 2782: the target of a service that is decidedly not there.
_ROOT = ("", ".")
_BROADCAST = ip_address("255.255.255.255")

_T = TypeVar("_T")


class NoRoute(Exception):
    """There is no way to a next hop; the text says why."""


class Hop(NamedTuple):
    """Where a request may be sent: `transport` in upper case, and an address with its port."""

    transport: str
    address: Endpoint


class Server(NamedTuple):
    """A host that serves a domain by one transport; its addresses have to be found yet."""

    transport: str
    host: str
    port: int


# The servers of each service of a domain, the best first.
Services = list[list[Server]]
# Addresses of IPv4, and of IPv6.
Families = tuple[list[str], list[str]]


@cached_parse(1024)
def is_loopback(host: str) -> bool:
    """Return True for an address that means the machine itself, on whichever it is said."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Resolver:
    """Finds the ways to next hops.

    `ask` gives the records of a name and a kind, and may wait; `local` the addresses that this
    machine knows by itself; `draw` a number from 0 to its argument, both included.  Of a name's
    addresses only those are looked for whose family `has_family`, given True for IPv6, allows.
    """

    def __init__(
        self,
        ask: Ask,
        clock: Callable[[], float],
        has_family: Callable[[bool], bool],
        local: Callable[[str], Sequence[str]] = lambda name: (),
        draw: Callable[[int], int] = lambda most: random.randint(0, most),
    ) -> None:
        self._cache = DnsCache(ask, clock)
        self._local = local
        self._draw = draw
        self.has_family = has_family

    def is_quick(self, uri: SipUri) -> bool:
        """Tell whether the next hop is written as an address, so that nothing waits for a name."""
        return is_address(uri.param("maddr") or uri.host)

    def may_reach(self, uri: SipUri, source: str) -> bool:
        """Return False if no look-up can ever lead to the host of `uri`; asks no name server.

        `source` is the address of the peer that named it.  A name in the hosts file is found, but
        not where it means the machine itself: a peer elsewhere means another one.
        """
        try:
            _wanted_transport(uri)
            host = _target(uri)
            if is_address(host):
                return self.has_family(":" in _normal_address(host))
            name = _normal_name(host)
        except NoRoute:
            return False
        top = name.rpartition(".")[2]
        if top == name or top in _NEVER_IN_DNS or top == "localhost":
            known = self._local(name)
            return any(is_loopback(source) or not is_loopback(address) for address in known)
        return True

    def hops(self, uri: SipUri) -> list[Hop]:
        """Where a request for `uri` goes, the best first: its maddr, else its host (RFC 3263 §4).

        A name blocks this greenlet until it is resolved.  Raises NoRoute.
        """
        transport, host = _wanted_transport(uri), _target(uri)
        if is_address(host):
            return [Hop(transport or "UDP", (_normal_address(host), uri.port or DEFAULT_PORT))]
        all_services, _ = self._services(_normal_name(host), uri.port, transport)
        services = [servers[:MAX_SERVERS] for servers in all_services]
        # They are looked up until there are enough, or silence says that it would take long; each
        # service has its turn among them.
        waiting = list(dict.fromkeys(_in_turn(services)))
        found: dict[Server, Families] = {}
        silence: Unanswered | None = None
        while waiting and len(found) < MAX_HOPS and silence is None:
            count = MAX_HOPS - len(found)
            some, waiting = waiting[:count], waiting[count:]
            addresses, silence = self._addresses([server.host for server in some])
            found |= {server: addresses[server.host] for server in some if server.host in addresses}
        if not found:
            raise NoRoute(str(silence or f"{host} has no address"))
        return _some_of_each(services, found)

    def places(self, uri: SipUri) -> tuple[frozenset[Endpoint], bool]:
        """All addresses that `uri` leads to, and whether these are all: nothing went unanswered.

        A name blocks this greenlet until it is resolved.  Raises NoRoute.
        """
        transport, host = _wanted_transport(uri), _target(uri)
        if is_address(host):
            return frozenset({(_normal_address(host), uri.port or DEFAULT_PORT)}), True
        services, is_complete = self._services(_normal_name(host), uri.port, transport)
        servers = sorted({(server.host, server.port) for server in chain(*services)})
        places: set[Endpoint] = set()
        for start in range(0, min(len(servers), MAX_SERVERS_LET_IN), MAX_HOPS):
            some = servers[start : start + MAX_HOPS]
            addresses, silence = self._addresses([name for name, _ in some])
            is_complete = is_complete and silence is None
            for name, port in some:
                places.update((address, port) for address in chain(*addresses.get(name, ())))
        if not places:
            raise NoRoute(f"{host} has no address")
        return frozenset(sorted(places)[:MAX_PLACES_LET_IN]), is_complete

    def _services(
        self, name: str, port: int | None, transport: str | None
    ) -> tuple[Services, bool]:
        """The servers of a name, and whether all that was asked for them was answered.

        RFC 3263 §4.1 and §4.2.  What may be needed is asked at once, so that a caller waits for one
        answer, not for four.
        """
        if port is not None or self._local(name):  # they ask for addresses alone
            return [[Server(transport or "UDP", name, port or DEFAULT_PORT)]], True
        guesses = [
            (kind, (f"_sip._{kind.lower()}.{name}", "SRV"))
            for kind in TRANSPORTS
            if transport in (None, kind)
        ]
        naptr = name, "NAPTR"
        questions = [question for _, question in guesses]
        said = self._cache.to(questions if transport else [naptr, *questions])
        chosen = [
            (kind, (at, "SRV"))
            for kind, at in chosen_services(_rows(said.get(naptr)))[:MAX_SERVICES]
        ]
        said |= self._cache.to(question for _, question in chosen if question not in said)
        answers = [(kind, said[question]) for kind, question in chosen or guesses]
        silences = [answer for _, answer in answers if isinstance(answer, Unanswered)]
        is_complete = not silences and not isinstance(said.get(naptr), Unanswered)
        services = [self._servers(kind, _rows(answer)) for kind, answer in answers]
        if any(services):
            return services, is_complete

        # RFC 2782: where it is said that there are none, the domain is a host as well; silence says
        # nothing, but where no question about services is answered: some routers know none.
        if silences:
            said |= self._cache.to([naptr] if transport else [])
            if not all(isinstance(answer, Unanswered) for answer in said.values()):
                raise NoRoute(str(silences[0]))
            kinds = [transport or "UDP"]
        else:
            kinds = [kind for kind, answer in answers if not _rows(answer)]
            if not kinds:
                raise NoRoute(f"{name} has no such service")
            if not chosen:
                del kinds[1:]
        return [[Server(kind, name, DEFAULT_PORT)] for kind in kinds], is_complete

    def _servers(self, transport: str, rows: Sequence[Srv]) -> list[Server]:
        there = [row for row in rows if row[3] not in _ROOT]
        return [Server(transport, host, port) for _, _, port, host in in_order(there, self._draw)]

    def _addresses(self, names: Iterable[str]) -> tuple[dict[str, Families], Unanswered | None]:
        """The addresses of those names that have any, and the first silence about them."""
        kinds = [kind for kind in ("A", "AAAA") if self.has_family(kind == "AAAA")]
        local = {name: self._local(name) for name in names}
        said = self._cache.to(
            (name, kind) for name, known in local.items() if not known for kind in kinds
        )
        found: dict[str, Families] = {}
        for name, known in local.items():
            both = [*known] or chain(*(_rows(said[name, kind]) for kind in kinds))
            families: Families = [], []
            for address in map(ip_address, both):
                is_ipv6 = address.version == 6
                if _is_somebodys(address) and self.has_family(is_ipv6):
                    families[is_ipv6].append(str(address))
            if any(families):
                found[name] = families
        silences = (answer for answer in said.values() if isinstance(answer, Unanswered))
        return found, next(silences, None)


def _rows(answer: Answer | None) -> Sequence[Any]:
    """The records of an answer, as far as there is one."""
    return () if answer is None or isinstance(answer, Unanswered) else answer.found


def _in_turn(lists: Iterable[Sequence[_T]]) -> list[_T]:
    """The first of each list, then the second of each, and so on."""
    return [item for item in chain(*zip_longest(*lists)) if item is not None]


def _some_of_each(services: Services, found: dict[Server, Families]) -> list[Hop]:
    """At most MAX_HOPS ways, by preference: one to each server, before another to any.

    Both families have their turn, but the addresses of IPv4 come first: they rarely fail.
    """
    ways = [
        (turn, Hop(server.transport, (address, server.port)))
        for server, families in found.items()
        for turn, address in enumerate(_in_turn(families))
    ]
    hops = dict.fromkeys(hop for _, hop in sorted(ways, key=itemgetter(0)))
    taken = set(list(hops)[:MAX_HOPS])
    ordered = dict.fromkeys(
        Hop(server.transport, (address, server.port))
        for server in chain(*services)
        for address in chain(*found.get(server, ()))
    )
    return [hop for hop in ordered if hop in taken]


def chosen_services(rows: Sequence[Naptr]) -> list[tuple[str, str]]:
    """The transports that NAPTR records offer and we speak, with the names of their SRV records.

    By order, then preference (RFC 3403 §4.1).
    """
    return [
        (_SERVICES[service], replacement.lower())
        for _, _, flags, service, replacement in sorted(rows)
        if flags == "S" and service in _SERVICES and replacement not in ("", ".")
    ]


def in_order(rows: Sequence[Srv], draw: Callable[[int], int]) -> list[Srv]:
    """SRV records in the order in which they are tried (RFC 2782).

    By priority; within one, drawn by weight, so that each gets its share of the calls.
    """
    ordered: list[Srv] = []
    for priority in sorted({row[0] for row in rows}):
        # Those of weight 0 stand first, and so have a small chance among others.
        left = sorted((row for row in rows if row[0] == priority), key=lambda row: row[1])
        while left:
            drawn = draw(sum(row[1] for row in left))
            for row in left:
                drawn -= row[1]
                if drawn <= 0:
                    break
            left.remove(row)
            ordered.append(row)
    return ordered


@cached_parse(4096)
def _normal_address(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        raise NoRoute(f"{host} is not an address") from None
    if not _is_somebodys(address):
        raise NoRoute(f"{host} is no one host's address")
    return str(address)


def _is_somebodys(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is one host's: a stranger's zone may say anything."""
    return not (address.is_multicast or address.is_unspecified or address == _BROADCAST)


def _wanted_transport(uri: SipUri) -> str | None:
    """The transport that a URI asks for.  Raises NoRoute where it is none of ours."""
    if uri.scheme == "sips":
        raise NoRoute("sips needs TLS, which this server does not speak")
    transport = uri.param("transport")
    if transport is not None and transport.upper() not in TRANSPORTS:
        raise NoRoute(f"the transport {transport[:20]} is not spoken here")
    return transport.upper() if transport else None


def _normal_name(host: str) -> str:
    name = host.removesuffix(".").lower()
    if name.rpartition(".")[2][:1].isdigit():
        # §25.1: a name's last label begins with a letter.  The system would read 0x7f000001.
        raise NoRoute(f"{host} is neither a name nor an address")
    return name


def _target(uri: SipUri) -> str:
    maddr = uri.param("maddr")
    if not maddr:
        return uri.host
    try:
        return parse_host_port(maddr)[0]
    except BadMessage as error:
        raise NoRoute(f"maddr: {error.reason}") from None
