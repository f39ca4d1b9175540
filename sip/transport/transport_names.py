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
DEFAULT_TRANSPORT = UDP  # RFC 3263 §4.1: of a URI with an address and without the parameter
DEFAULT_PORT = 5060  # §19.1.2: of SIP over UDP and TCP
SECURE_PORT = 5061  # §19.1.2: of SIP over TLS, and of sips: URIs
# In the order of preference for a domain without NAPTR records.
TRANSPORTS = {
    UDP: TransportInfo("SIP+D2U", "_sip._udp", DEFAULT_PORT),
    TCP: TransportInfo("SIP+D2T", "_sip._tcp", DEFAULT_PORT),
    TLS: TransportInfo("SIPS+D2T", "_sips._tcp", SECURE_PORT, is_secure=True),
}


def default_port(transport: str | None) -> int:
    """Return the port of a URI or Via without one; `transport` may be None, in any case."""
    info = TRANSPORTS.get(transport.upper()) if transport else None
    return info.default_port if info else DEFAULT_PORT


def is_datagram(transport: str | None) -> bool:
    """Return True for the name, in any case, of a transport without connections."""
    return transport is not None and transport.upper() == UDP


def transport_param(transport: str) -> str:
    """Return the URI parameter that names a transport; "" for the default transport."""
    return "" if transport == DEFAULT_TRANSPORT else f";transport={transport.lower()}"
