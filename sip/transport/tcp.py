"""TCP: connections that come and that we open (RFC 3261 §18, RFC 5626 §3.5, RFC 5923).

A connection costs a socket, two watchers and about a kilobyte; greenlets are at work only where
something has come.  Nothing here waits: what cannot be sent yet is kept, within a bound, and sent
when the peer reads on.
"""

import errno
import itertools
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent

from sip.message.framing import BadStream
from sip.message.uri import format_host_port
from sip.monitor.metrics import (
    CLOSED_BUFFER_LIMIT,
    CLOSED_OVERLOAD,
    CLOSED_TIMEOUT,
    CONNECTIONS_REFUSED,
    Counters,
)
from sip.transport.flow import Endpoint, Flow, network_of
from sip.transport.greenlet_pool import GreenletPool
from sip.transport.tcp_connection import Connection
from sip.transport.tcp_listener import Listener, PlainSocket, granted_descriptors

log = logging.getLogger(__name__)

# §17.1.1.2: no transaction waits longer.  So long may a message take to arrive, and a connection
# that has been opened to say its first one.
MESSAGE_SECONDS = 32.0
# How often it is looked whether those may go on that had to wait, and at how many at a time: each
# look takes a microsecond or two.
SECONDS_BETWEEN_LOOKS = 0.05
MAX_LOOKED_AT = 2000
# A next hop that has not even taken the connection is given up, and the next one is tried.
CONNECT_SECONDS = 4.0
# What one address may hold open: an office behind one NAT gateway stays below.  As many again we
# may open to it: whoever names us ports of theirs could have us open one to each.
MAX_CONNECTIONS_FROM_ADDRESS = 64
# So too the /64 of an address of IPv6, of which one host may have each; an office has one for all
# its phones, and none of them hides behind the address of another.
MAX_CONNECTIONS_FROM_NETWORK = 256
# All together; each takes a descriptor of the process.
MAX_CONNECTIONS = 20_000
# Descriptors left to all else: 256 connections of the web, the database, datagrams, names.
DESCRIPTORS_FOR_OTHERS = 384
# What all connections together may hold of messages that have begun or wait for their peers: the
# full 20,000 could hold 15 GB.  Whoever holds most ends first, so small messages always fit.
MAX_HELD = 64 * 1024 * 1024
# What has been sent and is not acknowledged in this time, or waits so long for a peer that reads
# nothing, is lost with its connection; the system itself would try for a quarter of an hour.
_USER_TIMEOUT_MILLISECONDS = 32_000
# A peer that vanished is noticed by a probe after 60 s of silence.
_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MILLISECONDS),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)

# A whole message and the flow it came by; in blocking style.
Receive = Callable[[bytes, Flow], None]
# The number of a connection that has ended; must not wait.
Closed = Callable[[int], None]
# A stream whose next message can't be found, for its last answer.
Refuse = Callable[[BadStream, Flow], None]


class Streams:
    """All TCP connections.

    `receive` gets each whole message with its flow, in blocking style; `closed` is told the number
    of each that ends, with which what it was sent may be lost; `refuse` answers what can't be told
    apart, before its connection is closed.  `admits` says whether a connection that comes is taken,
    `keeps_waiting` whether one is not read for now.
    """

    def __init__(
        self,
        receive: Receive,
        closed: Closed,
        refuse: Refuse,
        clock: Callable[[], float],
    ) -> None:
        self.receive = receive
        self.closed = closed
        self.refuse = refuse
        self.clock = clock
        self.admits: Callable[[Flow], bool] = lambda flow: True
        self.keeps_waiting: Callable[[Flow], bool] = lambda flow: False
        self.pool = GreenletPool()
        self.listeners: list[Listener] = []
        self.connections: dict[int, Connection] = {}  # by their number
        self.counts = Counters()
        self._opened: dict[Endpoint, Connection] = {}  # by us, to a remote address
        self._of_network: Counter[tuple[str, bool]] = Counter()  # with whether they came
        self._most = MAX_CONNECTIONS
        self._held = 0  # octets
        self._reported = 0  # of those that were refused
        self._refused_last = ""
        self._again: dict[Connection, None] = {}  # in order
        # A callback of the loop would come before sockets and timers; a timer has them between.
        loop = gevent.get_hub().loop
        self._next_turn: Any = loop.timer(0)
        self._waiting: dict[Connection, float] = {}  # in turn, and until when
        self._looking: Any = loop.timer(SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_LOOKS)
        self._deadlines: dict[Connection, float] = {}  # in order, but for those of connecting
        # No flow of before a restart, nor one of a connection that is gone, means another.
        self._numbers = itertools.count(int.from_bytes(os.urandom(4)) + 1)

    def listen(self, address: Endpoint) -> Listener:
        """Listen on an address as well.  Raises OSError."""
        listener = Listener(self.accept, address)
        self.listeners.append(listener)
        return listener

    def start(self) -> None:
        """Begin to take connections."""
        granted = granted_descriptors(MAX_CONNECTIONS + DESCRIPTORS_FOR_OTHERS)
        self._most = max(0, granted - DESCRIPTORS_FOR_OTHERS)
        if self._most < MAX_CONNECTIONS:
            log.info("room for %d connections, by the limit of descriptors", self._most)
        for listener in self.listeners:
            listener.start()

    def stop_listening(self) -> None:
        """Take no more connections; those that are open go on."""
        for listener in self.listeners:
            listener.stop()
        self.listeners.clear()

    def stop(self) -> None:
        """Close everything; nobody is told any more."""
        self.closed = lambda connection: None
        self.stop_listening()
        for connection in list(self.connections.values()):
            connection.close("the server stops")
        for timer in (self._next_turn, self._looking):
            timer.stop()
            timer.close()
        self.pool.stop()

    # Connections

    def accept(self, sock: socket.socket, remote: Endpoint, port: int) -> None:
        """Take a connection that came, unless its address has too many."""
        if not self._has_room(remote[0], is_incoming=True):
            self.counts[CONNECTIONS_REFUSED] += 1
            self._refused_last = remote[0]
            sock.close()
            return
        try:
            self._set_options(sock)
            host = sock.getsockname()[0].partition("%")[0]
        except OSError:  # it has ended already
            sock.close()
            return
        flow = Flow("TCP", (host, port), remote, next(self._numbers))
        if not self.admits(flow):
            sock.close()
            return
        self._add(Connection(self, sock, flow, is_incoming=True), MESSAGE_SECONDS)

    def open(self, local: Endpoint, remote: Endpoint) -> Flow:
        """The flow of a connection to `remote` that we have opened, or open now; doesn't wait.

        What is sent along it goes out when it is there.  `local` is what the flow says of us: our
        host, and the port that we listen on.  Raises OSError.
        """
        known = self._opened.get(remote)
        if known is not None and known.is_usable:
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
        flow = Flow("TCP", local, remote, next(self._numbers), port=remote[1])
        connection = Connection(self, sock, flow, is_incoming=False)
        self._opened[remote] = connection
        self._add(connection, CONNECT_SECONDS)
        return flow

    def _has_room(self, host: str, *, is_incoming: bool) -> bool:
        most = MAX_CONNECTIONS_FROM_NETWORK if ":" in host else MAX_CONNECTIONS_FROM_ADDRESS
        is_crowded = self._of_network[network_of(host), is_incoming] >= most
        return not is_crowded and len(self.connections) < self._most

    def _set_options(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        for level, option, value in _OPTIONS:
            sock.setsockopt(level, option, value)

    def _add(self, connection: Connection, seconds: float) -> None:
        self._of_network[network_of(connection.flow.remote[0]), connection.is_incoming] += 1
        self.connections[connection.flow.connection] = connection
        self._deadlines[connection] = self.clock() + seconds

    def _usable(self, flow: Flow) -> Connection | None:
        """The connection of a flow, while it can be sent on.

        A flow may be older than this process: it is the peer, not the number, that must be right.
        """
        connection = self.connections.get(flow.connection)
        if connection is None or not connection.is_usable or connection.flow.remote != flow.remote:
            return None
        return connection

    def is_open(self, flow: Flow) -> bool:
        """Tell whether the connection of a flow can be sent on."""
        return self._usable(flow) is not None

    def leads_on(self, flow: Flow) -> bool:
        """Tell whether a flow leads to its peer still, or another may be opened in its stead."""
        return bool(flow.port or self._usable(flow))

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Send along a flow; along another where it is gone and its peer listens (§18.2.2).

        Tells by which it went.  Raises OSError when there is no way.
        """
        connection = self._usable(flow)
        if connection is not None:
            try:
                connection.send(data)
            except (BrokenPipeError, ConnectionResetError):  # nobody had told us yet
                if not flow.port:
                    raise
            else:
                return flow
        if not flow.port:
            raise OSError(errno.ENOTCONN, f"the connection to {flow.remote[0]} is closed")
        again = self.open(flow.local, (flow.remote[0], flow.port))
        self.connections[again.connection].send(data)
        return again

    def remove(self, connection: Connection, cause: str) -> None:
        """Know a connection no more that has been closed."""
        flow = connection.flow
        log.debug("closed %s: %s", format_host_port(*flow.remote), cause)
        self.connections.pop(flow.connection, None)
        self._deadlines.pop(connection, None)
        self._again.pop(connection, None)
        self._waiting.pop(connection, None)
        self._held -= connection.held
        if self._opened.get(flow.remote) is connection:
            del self._opened[flow.remote]
        key = network_of(flow.remote[0]), connection.is_incoming
        self._of_network[key] -= 1
        if not self._of_network[key]:
            del self._of_network[key]
        self.closed(flow.connection)

    def hold(self, octets: int) -> None:
        """Know that so many octets more are kept; at the bound whoever keeps most ends."""
        self._held += octets
        if self._held > MAX_HELD:
            largest = max(self.connections.values(), key=lambda connection: connection.held)
            self.counts[CLOSED_BUFFER_LIMIT] += 1
            largest.close("too much is held, and most of it here")

    # Time

    def again(self, connection: Connection) -> None:
        """Give a connection another turn, once all others have had theirs."""
        if not self._again:
            self._next_turn.start(self._take_turns)
        self._again[connection] = None

    def _take_turns(self) -> None:
        """In the hub."""
        again, self._again = self._again, {}
        for connection in again:
            self.pool.run(connection.read)

    def make_wait(self, connection: Connection) -> None:
        """Let a connection go on when its share allows; one that waits too long is closed."""
        if not self._looking.active:
            self._looking.again(self._look)
        self._waiting[connection] = self.clock() + MESSAGE_SECONDS

    def _look(self) -> None:
        """In the hub: let those go on that may; who has said something waits behind all others."""
        waiting = self._waiting
        gone_on: list[Connection] = []
        for connection in list(itertools.islice(waiting, MAX_LOOKED_AT)):
            give_up_at = waiting.pop(connection, None)
            if give_up_at is None:  # closed meanwhile, for the sake of another
                continue
            if self.keeps_waiting(connection.flow):
                waiting[connection] = give_up_at
            else:
                connection.go_on()
                gone_on.append(connection)
        for connection in gone_on:
            if connection in waiting:
                waiting[connection] = waiting.pop(connection)
        if not waiting:
            self._looking.stop()

    def expect(self, connection: Connection) -> None:
        """Give what has begun its time to end; it doesn't get more with each octet."""
        if connection not in self._deadlines:
            self._deadlines[connection] = self.clock() + MESSAGE_SECONDS

    def forget(self, connection: Connection) -> None:
        """Nothing is expected of a connection."""
        self._deadlines.pop(connection, None)

    def close_late(self, now: float) -> None:
        """Close what has not said in time what it began to say."""
        for connection, deadline in list(self._deadlines.items()):
            if deadline <= now:
                self.counts[CLOSED_TIMEOUT] += 1
                connection.close("nothing whole came in time")
        for connection, give_up_at in list(self._waiting.items()):
            if give_up_at <= now:
                self.counts[CLOSED_OVERLOAD] += 1
                connection.close("others had to be served")
        refused = self.counts[CONNECTIONS_REFUSED]
        if refused > self._reported:
            self._reported = refused
            log.info(
                "refused connections, the last from %s (%d so far)", self._refused_last, refused
            )
