"""From a URI to the addresses of its next hop (RFC 3263)."""

import socket
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from sip.message.grammar import BadMessage
from sip.message.uri import SipUri, parse_host_port
from sip.transport.flow import DEFAULT_PORT, Endpoint


class NoRoute(Exception):
    """There is no way to a next hop; the text says why."""


def is_address(host: str) -> bool:
    """Tell whether a host is written as an IPv4 or IPv6 address."""
    if ":" in host:
        return True
    return host[-1:].isdigit() and host.replace(".", "").isdigit()


class Hop(NamedTuple):
    """Where a request may be sent: `transport` in upper case, and an address with its port."""

    transport: str
    address: Endpoint


class Resolver:
    """Finds the next hops of URIs."""

    def is_quick(self, uri: SipUri) -> bool:
        """Tell whether the hops are known at once, so that nothing waits for a name."""
        return is_address(uri.param("maddr") or uri.host)

    def hops(self, uri: SipUri) -> list[Hop]:
        """Where a request for `uri` goes: its maddr, else its host (RFC 3263 §4).

        A name blocks this greenlet until it is resolved.  Raises NoRoute.
        """
        if uri.scheme == "sips":
            raise NoRoute("sips needs TLS, which this server does not speak")
        transport = (uri.param("transport") or "udp").upper()
        if transport not in ("UDP", "TCP"):
            raise NoRoute(f"the transport {transport} is not spoken here")
        host, port = _target(uri), uri.port or DEFAULT_PORT
        if is_address(host):
            return [Hop(transport, (_normal_address(host), port))]
        if host.removesuffix(".").rpartition(".")[2][:1].isdigit():
            # §25.1: a name's last label begins with a letter.  The system would read 0x7f000001.
            raise NoRoute(f"{host} is neither a name nor an address")
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise NoRoute(f"{host} has no address: {error}") from None
        if not answers:
            raise NoRoute(f"{host} has no address")
        return [Hop(transport, (str(address[0]), port)) for _, _, _, _, address in answers]


@lru_cache(maxsize=4096)
def _normal_address(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        raise NoRoute(f"{host} is not an address") from None


def _target(uri: SipUri) -> str:
    maddr = uri.param("maddr")
    if not maddr:
        return uri.host
    try:
        return parse_host_port(maddr)[0]
    except BadMessage as error:
        raise NoRoute(f"maddr: {error.reason}") from None
