"""TCP: connections that come and that we open (RFC 3261 §18, RFC 5626 §3.5, RFC 5923).

A connection costs a socket, two watchers and a few hundred octets; greenlets are at work only where
something has come.  Nothing here waits: what cannot be sent yet is kept, within a bound, and sent
when the peer reads on.
"""

import errno
import itertools
import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gevent import monkey

from sip.message.framing import PING, PONG, BadStream, Framer
from sip.message.message import for_log
from sip.message.uri import format_host_port
from sip.transport.flow import Endpoint, Flow
from sip.transport.readers import Readers

log = logging.getLogger("sip.tcp")

# The class from before gevent's patch: nothing here waits in a call.
PlainSocket: type[socket.socket] = monkey.get_original("socket", "socket")

# §17.1.1.2: no transaction waits longer.  So long may a message take to arrive, and a connection
# that has been opened to say its first one.
MESSAGE_SECONDS = 32.0
# A next hop that has not even taken the connection is given up, and the next one is tried.
CONNECT_SECONDS = 4.0
# What one address may hold open: an office behind one NAT gateway stays below.
MAX_CONNECTIONS_FROM_ADDRESS = 64
# All together; each takes a descriptor of the process.
MAX_CONNECTIONS = 20_000
# Octets that wait for a peer to read; more than a message of the largest size, and then some.
MAX_UNSENT = 512 * 1024
READ_SIZE = 65_536
# Connections taken in a row before all else has its turn.
BATCH = 64
# How long none is taken when the process has no descriptor left.
SECONDS_WITHOUT_DESCRIPTORS = 1.0
_BACKLOG = 1024
# A peer that vanished is noticed after 60 s of silence and three probes.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
_READ, _WRITE = 1, 2
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# A whole message and the flow it came by; in blocking style.
Receive = Callable[[bytes, Flow], None]
# What could not be sent; must not wait.
Unreachable = Callable[[bytes], None]
# A stream whose next message can't be found, for its last answer.
Refuse = Callable[[BadStream, Flow], None]


class Connection:
    """One connection, from its opening to its end.

    `flow` names it; `is_proven` says that a whole message has come by it.
    """

    __slots__ = (
        "_framer",
        "_is_connecting",
        "_reading",
        "_sent",
        "_streams",
        "_unsent",
        "_unsent_octets",
        "_writing",
        "flow",
        "is_incoming",
        "is_open",
        "is_proven",
        "sock",
    )

    def __init__(
        self, streams: "Streams", sock: socket.socket, flow: Flow, *, is_incoming: bool
    ) -> None:
        self._streams = streams
        self.sock = sock
        self.flow = flow
        self.is_incoming = is_incoming
        self.is_open = True
        self.is_proven = False
        self._framer: Framer | None = Framer()  # None: it is only waited for the end
        self._is_connecting = not is_incoming
        self._unsent: deque[bytes] = deque()
        self._unsent_octets = 0
        self._sent = 0  # octets of the first unsent message that have gone already
        loop = gevent.get_hub().loop
        self._reading: Any = loop.io(sock.fileno(), _READ)
        self._writing: Any = loop.io(sock.fileno(), _WRITE)
        self._reading.start(streams.readers.run, self._read)
        if self._is_connecting:
            self._writing.start(self._writable)

    # In

    def _read(self) -> None:
        """In a reader: handle what has come, message by message."""
        while self.is_open:
            try:
                message = self._framer.next() if self._framer else None
            except BadStream as bad:
                self._refuse(bad)
                continue
            if message is None:
                if not self._receive():
                    return
            elif message == PING:
                self._pong()
            else:
                self._handle(message)

    def _receive(self) -> bool:
        """Read what is there.  False: nothing, or no more."""
        try:
            data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            if self._framer and self._framer.is_midway:
                self._streams.expect(self)
            return False
        except OSError as error:
            self.close(error.strerror or str(error))
            return False
        if not data:
            self.close("its peer closed it")
            return False
        if self._framer:
            self._framer.feed(data)
        return True

    def _pong(self) -> None:
        with suppress(OSError):
            self.send(PONG)

    def _refuse(self, bad: BadStream) -> None:
        """Answer for the last time.

        The peer may still be sending; if it were not read, the system would take the answer back.
        """
        self._framer = None
        self._streams.expect(self)
        self._streams.refuse(bad, self.flow)
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def _handle(self, message: bytes) -> None:
        """Handle one message.  If that waits, another reader goes on with the next."""
        self.is_proven = True
        self._streams.forget(self)  # what comes next has its own time
        if self._framer and self._framer.has_more:
            gevent.get_hub().loop.run_callback(self._streams.readers.run, self._read)
        try:
            self._streams.receive(message, self.flow)
        except gevent.GreenletExit:
            raise
        except BaseException:
            log.exception("while handling the message %r from %s", for_log(message), self.flow)

    # Out

    def send(self, data: bytes) -> None:
        """Send, now or when the peer reads on.  Raises OSError when that can't be."""
        if not self.is_open:
            raise OSError(errno.ENOTCONN, "the connection is closed")
        if self._unsent or self._is_connecting:
            self._keep(data)
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.close(error.strerror or str(error))
            raise
        if sent < len(data):
            self._keep(data)
            self._sent = sent
            self._writing.start(self._writable)

    def _keep(self, data: bytes) -> None:
        if self._unsent_octets + len(data) > MAX_UNSENT:
            self.close("it does not read what it is sent")
            raise OSError(errno.ENOBUFS, "the peer does not read")
        self._unsent.append(data)
        self._unsent_octets += len(data)

    def _writable(self) -> None:
        """In the hub: the connection is there, or the peer has read on."""
        if self._is_connecting:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.close(os.strerror(error))
                return
            self._is_connecting = False
            self._streams.forget(self)
        try:
            while self._unsent:
                first = self._unsent[0]
                self._sent += self.sock.send(first[self._sent :])
                if self._sent < len(first):
                    return
                self._unsent.popleft()
                self._unsent_octets -= len(first)
                self._sent = 0
        except BlockingIOError:
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        self._writing.stop()

    # End

    def close(self, cause: str) -> None:
        """End it.  What has not gone out has failed."""
        if not self.is_open:
            return
        self.is_open = False
        for watcher in (self._reading, self._writing):
            watcher.stop()
            watcher.close()
        self.sock.close()
        self._streams.remove(self, cause)
        for data in self._unsent:
            self._streams.unreachable(data)
        self._unsent.clear()


class Listener:
    """One listening socket."""

    def __init__(self, streams: "Streams", address: Endpoint) -> None:
        """Bind and listen.  Raises OSError."""
        self._streams = streams
        host, port = address
        self.is_ipv6 = ":" in host
        self.is_wildcard = host in ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound to
        family = socket.AF_INET6 if self.is_ipv6 else socket.AF_INET
        self.sock = PlainSocket(family, socket.SOCK_STREAM)
        try:
            self.sock.setblocking(False)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.is_ipv6:
                self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.sock.bind((host, port))
            self.sock.listen(_BACKLOG)
        except OSError:
            self.sock.close()
            raise
        self.local: Endpoint = (host, self.sock.getsockname()[1])
        self._watcher: Any = None
        self._pause: Any = None

    def start(self) -> None:
        """Begin to take connections."""
        loop = gevent.get_hub().loop
        self._watcher = loop.io(self.sock.fileno(), _READ)
        self._pause = loop.timer(SECONDS_WITHOUT_DESCRIPTORS)
        self._go_on()

    def _go_on(self) -> None:
        self._watcher.start(self._accept)

    def _accept(self) -> None:
        """In the hub: take what has come."""
        for _ in range(BATCH):
            try:
                sock, remote = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    # It stays readable: asked again and again it would take the whole processor.
                    self._watcher.stop()
                    self._pause.start(self._go_on)
                    log.warning("no connection can be taken: %s", error.strerror)
                    return
                continue  # it ended before it was taken
            self._streams.accept(sock, (remote[0].partition("%")[0], remote[1]), self.local[1])

    def stop(self) -> None:
        """Take none any more."""
        for watcher in (self._watcher, self._pause):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._watcher = self._pause = None
        self.sock.close()


class Streams:
    """All TCP connections.

    `receive` gets each whole message with its flow, in blocking style; `unreachable` what could
    not be sent; `refuse` answers what can't be told apart, before its connection is closed.
    """

    def __init__(
        self,
        receive: Receive,
        unreachable: Unreachable,
        refuse: Refuse,
        clock: Callable[[], float],
    ) -> None:
        self.receive = receive
        self.unreachable = unreachable
        self.refuse = refuse
        self.clock = clock
        self.readers = Readers()
        self.listeners: list[Listener] = []
        self.connections: dict[int, Connection] = {}  # by their number
        self.counts: Counter[str] = Counter()
        self._opened: dict[Endpoint, Connection] = {}  # by us, to a remote address
        self._of_address: Counter[str] = Counter()  # those that came
        self._deadlines: dict[Connection, float] = {}  # in order, but for those of connecting
        # No flow of before a restart, nor one of a connection that is gone, means another.
        self._numbers = itertools.count(int.from_bytes(os.urandom(4)) + 1)

    def listen(self, address: Endpoint) -> Listener:
        """Listen on an address as well.  Raises OSError."""
        listener = Listener(self, address)
        self.listeners.append(listener)
        return listener

    def start(self) -> None:
        """Begin to take connections."""
        for listener in self.listeners:
            listener.start()

    def stop(self) -> None:
        """Close everything."""
        for listener in self.listeners:
            listener.stop()
        self.listeners.clear()
        for connection in list(self.connections.values()):
            connection.close("the server stops")
        self.readers.stop()

    # Connections

    def accept(self, sock: socket.socket, remote: Endpoint, port: int) -> None:
        """Take a connection that came, unless its address has too many."""
        host = remote[0]
        if (
            self._of_address[host] >= MAX_CONNECTIONS_FROM_ADDRESS
            or len(self.connections) >= MAX_CONNECTIONS
        ):
            self.counts["connections refused"] += 1
            sock.close()
            return
        self._set_options(sock)
        flow = Flow("TCP", (sock.getsockname()[0], port), remote, next(self._numbers))
        self._of_address[host] += 1
        self._add(Connection(self, sock, flow, is_incoming=True), MESSAGE_SECONDS)

    def open(self, local: Endpoint, remote: Endpoint) -> Flow:
        """The flow of a connection to `remote` that we have opened, or open now; doesn't wait.

        What is sent along it goes out when it is there, or is reported as unreachable.  `local` is
        what the flow says of us: our host, and the port that we listen on.  Raises OSError.
        """
        known = self._opened.get(remote)
        if known is not None:
            return known.flow
        if len(self.connections) >= MAX_CONNECTIONS:
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

    def _set_options(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        for level, option, value in _KEEPALIVE:
            sock.setsockopt(level, option, value)

    def _add(self, connection: Connection, seconds: float) -> None:
        self.connections[connection.flow.connection] = connection
        self._deadlines[connection] = self.clock() + seconds

    def leads_on(self, flow: Flow) -> bool:
        """Tell whether a flow leads to its peer still, or another may be opened in its stead."""
        return bool(flow.connection in self.connections or flow.port)

    def send(self, data: bytes, flow: Flow) -> None:
        """Send along a flow; along another where it is gone and its peer listens (§18.2.2).

        Raises OSError when there is no way.
        """
        connection = self.connections.get(flow.connection)
        if connection is None:
            if not flow.port:
                raise OSError(errno.ENOTCONN, f"the connection to {flow.remote[0]} is closed")
            again = self.open(flow.local, (flow.remote[0], flow.port))
            connection = self.connections[again.connection]
        connection.send(data)

    def remove(self, connection: Connection, cause: str) -> None:
        """Know a connection no more that has been closed."""
        flow = connection.flow
        log.debug("closed %s: %s", format_host_port(*flow.remote), cause)
        self.connections.pop(flow.connection, None)
        self._deadlines.pop(connection, None)
        if not connection.is_incoming:
            if self._opened.get(flow.remote) is connection:
                del self._opened[flow.remote]
            return
        host = flow.remote[0]
        self._of_address[host] -= 1
        if not self._of_address[host]:
            del self._of_address[host]

    # Time

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
                self.counts["connections that said nothing whole in time"] += 1
                connection.close("nothing whole came in time")
