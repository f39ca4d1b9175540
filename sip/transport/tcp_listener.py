"""The sockets that TCP connections come by, and the descriptors that they take."""

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

log = logging.getLogger(__name__)

# The class from before gevent's patch: nothing here waits in a call.
PlainSocket: type[socket.socket] = monkey.get_original("socket", "socket")

# Connections taken in a row before all else has its turn.
BATCH = 64
# How long none is taken when the process has no descriptor left.
SECONDS_WITHOUT_DESCRIPTORS = 1.0
# That none can be taken is said once in so many seconds, however long it lasts.
SECONDS_BETWEEN_COMPLAINTS = 60.0
_BACKLOG = 1024
_READ = 1
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Take = Callable[[socket.socket, Endpoint, int], None]


def granted_descriptors(wanted: int) -> int:
    """Ask the system for so many descriptors of this process; it may allow fewer.

    What a shell allows by itself is often 1024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Listener:
    """One listening socket; `take` gets each connection, its remote address, and our port."""

    def __init__(self, take: Take, address: Endpoint) -> None:
        """Bind and listen.  Raises OSError."""
        self.take = take
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
        self._complain_at = 0.0

    def start(self) -> None:
        """Begin to take connections."""
        loop = gevent.get_hub().loop
        self._watcher = loop.io(self.sock.fileno(), _READ)
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
                    self._rest(error)
                    return
                continue  # it ended before it was taken
            # It is one of gevent's, which would cost two more watchers.
            plain = PlainSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
            self.take(plain, (remote[0].partition("%")[0], remote[1]), self.local[1])

    def _rest(self, error: OSError) -> None:
        """Take none for a moment.

        The socket stays readable: asked again and again it would take the whole processor.
        """
        self._watcher.stop()
        if self._pause is not None:
            self._pause.close()  # one that has run out once would run out at once
        self._pause = gevent.get_hub().loop.timer(SECONDS_WITHOUT_DESCRIPTORS)
        self._pause.start(self._go_on)
        if monotonic() >= self._complain_at:
            self._complain_at = monotonic() + SECONDS_BETWEEN_COMPLAINTS
            log.warning("no connection can be taken: %s", error.strerror)

    def stop(self) -> None:
        """Take none any more."""
        for watcher in (self._watcher, self._pause):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._watcher = self._pause = None
        self.sock.close()
