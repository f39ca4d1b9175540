"""One TCP connection: what comes, what goes, and its end (RFC 3261 §18, RFC 5626 §3.5.1)."""

import errno
import logging
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent

from sip.message.datagram import for_log
from sip.message.framing import PING, PONG, BadStream, Framer
from sip.transport.flow import Flow

if TYPE_CHECKING:
    from sip.transport.tcp import Streams

log = logging.getLogger(__name__)

# Octets that wait for a peer to read; who lets more come is given up, for what it is sent without
# end would be lost one by one, and a stream loses nothing (§18).
MAX_UNSENT = 1024 * 1024
# While a connection is being opened its peer can't read: some 350 calls of a burst wait for it, and
# what is beyond fails by itself.  As much again has room while those go out.
MAX_UNSENT_WHILE_CONNECTING = 512 * 1024
READ_SIZE = 65_536
# Messages of a connection handled in a row before all else has its turn.
TURN = 16
_READ, _WRITE = 1, 2


class Connection:
    """One connection, from its opening to its end.

    `flow` names it, `held` says how many octets it keeps that are half here or half gone.
    """

    __slots__ = (
        "_framer",
        "_has_ended",
        "_is_connecting",
        "_is_ending",
        "_is_made_to_wait",
        "_reading",
        "_sent",
        "_streams",
        "_unsent",
        "_unsent_octets",
        "_writing",
        "flow",
        "held",
        "is_incoming",
        "is_open",
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
        self.held = 0
        self._framer: Framer | None = Framer()  # None: nothing more is understood
        self._is_connecting = not is_incoming
        self._is_ending = False  # it takes nothing more to send
        self._has_ended = False  # its peer will say nothing more
        self._is_made_to_wait = False  # it is beyond its share, and not read
        self._unsent: list[bytes] = []  # mostly empty, where a deque takes 700 octets
        self._unsent_octets = 0
        self._sent = 0  # octets of the first unsent message that have gone already
        loop = gevent.get_hub().loop
        self._reading: Any = loop.io(sock.fileno(), _READ)
        self._writing: Any = loop.io(sock.fileno(), _WRITE)
        self._reading.start(streams.pool.run, self.read)
        if self._is_connecting:
            self._writing.start(self._writable)

    @property
    def is_usable(self) -> bool:
        """Tell whether it can be sent on."""
        return self.is_open and not self._is_ending

    # In

    def read(self) -> None:
        """In a reader: take one turn, which is one read and so many messages.

        What the socket has beyond it wakes the watcher again.
        """
        has_read = False
        for _ in range(TURN):
            if not self.is_open or self._is_made_to_wait:
                return
            if self._streams.should_throttle(self.flow):
                self._wait()
                break
            try:
                message = self._framer.next() if self._framer else None
            except BadStream as bad:
                self._refuse(bad)
                break
            if message is None:
                if has_read:
                    break
                self._receive()
                has_read = True
            elif message == PING:
                self._pong()
            else:
                self._handle(message)
        else:
            self._streams.again(self)
        self._keep_account()

    def _wait(self) -> None:
        """Read nothing for now; what is said stays with the system, and then with the peer."""
        self._is_made_to_wait = True
        self._reading.stop()
        self._streams.make_wait(self)

    def go_on(self) -> None:
        """Read on, if only as much as its share allows."""
        self._is_made_to_wait = False
        self._reading.start(self._streams.pool.run, self.read)
        self._streams.pool.run(self.read)  # what is here already wakes no watcher

    def _receive(self) -> None:
        """Read what is there."""
        try:
            data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not data:
            self._end()
        elif self._framer:
            self._framer.feed(data)

    def _keep_account(self) -> None:
        """What has begun has its time, and its share of what may be held."""
        if self.is_open:
            if self._framer and self._framer.is_midway:
                self._streams.expect(self)
            self._weigh()

    def _pong(self) -> None:
        """Answer a ping; a peer that reads nothing could have us keep them by the thousand."""
        if not self._unsent:
            with suppress(OSError):
                self.send(PONG)

    def _refuse(self, bad: BadStream) -> None:
        """Answer for the last time.

        The peer may still be sending; if it were not read, the system would take the answer back.
        """
        self._framer = None
        self._streams.expect(self)
        self._streams.refuse(bad, self.flow)
        self._is_ending = True
        if not self._unsent:
            self._finish()

    def _handle(self, message: bytes) -> None:
        """Handle one message.  If that waits, another reader goes on with the next."""
        self._streams.forget(self)  # what comes next has its own time
        if self._framer and self._framer.held:
            self._streams.again(self)
        try:
            self._streams.receive(message, self.flow)
        except gevent.GreenletExit:
            raise
        except BaseException:
            log.exception("while handling the message %r from %s", for_log(message), self.flow)

    # Out

    def send(self, data: bytes) -> None:
        """Send, now or when the peer reads on.  Raises OSError when that can't be."""
        if not self.is_usable:
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
            self._sent = sent
            self._keep(data)
            self._writing.start(self._writable)

    def _keep(self, data: bytes) -> None:
        octets = self._unsent_octets + len(data)
        if self._is_connecting and octets > MAX_UNSENT_WHILE_CONNECTING:
            raise OSError(errno.ENOBUFS, "too much waits for the connection")
        if octets > MAX_UNSENT:
            self.close("it does not read what it is sent")
            raise OSError(errno.ENOBUFS, "the peer does not read")
        self._unsent.append(data)
        self._unsent_octets += len(data)
        self._weigh()
        if not self.is_open:
            raise OSError(errno.ENOBUFS, "too much is held for peers that do not read")

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
                del self._unsent[0]
                self._unsent_octets -= len(first)
                self._sent = 0
        except BlockingIOError:
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        self._writing.stop()
        self._weigh()
        if self._is_ending:
            self._finish()

    def _weigh(self) -> None:
        held = self._unsent_octets + (self._framer.held if self._framer else 0)
        if held != self.held:
            change, self.held = held - self.held, held
            self._streams.hold(change)

    # End

    def _end(self) -> None:
        """The peer will say nothing more, but may still read what waits for it."""
        if not self._unsent or self._is_connecting:
            self.close("its peer closed it")
            return
        self._framer = None
        self._is_ending = self._has_ended = True
        self._reading.stop()
        self._streams.expect(self)

    def _finish(self) -> None:
        """All that it was to carry has gone."""
        if self._has_ended:
            self.close("its peer closed it")
        else:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def close(self, cause: str) -> None:
        """End it.  What has not gone out is lost."""
        if not self.is_open:
            return
        self.is_open = False
        for watcher in (self._reading, self._writing):
            watcher.stop()
            watcher.close()
        self.sock.close()
        self._unsent.clear()
        self._streams.remove(self, cause)
