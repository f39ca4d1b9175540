"""The web admin's front gate: its sockets, and what peers may cost before the application is asked.

gevent's WSGI server waits for its peers without end and counts nobody.  Here each wait has a limit,
each connection takes one of a bounded number of places, and peers' faults stay out of the log.
"""

import enum
import errno
import ipaddress
import logging
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import gevent
import gevent.socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from sip.config import Address, Config, host_port

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from gevent.pywsgi import OldMessage

_BACKLOG = 128

# Connections taken in one turn of the hub: a flood of them must leave SIP its turns.
_ACCEPTS_A_TURN = 10

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

# That connections cannot be accepted is said once in so many seconds, however often it happens.
_COMPLAINT_INTERVAL = 60.0
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# RFC 9112 §3 and §5; not everybody encodes what is not ASCII.  HTTP/0.9 had no headers.
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_REQUEST_LINE = re.compile(_TOKEN.pattern + r" [^\x00-\x20\x7f]+ HTTP/1\.[01]\r?\n", re.ASCII)
_FIELD_LINE = re.compile(_TOKEN.pattern.encode() + rb":[^\x00-\x08\x0a-\x1f\x7f]*\r?\n")

log = logging.getLogger("webadmin")


class WebListenError(OSError):
    """An address that the web admin cannot listen on; the text is for the operator."""


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


class _PeerFailed(BaseException):
    """The peer is gone, or too slow, or had to make way; `status` is what it can be told.

    No Exception: the application would take it for its own fault and report it.
    """

    def __init__(self, status: str | None = None) -> None:
        super().__init__(status)
        self.status = status


class _Refused(ValueError):
    """A request that the application never sees; the text is the status of the answer."""


class _Phase(enum.Enum):
    IDLE = enum.auto()  # nothing has to come
    HEAD = enum.auto()  # a request has begun
    SERVED = enum.auto()  # the application is at work, or the body on its way


class _Connection(gevent.socket.socket):
    """A connection with a peer.  Where that keeps us waiting too long it raises _PeerFailed."""

    def __init__(self, accepted: gevent.socket.socket, host: str, limits: Limits) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.address, self.network = _address_and_network(host)
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
        self._expect(_Phase.IDLE, self._limits.idle, self._limits.idle)

    def expect_head(self) -> None:
        """From here on the peer owes the rest of a request line and headers."""
        self._expect(_Phase.HEAD, self._limits.head, self._limits.head)
        self._head_bytes_left = self._limits.head_bytes

    def expect_body(self) -> None:
        """From here on the peer owes what its Content-Length says."""
        self._expect(_Phase.SERVED, self._limits.body_pause, self._limits.body)

    def _expect(self, phase: _Phase, pause: float, total: float) -> None:
        self.phase = phase
        self._pause = pause
        self._deadline = time.monotonic() + total
        self._failed = False

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read what there is, or wait for it."""
        if self._failed:  # nobody is waited for again
            raise _PeerFailed(self._told)
        late = None if self.phase is _Phase.IDLE else "408 Request Timeout"
        with self._waiting(min(self._pause, self._deadline - time.monotonic()), late):
            size = super().recv_into(buffer, nbytes, flags)
        if not size and self.phase is not _Phase.IDLE:
            self._fail("400 Bad Request")
        if self.phase is _Phase.HEAD:
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
        raise _PeerFailed(status)

    def _rest_after(self, size: int) -> None:
        self._unrested_bytes += size
        if self._unrested_bytes >= _REST_AFTER_BYTES:
            self._unrested_bytes = 0
            gevent.sleep(_REST)

    def part(self, answer: bytes) -> None:
        """Send a last answer, see to it that it arrives, and send no more."""
        with suppress(_PeerFailed, OSError):
            self.sendall(answer)
            self.shutdown(gevent.socket.SHUT_WR)
            self._expect(_Phase.IDLE, _FAREWELL, _FAREWELL)
            rest = bytearray(_PIECE_BYTES)
            while self.recv_into(rest):
                pass

    def cut(self) -> None:
        """Give the peer up; a handler that waits for it wakes."""
        self._cut = True
        with suppress(OSError):
            self.shutdown(gevent.socket.SHUT_RDWR)


class _Guests:
    """Who is connected, on all sockets of the web admin."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.handlers = Pool()
        self._last_turn = Event()
        self._last_turn.set()
        self._connections: set[_Connection] = set()
        self.closing = False

    def admit(self, newcomer: _Connection) -> bool:
        """Give a connection a place; where all are taken another makes way, if it can."""
        neighbours = {c for c in self._connections if c.network == newcomer.network}
        crowded = len(neighbours) >= self.limits.per_address
        full = crowded or len(self._connections) >= self.limits.total
        rivals = neighbours if crowded else self._connections
        if self.closing or (full and not self._make_room(rivals)):
            return False
        self._connections.add(newcomer)
        return True

    def _make_room(self, rivals: set[_Connection]) -> bool:
        """Give up one whose peer keeps us waiting.

        Of those one from the address that has most, rather without a request, then the longest
        here: however many silent peers there are, a person gets in, and from another address stays.
        """
        crowds = Counter(c.network for c in self._connections)
        idlers = [c for c in rivals if c.waiting]
        idlers.sort(key=lambda c: (-crowds[c.network], c.phase is _Phase.SERVED, c.since))
        for leaving in idlers[:1]:
            leaving.cut()
            self.leave(leaving)
        return bool(idlers)

    def leave(self, connection: _Connection) -> None:
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
            if connection.is_stream or connection.phase is not _Phase.SERVED:
                connection.cut()
            if connection.is_stream:  # its handler waits for events, and not for the peer
                connection.handler.kill(block=False)
        self.handlers.join(timeout=self.limits.grace)
        for connection in list(self._connections):
            connection.cut()
        self.handlers.kill(timeout=_UNWINDING)


class _Handler(WSGIHandler):
    """Serves the requests of one connection, one after the other."""

    server: "_Server"
    socket: _Connection

    # A failing connection raises no OSError here, so that every OSError is the application's.
    ignored_socket_errors = ()

    def handle_one_request(self) -> tuple[str, bytes] | Literal[True] | None:
        """Serve one request; one that cannot be served is answered here, and is the last."""
        try:
            answer = super().handle_one_request()
        except _PeerFailed as failure:
            if not failure.status or self.response_length:
                return None
            answer = _bare_answer(failure.status)
        if isinstance(answer, tuple):
            self.socket.part(answer[1])
            return None
        return None if self.server.guests.closing else answer

    def read_requestline(self) -> str:
        """Wait for a request, and read its first line."""
        self.response_length = 0
        self.socket.expect_request()
        first = self.rfile.peek(1)[:1].decode("latin-1")
        if not first:
            return ""
        self.server.guests.take_turn()
        self.socket.expect_head()
        # TLS, for one, has no lines, and would keep us waiting for the end of the first.
        return super().read_requestline() if _TOKEN.match(first) else first

    def read_request(self, raw_requestline: str) -> "OldMessage":
        """Read the headers, and refuse what two servers could understand in two ways."""
        if not _REQUEST_LINE.fullmatch(raw_requestline):
            raise _Refused("400 Bad Request")
        done = super().read_request(raw_requestline)
        hosts = self.headers.get_all("Host", [])
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers:
            # Bottle would decode the chunks once more.  No browser sends any.
            raise _Refused("411 Length Required")
        if len(hosts) > 1 or (not hosts and self.request_version == "HTTP/1.1"):
            raise _Refused("400 Bad Request")  # RFC 9112 §3.2
        if len(lengths) > 1 or not all(n.isascii() and n.isdecimal() for n in lengths):
            raise _Refused("400 Bad Request")
        if lengths and int(lengths[0]) > self.server.guests.limits.body_bytes:
            raise _Refused("413 Content Too Large")
        self.socket.expect_body()
        return done

    def MessageClass(self, rfile: Any, *_: Any) -> "OldMessage":
        """Have Python read the headers, which takes for a body what follows a line that is none."""
        lines = []
        while (line := rfile.readline()) not in (b"\r\n", b"\n"):
            if not _FIELD_LINE.fullmatch(line):
                raise _Refused("400 Bad Request")
            lines.append(line)
        return super().MessageClass(BytesIO(b"".join([*lines, b"\r\n"])))

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes]:
        status = str(error) if isinstance(error, _Refused) else "400 Bad Request"
        log.debug("a request from %s is refused: %s", self.client_address[0], status)
        return _bare_answer(status)

    def get_environ(self) -> "WSGIEnvironment":
        """Describe the request to the application."""
        environ = super().get_environ()
        # Where an upgrade is asked for it would be the bare connection, which has no end.
        environ.update({"wsgi.input": self.wsgi_input, "wsgi.input_terminated": True})
        return environ

    def start_response(self, status: str, headers: list[Any], exc_info: Any = None) -> Any:
        """Take status and headers from the application, and its failure if there was one."""
        if exc_info and not self.headers_sent:
            self._log_failure(exc_info)
        self.socket.is_stream = any(
            name.lower() == "content-type" and value.startswith("text/event-stream")
            for name, value in headers
        )
        return super().start_response(status, headers, exc_info)

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        """Answer for what the application raised."""
        self.close_connection = True
        if isinstance(error, _PeerFailed | gevent.GreenletExit):
            raise error
        self._log_failure((kind, error, trace))
        if not self.response_length:
            self.socket.part(_bare_answer("500 Internal Server Error")[1])

    def _log_failure(self, exc_info: Any) -> None:
        path = (self.path or "").partition("?")[0]  # a query may hold what is secret
        log.error("while serving %s %r", self.command, path, exc_info=exc_info)


def _bare_answer(status: str) -> tuple[str, bytes]:
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    return status, head.encode()


class _Server(WSGIServer):
    """Serves one of the listening sockets."""

    handler_class = _Handler
    max_accept = _ACCEPTS_A_TURN

    def __init__(self, listener: Any, app: "WSGIApplication", guests: _Guests) -> None:
        # Given, so that nobody asks the DNS for our name, and no page can tell a version.
        name = host_port(listener.getsockname()[0], None)
        names = {"SERVER_NAME": name, "SERVER_SOFTWARE": "sipserver"}
        # No logs: what bottle writes to wsgi.errors, it hands to start_response as well.
        logs: dict[str, Any] = {"log": None, "error_log": None}
        super().__init__(listener, app, environ=names, spawn=guests.handlers, **logs)
        self.guests = guests
        self._silent_until = 0.0

    def do_read(self) -> Any:
        """Accept a connection; None where there is none to be had."""
        try:
            return super().do_read()
        except OSError as error:
            if self.is_fatal_error(error):
                raise
            if error.errno in _SHORTAGES:
                self._pause(error)
            return None  # else the peer went before it was accepted

    def _pause(self, error: OSError) -> None:
        self.stop_accepting()
        gevent.spawn_later(self.guests.limits.shortage, self._resume)
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + _COMPLAINT_INTERVAL
            log.warning("the web admin cannot accept connections: %s", error.strerror)

    def _resume(self) -> None:
        if self.started:
            self.start_accepting()

    def handle(self, accepted: gevent.socket.socket, address: Any) -> None:
        """Serve one connection, from its admission to its end."""
        connection = _Connection(accepted, address[0], self.guests.limits)
        with closing(connection), suppress(_PeerFailed):
            try:
                if self.guests.admit(connection):
                    peer: Any = (connection.address, address[1])
                    _Handler(connection, peer, self).handle()
                else:
                    connection.sendall(_bare_answer("503 Service Unavailable")[1])
            except Exception:
                log.exception("a connection of the web admin failed")
            finally:
                self.guests.leave(connection)


class WebServer:
    """The web admin at work, on all its sockets."""

    def __init__(self, listeners: list[Any], app: "WSGIApplication", limits: Limits) -> None:
        self.addresses: list[tuple[str, int]] = [sock.getsockname()[:2] for sock in listeners]
        self._guests = _Guests(limits)
        self._servers = [_Server(listener, app, self._guests) for listener in listeners]
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        """Stop listening, give requests in flight a moment to end, and close all connections."""
        for server in self._servers:
            server.close()
        self._guests.dismiss()


def serve(config: Config, app: "WSGIApplication", limits: Limits | None = None) -> WebServer:
    """Start to serve `app` at `-web.addr`.  Raises WebListenError."""
    return WebServer(_listen(config.web_addr), app, limits or Limits())


def _address_and_network(host: str) -> tuple[str, str]:
    """Write a peer's address in the plain way, and the network whose bounds it shares."""
    address = ipaddress.ip_address(host.partition("%")[0])  # without the zone, our name of a link
    address = getattr(address, "ipv4_mapped", None) or address
    prefix = 64 if address.version == 6 else 32
    return str(address), str(ipaddress.ip_network((address, prefix), strict=False))


def _listen(address: Address) -> list[socket.socket]:
    """Open the sockets of an address: without a host, one for IPv4 and one for IPv6."""
    hosts = ["0.0.0.0", "::"] if address.host is None else [address.host]  # noqa: S104 -- asked for
    sockets: list[socket.socket] = []
    port = address.port
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            opened = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            no_ipv6 = error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
            if no_ipv6 and host == "::":
                continue
            for opened in sockets:
                opened.close()
            reason = os.strerror(error.errno or 0)
            raise WebListenError(
                f"cannot listen on TCP {address}: {reason}."
                f" Stop the other server, or choose another with -web.addr"
            ) from None
        opened.setblocking(False)
        # Head and body of an answer are sent apart; the body would wait until the head is
        # acknowledged, 40 ms.  Connections inherit this.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(opened)
        port = sockets[0].getsockname()[1]  # where port 0 was asked for, both get the same
    return sockets
