"""The HTTP server of the web admin: gevent's WSGI server, with limits and stricter parsing.

gevent's server waits for peers without a time limit and accepts any number of connections.  Here
both are limited (see connections.py), ambiguous requests are refused, and faults of peers are not
logged.
"""

import errno
import logging
import re
import socket
import time
from contextlib import closing, suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import gevent
import gevent.socket
from gevent.pywsgi import WSGIHandler, WSGIServer

from sip.addresses import Address, host_port
from sip.config import Config
from sip.listening import ListenError, hosts_of, lacks_ipv6, listen_error
from sip.transport.certificates import Certificate, CertificateError
from webadmin.client_address import client_address
from webadmin.http.connections import Connection, ConnectionLimiter, Limits, PeerFailed
from webadmin.http.tls import TlsConnection
from webadmin.http.websocket import Adopt, Handshake, no_pages

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from gevent.pywsgi import OldMessage

_BACKLOG = 128

# Connections accepted per turn of the event loop: SIP must run during a flood of them.
_ACCEPTS_A_TURN = 10

# Seconds between two warnings that connections cannot be accepted.
_WARNING_INTERVAL = 60.0
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# RFC 9112 §3 and §5.  Some clients send a path that is not ASCII.  HTTP/0.9 is refused.
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_REQUEST_LINE = re.compile(_TOKEN.pattern + r" [^\x00-\x20\x7f]+ HTTP/1\.[01]\r?\n", re.ASCII)
_FIELD_LINE = re.compile(_TOKEN.pattern.encode() + rb":[^\x00-\x08\x0a-\x1f\x7f]*\r?\n")

log = logging.getLogger(__name__)


class WebListenError(ListenError):
    """The web admin cannot listen on an address; the text is for the operator."""


class _Refused(ValueError):
    """A request refused before it reaches the application; the text is the response's status."""


class _Handler(WSGIHandler):
    """Handles the requests of one connection, one after the other."""

    server: "_Server"
    socket: Connection

    # A failed connection raises PeerFailed, so every OSError is a fault of the application.
    ignored_socket_errors = ()

    def handle_one_request(self) -> tuple[str, bytes] | Literal[True] | None:
        """Handle one request; a refused one is answered here, and ends the connection."""
        try:
            result = super().handle_one_request()
        except PeerFailed as failure:
            if not failure.status or self.response_length:
                return None
            result = _bare_response(failure.status)
        if isinstance(result, tuple):
            self.socket.send_and_close(result[1])
            return None
        if result is None or self.server.limiter.closing:
            with suppress(PeerFailed):
                self.socket.end_stream()
            return None
        return result

    def read_requestline(self) -> str:
        """Wait for a request, and read its first line."""
        self.response_length = 0
        self.socket.expect_request()
        first = self.rfile.peek(1)[:1].decode("latin-1")
        if not first:
            return ""
        self.server.limiter.wait_turn()
        self.socket.expect_head()
        # Other protocols, such as TLS, may send no line end to wait for.
        return super().read_requestline() if _TOKEN.match(first) else first

    def read_request(self, raw_requestline: str) -> "OldMessage":
        """Read the headers; refuse requests that another server could read differently."""
        if not _REQUEST_LINE.fullmatch(raw_requestline):
            raise _Refused("400 Bad Request")
        done = super().read_request(raw_requestline)
        hosts = self.headers.get_all("Host", [])
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers:
            # Bottle would decode the chunks a second time.  Browsers send none.
            raise _Refused("411 Length Required")
        if len(hosts) > 1 or (not hosts and self.request_version == "HTTP/1.1"):
            raise _Refused("400 Bad Request")  # RFC 9112 §3.2
        if len(lengths) > 1 or not all(n.isascii() and n.isdecimal() for n in lengths):
            raise _Refused("400 Bad Request")
        if lengths and int(lengths[0]) > self.server.limiter.limits.body_bytes:
            raise _Refused("413 Content Too Large")
        self.socket.expect_body()
        return done

    def MessageClass(self, rfile: Any, *_: Any) -> "OldMessage":
        """Parse the headers; refuse an invalid line, after which Python would assume the body."""
        lines = []
        while (line := rfile.readline()) not in (b"\r\n", b"\n"):
            if not _FIELD_LINE.fullmatch(line):
                raise _Refused("400 Bad Request")
            lines.append(line)
        return super().MessageClass(BytesIO(b"".join([*lines, b"\r\n"])))

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes]:
        status = str(error) if isinstance(error, _Refused) else "400 Bad Request"
        log.debug("refused HTTP request from %s: %s", self.client_address[0], status)
        return _bare_response(status)

    def get_environ(self) -> "WSGIEnvironment":
        """Return the WSGI environment of the request."""
        environ = super().get_environ()
        # For an Upgrade request gevent would pass the socket, which has no end.
        environ.update({"wsgi.input": self.wsgi_input, "wsgi.input_terminated": True})
        environ["wsgi.url_scheme"] = "https" if self.server.certificate else "http"
        return environ

    def handle_one_response(self) -> None:
        """Respond by the application, or open a WebSocket and hand its socket over to SIP."""
        handshake = self.server.handshake
        answer = handshake.answer(self.environ or {}) if handshake else None
        if handshake is None or answer is None:
            super().handle_one_response()
            return
        self.close_connection = True
        if not answer.accepts:
            self.socket.send_and_close(answer.encode())
            return
        self.socket.sendall(answer.encode())
        field = (self.environ or {}).get("HTTP_X_FORWARDED_FOR", "")
        host = client_address(self.socket.address, field, self.server.limiter.limits.proxies)
        handshake.adopt(self.socket.hand_over(self.rfile, (host, int(self.client_address[1]))))

    def start_response(self, status: str, headers: list[Any], exc_info: Any = None) -> Any:
        """Send status and headers of the application's response; log its failure, if any."""
        if exc_info and not self.headers_sent:
            self._log_failure(exc_info)
        self.socket.is_stream = any(
            name.lower() == "content-type" and value.startswith("text/event-stream")
            for name, value in headers
        )
        return super().start_response(status, headers, exc_info)

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        """Log an exception of the application, and respond 500."""
        self.close_connection = True
        if isinstance(error, PeerFailed | gevent.GreenletExit):
            raise error
        self._log_failure((kind, error, trace))
        if not self.response_length:
            self.socket.send_and_close(_bare_response("500 Internal Server Error")[1])

    def _log_failure(self, exc_info: Any) -> None:
        path = (self.path or "").partition("?")[0]  # a query may contain secrets
        what = f"{self.command} {path}"
        log.error("unhandled error while handling %r", what, exc_info=exc_info)


def _bare_response(status: str) -> tuple[str, bytes]:
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    return status, head.encode()


class _Server(WSGIServer):
    """Accepts the connections of one listening socket."""

    handler_class = _Handler
    max_accept = _ACCEPTS_A_TURN

    def __init__(
        self,
        listener: Any,
        app: "WSGIApplication",
        limiter: ConnectionLimiter,
        certificate: Certificate | None,
        handshake: Handshake | None,
    ) -> None:
        # Set here, because gevent would ask the DNS for the name, and reveal its version.
        name = host_port(listener.getsockname()[0], None)
        names = {"SERVER_NAME": name, "SERVER_SOFTWARE": "sipserver"}
        # No logs: bottle passes the errors that it writes to wsgi.errors to start_response, too.
        logs: dict[str, Any] = {"log": None, "error_log": None}
        super().__init__(listener, app, environ=names, spawn=limiter.handlers, **logs)
        self.limiter = limiter
        self.certificate = certificate
        self.handshake = handshake
        self._silent_until = 0.0

    def do_read(self) -> Any:
        """Accept a connection; return None if there is none."""
        try:
            return super().do_read()
        except OSError as error:
            if self.is_fatal_error(error):
                raise
            if error.errno in _SHORTAGES:
                self._pause(error)
            return None  # otherwise the peer has disconnected before the accept

    def _pause(self, error: OSError) -> None:
        self.stop_accepting()
        gevent.spawn_later(self.limiter.limits.shortage, self._resume)
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + _WARNING_INTERVAL
            log.warning("the web admin cannot accept connections: %s", error.strerror)

    def _resume(self) -> None:
        if self.started:
            self.start_accepting()

    def handle(self, accepted: gevent.socket.socket, address: Any) -> None:
        """Handle one connection, from its admission to its end."""
        connection = self._connection(accepted, address[0])
        with closing(connection), suppress(PeerFailed):
            try:
                if self.limiter.admit(connection):
                    if connection.handshake(self.limiter):
                        peer: Any = (connection.address, address[1])
                        _Handler(connection, peer, self).handle()
                elif not self.certificate:  # with TLS a handshake would cost more than a page
                    connection.sendall(_bare_response("503 Service Unavailable")[1])
            except Exception:
                log.exception("unhandled error while handling a connection of the web admin")
            finally:
                self.limiter.remove(connection)

    def _connection(self, accepted: gevent.socket.socket, host: str) -> Connection:
        if self.certificate:
            return TlsConnection(accepted, host, self.limiter.limits, self.certificate.context)
        return Connection(accepted, host, self.limiter.limits)


class WebServer:
    """The HTTP server of the web admin, on all its sockets."""

    def __init__(
        self,
        listeners: list[Any],
        app: "WSGIApplication",
        limits: Limits,
        certificate: Certificate | None = None,
        handshake: Handshake | None = None,
    ) -> None:
        self.addresses: list[tuple[str, int]] = [sock.getsockname()[:2] for sock in listeners]
        self._limiter = ConnectionLimiter(limits)
        self.certificates: list[Certificate] = []
        self._servers: list[_Server] = []
        self.add(listeners, app, certificate, handshake)

    def add(
        self,
        listeners: list[Any],
        app: "WSGIApplication",
        certificate: Certificate | None,
        handshake: Handshake | None,
    ) -> None:
        """Add sockets with an application of their own; all share the limits."""
        if certificate:
            self.certificates.append(certificate)
        self._servers += [
            _Server(listener, app, self._limiter, certificate, handshake) for listener in listeners
        ]

    def start(self) -> None:
        """Accept connections, beginning with those that wait in the backlog."""
        for server in self._servers:
            server.start()

    def close_sockets(self) -> None:
        """Close the sockets of a server that was never started."""
        for server in self._servers:
            server.socket.close()

    def stop(self) -> None:
        """Stop listening, give running requests a moment to end, and close all connections."""
        for server in self._servers:
            server.close()
        self._limiter.shutdown()


def listen(
    config: Config,
    app: "WSGIApplication",
    limits: Limits | None = None,
    adopt: Adopt | None = None,
) -> WebServer:
    """Listen on `-web.addr`, for `app`; and for WebSockets, whose sockets `adopt` gets.

    Raises WebListenError and CertificateError.
    """
    certificate = Certificate(config.web_cert, config.web_key) if config.web_cert else None
    handshake = Handshake(adopt, config.ws_origins) if adopt else None
    listeners = _listen(config.web_addr, "-web.addr")
    limits = limits or Limits(proxies=config.web_proxies)
    web = WebServer(listeners, app, limits, certificate, handshake)
    if adopt:
        try:
            _listen_for_websockets(config, web, adopt)
        except BaseException:
            web.close_sockets()
            raise
    return web


def _listen_for_websockets(config: Config, web: WebServer, adopt: Adopt) -> None:
    """Listen on the ports that are for WebSockets alone, where pages of other ports may call."""
    handshake = Handshake(adopt, config.ws_origins, is_strict=False)
    if config.ws_addr:
        web.add(_listen(config.ws_addr, "-ws.addr"), no_pages, None, handshake)
    if config.wss_addr:
        if config.any_certificate is None:
            raise CertificateError("-wss.addr needs a certificate: set -tls.cert and -tls.key")
        certificate = Certificate(*config.any_certificate)
        web.add(_listen(config.wss_addr, "-wss.addr"), no_pages, certificate, handshake)


def serve(
    config: Config,
    app: "WSGIApplication",
    limits: Limits | None = None,
    adopt: Adopt | None = None,
) -> WebServer:
    """Listen, and accept connections.  Raises WebListenError and CertificateError."""
    web = listen(config, app, limits, adopt)
    web.start()
    return web


def _listen(address: Address, flag: str) -> list[socket.socket]:
    """Open the sockets of an address: without a host, one for IPv4 and one for IPv6.

    Raises WebListenError, with none left open.
    """
    sockets: list[socket.socket] = []
    port = address.port
    for host in hosts_of(address):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            opened = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            if lacks_ipv6(error, address, host):
                continue
            for opened in sockets:
                opened.close()
            sentence = listen_error(error, "TCP", host, address.port, flag)
            raise WebListenError(sentence) from None
        opened.setblocking(False)
        # Head and body of a response are sent separately.  Without NODELAY the body would wait for
        # the ACK of the head, 40 ms.  Accepted connections inherit the option.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(opened)
        port = sockets[0].getsockname()[1]  # with port 0, both sockets get the same port
    return sockets
