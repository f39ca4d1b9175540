"""All transports together: send messages along flows (RFC 3261 §18)."""

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from sip.message.framing import with_length
from sip.message.uri import format_host_port, is_address
from sip.transport.flow import Endpoint, Flow
from sip.transport.packet_filter import Thinned

log = logging.getLogger(__name__)

# Local addresses towards peers that are remembered, and how long: each is a few system calls to
# find out, and a machine may change its address.
KEPT_LOCAL_ADDRESSES = 4096
SECONDS_LOCAL_ADDRESSES_ARE_KEPT = 60.0


class Socket(Protocol):
    """What carries datagrams: a UdpSocket, or the memory of a test."""

    local: Endpoint
    is_ipv6: bool
    is_wildcard: bool

    @property
    def is_behind(self) -> bool:
        """Tell whether more waits to be read than a burst brings."""

    def thin(self, sources: Sequence[Thinned]) -> bool:
        """Leave a part of what comes from these to the kernel; False: everything comes in."""

    def send(self, data: bytes, flow: Flow) -> None:
        """Send along a flow.  Raises OSError when there is no way."""

    def start(self) -> None:
        """Begin to read."""

    def stop(self) -> None:
        """Stop and close."""


class Streams(Protocol):
    """What carries messages on connections: stream.Streams, or the memory of a test."""

    def open(self, local: Endpoint, remote: Endpoint) -> Flow:
        """The flow of a connection to `remote`; doesn't wait.  Raises OSError."""

    def is_open(self, flow: Flow) -> bool:
        """Tell whether the connection of a flow can be sent on."""

    def leads_on(self, flow: Flow) -> bool:
        """Tell whether a flow leads to its peer still, or another may be opened in its stead."""

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Send along a flow, and tell by which it went.  Raises OSError when there is no way."""

    def start(self) -> None:
        """Begin to take connections."""

    def stop(self) -> None:
        """Close all of them."""


class Transports:
    """Sends messages along flows, by the sockets that were added.

    `advertised` is the host and port that peers are told instead of the local ones; a port of
    None leaves the real one.
    """

    def __init__(
        self, clock: Callable[[], float], advertised: tuple[str, int | None] | None = None
    ) -> None:
        self.clock = clock
        self.advertised = advertised
        self.sockets: list[Socket] = []
        self.streams: Streams | None = None
        self._by_local: dict[Endpoint, Socket] = {}
        self._local_hosts: dict[str, str] = {}
        self._local_hosts_before: dict[str, str] = {}  # for when no socket can be had to ask by
        self._local_hosts_until = 0.0
        self._sent_by: dict[Endpoint, str] = {}

    def add(self, sock: Socket) -> None:
        """Take a socket into use."""
        self.sockets.append(sock)
        self._by_local[sock.local] = sock

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Send along a flow, and tell by which it went.  Raises OSError when there is no way."""
        if flow.transport != "UDP":
            return self._streams().send(with_length(data), flow)
        sock = self._by_local.get(flow.local)
        if sock is None:
            sock = self._socket_for(flow.local, flow.remote)
        sock.send(data, flow)
        return flow

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a flow can be sent on as it is; nobody knows of a datagram."""
        return flow.transport == "UDP" or self._streams().is_open(flow)

    def leads_on(self, flow: Flow) -> bool:
        """Tell whether a flow leads to its peer still, or another may be opened in its stead."""
        return flow.transport == "UDP" or self._streams().leads_on(flow)

    def _streams(self) -> Streams:
        if self.streams is None:
            raise OSError("this server does not speak TCP")
        return self.streams

    def _socket_for(self, local: Endpoint, remote: Endpoint) -> Socket:
        """The wildcard socket that has `local`, else one that can reach `remote`."""
        is_ipv6 = ":" in remote[0]
        for sock in self.sockets:
            if sock.is_ipv6 == is_ipv6 and sock.is_wildcard and sock.local[1] == local[1]:
                return sock
        raise OSError(f"no socket has the address {format_host_port(*local)}")

    def flow_to(self, remote: Endpoint, transport: str = "UDP") -> Flow:
        """The flow by which a new request reaches `remote`.  Raises OSError when there is none."""
        is_ipv6 = ":" in remote[0]
        for sock in self.sockets:
            if sock.is_ipv6 == is_ipv6:
                host, port = sock.local
                if sock.is_wildcard:
                    host = self._local_host_towards(remote, is_ipv6=is_ipv6)
                if transport != "UDP":
                    return self._streams().open((host, port), remote)
                return Flow(transport, (host, port), remote)
        family = "IPv6" if is_ipv6 else "IPv4"
        raise OSError(f"this server has no {family} socket towards {format_host_port(*remote)}")

    def has_family(self, is_ipv6: bool) -> bool:
        """Tell whether anything can be sent to addresses of IPv6, or of IPv4."""
        return any(sock.is_ipv6 == is_ipv6 for sock in self.sockets)

    def _local_host_towards(self, remote: Endpoint, *, is_ipv6: bool) -> str:
        now = self.clock()
        if now >= self._local_hosts_until or len(self._local_hosts) >= KEPT_LOCAL_ADDRESSES:
            self._local_hosts_before, self._local_hosts = self._local_hosts, {}
            self._local_hosts_until = now + SECONDS_LOCAL_ADDRESSES_ARE_KEPT
        host = self._local_hosts.get(remote[0])
        if host is None:
            try:
                host = _ask_routing_table(remote, is_ipv6=is_ipv6)
            except OSError as error:
                host = self._local_hosts_before.get(remote[0])
                if host is None or error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
            self._local_hosts[remote[0]] = host
        return host

    def sent_by(self, flow: Flow) -> str:
        """The host:port that peers on a flow are told: in our Via and in Record-Route."""
        text = self._sent_by.get(flow.local)
        if text is None:
            host, port = flow.local
            if self.advertised and self._is_for_family_of(host, self.advertised[0]):
                host, port = self.advertised[0], self.advertised[1] or port
            if len(self._sent_by) >= KEPT_LOCAL_ADDRESSES:
                self._sent_by.clear()
            text = self._sent_by[flow.local] = format_host_port(host, port)
        return text

    @staticmethod
    def _is_for_family_of(host: str, advertised: str) -> bool:
        """Tell whether who reaches us at `host` can use what is advertised; a name fits both."""
        return not is_address(advertised) or (":" in advertised) == (":" in host)

    @property
    def is_behind(self) -> bool:
        """Tell whether more datagrams wait to be read than a burst brings."""
        return any(sock.is_behind for sock in self.sockets)

    def thin(self, sources: Sequence[Thinned]) -> bool:
        """Leave a part of what comes from these to the kernel; False: not at every socket."""
        done = [sock.thin(sources) for sock in self.sockets]  # each, whatever the others say
        return all(done)

    def start(self) -> None:
        """Begin to read."""
        for sock in self.sockets:
            sock.start()
        if self.streams is not None:
            self.streams.start()

    def stop(self) -> None:
        """Close every socket."""
        for sock in self.sockets:
            sock.stop()
        if self.streams is not None:
            self.streams.stop()


def _ask_routing_table(remote: Endpoint, *, is_ipv6: bool) -> str:
    """The address of ours towards a remote one; sends nothing.  Raises OSError."""
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(remote)
        return str(probe.getsockname()[0])
