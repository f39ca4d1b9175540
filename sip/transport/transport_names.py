"""The transports that this server speaks: names, NAPTR services, SRV prefixes, default ports.

A name is in upper case as in Via; the `transport` parameter of a URI is written in lower case.
"""

from typing import NamedTuple


class TransportInfo(NamedTuple):
    """The NAPTR service, the start of the SRV name, and the default port of one transport.

    RFC 3263 §4.1 and §4.2, RFC 3261 §19.1.2.  `is_secure` is True if it may carry a request to a
    sips: URI.
    """

    naptr_service: str
    srv_prefix: str
    default_port: int
    is_secure: bool = False


UDP, TCP, TLS = "UDP", "TCP", "TLS"
WS, WSS = "WS", "WSS"
WEB_TRANSPORTS = frozenset((WS, WSS))  # RFC 7118: only clients open them
DEFAULT_TRANSPORT = UDP  # RFC 3263 §4.1: of a URI with an address and without the parameter
DEFAULT_PORT = 5060  # §19.1.2: of SIP over UDP and TCP
SECURE_PORT = 5061  # §19.1.2: of SIP over TLS, and of sips: URIs
_WEB_PORTS = {WS: 80, WSS: 443}  # RFC 7118 §5.5
# Those by which next hops are reached, in the order of preference for a domain without NAPTR
# records.
TRANSPORTS = {
    UDP: TransportInfo("SIP+D2U", "_sip._udp", DEFAULT_PORT),
    TCP: TransportInfo("SIP+D2T", "_sip._tcp", DEFAULT_PORT),
    TLS: TransportInfo("SIPS+D2T", "_sips._tcp", SECURE_PORT, is_secure=True),
}


def default_port(transport: str | None) -> int:
    """Return the port of a URI or Via without one; `transport` may be None, in any case."""
    name = transport.upper() if transport else UDP
    info = TRANSPORTS.get(name)
    return info.default_port if info else _WEB_PORTS.get(name, DEFAULT_PORT)


def is_secure(transport: str) -> bool:
    """Return True if a transport, in upper case, may carry a request to a sips: URI (RFC 5630)."""
    info = TRANSPORTS.get(transport)
    return transport == WSS or (info is not None and info.is_secure)


def is_one_way(transport: str) -> bool:
    """Return True if a peer by a transport, in upper case, is reached by its own connection only.

    The certificate of a phone proves no address (RFC 5922), and only a client opens a WebSocket.
    """
    return transport in WEB_TRANSPORTS or is_secure(transport)


def is_datagram(transport: str | None) -> bool:
    """Return True for the name, in any case, of a transport without connections."""
    return transport is not None and transport.upper() == UDP


def transport_param(transport: str) -> str:
    """Return the URI parameter that names a transport; "" for the default transport.

    It is the same for WebSocket with and without TLS (RFC 7118 §5.2).
    """
    if transport == DEFAULT_TRANSPORT:
        return ""
    return f";transport={(WS if transport == WSS else transport).lower()}"
