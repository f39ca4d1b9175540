"""Listening TCP sockets, and the limit of descriptors for their connections."""

import errno
import logging
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent
from gevent import monkey

from sip.transport.flow import Endpoint
from sip.transport.transport_names import TCP

log = logging.getLogger(__name__)

# The class from before gevent's patch: no call here may switch to the hub.
PlainSocket: type[socket.socket] = monkey.get_original("socket", "socket")

# Connections accepted in a row before other sockets and timers run.
BATCH = 64
# No connection is accepted for so long when the process has no descriptor left.
SECONDS_WITHOUT_DESCRIPTORS = 1.0
# The warning about it is logged at most once in so many seconds.
SECONDS_BETWEEN_WARNINGS = 60.0
_BACKLOG = 1024
_READ = 1
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Accept = Callable[[socket.socket, Endpoint, int, str], None]


def granted_descriptors(wanted: int) -> int:
    """Raise the limit of descriptors to `wanted` and return the limit, which may be lower.

    The default of a shell is often 1024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Listener:
    """One listening socket of a transport.

    `accept` gets each socket, its remote address, our port, and the transport.
    """

    def __init__(self, accept: Accept, address: Endpoint, transport: str = TCP) -> None:
        """Bind and listen.  Raises OSError."""
        self.accept = accept
        self.transport = transport
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
        self._retry_timer: Any = None
        self._next_warning_at = 0.0

    def start(self) -> None:
        """Begin to accept connections."""
        loop = gevent.get_hub().loop
        self._watcher = loop.io(self.sock.fileno(), _READ)
        self._resume()

    def _resume(self) -> None:
        self._watcher.start(self._accept)

    def _accept(self) -> None:
        """Accept the connections that wait; runs in the hub."""
        for _ in range(BATCH):
            try:
                sock, remote = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    self._pause(error)
                    return
                continue  # the peer closed it before it was accepted
            # A socket of gevent would cost two more watchers.
            plain = PlainSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
            host = remote[0].partition("%")[0]
            self.accept(plain, (host, remote[1]), self.local[1], self.transport)

    def _pause(self, error: OSError) -> None:
        """Accept no connection for a moment.

        The socket stays readable: without a pause the loop would use the whole processor.
        """
        self._watcher.stop()
        if self._retry_timer is not None:
            self._retry_timer.close()  # a timer that has fired would fire at once
        self._retry_timer = gevent.get_hub().loop.timer(SECONDS_WITHOUT_DESCRIPTORS)
        self._retry_timer.start(self._resume)
        if monotonic() >= self._next_warning_at:
            self._next_warning_at = monotonic() + SECONDS_BETWEEN_WARNINGS
            log.warning("cannot accept connections: %s", error.strerror)

    def stop(self) -> None:
        """Close the socket; accept no more connections."""
        for watcher in (self._watcher, self._retry_timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._watcher = self._retry_timer = None
        self.sock.close()
