"""All transports together: send messages along flows (RFC 3261 §18)."""

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from sip.message.framing import PING, with_length
from sip.message.uri import format_host_port, is_address
from sip.monitor.events import Bus, MessagePassed
from sip.transport.flow import Endpoint, Flow
from sip.transport.packet_filter import SampleRule
from sip.transport.transport_names import DEFAULT_TRANSPORT, UDP

log = logging.getLogger(__name__)

# Cached local addresses towards peers, and for how long: each costs a few system calls, and a
# machine may change its address.
MAX_CACHED_LOCAL_ADDRESSES = 4096
SECONDS_LOCAL_ADDRESS_CACHED = 60.0


class Socket(Protocol):
    """A datagram socket: a UdpSocket, or the memory of a test."""

    local: Endpoint
    is_ipv6: bool
    is_wildcard: bool

    @property
    def has_backlog(self) -> bool:
        """Return True if more octets wait in the socket than an ordinary burst brings."""

    def set_packet_filter(self, rules: Sequence[SampleRule]) -> bool:
        """Have the kernel drop a part of the datagrams of some sources; False: it can't."""

    def send(self, data: bytes, flow: Flow) -> None:
        """Send along a flow.  Raises OSError when the remote address can't be reached."""

    def start(self) -> None:
        """Begin to read."""

    def stop(self) -> None:
        """Stop and close."""


class Carrier(Protocol):
    """The connections of one transport: a TcpCarrier, or the memory of a test."""

    def open(self, local: Endpoint, remote: Endpoint, transport: str, name: str) -> Flow:
        """Return the flow of a connection to `remote`; doesn't wait.  Raises OSError.

        With TLS the peer has to prove `name`.
        """

    def is_open(self, flow: Flow) -> bool:
        """Return True if messages can be sent on the connection of a flow."""

    def is_reachable(self, flow: Flow) -> bool:
        """Return True if the connection of a flow is open, or another can be opened instead."""

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Send along a flow and return the flow that was used.  Raises OSError if none works."""

    def start(self) -> None:
        """Begin to accept connections."""

    def stop(self) -> None:
        """Close all connections."""


class Transports:
    """Sends messages along flows.

    Datagrams are sent by the sockets that were added; every other transport has a carrier in
    `carriers`, by its name as in Via.  `advertised` is the host and port to put into Via and
    Record-Route instead of the local ones; a port of None means the local port.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        bus: Bus,
        advertised: tuple[str, int | None] | None = None,
    ) -> None:
        self.clock = clock
        self.advertised = advertised
        self.sockets: list[Socket] = []
        self.carriers: dict[str, Carrier] = {}
        self._by_local: dict[Endpoint, Socket] = {}
        self._local_hosts: dict[str, str] = {}
        self._local_hosts_before: dict[str, str] = {}  # used when no descriptor is left to ask with
        self._local_hosts_until = 0.0
        self._sent_by: dict[Endpoint, str] = {}
        self._bus = bus
        self._messages = bus.topic(MessagePassed)

    def add(self, sock: Socket) -> None:
        """Add a datagram socket."""
        self.sockets.append(sock)
        self._by_local[sock.local] = sock

    def add_carrier(self, transport: str, carrier: Carrier) -> None:
        """Add the carrier of a transport, by its name in upper case as in Via."""
        self.carriers[transport] = carrier

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Send along a flow and return the flow that was used.  Raises OSError if none works."""
        if flow.transport != UDP:  # as `is_connection`, but without its cost for each message
            flow = self._carrier(flow.transport).send(with_length(data), flow)
        else:
            sock = self._by_local.get(flow.local)
            if sock is None:
                sock = self._socket_for(flow.local, flow.remote)
            sock.send(data, flow)
        if self._messages.listeners and len(data) > len(PING):
            self.publish("out", data, flow)
        return flow

    def publish(self, direction: str, data: bytes, flow: Flow) -> None:
        """Publish a message that was received or sent along a flow."""
        transport, local, remote, _, _ = flow
        values = self._bus.now(), direction, local, remote, transport, data
        message = tuple.__new__(
            MessagePassed, values
        )  # as MessagePassed(*values), in half the time
        # As `publish` of the topic, without one more call for each message.
        for listener in self._messages.listeners:
            try:
                listener(message)
            except Exception:
                log.exception("unhandled error of a listener to MessagePassed")

    def is_open(self, flow: Flow) -> bool:
        """Return True unless the connection of a flow is closed; datagrams have none to close."""
        if not flow.is_connection:
            return True
        carrier = self.carriers.get(flow.transport)
        return carrier is not None and carrier.is_open(flow)

    def is_reachable(self, flow: Flow) -> bool:
        """Return True if the connection of a flow is open, or another can be opened instead."""
        if not flow.is_connection:
            return True
        carrier = self.carriers.get(flow.transport)
        return carrier is not None and carrier.is_reachable(flow)

    def _carrier(self, transport: str) -> Carrier:
        carrier = self.carriers.get(transport)
        if carrier is None:
            raise OSError(f"this server does not speak {transport[:20]}")
        return carrier

    def _socket_for(self, local: Endpoint, remote: Endpoint) -> Socket:
        """Return the wildcard socket with the family and port of `local`.  Raises OSError."""
        is_ipv6 = ":" in remote[0]
        for sock in self.sockets:
            if sock.is_ipv6 == is_ipv6 and sock.is_wildcard and sock.local[1] == local[1]:
                return sock
        raise OSError(f"no socket has the address {format_host_port(*local)}")

    def speaks(self, transport: str) -> bool:
        """Return True if this server sends and receives by a transport."""
        return transport == UDP or transport in self.carriers

    def flow_to(self, remote: Endpoint, transport: str = DEFAULT_TRANSPORT, name: str = "") -> Flow:
        """Return a flow for a new request to `remote`.  Raises OSError if there can be none.

        `name` is the domain that the peer has to prove by its certificate, over TLS.
        """
        is_ipv6 = ":" in remote[0]
        is_connection = transport != UDP
        for sock in self.sockets:
            if sock.is_ipv6 == is_ipv6:
                host, port = sock.local
                if sock.is_wildcard:
                    host = self._local_host_towards(remote, is_ipv6=is_ipv6)
                if is_connection:
                    return self._carrier(transport).open((host, port), remote, transport, name)
                return Flow(transport, (host, port), remote)
        family = "IPv6" if is_ipv6 else "IPv4"
        raise OSError(f"this server has no {family} socket towards {format_host_port(*remote)}")

    def has_family(self, is_ipv6: bool) -> bool:
        """Return True if this server has a socket of IPv6, or else of IPv4."""
        return any(sock.is_ipv6 == is_ipv6 for sock in self.sockets)

    def _local_host_towards(self, remote: Endpoint, *, is_ipv6: bool) -> str:
        now = self.clock()
        if now >= self._local_hosts_until or len(self._local_hosts) >= MAX_CACHED_LOCAL_ADDRESSES:
            self._local_hosts_before, self._local_hosts = self._local_hosts, {}
            self._local_hosts_until = now + SECONDS_LOCAL_ADDRESS_CACHED
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
        """Return our host:port for the peers on a flow, as in our Via and Record-Route."""
        text = self._sent_by.get(flow.local)
        if text is None:
            host, port = flow.local
            if self.advertised and self._is_for_family_of(host, self.advertised[0]):
                # The advertised port stands for that of UDP and TCP: TLS has another one.
                is_main = any(sock.local[1] == port for sock in self.sockets)
                host, port = self.advertised[0], (self.advertised[1] if is_main else None) or port
            if len(self._sent_by) >= MAX_CACHED_LOCAL_ADDRESSES:
                self._sent_by.clear()
            text = self._sent_by[flow.local] = format_host_port(host, port)
        return text

    @staticmethod
    def _is_for_family_of(host: str, advertised: str) -> bool:
        """Return True if `advertised` is a name, or an address of the same family as `host`."""
        return not is_address(advertised) or (":" in advertised) == (":" in host)

    @property
    def has_backlog(self) -> bool:
        """Return True if more octets wait in a socket than an ordinary burst brings."""
        return any(sock.has_backlog for sock in self.sockets)

    def set_packet_filter(self, rules: Sequence[SampleRule]) -> bool:
        """Have the kernel drop a part of the datagrams of some sources.

        False: at least one socket has no filter now, and all its datagrams arrive.
        """
        done = [sock.set_packet_filter(rules) for sock in self.sockets]  # no short circuit
        return all(done)

    def start(self) -> None:
        """Begin to read."""
        for sock in self.sockets:
            sock.start()
        for carrier in dict.fromkeys(self.carriers.values()):  # one may have several transports
            carrier.start()

    def stop(self) -> None:
        """Close every socket and connection."""
        for sock in self.sockets:
            sock.stop()
        for carrier in dict.fromkeys(self.carriers.values()):
            carrier.stop()


def _ask_routing_table(remote: Endpoint, *, is_ipv6: bool) -> str:
    """Return our source address towards a remote one; sends nothing.  Raises OSError."""
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(remote)
        return str(probe.getsockname()[0])
