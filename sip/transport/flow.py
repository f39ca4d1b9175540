"""A flow: the way between one address of ours and one of a peer (RFC 5626 §3)."""

import re
from ipaddress import ip_network
from typing import NamedTuple

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, bounded_number
from sip.message.headers import Via
from sip.message.uri import format_host_port, parse_host_port
from sip.transport.transport_names import UDP, default_port

_MAX_PORT = 65_535
# No server lives to count so many connections.
_MAX_CONNECTION = 2**53

# Of datagrams over IPv4, at a glance: at a start there may be a hundred thousand to read.
_USUAL_FLOW = re.compile(
    r"UDP/(\d+\.\d+\.\d+\.\d+:[1-5]?[1-9]\d{0,3})/(\d+\.\d+\.\d+\.\d+):([1-5]?[1-9]\d{0,3})",
    re.ASCII,
)

# Host without brackets, and port.
Endpoint = tuple[str, int]


class Flow(NamedTuple):
    """Where a message came from and at which address of ours, or the way another is to go.

    `transport` is in upper case as in Via.  On a stream `connection` is the number of one of ours,
    which no other ever gets, and `port`, where it isn't 0, the one that the peer listens on: when
    the connection is gone another may be opened to there.
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
    def needs_keepalive(self) -> bool:
        """Return True if a NAT forgets the flow unless packets keep it alive (RFC 5626 §3.5)."""
        return self.transport == UDP

    @property
    def default_port(self) -> int:
        """The port of a URI or Via that names this transport and no port (§19.1.2)."""
        return default_port(self.transport)

    def __str__(self) -> str:
        """The text that `parse_flow` reads, fit for a URI parameter."""
        text = f"{self.transport}/{format_host_port(*self.local)}/{format_host_port(*self.remote)}"
        return f"{text}/{self.connection}/{self.port}" if self.connection else text


# A phone's flow is in all requests of its calls; three times 4096 are about 6 MB.
@cached_parse(4096)
def datagram_flow(local: Endpoint, remote: Endpoint) -> Flow:
    """The flow of a datagram: one and the same for all that a phone sends and we keep of it."""
    return Flow(UDP, local, remote)


@cached_parse(4096)
def flow_text(flow: Flow) -> str:
    """`str(flow)`, kept."""
    return str(flow)


def read_flow(text: str) -> Flow:
    """Read what `str(flow)` wrote.  Raises BadMessage."""
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


parse_flow = cached_parse(4096)(read_flow)  # of what is read again and again


@cached_parse(64)
def _own_endpoint(text: str) -> Endpoint:
    """One of ours, which many flows share."""
    return _endpoint(text)


def _endpoint(text: str) -> Endpoint:
    host, port = parse_host_port(text)
    if port is None:
        raise BadMessage(f"{text[:60]!r} has no port")
    return host, port


@cached_parse(1024)
def network_of(host: str) -> str:
    """The network whose bound an address shares: of IPv6 its /64, of IPv4 itself."""
    return str(ip_network((host, 64), strict=False)) if ":" in host else host


def via_matches_source(via: Via, flow: Flow) -> bool:
    """Tell whether a Via says the address that its message really came from.

    If it doesn't, somebody rewrote addresses on the way, or the sender doesn't know its own.  The
    port of a connection says nothing: its Via has the one that its sender listens on.  So has the
    Via of a datagram that asks for no rport (§18.2.2).
    """
    host, port = flow.remote
    if flow.is_connection or "rport" not in via.params:
        return via.host_port[0] == host
    if via.sent_by == (f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return True
    said_host, said_port = via.host_port
    return said_host == host and (said_port or flow.default_port) == port


def source_stamp(via: Via, flow: Flow) -> str:
    """What the top Via of a request is to be given: `received`, and `rport` where asked for.

    RFC 3261 §18.2.1, RFC 3581 §4.  The empty string where the Via says all there is to know.
    """
    host, port = flow.remote
    if "rport" in via.params:
        return f";received={host};rport={port}"
    if via.sent_by.startswith(host) or via.host_port[0] == host:
        # A prefix is only a hint: 10.0.0.1 stands before 10.0.0.10 too.
        return "" if via.host_port[0] == host else f";received={host}"
    return f";received={host}"


def reply_flow(via: Via, flow: Flow) -> Flow:
    """The way of the responses to a request that came along `flow` (§18.2.2, RFC 3581 §4).

    On a stream they go by its connection; when that is gone, to the port that its Via names.
    Otherwise they go to the source address, and to the source port where the client asked for it by
    `rport`, else to the port that its Via names.  A maddr is ignored: it would aim our answers
    at whom the sender chooses.
    """
    if flow.is_connection:
        return flow._replace(port=via.host_port[1] or flow.default_port)
    if "rport" in via.params:
        return flow
    port = via.host_port[1] or flow.default_port
    return flow if port == flow.remote[1] else flow._replace(remote=(flow.remote[0], port))
