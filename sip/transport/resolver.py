"""From a URI to the addresses of its next hop (RFC 3263)."""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple, cast

import gevent
from gevent.event import AsyncResult

from sip.message.grammar import BadMessage
from sip.message.uri import SipUri, parse_host_port
from sip.transport.dns import Naptr, Records, Srv, Unanswered
from sip.transport.flow import DEFAULT_PORT, Endpoint

# Ways to one next hop that are handed out: a silent one takes a caller half a minute.
MAX_HOPS = 8
# Answers that are kept, about 1 kB each.
MAX_KEPT = 4096
# The longest that one is kept, whatever its zone says; and one that says that there is nothing.
MAX_SECONDS = 86_400.0
MAX_SECONDS_OF_NOTHING = 300.0
# How long a name server that did not answer is not asked the same again.
SECONDS_AFTER_SILENCE = 2.0

# Services of RFC 3263 §4.1 that we speak, in the order of preference where a domain has none.
_SERVICES = {"SIP+D2U": "UDP", "SIP+D2T": "TCP"}
TRANSPORTS = ("UDP", "TCP")
_BROADCAST = ip_address("255.255.255.255")

Ask = Callable[[str, str], Records]


class NoRoute(Exception):
    """There is no way to a next hop; the text says why."""


class Hop(NamedTuple):
    """Where a request may be sent: `transport` in upper case, and an address with its port."""

    transport: str
    address: Endpoint


def is_address(host: str) -> bool:
    """Tell whether a host is written as an IPv4 or IPv6 address."""
    if ":" in host:
        return True
    return host[-1:].isdigit() and host.replace(".", "").isdigit()


class Resolver:
    """Finds the ways to next hops.

    `ask` gives the records of a name and a kind, and may wait; `local` the addresses that this
    machine knows by itself; `draw` a number from 0 to its argument, both included.
    """

    def __init__(
        self,
        ask: Ask,
        clock: Callable[[], float],
        local: Callable[[str], Sequence[str]] = lambda name: (),
        draw: Callable[[int], int] = lambda most: random.randint(0, most),
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._local = local
        self._draw = draw
        self._kept: dict[tuple[str, str], tuple[float, Records | Unanswered]] = {}
        self._asking: dict[tuple[str, str], AsyncResult[Records | Unanswered]] = {}

    def is_quick(self, uri: SipUri) -> bool:
        """Tell whether the next hop is written as an address, so that nothing waits for a name."""
        return is_address(uri.param("maddr") or uri.host)

    def hops(self, uri: SipUri) -> list[Hop]:
        """Where a request for `uri` goes, the best first: its maddr, else its host (RFC 3263 §4).

        A name blocks this greenlet until it is resolved.  Raises NoRoute.
        """
        if uri.scheme == "sips":
            raise NoRoute("sips needs TLS, which this server does not speak")
        transport = uri.param("transport")
        if transport is not None and transport.upper() not in TRANSPORTS:
            raise NoRoute(f"the transport {transport[:20]} is not spoken here")
        wanted = transport.upper() if transport else None
        host = _target(uri)
        if is_address(host):
            return [Hop(wanted or "UDP", (_normal_address(host), uri.port or DEFAULT_PORT))]
        name = host.removesuffix(".").lower()
        if name.rpartition(".")[2][:1].isdigit():
            # §25.1: a name's last label begins with a letter.  The system would read 0x7f000001.
            raise NoRoute(f"{host} is neither a name nor an address")
        hops = list(dict.fromkeys(self._hops_of_name(name, uri.port, wanted)))[:MAX_HOPS]
        if not hops:
            raise NoRoute(f"{host} has no address")
        return hops

    def _hops_of_name(self, name: str, port: int | None, transport: str | None) -> Iterable[Hop]:
        """RFC 3263 §4.1 and §4.2: a port or a hosts file ask for addresses alone."""
        addresses = [_normal_address(address) for address in self._local(name)]
        if addresses or port is not None:
            addresses = addresses or self._addresses([name])[name]
            end = port or DEFAULT_PORT
            return [Hop(transport or "UDP", (address, end)) for address in addresses]
        services = self._services(name, transport)
        targets = {target for _, rows in services for _, _, _, target in rows}
        if not targets:
            # No SRV: the domain is a host as well.
            found = self._addresses([name])[name]
            return [Hop(transport or "UDP", (address, DEFAULT_PORT)) for address in found]
        found_of = self._addresses(sorted(targets))
        return [
            Hop(kind, (address, srv_port))
            for kind, rows in services
            for _, _, srv_port, target in in_order(rows, self._draw)
            for address in found_of[target]
        ]

    def _services(self, name: str, transport: str | None) -> list[tuple[str, list[Srv]]]:
        """The SRV records of each transport, in order of preference (RFC 3263 §4.1).

        What may be needed is asked at once, so that a caller waits for one answer, not for four.
        Where nothing is answered there are none: some routers know addresses alone.
        """
        guesses = [(kind, f"_sip._{kind.lower()}.{name}") for kind in TRANSPORTS]
        if transport is not None:
            wanted = [(kind, at) for kind, at in guesses if kind == transport]
        else:
            questions = [(name, "NAPTR"), *((at, "SRV") for _, at in guesses)]
            naptr, *_ = self._all(questions, may_fail=True)
            wanted = chosen_services(naptr) or guesses
        answers = self._all([(at, "SRV") for _, at in wanted], may_fail=True)
        # RFC 2782: a target that is the root says that the service isn't there.
        return [
            (kind, [row for row in rows if row[3] not in ("", ".")])
            for (kind, _), rows in zip(wanted, answers, strict=True)
        ]

    def _addresses(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The addresses of each name, those of IPv4 first: they are the ones that rarely fail."""
        questions = [(name, kind) for name in names for kind in ("A", "AAAA")]
        answers = self._all(questions, may_fail=False)
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return {
            name: [address for address in (*four, *six) if _is_somebodys(ip_address(address))]
            for name, (four, six) in zip(names, pairs, strict=True)
        }

    # Questions

    def _all(self, questions: Sequence[tuple[str, str]], *, may_fail: bool) -> list[Sequence[Any]]:
        """Ask several questions at once.  One without an answer counts as nothing.

        Where not even one gets an answer, though they must, raises NoRoute.
        """
        if all(self._known(question) for question in questions) or len(questions) == 1:
            answers = [self._answer(question) for question in questions]
        else:
            asked = [gevent.spawn(self._answer, question) for question in questions]
            answers = [one.get() for one in asked]
        failures = [answer for answer in answers if isinstance(answer, Unanswered)]
        if len(failures) == len(answers) and not may_fail:
            raise NoRoute(str(failures[0]))
        return [() if isinstance(answer, Unanswered) else answer.found for answer in answers]

    def _known(self, question: tuple[str, str]) -> Records | Unanswered | None:
        until, answer = self._kept.get(question, (0.0, None))
        return answer if until > self._clock() else None

    def _answer(self, question: tuple[str, str]) -> Records | Unanswered:
        """What is known, else what the name servers say; one asks, and all others wait for it."""
        known = self._known(question)
        if known is not None:
            return known
        asked = self._asking.get(question)
        if asked is not None:
            return cast(Records | Unanswered, asked.get())
        asking = self._asking[question] = AsyncResult()
        answer: Records | Unanswered = Unanswered("the question was given up")
        try:
            answer = self._ask(*question)
            seconds = min(answer.seconds, MAX_SECONDS if answer.found else MAX_SECONDS_OF_NOTHING)
        except Unanswered as error:
            answer, seconds = error, SECONDS_AFTER_SILENCE
        finally:
            del self._asking[question]
            asking.set(answer)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[question] = self._clock() + seconds, answer
        return answer


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


@lru_cache(maxsize=4096)
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


def _target(uri: SipUri) -> str:
    maddr = uri.param("maddr")
    if not maddr:
        return uri.host
    try:
        return parse_host_port(maddr)[0]
    except BadMessage as error:
        raise NoRoute(f"maddr: {error.reason}") from None
