"""The resolver: the addresses of the next hop of a URI (RFC 3263).

NAPTR records of a domain name its services, one for each transport; SRV records of a service name
its servers; A and AAAA records of a server give its addresses.  Without NAPTR records the SRV names
of all our transports are asked for; without SRV records the domain itself is the server.

A caller waits for these questions, so those that may be needed are asked in parallel.  The zone may
be hostile: the numbers of services, servers and returned hops are bounded.
"""

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
from sip.transport.dns.client import Naptr, NoAnswer, Srv
from sip.transport.flow import Endpoint
from sip.transport.transport_names import (
    DEFAULT_TRANSPORT,
    TCP,
    TLS,
    TRANSPORTS,
    UDP,
    default_port,
    is_secure,
)

# Hops that are returned for one URI; a silent hop makes a caller wait half a minute.
MAX_HOPS = 8
# Services of a name, and servers of each service, that are used, the best first; a hostile zone
# could name any number.
MAX_SERVICES = 4
MAX_SERVERS = 8
# Servers and addresses of the gateway of one trunk; its zone is a partner's, so it may have more.
MAX_TRUNK_SERVERS = 128
MAX_TRUNK_ENDPOINTS = 512

# Top-level domains that are not in the DNS: RFC 6761 §6.4, RFC 6762 §3, RFC 7686 §2, RFC 9476.
# The domains of RFC 6761 for examples and tests are looked up as usual (§6.2, §6.5).
_NEVER_IN_DNS = frozenset({"invalid", "local", "onion", "alt"})
# RFC 2782: the target of a service that the domain does not offer.
_ROOT = ("", ".")
_BROADCAST = ip_address("255.255.255.255")

_T = TypeVar("_T")


class NoRoute(Exception):
    """No next hop can be found; the text is the reason."""


class Hop(NamedTuple):
    """An address, port and transport to send a request to; `transport` is in upper case.

    `name` is the domain that was asked for, which a server has to prove by its certificate (RFC
    5922 §7.3); "" without TLS.
    """

    transport: str
    address: Endpoint
    name: str = ""

    @property
    def is_secure(self) -> bool:
        """Return True if messages are encrypted, as `Flow.is_secure`."""
        return is_secure(self.transport)

    @property
    def is_reliable(self) -> bool:
        """Return True if the transport repeats lost octets itself, as `Flow.is_reliable`."""
        return self.transport != UDP

    @property
    def is_connection(self) -> bool:
        """Return True if messages travel on a connection, as `Flow.is_connection`."""
        return self.transport != UDP


class Server(NamedTuple):
    """A host and port that serve a domain by one transport; its addresses are not known yet."""

    transport: str
    host: str
    port: int


# The servers of each service of a domain, the best first.
Services = list[list[Server]]
# Addresses of IPv4, and of IPv6.
Families = tuple[list[str], list[str]]


@cached_parse(1024)
def is_loopback(host: str) -> bool:
    """Return True for an address that means the machine itself, on every machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Resolver:
    """Finds the addresses of next hops (RFC 3263).

    `ask` returns the records of a name and a type, and may wait; `local` the addresses of a name in
    the hosts file; `draw` a random number from 0 to its argument, both included.  `has_family`,
    given True for IPv6, returns True if this server can send to that family; addresses of other
    families are not asked for.  `speaks` returns True for the transports that this server has.
    """

    def __init__(
        self,
        ask: Ask,
        clock: Callable[[], float],
        has_family: Callable[[bool], bool],
        local: Callable[[str], Sequence[str]] = lambda name: (),
        draw: Callable[[int], int] = lambda most: random.randint(0, most),
        speaks: Callable[[str], bool] = lambda transport: not TRANSPORTS[transport].is_secure,
    ) -> None:
        self._cache = DnsCache(ask, clock)
        self._local = local
        self._draw = draw
        self._speaks = speaks
        self.has_family = has_family

    def _wanted_transport(self, uri: SipUri) -> str | None:
        """Return the transport that a URI asks for.  Raises NoRoute if this server lacks it.

        A sips: URI means TLS; its `transport=tcp` says what is below (RFC 5630 §3.1.4).
        """
        transport = uri.param("transport")
        if transport is None and uri.scheme == "sip":  # nearly always
            return None
        wanted = None if transport is None else transport.upper()
        if uri.scheme == "sips":
            if wanted not in (None, TCP, TLS):
                raise NoRoute(f"sips needs TLS, not the transport {transport}"[:60])
            wanted = TLS
        if wanted is not None and (wanted not in TRANSPORTS or not self._speaks(wanted)):
            raise NoRoute(
                "TLS needs a certificate, which this server does not have"
                if wanted == TLS
                else f"this server does not speak the transport {wanted[:20].lower()}"
            )
        return wanted

    def is_resolved(self, uri: SipUri) -> bool:
        """Return True if the next hop of `uri` is an address, so that `hops` does not wait."""
        return is_address(uri.param("maddr") or uri.host)

    def is_routable(self, uri: SipUri, source: str) -> bool:
        """Return False if no look-up can ever lead to the host of `uri`; asks no name server.

        `source` is the address of the peer that named it.  A name in the hosts file is found,
        unless it means this machine: a peer on another machine means that machine.
        """
        try:
            self._wanted_transport(uri)
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
        """Return the hops for a request to `uri`, the best first (RFC 3263 §4).

        They lead to its maddr, else to its host.  A name blocks this greenlet until it is resolved.
        Raises NoRoute.
        """
        transport, host = self._wanted_transport(uri), _target(uri)
        if is_address(host):
            end = _normal_address(host), uri.port or default_port(transport)
            if transport is None:
                return [Hop(DEFAULT_TRANSPORT, end)]
            return [Hop(transport, end, end[0] if is_secure(transport) else "")]
        all_services, _ = self._services(uri, transport)
        services = [servers[:MAX_SERVERS] for servers in all_services]
        # Servers of all services are resolved in turn, until there are enough hops, or until a
        # question has no answer, since more questions would take long.
        waiting = list(dict.fromkeys(_in_turn(services)))
        found: dict[Server, Families] = {}
        silence: NoAnswer | None = None
        while waiting and len(found) < MAX_HOPS and silence is None:
            count = MAX_HOPS - len(found)
            some, waiting = waiting[:count], waiting[count:]
            addresses, silence = self._addresses([server.host for server in some])
            found |= {server: addresses[server.host] for server in some if server.host in addresses}
        if not found:
            raise NoRoute(str(silence or f"{host} has no address"))
        return _some_of_each(services, found, _normal_name(host))

    def endpoints(self, uri: SipUri) -> tuple[frozenset[Endpoint], bool]:
        """Return all addresses that `uri` leads to, and whether every DNS question was answered.

        A name blocks this greenlet until it is resolved.  Raises NoRoute.
        """
        transport, host = self._wanted_transport(uri), _target(uri)
        if is_address(host):
            return frozenset({(_normal_address(host), uri.port or default_port(transport))}), True
        services, is_complete = self._services(uri, transport)
        servers = sorted({(server.host, server.port) for server in chain(*services)})
        endpoints: set[Endpoint] = set()
        for start in range(0, min(len(servers), MAX_TRUNK_SERVERS), MAX_HOPS):
            some = servers[start : start + MAX_HOPS]
            addresses, silence = self._addresses([name for name, _ in some])
            is_complete = is_complete and silence is None
            for name, port in some:
                endpoints.update((address, port) for address in chain(*addresses.get(name, ())))
        if not endpoints:
            raise NoRoute(f"{host} has no address")
        return frozenset(sorted(endpoints)[:MAX_TRUNK_ENDPOINTS]), is_complete

    def _services(self, uri: SipUri, transport: str | None) -> tuple[Services, bool]:
        """Return the servers of a URI, and whether every DNS question about them was answered.

        `transport` is the one that the URI asks for.  RFC 3263 §4.1 and §4.2: NAPTR records choose
        it unless the URI has named one; for a sips: URI they choose the name of its servers.  All
        questions that may be needed are asked in parallel, so that a caller waits for one answer,
        not for four.
        """
        name, port = _normal_name(_target(uri)), uri.port
        asks_naptr = uri.param("transport") is None
        if port is not None or self._local(name):  # only addresses are looked up then
            server = Server(transport or DEFAULT_TRANSPORT, name, port or default_port(transport))
            return [[server]], True
        guesses = [
            (kind, (f"{info.srv_prefix}.{name}", "SRV"))
            for kind, info in TRANSPORTS.items()
            if transport == kind or (transport is None and not info.is_secure)
        ]
        naptr = name, "NAPTR"
        questions = [question for _, question in guesses]
        said = self._cache.answers([naptr, *questions] if asks_naptr else questions)
        services_here = chosen_services(
            _rows(said.get(naptr)), lambda kind: transport in (None, kind) and self._speaks(kind)
        )
        chosen = [(kind, (at, "SRV")) for kind, at in services_here[:MAX_SERVICES]]
        said |= self._cache.answers(question for _, question in chosen if question not in said)
        answers = [(kind, said[question]) for kind, question in chosen or guesses]
        silences = [answer for _, answer in answers if isinstance(answer, NoAnswer)]
        is_complete = not silences and not isinstance(said.get(naptr), NoAnswer)
        services = [self._servers(kind, _rows(answer)) for kind, answer in answers]
        if any(services):
            return services, is_complete

        # RFC 2782: if the answers say that there are no services, the domain itself is the host.  A
        # missing answer does not say so, except if none of these questions is answered: the DNS
        # proxy of some routers answers no SRV questions at all.
        if silences:
            said |= self._cache.answers([] if asks_naptr else [naptr])
            if not all(isinstance(answer, NoAnswer) for answer in said.values()):
                raise NoRoute(str(silences[0]))
            kinds = [transport or DEFAULT_TRANSPORT]
        else:
            kinds = [kind for kind, answer in answers if not _rows(answer)]
            if not kinds:
                raise NoRoute(f"{name} has no such service")
            if not chosen:
                del kinds[1:]
        return [[Server(kind, name, default_port(kind))] for kind in kinds], is_complete

    def _servers(self, transport: str, rows: Sequence[Srv]) -> list[Server]:
        there = [row for row in rows if row[3] not in _ROOT]
        return [Server(transport, host, port) for _, _, port, host in in_order(there, self._draw)]

    def _addresses(self, names: Iterable[str]) -> tuple[dict[str, Families], NoAnswer | None]:
        """Return the addresses of the names that have any, and the first missing answer, if any."""
        kinds = [kind for kind in ("A", "AAAA") if self.has_family(kind == "AAAA")]
        local = {name: self._local(name) for name in names}
        said = self._cache.answers(
            (name, kind) for name, known in local.items() if not known for kind in kinds
        )
        found: dict[str, Families] = {}
        for name, known in local.items():
            both = [*known] or chain(*(_rows(said[name, kind]) for kind in kinds))
            families: Families = [], []
            for address in map(ip_address, both):
                is_ipv6 = address.version == 6
                if _is_host_address(address) and self.has_family(is_ipv6):
                    families[is_ipv6].append(str(address))
            if any(families):
                found[name] = families
        silences = (answer for answer in said.values() if isinstance(answer, NoAnswer))
        return found, next(silences, None)


def _rows(answer: Answer | None) -> Sequence[Any]:
    """Return the records of an answer, if there is one."""
    return () if answer is None or isinstance(answer, NoAnswer) else answer.found


def _in_turn(lists: Iterable[Sequence[_T]]) -> list[_T]:
    """Return the first items of all lists, then the second items, and so on."""
    return [item for item in chain(*zip_longest(*lists)) if item is not None]


def _some_of_each(services: Services, found: dict[Server, Families], name: str) -> list[Hop]:
    """Return at most MAX_HOPS hops by preference: one to each server before a second one to any.

    Hops of both families are taken in turn, but IPv4 comes first, because it rarely fails.
    """
    by_turn = [
        (turn, _hop(server, address, name))
        for server, families in found.items()
        for turn, address in enumerate(_in_turn(families))
    ]
    hops = dict.fromkeys(hop for _, hop in sorted(by_turn, key=itemgetter(0)))
    taken = set(list(hops)[:MAX_HOPS])
    ordered = dict.fromkeys(
        _hop(server, address, name)
        for server in chain(*services)
        for address in chain(*found.get(server, ()))
    )
    return [hop for hop in ordered if hop in taken]


def _hop(server: Server, address: str, name: str) -> Hop:
    """Return the hop to an address of a server; over TLS the server has to prove `name`."""
    return Hop(server.transport, (address, server.port), name if server.transport == TLS else "")


def chosen_services(rows: Sequence[Naptr], speaks: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Return the transports of NAPTR records that we speak, with the names of their SRV records.

    By order, then preference (RFC 3403 §4.1).
    """
    names = {info.naptr_service: name for name, info in TRANSPORTS.items()}
    return [
        (names[service], replacement.lower())
        for _, _, flags, service, replacement in sorted(rows)
        if flags == "S"
        and service in names
        and replacement not in ("", ".")
        and speaks(names[service])
    ]


def in_order(rows: Sequence[Srv], draw: Callable[[int], int]) -> list[Srv]:
    """Return SRV records in the order in which to try them (RFC 2782).

    They are sorted by priority; records of one priority are drawn at random by their weight.
    """
    ordered: list[Srv] = []
    for priority in sorted({row[0] for row in rows}):
        # Records of weight 0 stand first: they have a small chance to be drawn.
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
    if not _is_host_address(address):
        raise NoRoute(f"{host} is not the address of a host")
    return str(address)


def _is_host_address(address: IPv4Address | IPv6Address) -> bool:
    """Return True if an address can belong to one host; a hostile zone may name any address."""
    return not (address.is_multicast or address.is_unspecified or address == _BROADCAST)


def _normal_name(host: str) -> str:
    name = host.removesuffix(".").lower()
    if name.rpartition(".")[2][:1].isdigit():
        # §25.1: the last label of a name begins with a letter.  The system would read 0x7f000001.
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
