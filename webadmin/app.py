"""The web admin: its application, and the sockets it is served on."""

import errno
import logging

import gevent.socket
from bottle import Bottle, HTTPError, response
from gevent.pywsgi import WSGIServer

from sip.config import Address, Config

_BACKLOG = 128


class WebListenError(OSError):
    """An address that the web admin cannot listen on; the text is for the operator."""


def build() -> Bottle:
    """Make the application."""
    app = Bottle()

    @app.get("/healthz")  # type: ignore[untyped-decorator]  # bottle has no types
    def healthz() -> str:
        response.content_type = "text/plain; charset=UTF-8"
        response.set_header("Cache-Control", "no-store")
        return "ok"

    def plain_error(error: HTTPError) -> str:
        response.content_type = "text/plain; charset=UTF-8"
        return f"{error.status_line}\n"

    app.default_error_handler = plain_error  # bottle's own page tells more than it needs to
    return app


def serve(config: Config, app: Bottle) -> list[WSGIServer]:
    """Start to serve `app` at `-web.addr`, on a server for each socket.  Raises WebListenError."""
    log = logging.getLogger("webadmin")
    servers = []
    for listener in _listen(config.web_addr):
        server = WSGIServer(listener, app, log=None, error_log=log)
        server.start()
        servers.append(server)
    return servers


def _listen(address: Address) -> list[gevent.socket.socket]:
    """Open the sockets of an address: without a host, one for IPv4 and one for IPv6."""
    hosts = ["0.0.0.0", "::"] if address.host is None else [address.host]  # noqa: S104 -- asked for
    sockets: list[gevent.socket.socket] = []
    port = address.port
    for host in hosts:
        try:
            sockets.append(_bound(host, port))
        except OSError as error:
            no_ipv6 = error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
            if no_ipv6 and host == "::":
                continue
            for opened in sockets:
                opened.close()
            reason = error.strerror or str(error)
            raise WebListenError(
                f"cannot listen on TCP {address}: {reason}."
                f" Stop the other server, or choose another with -web.addr"
            ) from None
        port = sockets[0].getsockname()[1]  # where port 0 was asked for, both get the same
    return sockets


def _bound(host: str, port: int) -> gevent.socket.socket:
    family = gevent.socket.AF_INET6 if ":" in host else gevent.socket.AF_INET
    listener = gevent.socket.socket(family, gevent.socket.SOCK_STREAM)
    try:
        listener.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_REUSEADDR, 1)
        if family == gevent.socket.AF_INET6:
            listener.setsockopt(gevent.socket.IPPROTO_IPV6, gevent.socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
