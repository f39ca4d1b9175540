"""Connections of browsers: time limits on every wait, and limits on their number.

gevent runs one handler per connection.  A handler waits for its peer only inside `_waiting`, with a
time limit for each phase: idle, request head, body, response.  ConnectionLimiter counts the
connections per source and in total.  When a limit is reached, it closes a connection that waits for
its peer, of the source that has most; so silent connections cannot lock other sources out.
"""

import enum
import errno
import ipaddress
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NoReturn

import gevent
import gevent.socket
from gevent.event import Event
from gevent.pool import Pool

from sip.operator_values import Network
from sip.transport.flow import network_of
from sip.transport.tcp_listener import PlainSocket
from sip.transport.tls import TlsState
from sip.transport.websocket_connection import Upgraded
from webadmin.thread_pool import Workers

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Octets of a response that are sent within one time limit.
_PIECE_BYTES = 64 * 1024

# A handler that always has data ready would never yield, and SIP would wait.  So each handler
# sleeps so many seconds before each request, and after so many octets, or after fewer that it has
# taken long to make.
_PAUSE = 0.001
_PAUSE_AFTER_BYTES = 256 * 1024
_SLOW_BYTES = 16 * 1024
_SLOW_SECONDS = 0.002

# How long data from the peer is read after the last response, in seconds.  Without that, the kernel
# could reset the connection, and the response could be lost.
_LINGER = 1.0

# How long handlers may take to end after a shutdown has killed them, in seconds.
_KILL_TIMEOUT = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection, of one source and of all.  Times are in seconds."""

    # Until the next request begins.  A page loads its files sooner, and later a browser opens a new
    # connection unnoticed.
    idle: float = 20.0
    # From the first octet of a request to the end of its headers: a few packets.
    head: float = 10.0
    # Of the headers.  Browsers send up to 4 kB, a proxy adds some; most servers allow 8 to 64 kB.
    head_bytes: int = 64 * 1024
    # Pause within the body: TCP has retransmitted a lost packet three times by then.
    body_pause: float = 15.0
    # For the whole body: 32 MiB, a very large list of accounts, at 1 Mbit/s.
    body: float = 300.0
    # Larger than the largest upload of a page, so that the page can report its own limit.
    body_bytes: int = 64 * 1024 * 1024
    # To send the next 64 kB of a response: 26 kbit/s.
    send: float = 20.0
    # Connections from one IPv4 address or one IPv6 /64.  A browser opens six, and one for each page
    # that refreshes itself.
    per_address: int = 64
    # Proxies, whose connections are those of many browsers: only the total limits them.
    proxies: tuple[Network, ...] = ()
    # Connections in total.  SIP and the database need some of the usual 1,024 descriptors.
    total: int = 256
    # For running requests when the server stops; the stop waits for them.
    grace: float = 3.0
    # Until the next accept when descriptors are short: without a pause it is a busy loop.
    shortage: float = 0.5


class PeerFailed(BaseException):
    """The peer has disconnected, is too slow, or was disconnected for another connection.

    `status` is the status of the response, None for no response.  It is not an Exception, because
    the application would report it as its own fault.
    """

    def __init__(self, status: str | None = None) -> None:
        super().__init__(status)
        self.status = status


class Phase(enum.Enum):
    """The phase of a connection."""

    IDLE = enum.auto()  # no request has begun
    HEAD = enum.auto()  # a request has begun, its headers are incomplete
    SERVED = enum.auto()  # the body is received, or the application runs


class Connection(gevent.socket.socket):
    """A connection with a peer.  Reading and sending raise PeerFailed after a time limit."""

    def __init__(self, accepted: gevent.socket.socket, host: str, limits: Limits) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.address = plain_address(host)
        self.network = network_of(self.address)
        self.handler: Any = gevent.getcurrent()
        self.waiting = False  # for the peer
        self.is_stream = False  # of server-sent events, which do not end
        self._limits = limits
        self._aborted = False
        self.is_handed_over = False
        self._bytes_since_pause = 0
        self._paused_at = 0.0
        self.expect_request()

    def expect_request(self) -> None:
        """Start the time limit of the idle phase: the peer may send a request, or close."""
        self.since = time.monotonic()
        self.is_stream = False
        self._expect(Phase.IDLE, self._limits.idle, self._limits.idle)

    def expect_handshake(self) -> None:
        """Start the time limit of the TLS handshake; a late peer gets no response."""
        self._expect(Phase.IDLE, self._limits.head, self._limits.head)

    def expect_head(self) -> None:
        """Start the time limit of the request line and headers."""
        self._expect(Phase.HEAD, self._limits.head, self._limits.head)
        self._head_bytes_left = self._limits.head_bytes

    def expect_body(self) -> None:
        """Start the time limit of the body."""
        self._expect(Phase.SERVED, self._limits.body_pause, self._limits.body)

    def handshake(self, limiter: "ConnectionLimiter") -> bool:
        """Do the TLS handshake, if there is TLS.  Return False if the connection cannot be used."""
        return True

    def end_stream(self) -> None:
        """End the TLS stream after the last response, if there is TLS."""

    def _expect(self, phase: Phase, pause: float, total: float) -> None:
        self.phase = phase
        self._pause = pause
        self._deadline = time.monotonic() + total
        self._failed = False

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read the data that has arrived, or wait for some."""
        if self.is_handed_over:
            raise BlockingIOError(errno.EAGAIN, "the socket belongs to SIP")
        if self._failed:  # after one failure there is no second wait
            raise PeerFailed(self._failed_status)
        late = None if self.phase is Phase.IDLE else "408 Request Timeout"
        with self._waiting(min(self._pause, self._deadline - time.monotonic()), late):
            size = super().recv_into(buffer, nbytes, flags)
        if not size and self.phase is not Phase.IDLE:
            self._fail("400 Bad Request")
        if self.phase is Phase.HEAD:
            self._head_bytes_left -= size
            if self._head_bytes_left < 0:
                self._fail("431 Request Header Fields Too Large")
        self._pause_after(size)
        return size

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        """Send all data, as long as the peer reads."""
        view = memoryview(data)
        for start in range(0, len(view), _PIECE_BYTES):
            piece = view[start : start + _PIECE_BYTES]
            with self._waiting(self._limits.send, None):
                super().sendall(piece, flags)
            self._pause_after(len(piece))

    @contextmanager
    def _waiting(self, timeout: float, late: str | None) -> Iterator[None]:
        if self._aborted or timeout <= 0:
            self._fail(None if self._aborted else late)
        self.settimeout(timeout)
        self.waiting = True
        try:
            yield
        except OSError as error:
            self._fail(late if isinstance(error, TimeoutError) else None)
        finally:
            self.waiting = False

    def _fail(self, status: str | None) -> NoReturn:
        self._failed, self._failed_status = True, status
        raise PeerFailed(status)

    def _pause_after(self, size: int) -> None:
        self._bytes_since_pause += size
        is_slow = time.monotonic() - self._paused_at > _SLOW_SECONDS
        if self._bytes_since_pause >= (_SLOW_BYTES if is_slow else _PAUSE_AFTER_BYTES):
            self._bytes_since_pause = 0
            gevent.sleep(_PAUSE)
            self._paused_at = time.monotonic()

    def send_and_close(self, data: bytes) -> None:
        """Send a last response, and read on for a moment so that it arrives."""
        with suppress(PeerFailed, OSError):
            self.sendall(data)
            self.end_stream()
            self.shutdown(gevent.socket.SHUT_WR)
            self._expect(Phase.IDLE, _LINGER, _LINGER)
            rest = bytearray(_PIECE_BYTES)
            while self.recv_into(rest):
                pass

    def hand_over(self, rfile: BufferedReader, remote: tuple[str, int]) -> Upgraded:
        """Give the socket of a client at `remote` away, with all octets that `rfile` has read."""
        self.is_handed_over = True  # or peek would wait for octets
        first = rfile.peek()
        plain = PlainSocket(self.family, self.type, self.proto, fileno=self.detach())
        return Upgraded(plain, remote, self._tls_state(), first)

    def _tls_state(self) -> TlsState | None:
        """Return the state of TLS, if there is TLS, for the next owner of the socket."""
        return None

    def abort(self) -> None:
        """Disconnect the peer; a handler that waits for it wakes with PeerFailed."""
        self._aborted = True
        with suppress(OSError):
            self.shutdown(gevent.socket.SHUT_RDWR)


class ConnectionLimiter:
    """The connections on all sockets of the web admin, and the limits of their number."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.handlers = Pool()
        # A handshake with an RSA key of 4096 bits takes 5 ms, and any peer can start one.
        self.workers = Workers(threads=1, most=limits.total)
        self._last_turn = Event()
        self._last_turn.set()
        self._connections: set[Connection] = set()
        self.closing = False

    def admit(self, connection: Connection) -> bool:
        """Add a connection; at a limit, close another one for it.  Return False if that fails."""
        same_source = {c for c in self._connections if c.network == connection.network}
        source_full = len(same_source) >= self.limits.per_address and not self._is_proxy(connection)
        full = source_full or len(self._connections) >= self.limits.total
        candidates = same_source if source_full else self._connections
        if self.closing or (full and not self._make_room(candidates)):
            return False
        self._connections.add(connection)
        return True

    def _is_proxy(self, connection: Connection) -> bool:
        address = ipaddress.ip_address(connection.address)
        return any(address in network for network in self.limits.proxies)

    def _make_room(self, candidates: set[Connection]) -> bool:
        """Close one connection that waits for its peer; return False if there is none.

        The choice: from the source with most connections, preferably without a request, then the
        oldest.  So however many silent connections one source has, others can still connect.
        """
        per_source = Counter(c.network for c in self._connections)
        waiting = [c for c in candidates if c.waiting]
        waiting.sort(key=lambda c: (-per_source[c.network], c.phase is Phase.SERVED, c.since))
        for first in waiting[:1]:
            first.abort()
            self.remove(first)
        return bool(waiting)

    def remove(self, connection: Connection) -> None:
        """Remove a connection.  A second call has no effect."""
        self._connections.discard(connection)

    def wait_turn(self) -> None:
        """Wait until a request may begin: one at a time, with a pause, so that SIP can run."""
        # Not a lock: the greenlet that releases a lock could take it again at once.
        mine = Event()
        before, self._last_turn = self._last_turn, mine
        try:
            before.wait()
            gevent.sleep(_PAUSE)
        finally:
            mine.set()

    def shutdown(self) -> None:
        """Refuse new connections, wait for running requests, and close all connections."""
        self.closing = True
        for connection in list(self._connections):
            if connection.is_stream or connection.phase is not Phase.SERVED:
                connection.abort()
            if connection.is_stream:  # its handler waits for events, so abort does not wake it
                connection.handler.kill(block=False)
        self.handlers.join(timeout=self.limits.grace)
        for connection in list(self._connections):
            connection.abort()
        self.handlers.kill(timeout=_KILL_TIMEOUT)
        self.workers.close()


def plain_address(host: str) -> str:
    """Return a peer's address without its IPv6 zone, and an IPv4-mapped address as IPv4."""
    address = ipaddress.ip_address(host.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)
