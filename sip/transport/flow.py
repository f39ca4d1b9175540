"""A flow: the path between a local address and a remote one (RFC 5626 §3)."""

import re
from ipaddress import ip_network
from typing import NamedTuple

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, bounded_number
from sip.message.headers import Via
from sip.message.uri import format_host_port, parse_host_port
from sip.transport.transport_names import UDP, WEB_TRANSPORTS, default_port, is_one_way, is_secure

_MAX_PORT = 65_535
# More connections than any server can count.
_MAX_CONNECTION = 2**53

# A flow of datagrams over IPv4, parsed fast: a start may load a hundred thousand of them.
_USUAL_FLOW = re.compile(
    r"UDP/(\d+\.\d+\.\d+\.\d+:[1-5]?[1-9]\d{0,3})/(\d+\.\d+\.\d+\.\d+):([1-5]?[1-9]\d{0,3})",
    re.ASCII,
)

# Host without brackets, and port.
Endpoint = tuple[str, int]


class Flow(NamedTuple):
    """The local and the remote address of a received message, or of one to send.

    `transport` is in upper case as in Via.  `connection` is the unique number of a connection, 0
    for datagrams.  `port`, unless 0, is the port that the peer listens on: when the connection is
    gone, another can be opened to it.
    """

    transport: str
    local: Endpoint
    remote: Endpoint
    connection: int = 0
    port: int = 0

    @property
    def is_reliable(self) -> bool:
        """Return True if the transport repeats lost octets itself (§17: no retransmissions)."""
        return self.transport != UDP

    @property
    def is_connection(self) -> bool:
        """Return True if messages travel on a connection, which can end."""
        return self.transport != UDP

    @property
    def source_is_verified(self) -> bool:
        """Return True if a handshake proved the source address; a datagram can be forged."""
        return self.transport != UDP

    @property
    def is_secure(self) -> bool:
        """Return True if the flow is encrypted, and so may carry requests to sips: URIs."""
        return is_secure(self.transport)

    @property
    def is_only_way(self) -> bool:
        """Return True if the peer of this connection is reached along it only.

        A certificate proves a domain, no address (RFC 5922), and a browser listens nowhere.
        """
        return bool(self.connection) and is_one_way(self.transport)

    @property
    def needs_keepalive(self) -> bool:
        """Return True if a NAT forgets the flow unless packets keep it alive (RFC 5626 §3.5).

        A reverse proxy forgets a WebSocket after a minute of silence (RFC 7118 §6).
        """
        return self.transport == UDP or self.transport in WEB_TRANSPORTS

    @property
    def default_port(self) -> int:
        """The port of a URI or Via that names this transport and no port (§19.1.2)."""
        return default_port(self.transport)

    def __str__(self) -> str:
        """Return the text that `parse_flow` reads; it can stand in a URI parameter."""
        text = f"{self.transport}/{format_host_port(*self.local)}/{format_host_port(*self.remote)}"
        return f"{text}/{self.connection}/{self.port}" if self.connection else text


# All requests of a phone's calls share its flow; three caches of 4096 take about 6 MB.
@cached_parse(4096)
def datagram_flow(local: Endpoint, remote: Endpoint) -> Flow:
    """Return the flow of a datagram; equal flows share one object, to save memory."""
    return Flow(UDP, local, remote)


@cached_parse(4096)
def flow_text(flow: Flow) -> str:
    """Return `str(flow)`, cached."""
    return str(flow)


def read_flow(text: str) -> Flow:
    """Parse the text of `str(flow)`.  Raises BadMessage."""
    if usual := _USUAL_FLOW.fullmatch(text):
        local, host, port = usual.groups()
        return Flow(UDP, _own_endpoint(local), (host, int(port)))
    match text.split("/"):
        case [transport, local, remote]:
            return Flow(transport, _endpoint(local), _endpoint(remote))
        case [transport, local, remote, connection, port]:
            number = bounded_number(connection, _MAX_CONNECTION) or 0
            listens_at = bounded_number(port, _MAX_PORT)
            if 0 < number <= _MAX_CONNECTION and listens_at is not None and listens_at <= _MAX_PORT:
                return Flow(transport, _endpoint(local), _endpoint(remote), number, listens_at)
    raise BadMessage(f"{text[:60]!r} is no flow")


parse_flow = cached_parse(4096)(read_flow)  # for texts that come again and again


@cached_parse(64)
def _own_endpoint(text: str) -> Endpoint:
    """Return a local endpoint; many flows share one object."""
    return _endpoint(text)


def _endpoint(text: str) -> Endpoint:
    host, port = parse_host_port(text)
    if port is None:
        raise BadMessage(f"{text[:60]!r} has no port")
    return host, port


@cached_parse(1024)
def network_of(host: str) -> str:
    """Return the network that limits count together: the /64 of IPv6, the address of IPv4."""
    return str(ip_network((host, 64), strict=False)) if ":" in host else host


def via_matches_source(via: Via, flow: Flow) -> bool:
    """Return True if a Via names the address that its message came from.

    If not, a NAT rewrote the address, or the sender doesn't know its own.  The source port is
    compared only for a datagram with rport: otherwise the Via names the port that the sender
    listens on (§18.2.2).
    """
    host, port = flow.remote
    # Compared here and below without `is_connection`: a call for each message costs more.
    if flow.transport != UDP or "rport" not in via.params:
        return via.host_port[0] == host
    if via.sent_by == (f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return True
    said_host, said_port = via.host_port
    return said_host == host and (said_port or flow.default_port) == port


def source_stamp(via: Via, flow: Flow) -> str:
    """Return the parameters to add to the top Via of a request: `received`, and `rport` if asked.

    RFC 3261 §18.2.1, RFC 3581 §4.  "" if the Via names the source address already.
    """
    host, port = flow.remote
    if "rport" in via.params:
        return f";received={host};rport={port}"
    if via.sent_by.startswith(host) or via.host_port[0] == host:
        # A prefix is not enough: 10.0.0.10 begins with 10.0.0.1 too.
        return "" if via.host_port[0] == host else f";received={host}"
    return f";received={host}"


def reply_flow(via: Via, flow: Flow) -> Flow:
    """Return the flow of the responses to a request received on `flow` (§18.2.2, RFC 3581 §4).

    Responses go along the connection of the request; when it is gone, to the port that its Via
    names.  Without a connection they go to the source address, and to the source port if the client
    asked for it by `rport`, else to the port that its Via names.  A maddr is ignored: the sender
    could aim our responses at any address.
    """
    if flow.transport != UDP:
        return flow._replace(port=via.host_port[1] or flow.default_port)
    if "rport" in via.params:
        return flow
    port = via.host_port[1] or flow.default_port
    return flow if port == flow.remote[1] else flow._replace(remote=(flow.remote[0], port))
