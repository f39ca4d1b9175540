"""One connection over TCP: reading, sending and closing (RFC 3261 §18, RFC 5626 §3.5.1).

A connection reads and sends octets through a byte layer, and cuts what it has read into messages by
a framer.  Plain TCP has the socket itself as its byte layer; TLS or WebSocket add their own.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import gevent

from sip.message.datagram import for_log
from sip.message.framing import PING, PONG, BadStream
from sip.transport.flow import Flow
from sip.transport.wake_ups import has_woken

if TYPE_CHECKING:
    from sip.transport.tcp import TcpCarrier

log = logging.getLogger(__name__)

# Unsent octets for a peer that does not read.  Over it the connection is closed: single messages
# can't be left out, because a stream loses nothing (§18).
MAX_UNSENT = 1024 * 1024
# Unsent octets while the connection is being opened, some 350 calls of a burst; over it a message
# fails alone.  The other half of MAX_UNSENT has room for messages while these are sent.
MAX_UNSENT_WHILE_CONNECTING = 512 * 1024
READ_SIZE = 65_536
# Messages of a connection handled in a row before other connections run.
MESSAGES_PER_TURN = 16
_READ, _WRITE = 1, 2


class ByteStream(Protocol):
    """The byte layer of a connection, on a non-blocking socket: the socket itself, or TLS on it.

    A layer that decrypts must hand out all octets it has decrypted: only the socket, not the layer,
    wakes the reader.
    """

    def fileno(self) -> int:
        """Return the descriptor whose readability and writability the loop watches."""

    def getsockopt(self, level: int, option: int, /) -> int:
        """Read an option of the socket."""

    def recv(self, size: int, /) -> bytes:
        """Return octets; b"" at the end.  Raises BlockingIOError if there are none, OSError."""

    def send(self, data: bytes, /) -> int:
        """Return how many octets were taken.  Raises BlockingIOError if none can be, OSError."""

    def shutdown(self, how: int, /) -> None:
        """End one direction of the connection.  Raises OSError."""

    def close(self) -> None:
        """Close the socket."""


class MessageFramer(Protocol):
    """Cuts octets into messages, as sip.message.framing.Framer does."""

    @property
    def has_partial_message(self) -> bool:
        """Return True if the beginning of a message is buffered, and not its end."""

    @property
    def buffered(self) -> int:
        """The number of octets after the message that was returned last."""

    def feed(self, data: bytes) -> None:
        """Add octets that were read."""

    def next(self) -> bytes | None:
        """Return the next whole message, or PING; None if there is none.  Raises BadStream."""


# Makes the byte layer of a socket; True means that the peer opened the connection.
Wrap = Callable[[socket.socket, bool], ByteStream]


def plain(sock: socket.socket, is_incoming: bool) -> ByteStream:
    """Return the byte layer of plain TCP, which is the socket."""
    return sock


class Connection:
    """One connection, from its opening to its end.

    `flow` names it; `buffered` is the number of octets of partial and of unsent messages.
    """

    __slots__ = (
        "_carrier",
        "_framer",
        "_is_closing",
        "_is_connecting",
        "_is_paused",
        "_peer_has_closed",
        "_reading",
        "_sent",
        "_unsent",
        "_unsent_octets",
        "_writing",
        "buffered",
        "flow",
        "is_incoming",
        "is_open",
        "stream",
    )

    def __init__(
        self,
        carrier: "TcpCarrier",
        stream: ByteStream,
        framer: MessageFramer,
        flow: Flow,
        *,
        is_incoming: bool,
    ) -> None:
        self._carrier = carrier
        self.stream = stream
        self.flow = flow
        self.is_incoming = is_incoming
        self.is_open = True
        self.buffered = 0
        self._framer: MessageFramer | None = framer  # None: received octets are discarded
        self._is_connecting = not is_incoming
        self._is_closing = False  # it sends its buffer, and accepts no more messages
        self._peer_has_closed = False  # its peer will send nothing more
        self._is_paused = False  # it is over its share, and not read
        self._unsent: list[bytes] = []  # mostly empty; a deque takes 700 octets
        self._unsent_octets = 0
        self._sent = 0  # octets of the first unsent message that were sent
        loop = gevent.get_hub().loop
        self._reading: Any = loop.io(stream.fileno(), _READ)
        self._writing: Any = loop.io(stream.fileno(), _WRITE)
        self._reading.start(carrier.pool.run, self.read)
        if self._is_connecting:
            self._writing.start(self._writable)

    @property
    def is_usable(self) -> bool:
        """Return True if messages can be sent on it."""
        return self.is_open and not self._is_closing

    # In

    def read(self) -> None:
        """Take one turn: read once and handle at most MESSAGES_PER_TURN messages.

        Runs in a greenlet of the pool.  If the socket has more, the watcher fires again.
        """
        has_read = False
        for _ in range(MESSAGES_PER_TURN):
            if not self.is_open or self._is_paused:
                return
            if self._carrier.should_throttle(self.flow):
                self._pause()
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
                if has_woken() and self.is_open:  # before the message that follows
                    self._carrier.reschedule(self)
                    break
        else:
            self._carrier.reschedule(self)
        self._update_accounts()

    def _pause(self) -> None:
        """Stop reading for now; TCP flow control then holds up the peer."""
        self._is_paused = True
        self._reading.stop()
        self._carrier.pause(self)

    def resume(self) -> None:
        """Read again, as much as its share allows."""
        self._is_paused = False
        self._reading.start(self._carrier.pool.run, self.read)
        self._carrier.pool.run(self.read)  # buffered messages fire no watcher

    def _receive(self) -> None:
        """Read once from the byte layer."""
        try:
            data = self.stream.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not data:
            self._end_of_stream()
        elif self._framer:
            self._framer.feed(data)

    def _update_accounts(self) -> None:
        """Start the deadline of a partial message, and report the buffered octets."""
        if self.is_open:
            if self._framer and self._framer.has_partial_message:
                self._carrier.start_deadline(self)
            self._report_buffered()

    def _pong(self) -> None:
        """Answer a ping, unless octets are unsent: a peer that doesn't read gets no buffer."""
        if not self._unsent:
            with suppress(OSError):
                self.send(PONG)

    def _refuse(self, bad: BadStream) -> None:
        """Send a last response.

        Read on and discard: if the peer's octets stayed unread, the kernel would reset the
        connection and the response would be lost.
        """
        self._framer = None
        self._carrier.start_deadline(self)
        self._carrier.refuse(bad, self.flow)
        self._is_closing = True
        if not self._unsent:
            self._finish()

    def _handle(self, message: bytes) -> None:
        """Handle one message.  If the handler waits, another greenlet handles the next message."""
        self._carrier.cancel_deadline(self)  # the next message has its own
        if self._framer and self._framer.buffered:
            self._carrier.reschedule(self)
        try:
            self._carrier.receive(message, self.flow)
        except gevent.GreenletExit:
            raise
        except BaseException:
            log.exception(
                "unhandled error while handling the message %r from %s", for_log(message), self.flow
            )

    # Out

    def send(self, data: bytes) -> None:
        """Send now, or buffer until the peer reads.  Raises OSError if the connection is lost."""
        if not self.is_usable:
            raise OSError(errno.ENOTCONN, "the connection is closed")
        if self._unsent or self._is_connecting:
            self._buffer(data)
            return
        try:
            sent = self.stream.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.close(error.strerror or str(error))
            raise
        if sent < len(data):
            self._sent = sent
            self._buffer(data)
            self._writing.start(self._writable)

    def _buffer(self, data: bytes) -> None:
        octets = self._unsent_octets + len(data)
        if self._is_connecting and octets > MAX_UNSENT_WHILE_CONNECTING:
            raise OSError(errno.ENOBUFS, "too many octets wait for the connection")
        if octets > MAX_UNSENT:
            self.close("the peer does not read")
            raise OSError(errno.ENOBUFS, "the peer does not read")
        self._unsent.append(data)
        self._unsent_octets += len(data)
        self._report_buffered()
        if not self.is_open:
            raise OSError(errno.ENOBUFS, "all buffers are full")

    def _writable(self) -> None:
        """Send the buffer: the connection is established, or the peer has read; runs in the hub."""
        if self._is_connecting:
            error = self.stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.close(os.strerror(error))
                return
            self._is_connecting = False
            self._carrier.cancel_deadline(self)
        try:
            while self._unsent:
                first = self._unsent[0]
                self._sent += self.stream.send(first[self._sent :])
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
        self._report_buffered()
        if self._is_closing:
            self._finish()

    def _report_buffered(self) -> None:
        buffered = self._unsent_octets + (self._framer.buffered if self._framer else 0)
        if buffered != self.buffered:
            change, self.buffered = buffered - self.buffered, buffered
            self._carrier.add_buffered(change)

    # End

    def _end_of_stream(self) -> None:
        """Close; send the buffer first, because a peer that sends no more may still read."""
        if not self._unsent or self._is_connecting:
            self.close("the peer closed it")
            return
        self._framer = None
        self._is_closing = self._peer_has_closed = True
        self._reading.stop()
        self._carrier.start_deadline(self)

    def _finish(self) -> None:
        """Close, after the last octet was sent."""
        if self._peer_has_closed:
            self.close("the peer closed it")
        else:
            with suppress(OSError):
                self.stream.shutdown(socket.SHUT_WR)

    def close(self, cause: str) -> None:
        """Close the connection.  Unsent octets are lost."""
        if not self.is_open:
            return
        self.is_open = False
        for watcher in (self._reading, self._writing):
            watcher.stop()
            watcher.close()
        self.stream.close()
        self._unsent.clear()
        self._carrier.remove(self, cause)
