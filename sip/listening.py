"""Listening sockets of an address, and errors of listening as text for the operator."""

import errno
import logging
import os
from collections.abc import Iterable
from typing import NamedTuple

from sip.addresses import Address, host_port
from sip.transport.tcp import TcpCarrier
from sip.transport.transport_names import TCP, TLS, UDP
from sip.transport.transports import Transports
from sip.transport.udp import RECEIVE_BUFFER_BYTES, Receive, UdpSocket, Unreachable

log = logging.getLogger(__name__)

# Ports below it need root, unless net.ipv4.ip_unprivileged_port_start says otherwise (Linux).
FIRST_FREE_PORT = 1024
# Distance from a port in use to the port that the error message proposes.
_STEP = 10
_LAST_PORT = 65535
_ALL = ("0.0.0.0", "::")  # noqa: S104 -- compared with, not bound to


class ListenError(OSError):
    """The server cannot listen on an address; the text is for the operator."""


class ListeningAddress(NamedTuple):
    """An address with an open socket; `host` is 0.0.0.0 or :: for all of a family."""

    transport: str
    host: str
    port: int


def is_wildcard(host: str) -> bool:
    """Return True if a host means all addresses of its family."""
    return host in _ALL


def transports_of(addresses: Iterable[ListeningAddress]) -> list[str]:
    """Return the transports that listen, each once, in the order of `addresses`."""
    return list(dict.fromkeys(address.transport for address in addresses))


def by_address(addresses: Iterable[ListeningAddress]) -> dict[str, list[str]]:
    """Return the transports that listen at each address, by its host:port as in a URI."""
    found: dict[str, list[str]] = {}
    for each in addresses:
        found.setdefault(host_port(each.host, each.port), []).append(each.transport)
    return found


def hosts_of(address: Address) -> list[str]:
    """Return the hosts to open sockets on; an address without a host means all IPv4 and IPv6."""
    return list(_ALL) if address.host is None else [address.host]


def open_sockets(
    address: Address,
    transports: Transports,
    tcp: TcpCarrier,
    receive: Receive,
    unreachable: Unreachable,
) -> list[UdpSocket]:
    """Open the UDP and TCP sockets of SIP.  Raises ListenError, with none left open.

    `receive` gets each datagram; `unreachable` the quoted datagram of each ICMP error.
    """
    opened = []
    for host in hosts_of(address):
        transport = UDP
        try:
            sock = UdpSocket((host, address.port), receive, unreachable)
            transports.add(sock)
            transport = TCP
            tcp.listen((host, sock.port))
        except OSError as error:
            if lacks_ipv6(error, address, host):
                log.info("this machine has no IPv6")
                continue
            transports.stop()
            sentence = listen_error(error, transport, host, address.port, "-sip.addr")
            raise ListenError(sentence) from None
        opened.append(sock)
        log.info(
            "opened SIP sockets on UDP and TCP %s, receive buffer %d kB (requested %d kB)",
            host_port(host, sock.port),
            sock.granted_buffer_bytes // 1024,
            RECEIVE_BUFFER_BYTES // 1024,
        )
    return opened


def open_tls_sockets(address: Address, transports: Transports, tcp: TcpCarrier) -> None:
    """Open the sockets of SIP over TLS.  Raises ListenError, with no socket of SIP left open."""
    for host in hosts_of(address):
        try:
            tcp.listen((host, address.port), TLS)
        except OSError as error:
            if lacks_ipv6(error, address, host):
                continue
            transports.stop()
            raise ListenError(listen_error(error, TLS, host, address.port, "-tls.addr")) from None


def lacks_ipv6(error: OSError, address: Address, host: str) -> bool:
    """Return True if `host` means all IPv6 addresses, and this machine has no IPv6.

    The kernel has no such family, or it is turned off by net.ipv6.conf.all.disable_ipv6.
    """
    no_ipv6 = error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
    return no_ipv6 and host == "::" and address.host is None


def listen_error(error: OSError, transport: str, host: str, port: int, flag: str) -> str:
    """Return a sentence for the operator: why the server cannot listen, and what to do.

    `flag` is the setting that named the address.
    """
    match error.errno:
        case errno.EADDRNOTAVAIL:
            why = "this machine has no such address"
            cure = (
                f"Choose one that `ip address` shows, or listen on all of them with {flag} :{port}"
            )
        case errno.EADDRINUSE:
            why = os.strerror(error.errno)
            other = port + _STEP if port + _STEP <= _LAST_PORT else port - _STEP
            beside = host_port("" if is_wildcard(host) else host, other)
            cure = f"Stop the other server, or choose another address with {flag} {beside}"
        case errno.EACCES | errno.EPERM:
            why = os.strerror(error.errno)
            cure = f"Choose another address with {flag}"
            if port < FIRST_FREE_PORT:
                cure += (
                    f", with a port from {FIRST_FREE_PORT} on; lower ports are for root and for"
                    " programs with CAP_NET_BIND_SERVICE"
                )
        case errno.EAFNOSUPPORT:
            why = f"this machine has no {'IPv6' if ':' in host else 'IPv4'}"
            cure = f"Choose another address with {flag}"
        case _:
            why = os.strerror(error.errno) if error.errno else str(error)
            cure = f"Choose another address with {flag}"
    return f"cannot listen on {transport} {host_port(host, port)}: {why}. {cure}"
