"""Transports over TCP: accepted and opened connections (RFC 3261 §18, RFC 5626 §3.5, RFC 5923).

All of them share one carrier, and so its bounds: TCP itself, TLS, and later WebSocket.
A connection costs a socket, two watchers and about a kilobyte; a greenlet works on it only while it
has something to read.  Nothing here waits: octets that can't be sent yet are buffered, within a
bound, and sent when the peer reads.
"""

import errno
import itertools
import logging
import os
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import gevent

from sip.message.framing import BadStream
from sip.message.uri import format_host_port
from sip.monitor.metrics import (
    CLOSED_BUFFER_LIMIT,
    CLOSED_HANDSHAKE_LIMIT,
    CLOSED_OVERLOAD,
    CLOSED_TIMEOUT,
    CONNECTIONS_REFUSED,
    Counters,
)
from sip.transport.alias import MAX_ALIASES, alias_port
from sip.transport.flow import Endpoint, Flow, network_of
from sip.transport.greenlet_pool import GreenletPool
from sip.transport.handshakes import HANDSHAKE_MESSAGES, HANDSHAKE_SECONDS, Handshakes
from sip.transport.tcp_connection import Connection, Layers, MessageFramer, Wire
from sip.transport.tcp_listener import Listener, PlainSocket, granted_descriptors
from sip.transport.transport_names import TCP, WEB_TRANSPORTS

log = logging.getLogger(__name__)

# A message must arrive whole in this time, and so must the first message of a new connection: no
# transaction waits longer (§17.1.1.2).
MESSAGE_SECONDS = 32.0
# How often paused connections are checked, and how many at a time: a check takes 1 to 2 µs.
SECONDS_BETWEEN_CHECKS = 0.05
MAX_CHECKED_AT_ONCE = 2000
# A next hop that does not accept the connection in this time is given up; the next one is tried.
CONNECT_SECONDS = 4.0
# Open connections from one address: an office behind one NAT gateway stays below.  The same limit
# holds for connections that we open to it: a peer could name many of its ports to us.
MAX_CONNECTIONS_FROM_ADDRESS = 64
# The same for a /64 of IPv6, because one host may have all its addresses.  It is higher, because
# the phones of an office share a /64, and no NAT makes them share an address.
MAX_CONNECTIONS_FROM_NETWORK = 256
# Proved names of peers of connections that we have opened; those used last stay.
MAX_NAMES = 4096
# All connections; each takes a descriptor of the process.
MAX_CONNECTIONS = 20_000
# Descriptors for everything else: 256 connections of the web, the database, UDP, DNS.
DESCRIPTORS_FOR_OTHERS = 384
# Octets that all connections together may buffer, of partial messages and of messages not yet sent:
# 20,000 connections could buffer 15 GB.  Over it the connection that buffers most is closed, so
# small messages always fit.
MAX_BUFFERED = 64 * 1024 * 1024
# A connection is lost if octets stay unacknowledged, or the peer reads nothing, for this time; the
# kernel's default is a quarter of an hour.
_USER_TIMEOUT_MILLISECONDS = 32_000
# A peer that vanished is noticed by a TCP keep-alive probe after 60 s of silence.
_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MILLISECONDS),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)

# Called with a whole message and its flow; may block.
Receive = Callable[[bytes, Flow], None]
# Called with the number of a connection that has ended; must not wait.
Closed = Callable[[int], None]
# Called when a stream can't be cut into messages, to send a last response.
Refuse = Callable[[BadStream, Flow], None]


class TcpCarrier:
    """All connections, of each transport over TCP.

    `receive` is called with each whole message and its flow, and may block; `closed` with the
    number of each connection that ends, since messages sent on it may be lost; `refuse` answers a
    stream that can't be cut into messages, before its connection is closed.  `allows` returns True
    if a new connection is accepted, `should_throttle` if reading from a connection is paused.
    """

    def __init__(
        self,
        receive: Receive,
        closed: Closed,
        refuse: Refuse,
        allows: Callable[[Flow], bool],
        should_throttle: Callable[[Flow], bool],
        clock: Callable[[], float],
    ) -> None:
        self.receive = receive
        self.closed = closed
        self.refuse = refuse
        self.clock = clock
        self._layers: dict[str, Layers] = {TCP: Layers()}
        self.allows = allows
        self.should_throttle = should_throttle
        self.pool = GreenletPool()
        self.listeners: list[Listener] = []
        self.connections: dict[int, Connection] = {}  # by their number
        self.per_transport: Counter[str] = Counter()  # open connections
        self.counts = Counters()
        # Connections that carry our requests, by the name that the peer has proved, "" for none.
        self._opened: dict[tuple[str, Endpoint], Connection] = {}
        self._names: OrderedDict[int, str] = OrderedDict()  # proved names, by connection
        self._ports: dict[str, int] = {}  # that we listen on, by transport
        self.handshakes = Handshakes()
        self._per_network: Counter[tuple[str, bool]] = Counter()  # by (network, is_incoming)
        self._max_connections = MAX_CONNECTIONS
        self._buffered = 0  # octets
        self._refusals_logged = 0
        self._last_refused = ""
        self._scheduled: dict[Connection, None] = {}  # for another turn, in order
        # A callback of the loop would run before sockets and timers; a timer lets them run first.
        loop = gevent.get_hub().loop
        self._turn_timer: Any = loop.timer(0)
        self._paused: dict[Connection, float] = {}  # in order, and the time to give up
        self._check_timer: Any = loop.timer(SECONDS_BETWEEN_CHECKS, SECONDS_BETWEEN_CHECKS)
        self._deadlines: dict[Connection, float] = {}  # in order, except those of connecting
        # Numbers start at random: a flow from before a restart names no new connection.
        self._numbers = itertools.count(int.from_bytes(os.urandom(4)) + 1)

    def add_transport(self, transport: str, layers: Layers) -> None:
        """Add a transport by its name in upper case as in Via, with its layers."""
        self._layers[transport] = layers

    @property
    def transports(self) -> tuple[str, ...]:
        """The names of the transports that this carrier has."""
        return tuple(self._layers)

    def listen(self, address: Endpoint, transport: str = TCP) -> Listener:
        """Listen on one more address.  Raises OSError."""
        listener = Listener(self.accept, address, transport)
        self.listeners.append(listener)
        self._ports[transport] = listener.local[1]
        return listener

    def start(self) -> None:
        """Begin to accept connections."""
        granted = granted_descriptors(MAX_CONNECTIONS + DESCRIPTORS_FOR_OTHERS)
        self._max_connections = max(0, granted - DESCRIPTORS_FOR_OTHERS)
        if self._max_connections < MAX_CONNECTIONS:
            log.info("connection limit %d (RLIMIT_NOFILE)", self._max_connections)
        for listener in self.listeners:
            listener.start()

    def stop_listening(self) -> None:
        """Accept no more connections; open connections stay."""
        for listener in self.listeners:
            listener.stop()
        self.listeners.clear()

    def stop(self) -> None:
        """Close all sockets; `closed` is no longer called."""
        self.closed = lambda connection: None
        self.stop_listening()
        for connection in list(self.connections.values()):
            connection.close("the server stops")
        for timer in (self._turn_timer, self._check_timer):
            timer.stop()
            timer.close()
        self.pool.stop()

    # Connections

    def accept(
        self, sock: socket.socket, remote: Endpoint, port: int, transport: str = TCP
    ) -> None:
        """Accept a connection to our `port`, unless its address has too many."""
        layers = self._layers[transport]
        if self._admits(sock, remote, has_handshake=layers.make_wire is not None):
            wire = layers.make_wire(True, "") if layers.make_wire else None
            self._start(sock, remote, port, transport, wire, layers.make_framer())

    def adopt(
        self,
        sock: socket.socket,
        remote: Endpoint,
        port: int,
        transport: str,
        wire: Wire | None,
        first: bytes = b"",
    ) -> None:
        """Take over a connection that another server has accepted.

        `first` are octets for the framer that were read before.  The bounds are those of accepted
        connections: over them the socket is closed.
        """
        if not self._admits(sock, remote):
            return
        framer = self._layers[transport].make_framer()
        connection = self._start(sock, remote, port, transport, wire, framer)
        if connection is not None:
            framer.feed(first)
            if wire is not None:
                connection.take(b"")  # OpenSSL may have octets that wake no watcher
            self.reschedule(connection)  # the caller may be in any greenlet

    def _admits(
        self, sock: socket.socket, remote: Endpoint, *, has_handshake: bool = False
    ) -> bool:
        """Return True if there is room for one more accepted connection; else close its socket."""
        if self._has_room(remote[0], is_incoming=True) and (
            not has_handshake or self.handshakes.has_room(remote[0])
        ):
            return True
        self.counts[CONNECTIONS_REFUSED] += 1
        self._last_refused = remote[0]
        sock.close()
        return False

    def _start(
        self,
        sock: socket.socket,
        remote: Endpoint,
        port: int,
        transport: str,
        wire: Wire | None,
        framer: MessageFramer,
    ) -> Connection | None:
        """Start an accepted connection; return None if it is closed already, or not allowed."""
        try:
            self._set_options(sock)
            host = sock.getsockname()[0].partition("%")[0]
        except OSError:  # the peer has closed it already
            sock.close()
            return None
        flow = Flow(transport, (host, port), remote, next(self._numbers))
        if not self.allows(flow):
            sock.close()
            return None
        make = self._layers[transport].connection
        connection = make(self, sock, framer, flow, is_incoming=True, wire=wire)
        if wire is None or wire.is_ready:
            self._add(connection, MESSAGE_SECONDS)
        else:
            self._add(connection, HANDSHAKE_SECONDS)
            oldest = self.handshakes.add(connection)
            if oldest is not None:
                self.counts[CLOSED_HANDSHAKE_LIMIT] += 1
                oldest.close("too many handshakes, and this one is the oldest")
        return connection

    def open(self, local: Endpoint, remote: Endpoint, transport: str = TCP, name: str = "") -> Flow:
        """Return the flow of a connection that we have opened to `remote`, or open now.

        Does not wait: messages are buffered until the connection is established.  `local` is our
        host and the port that we listen on; the flow names it.  With TLS the peer has to prove
        `name`.  Raises OSError.
        """
        known = self._opened.get((name, remote))
        if known is not None and known.is_usable and known.flow.transport == transport:
            return known.flow
        if not self._has_room(remote[0], is_incoming=False):
            raise OSError(errno.EMFILE, "there are too many connections")
        family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
        sock = PlainSocket(family, socket.SOCK_STREAM)
        try:
            self._set_options(sock)
            sock.bind((local[0], 0))
            sock.connect(remote)
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            raise
        local = local[0], self._ports.get(transport, local[1])
        flow = Flow(transport, local, remote, next(self._numbers), port=remote[1])
        layers = self._layers[transport]
        wire = layers.make_wire(False, name) if layers.make_wire else None
        connection = Connection(
            self,
            sock,
            layers.make_framer(),
            flow,
            is_incoming=False,
            is_connected=False,
            wire=wire,
        )
        connection.opened_for = ((name, remote),)
        self._opened[name, remote] = connection
        if name:
            self._remember_name(flow.connection, name)
        self._add(connection, CONNECT_SECONDS)
        return flow

    def _remember_name(self, connection: int, name: str) -> None:
        """Remember the name of a peer, so that the connection can be opened again for it."""
        while len(self._names) >= MAX_NAMES:
            self._names.popitem(last=False)
        self._names[connection] = name

    def opened(self, connection: Connection) -> None:
        """Take note that messages can be sent on a connection."""
        self._deadlines.pop(connection, None)
        if connection.is_incoming:
            if connection.wire is not None and connection.wire.identities:
                self._remember_name(connection.flow.connection, min(connection.wire.identities))
            self.handshakes.remove(connection)
            self.start_deadline(connection)  # of its first message

    def learn_alias(self, connection: Connection, message: bytes) -> None:
        """Use a connection for requests to the names that its peer has proved, if it wants that.

        RFC 5923 §5: it says so by `alias` in its Via.
        """
        if connection.opened_for or connection.wire is None:
            return
        port = alias_port(message)
        if port is not None:
            remote = connection.flow.remote[0], port
            names = sorted(connection.wire.identities)[:MAX_ALIASES]
            connection.opened_for = tuple((name, remote) for name in names)
            for key in connection.opened_for:
                self._opened.setdefault(key, connection)

    def allows_handshake(self, connection: Connection) -> bool:
        """Return True if a peer may begin a handshake, which counts as several messages."""
        if not self.handshakes.begin(connection):
            return True  # it has begun before, or we are the client
        flow = connection.flow
        return all(self.allows(flow) for _ in range(HANDSHAKE_MESSAGES))

    def _has_room(self, host: str, *, is_incoming: bool) -> bool:
        most = MAX_CONNECTIONS_FROM_NETWORK if ":" in host else MAX_CONNECTIONS_FROM_ADDRESS
        is_full = self._per_network[network_of(host), is_incoming] >= most
        return not is_full and len(self.connections) < self._max_connections

    def _set_options(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        for level, option, value in _OPTIONS:
            sock.setsockopt(level, option, value)

    def _add(self, connection: Connection, seconds: float) -> None:
        self._per_network[network_of(connection.flow.remote[0]), connection.is_incoming] += 1
        self.connections[connection.flow.connection] = connection
        self.per_transport[connection.flow.transport] += 1
        self._deadlines[connection] = self.clock() + seconds

    def _usable(self, flow: Flow) -> Connection | None:
        """Return the connection of a flow, if messages can be sent on it.

        The remote address is compared too, because a flow may be older than this process.
        """
        connection = self.connections.get(flow.connection)
        if connection is None or not connection.is_usable or connection.flow.remote != flow.remote:
            return None
        return connection

    def is_open(self, flow: Flow) -> bool:
        """Return True if messages can be sent on the connection of a flow."""
        return self._usable(flow) is not None

    def is_reachable(self, flow: Flow) -> bool:
        """Return True if the connection of a flow is open, or another can be opened instead."""
        return bool(self._usable(flow) or self._can_reopen(flow))

    def _can_reopen(self, flow: Flow) -> bool:
        """Return True if another connection can be opened for a flow.

        With TLS only if the name is known that the peer has to prove: a phone proves none.  Only
        clients open WebSockets (RFC 7118).
        """
        if not flow.port or flow.transport in WEB_TRANSPORTS:
            return False
        layers = self._layers.get(flow.transport)
        return layers is not None and (not layers.make_wire or flow.connection in self._names)

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Send along a flow; if its connection is gone, open another to its `port` (§18.2.2).

        Returns the flow that was used.  Raises OSError if none works.
        """
        connection = self._usable(flow)
        if connection is not None:
            try:
                connection.send(data)
            except (BrokenPipeError, ConnectionResetError):  # the loop has not reported it yet
                if not self._can_reopen(flow):
                    raise
            else:
                return flow
        if not self._can_reopen(flow):
            raise OSError(errno.ENOTCONN, f"the connection to {flow.remote[0]} is closed")
        name = self._names.get(flow.connection, "")
        opened = self.open(flow.local, (flow.remote[0], flow.port), flow.transport, name)
        self.connections[opened.connection].send(data)
        return opened

    def remove(self, connection: Connection, cause: str) -> None:
        """Remove a connection that has been closed."""
        flow = connection.flow
        log.debug("closed %s: %s", format_host_port(*flow.remote), cause)
        self.connections.pop(flow.connection, None)
        self._deadlines.pop(connection, None)
        self._scheduled.pop(connection, None)
        self._paused.pop(connection, None)
        self._buffered -= connection.buffered
        self.handshakes.remove(connection)
        for opened in connection.opened_for:
            if self._opened.get(opened) is connection:
                del self._opened[opened]
        self.per_transport[flow.transport] -= 1
        key = network_of(flow.remote[0]), connection.is_incoming
        self._per_network[key] -= 1
        if not self._per_network[key]:
            del self._per_network[key]
        self.closed(flow.connection)

    def add_buffered(self, octets: int) -> None:
        """Count buffered octets; over the limit, close the connection that buffers most."""
        self._buffered += octets
        if self._buffered > MAX_BUFFERED:
            largest = max(self.connections.values(), key=lambda connection: connection.buffered)
            self.counts[CLOSED_BUFFER_LIMIT] += 1
            largest.close("all buffers are full, and this one is the largest")

    # Time

    def reschedule(self, connection: Connection) -> None:
        """Give a connection another turn after all other connections had one."""
        if not self._scheduled:
            self._turn_timer.start(self._run_scheduled)
        self._scheduled[connection] = None

    def _run_scheduled(self) -> None:
        """Run the scheduled turns; runs in the hub."""
        scheduled, self._scheduled = self._scheduled, {}
        for connection in scheduled:
            self.pool.run(connection.read)

    def pause(self, connection: Connection) -> None:
        """Resume a connection when its share allows; one that is paused too long is closed."""
        if not self._check_timer.active:
            self._check_timer.again(self._check_paused)
        self._paused[connection] = self.clock() + MESSAGE_SECONDS

    def _check_paused(self) -> None:
        """Resume connections that may be read; runs in the hub.

        A connection that is paused again goes to the end of the queue.
        """
        paused = self._paused
        resumed: list[Connection] = []
        for connection in list(itertools.islice(paused, MAX_CHECKED_AT_ONCE)):
            give_up_at = paused.pop(connection, None)
            if give_up_at is None:  # closed meanwhile to free its buffer
                continue
            if self.should_throttle(connection.flow):
                paused[connection] = give_up_at
            else:
                connection.resume()
                resumed.append(connection)
        for connection in resumed:
            if connection in paused:
                paused[connection] = paused.pop(connection)
        if not paused:
            self._check_timer.stop()

    def start_deadline(self, connection: Connection) -> None:
        """Start the time for a message to end, unless it runs; more octets don't prolong it."""
        if connection not in self._deadlines:
            self._deadlines[connection] = self.clock() + MESSAGE_SECONDS

    def cancel_deadline(self, connection: Connection) -> None:
        """Stop the time for a message to end."""
        self._deadlines.pop(connection, None)

    def close_expired(self, now: float) -> None:
        """Close connections past their deadline or paused too long, and log refused ones."""
        for connection, deadline in list(self._deadlines.items()):
            if deadline <= now:
                self.counts[CLOSED_TIMEOUT] += 1
                is_ready = connection.wire is None or connection.wire.is_ready
                connection.close(
                    "no whole message came in time" if is_ready else "no handshake in time"
                )
        for connection, give_up_at in list(self._paused.items()):
            if give_up_at <= now:
                self.counts[CLOSED_OVERLOAD] += 1
                connection.close("overload: it was paused too long")
        refused = self.counts[CONNECTIONS_REFUSED]
        if refused > self._refusals_logged:
            self._refusals_logged = refused
            log.info(
                "refused connections, the last from %s (%d so far)", self._last_refused, refused
            )
