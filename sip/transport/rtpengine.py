"""The client of the media relay rtpengine: commands and replies of its ng protocol over UDP.

Problem: a lost datagram, or a relay that is down, must not hold up a call for long, and the hub
    never.
Model: a command has a cookie, which its reply repeats.  The greenlet that asks waits for the reply;
    the command is sent three times within a second, and rtpengine answers each cookie once.  After
    a second of silence all commands fail at once, until the relay answers a ping.
Bounds: MAX_PENDING commands wait at a time; a reply has 64 kB at most.
"""

import errno
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import gevent
from gevent import socket
from gevent.event import AsyncResult

from sip.transport.bencode import BadBencode, Decoded, Value, decode, encode
from sip.transport.flow import Endpoint
from sip.transport.udp import PlainSocket

log = logging.getLogger(__name__)

# Seconds after the first sending of a command at which it is sent again, and then given up.
SEND_AGAIN_AFTER = (0.25, 0.5)
GIVE_UP_AFTER = 1.0
# Seconds between two pings: of a relay that answers, and of one that is silent.
PING_SECONDS = 5.0
PING_SECONDS_SILENT = 1.0
# Seconds between two attempts to open the socket: the name of the relay may have a new address.
OPEN_SECONDS = 10.0
MAX_PENDING = 5000
# Replies that are read in one turn of the hub.
_READ_AT_ONCE = 64

Reply = dict[bytes, Decoded]


class RelayError(Exception):
    """The relay has not done what it was asked for; the text says why."""


class RelaySilent(RelayError):
    """The relay does not answer."""


class RelayRefused(RelayError):
    """The relay answers that it cannot do this."""


class _Pending:
    """A command without a reply: its octets, when it was sent first, and how often it was sent."""

    __slots__ = ("octets", "result", "sent", "started")

    def __init__(self, octets: bytes, started: float) -> None:
        self.octets = octets
        self.started = started
        self.sent = 1
        self.result: AsyncResult[Reply | None] = AsyncResult()


class RtpEngine:
    """Asks one rtpengine.  `tick` must be called some times a second.

    `send`, which sends one datagram and never waits, is a socket's after `start`; tests set it.
    """

    def __init__(self, address: Endpoint, clock: Callable[[], float]) -> None:
        self.address: Final = address
        self.is_answering = True  # until it is silent
        self.send: Callable[[bytes], None] = self._send_by_socket
        self._clock = clock
        self._pending: dict[bytes, _Pending] = {}
        self._prefix = os.urandom(6).hex()
        self._number = 0
        self._ping_at = 0.0
        self._socket: Any = None
        self._watcher: Any = None
        self._open_at = 0.0
        self._is_opening = False
        self._is_started = False

    # Asking

    def ask(self, command: str, values: Mapping[str, Value]) -> Reply:
        """Send a command and wait for its reply, for GIVE_UP_AFTER at most.

        Must not be called in the hub.  Raises RelaySilent or RelayRefused.
        """
        if not self.is_answering:
            raise RelaySilent("it does not answer")
        return self._wait(self._start(command, values))

    def tell(self, command: str, values: Mapping[str, Value]) -> None:
        """Send a command, also again if it is lost, without waiting for its reply."""
        if self.is_answering and len(self._pending) < MAX_PENDING:
            self._start(command, values)

    def ping(self) -> float:
        """Return the seconds that a ping took.  Waits as `ask` does.  Raises RelaySilent."""
        started = self._clock()
        self._wait(self._start("ping", {}))
        return self._clock() - started

    def _start(self, command: str, values: Mapping[str, Value]) -> _Pending:
        if len(self._pending) >= MAX_PENDING:
            raise RelaySilent(f"{MAX_PENDING} commands wait for it")
        self._number += 1
        cookie = f"{self._prefix}{self._number:x}".encode()
        octets = cookie + b" " + encode({"command": command, **values})
        pending = self._pending[cookie] = _Pending(octets, self._clock())
        self.send(octets)
        return pending

    @staticmethod
    def _wait(pending: _Pending) -> Reply:
        reply = pending.result.get()
        if reply is None:
            raise RelaySilent("it does not answer")
        if reply.get(b"result") not in (b"ok", b"pong"):
            reason = reply.get(b"error-reason")
            text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else "no reason"
            raise RelayRefused(text[:200])
        return reply

    # Replies and time, in the hub

    def receive(self, datagram: bytes) -> None:
        """Take a reply; one that belongs to no command is discarded."""
        cookie, _, octets = datagram.partition(b" ")
        pending = self._pending.get(cookie)
        if pending is None:
            return
        try:
            reply = decode(octets)
        except BadBencode as error:
            log.warning("media relay: a reply cannot be read: %s", error)
            return
        if not isinstance(reply, dict):
            return
        del self._pending[cookie]
        if not self.is_answering:
            self.is_answering = True
            log.info("media relay answers again")
        pending.result.set(reply)

    def tick(self, now: float) -> None:
        """Send the commands again that have no reply, and give the oldest up."""
        for cookie, pending in list(self._pending.items()):
            age = now - pending.started
            if age >= GIVE_UP_AFTER:
                del self._pending[cookie]
                self._note_silence()
                pending.result.set(None)
            elif (
                pending.sent <= len(SEND_AGAIN_AFTER) and age >= SEND_AGAIN_AFTER[pending.sent - 1]
            ):
                pending.sent += 1
                self.send(pending.octets)
        if now >= self._ping_at:
            self._ping_at = now + (PING_SECONDS if self.is_answering else PING_SECONDS_SILENT)
            if len(self._pending) < MAX_PENDING:
                self._start("ping", {})
        if self._is_started and not self.is_answering and now >= self._open_at:
            self._open_again(now)

    def _note_silence(self) -> None:
        if self.is_answering:
            self.is_answering = False
            self._ping_at = 0.0
            log.warning("media relay does not answer: calls that need it fail until it does")

    # The socket

    def start(self) -> None:
        """Open the socket, in a greenlet of its own: a name may have to be looked up."""
        self._is_started = True
        self._open_again(self._clock())

    def stop(self) -> None:
        """Close the socket; all commands fail."""
        self._is_started = False
        self._close()
        for pending in self._pending.values():
            pending.result.set(None)
        self._pending.clear()

    def _open_again(self, now: float) -> None:
        self._open_at = now + OPEN_SECONDS
        if not self._is_opening:
            self._is_opening = True
            gevent.spawn(self._open)

    def _open(self) -> None:
        """Look the address up, and connect a socket to it."""
        try:
            found = socket.getaddrinfo(*self.address, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, endpoint = found[0]
            sock = PlainSocket(family, kind, protocol)
            sock.setblocking(False)
            try:
                sock.connect(endpoint)
            except OSError:
                sock.close()
                raise
            self._close()
            if not self._is_started:
                sock.close()
                return
            self._socket = sock
            self._watcher = gevent.get_hub().loop.io(sock.fileno(), 1)
            self._watcher.start(self._read)
        except OSError as error:
            log.warning("media relay %s:%d cannot be reached: %s", *self.address, error)
        finally:
            self._is_opening = False

    def _close(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send_by_socket(self, octets: bytes) -> None:
        """Send a datagram; a failure is as good as a lost one."""
        if self._socket is None:
            return
        try:
            self._socket.send(octets)
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                log.debug("cannot send to the media relay: %s", error)

    def _read(self) -> None:
        """Read the replies that have arrived; runs in the hub."""
        for _ in range(_READ_AT_ONCE):
            try:
                datagram = self._socket.recv(65_536)
            except OSError:  # nothing more, or the relay's port is closed
                return
            self.receive(datagram)
