"""The connections of browsers: each wait for a peer has a limit, and so has their number."""

import enum
import ipaddress
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import gevent
import gevent.socket
from gevent.event import Event
from gevent.pool import Pool

from webadmin.thread_pool import Workers

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# What one time limit is for when an answer is sent.
_PIECE_BYTES = 64 * 1024

# Where requests or octets come as fast as we work, the hub would never turn and SIP would wait: we
# rest for so many seconds before each request, and after so many octets.
_REST = 0.001
_REST_AFTER_BYTES = 256 * 1024

# How long what a peer still sends is read after the last answer, in seconds.  Closing at once, the
# kernel would reset the connection, and the answer might be lost on its way.
_FAREWELL = 1.0

# How long handlers that were cut off by a stop may take to unwind, in seconds.
_UNWINDING = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer, and all of them together, may take.  Times are in seconds."""

    # Until a request begins: a page fetches what belongs to it sooner, and who comes back later
    # connects anew, which nobody sees.
    idle: float = 20.0
    # From there to the empty line after the headers: a few packets, on a slow line as well.
    head: float = 10.0
    # The headers.  Browsers send up to 4 kB, a proxy adds some; most servers stop at 8 to 64 kB.
    head_bytes: int = 64 * 1024
    # Without one octet of the body: TCP has sent a lost packet three times again by then.
    body_pause: float = 15.0
    # For the whole body: 32 MiB, a very large list of accounts, at 1 Mbit/s.
    body: float = 300.0
    # Above the largest file that a page takes, so that the page can say what its own limit is.
    body_bytes: int = 64 * 1024 * 1024
    # Until 64 kB more of the answer are taken: 26 kbit/s.
    send: float = 20.0
    # Connections from one address; of IPv6 from one /64, which is one network.  A browser opens
    # six, and one for each live page; all that comes through a proxy has the proxy's address.
    per_address: int = 64
    # Connections in all.  The usual 1,024 descriptors are for SIP and the database as well.
    total: int = 256
    # For requests that are being answered when the server is stopped: somebody waits for its end.
    grace: float = 3.0
    # Until the next try to accept when descriptors are short; without a pause that is a busy loop.
    shortage: float = 0.5


class PeerFailed(BaseException):
    """The peer is gone, or too slow, or had to make way; `status` is what it can be told.

    No Exception: the application would take it for its own fault and report it.
    """

    def __init__(self, status: str | None = None) -> None:
        super().__init__(status)
        self.status = status


class Phase(enum.Enum):
    """What a connection is at."""

    IDLE = enum.auto()  # nothing has to come
    HEAD = enum.auto()  # a request has begun
    SERVED = enum.auto()  # the application is at work, or the body on its way


class Connection(gevent.socket.socket):
    """A connection with a peer.  Where that keeps us waiting too long it raises PeerFailed."""

    def __init__(self, accepted: gevent.socket.socket, host: str, limits: Limits) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.address, self.network = address_and_network(host)
        self.handler: Any = gevent.getcurrent()
        self.waiting = False  # for the peer
        self.is_stream = False  # of events, which has no end
        self._limits = limits
        self._cut = False
        self._unrested_bytes = 0
        self.expect_request()

    def expect_request(self) -> None:
        """From here on the peer may send another request, or close."""
        self.since = time.monotonic()
        self.is_stream = False
        self._expect(Phase.IDLE, self._limits.idle, self._limits.idle)

    def expect_greeting(self) -> None:
        """From here on the peer owes what comes before requests; late, it is told nothing."""
        self._expect(Phase.IDLE, self._limits.head, self._limits.head)

    def expect_head(self) -> None:
        """From here on the peer owes the rest of a request line and headers."""
        self._expect(Phase.HEAD, self._limits.head, self._limits.head)
        self._head_bytes_left = self._limits.head_bytes

    def expect_body(self) -> None:
        """From here on the peer owes what its Content-Length says."""
        self._expect(Phase.SERVED, self._limits.body_pause, self._limits.body)

    def greet(self, guests: "Guests") -> bool:
        """Begin, with what comes before requests; tell whether any may come."""
        return True

    def finish(self) -> None:
        """End what is sent, after the last answer."""

    def _expect(self, phase: Phase, pause: float, total: float) -> None:
        self.phase = phase
        self._pause = pause
        self._deadline = time.monotonic() + total
        self._failed = False

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read what there is, or wait for it."""
        if self._failed:  # nobody is waited for again
            raise PeerFailed(self._told)
        late = None if self.phase is Phase.IDLE else "408 Request Timeout"
        with self._waiting(min(self._pause, self._deadline - time.monotonic()), late):
            size = super().recv_into(buffer, nbytes, flags)
        if not size and self.phase is not Phase.IDLE:
            self._fail("400 Bad Request")
        if self.phase is Phase.HEAD:
            self._head_bytes_left -= size
            if self._head_bytes_left < 0:
                self._fail("431 Request Header Fields Too Large")
        self._rest_after(size)
        return size

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        """Send all of it, as long as the peer reads."""
        view = memoryview(data)
        for start in range(0, len(view), _PIECE_BYTES):
            piece = view[start : start + _PIECE_BYTES]
            with self._waiting(self._limits.send, None):
                super().sendall(piece, flags)
            self._rest_after(len(piece))

    @contextmanager
    def _waiting(self, timeout: float, late: str | None) -> Iterator[None]:
        if self._cut or timeout <= 0:
            self._fail(None if self._cut else late)
        self.settimeout(timeout)
        self.waiting = True
        try:
            yield
        except OSError as error:
            self._fail(late if isinstance(error, TimeoutError) else None)
        finally:
            self.waiting = False

    def _fail(self, status: str | None) -> NoReturn:
        self._failed, self._told = True, status
        raise PeerFailed(status)

    def _rest_after(self, size: int) -> None:
        self._unrested_bytes += size
        if self._unrested_bytes >= _REST_AFTER_BYTES:
            self._unrested_bytes = 0
            gevent.sleep(_REST)

    def part(self, answer: bytes) -> None:
        """Send a last answer, see to it that it arrives, and send no more."""
        with suppress(PeerFailed, OSError):
            self.sendall(answer)
            self.finish()
            self.shutdown(gevent.socket.SHUT_WR)
            self._expect(Phase.IDLE, _FAREWELL, _FAREWELL)
            rest = bytearray(_PIECE_BYTES)
            while self.recv_into(rest):
                pass

    def cut(self) -> None:
        """Give the peer up; a handler that waits for it wakes."""
        self._cut = True
        with suppress(OSError):
            self.shutdown(gevent.socket.SHUT_RDWR)


class Guests:
    """Who is connected, on all sockets of the web admin."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.handlers = Pool()
        # A handshake with RSA of 4096 bits takes 5 ms, and anybody can ask for one.
        self.workers = Workers(threads=1, most=limits.total)
        self._last_turn = Event()
        self._last_turn.set()
        self._connections: set[Connection] = set()
        self.closing = False

    def admit(self, newcomer: Connection) -> bool:
        """Give a connection a place; where all are taken another makes way, if it can."""
        neighbours = {c for c in self._connections if c.network == newcomer.network}
        crowded = len(neighbours) >= self.limits.per_address
        full = crowded or len(self._connections) >= self.limits.total
        rivals = neighbours if crowded else self._connections
        if self.closing or (full and not self._make_room(rivals)):
            return False
        self._connections.add(newcomer)
        return True

    def _make_room(self, rivals: set[Connection]) -> bool:
        """Give up one whose peer keeps us waiting.

        Of those one from the address that has most, rather without a request, then the longest
        here: however many silent peers there are, a person gets in, and from another address stays.
        """
        crowds = Counter(c.network for c in self._connections)
        idlers = [c for c in rivals if c.waiting]
        idlers.sort(key=lambda c: (-crowds[c.network], c.phase is Phase.SERVED, c.since))
        for leaving in idlers[:1]:
            leaving.cut()
            self.leave(leaving)
        return bool(idlers)

    def leave(self, connection: Connection) -> None:
        """Free its place.  Doing so twice is harmless."""
        self._connections.discard(connection)

    def take_turn(self) -> None:
        """Wait until a request may begin: the hub turns once for each, however many there are."""
        # A lock would be had again by who has just let it go.
        mine = Event()
        before, self._last_turn = self._last_turn, mine
        try:
            before.wait()
            gevent.sleep(_REST)
        finally:
            mine.set()

    def dismiss(self) -> None:
        """Let nobody in any more, and see everybody out."""
        self.closing = True
        for connection in list(self._connections):
            if connection.is_stream or connection.phase is not Phase.SERVED:
                connection.cut()
            if connection.is_stream:  # its handler waits for events, and not for the peer
                connection.handler.kill(block=False)
        self.handlers.join(timeout=self.limits.grace)
        for connection in list(self._connections):
            connection.cut()
        self.handlers.kill(timeout=_UNWINDING)
        self.workers.close()


def address_and_network(host: str) -> tuple[str, str]:
    """Write a peer's address in the plain way, and the network whose bounds it shares."""
    address = ipaddress.ip_address(host.partition("%")[0])  # without the zone, our name of a link
    address = getattr(address, "ipv4_mapped", None) or address
    prefix = 64 if address.version == 6 else 32
    return str(address), str(ipaddress.ip_network((address, prefix), strict=False))
