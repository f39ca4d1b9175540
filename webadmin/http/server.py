"""The web admin's front gate: its sockets, and which requests the application gets to see.

gevent's WSGI server waits for its peers without end and counts nobody.  Here each wait has a limit,
each connection takes one of a bounded number of places (see connections.py), and peers' faults stay
out of the log.
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

from sip.config import Address, Config, host_port
from sip.listening import ListenError, hosts_of, lacks_ipv6, listen_error
from webadmin.http.connections import Connection, Guests, Limits, PeerFailed
from webadmin.http.tls import Certificate, TlsConnection

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from gevent.pywsgi import OldMessage

_BACKLOG = 128

# Connections taken in one turn of the hub: a flood of them must leave SIP its turns.
_ACCEPTS_A_TURN = 10

# That connections cannot be accepted is said once in so many seconds, however often it happens.
_COMPLAINT_INTERVAL = 60.0
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# RFC 9112 §3 and §5; not everybody encodes what is not ASCII.  HTTP/0.9 had no headers.
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_REQUEST_LINE = re.compile(_TOKEN.pattern + r" [^\x00-\x20\x7f]+ HTTP/1\.[01]\r?\n", re.ASCII)
_FIELD_LINE = re.compile(_TOKEN.pattern.encode() + rb":[^\x00-\x08\x0a-\x1f\x7f]*\r?\n")

log = logging.getLogger(__name__)


class WebListenError(ListenError):
    """An address that the web admin cannot listen on; the text is for the operator."""


class _Refused(ValueError):
    """A request that the application never sees; the text is the status of the answer."""


class _Handler(WSGIHandler):
    """Serves the requests of one connection, one after the other."""

    server: "_Server"
    socket: Connection

    # A failing connection raises no OSError here, so that every OSError is the application's.
    ignored_socket_errors = ()

    def handle_one_request(self) -> tuple[str, bytes] | Literal[True] | None:
        """Serve one request; one that cannot be served is answered here, and is the last."""
        try:
            answer = super().handle_one_request()
        except PeerFailed as failure:
            if not failure.status or self.response_length:
                return None
            answer = _bare_answer(failure.status)
        if isinstance(answer, tuple):
            self.socket.part(answer[1])
            return None
        if answer is None or self.server.guests.closing:
            with suppress(PeerFailed):
                self.socket.finish()
            return None
        return answer

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
        environ["wsgi.url_scheme"] = "https" if self.server.certificate else "http"
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
        if isinstance(error, PeerFailed | gevent.GreenletExit):
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

    def __init__(
        self,
        listener: Any,
        app: "WSGIApplication",
        guests: Guests,
        certificate: Certificate | None,
    ) -> None:
        # Given, so that nobody asks the DNS for our name, and no page can tell a version.
        name = host_port(listener.getsockname()[0], None)
        names = {"SERVER_NAME": name, "SERVER_SOFTWARE": "sipserver"}
        # No logs: what bottle writes to wsgi.errors, it hands to start_response as well.
        logs: dict[str, Any] = {"log": None, "error_log": None}
        super().__init__(listener, app, environ=names, spawn=guests.handlers, **logs)
        self.guests = guests
        self.certificate = certificate
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
        connection = self._connection(accepted, address[0])
        with closing(connection), suppress(PeerFailed):
            try:
                if self.guests.admit(connection):
                    if connection.greet(self.guests):
                        peer: Any = (connection.address, address[1])
                        _Handler(connection, peer, self).handle()
                elif not self.certificate:  # within TLS it would cost more than a page
                    connection.sendall(_bare_answer("503 Service Unavailable")[1])
            except Exception:
                log.exception("a connection of the web admin failed")
            finally:
                self.guests.leave(connection)

    def _connection(self, accepted: gevent.socket.socket, host: str) -> Connection:
        if self.certificate:
            return TlsConnection(accepted, host, self.guests.limits, self.certificate.context)
        return Connection(accepted, host, self.guests.limits)


class WebServer:
    """The web admin, on all its sockets."""

    def __init__(
        self,
        listeners: list[Any],
        app: "WSGIApplication",
        limits: Limits,
        certificate: Certificate | None = None,
    ) -> None:
        self.addresses: list[tuple[str, int]] = [sock.getsockname()[:2] for sock in listeners]
        self._guests = Guests(limits)
        self._certificate = certificate
        self._servers = [
            _Server(listener, app, self._guests, certificate) for listener in listeners
        ]

    def start(self) -> None:
        """Take connections; those that came since it listens have waited."""
        for server in self._servers:
            server.start()

    def renew_certificate(self) -> None:
        """Read the certificate and its key again, for connections from now on.

        Raises CertificateError where they cannot be used; then the former ones hold.
        """
        if self._certificate:
            self._certificate.renew()

    def stop(self) -> None:
        """Stop listening, give requests in flight a moment to end, and close all connections."""
        for server in self._servers:
            server.close()
        self._guests.dismiss()


def listen(config: Config, app: "WSGIApplication", limits: Limits | None = None) -> WebServer:
    """Listen at `-web.addr`, for `app`.  Raises WebListenError and CertificateError."""
    certificate = Certificate(config.web_cert, config.web_key) if config.web_cert else None
    return WebServer(_listen(config.web_addr), app, limits or Limits(), certificate)


def serve(config: Config, app: "WSGIApplication", limits: Limits | None = None) -> WebServer:
    """Listen, and start to serve.  Raises WebListenError and CertificateError."""
    web = listen(config, app, limits)
    web.start()
    return web


def _listen(address: Address) -> list[socket.socket]:
    """Open the sockets of an address: without a host, one for IPv4 and one for IPv6."""
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
            sentence = listen_error(error, "TCP", host, address.port, "-web.addr")
            raise WebListenError(sentence) from None
        opened.setblocking(False)
        # Head and body of an answer are sent apart; the body would wait until the head is
        # acknowledged, 40 ms.  Connections inherit this.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(opened)
        port = sockets[0].getsockname()[1]  # where port 0 was asked for, both get the same
    return sockets
