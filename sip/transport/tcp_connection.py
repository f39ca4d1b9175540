"""One connection over TCP: reading, sending and closing (RFC 3261 §18, RFC 5626 §3.5.1).

Octets from the socket go through the wire, if there is one, which decrypts them; a framer then cuts
them into messages.  Messages to send go the other way.  Plain TCP has no wire; a transport such as
WebSocket has a framer of its own, with TLS below it or without.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import gevent

from sip.message.datagram import for_log
from sip.message.framing import PING, PONG, BadStream, Framer
from sip.transport.flow import Endpoint, Flow
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


class Wire(Protocol):
    """What is between the framer and the socket: TLS.  Octets in, octets out; it never waits."""

    is_ready: bool  # messages can be sent
    has_ended: bool  # the peer has said that it sends nothing more

    @property
    def identities(self) -> frozenset[str]:
        """The verified names of the peer."""

    def begin(self) -> None:
        """Begin as the client; `owed` returns the first octets.  Raises OSError."""

    def take(self, octets: bytes) -> bytes:
        """Return all octets for the framer that `octets` from the socket give.  Raises OSError."""

    def wrap(self, plain: bytes) -> bytes:
        """Return the octets for the socket that carry `plain`.  Raises OSError."""

    def owed(self) -> bytes:
        """Return octets of the wire itself that have to be sent now."""

    def end(self) -> bytes:
        """Return the last octets for the socket."""


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


class Connection:
    """One connection, from its opening to its end.

    `flow` names it; `buffered` is the number of octets of partial and of unsent messages.
    `opened_for` are the names and addresses whose requests it carries, if we have opened it.
    """

    __slots__ = (
        "_carrier",
        "_framer",
        "_is_closing",
        "_is_connecting",
        "_is_opening",
        "_is_paused",
        "_peer_has_closed",
        "_reading",
        "_sent",
        "_unsent",
        "_unsent_octets",
        "_waiting",
        "_writing",
        "buffered",
        "flow",
        "is_incoming",
        "is_open",
        "opened_for",
        "sock",
        "wire",
    )

    def __init__(
        self,
        carrier: "TcpCarrier",
        sock: socket.socket,
        framer: MessageFramer,
        flow: Flow,
        *,
        is_incoming: bool,
        is_connected: bool = True,
        wire: Wire | None = None,
    ) -> None:
        self._carrier = carrier
        self.sock = sock
        self.wire = wire
        self.opened_for: tuple[tuple[str, Endpoint], ...] = ()
        self.flow = flow
        self.is_incoming = is_incoming
        self.is_open = True
        self.buffered = 0
        self._framer: MessageFramer | None = framer  # None: received octets are discarded
        self._is_connecting = not is_connected
        # Until it is connected, and the wire is ready, messages wait.
        self._is_opening = not is_connected or (wire is not None and not wire.is_ready)
        self._is_closing = False  # it sends its buffer, and accepts no more messages
        self._peer_has_closed = False  # its peer will send nothing more
        self._is_paused = False  # it is over its share, and not read
        self._waiting: list[bytes] | None = [] if self._is_opening else None  # messages
        self._unsent: list[bytes] = []  # octets; mostly empty; a deque takes 700 octets
        self._unsent_octets = 0  # of both
        self._sent = 0  # octets of the first item of `_unsent` that were sent
        loop = gevent.get_hub().loop
        self._reading: Any = loop.io(sock.fileno(), _READ)
        self._writing: Any = loop.io(sock.fileno(), _WRITE)
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
                if self._carrier.allows(self.flow):  # during an overload it counts as a message
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
        """Read once from the socket."""
        if self.wire is not None and self.wire.has_ended:
            self._end_of_stream()
            return
        try:
            data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not data:
            self._end_of_stream()
        elif self.wire is not None:
            self.take(data)
        elif self._framer:
            self._framer.feed(data)

    def take(self, octets: bytes) -> None:
        """Feed octets from the socket to the wire, and what it returns to the framer."""
        wire = self.wire
        if wire is not None:
            if not wire.is_ready and not self._carrier.allows_handshake(self):
                self.close("its address may not begin a handshake now")
                return
            try:
                octets = wire.take(octets)
            except OSError as error:
                self._give_up(wire, error)
                return
            if owed := wire.owed():
                with suppress(OSError):
                    self._write(owed)
            if self._is_opening and wire.is_ready and self.is_open:
                self._opened()
            if wire.has_ended:
                self._carrier.reschedule(self)  # messages that came before are handled first
        if octets and self._framer:
            self._framer.feed(octets)

    def _give_up(self, wire: Wire, error: OSError) -> None:
        """Send the alert of a wire that has failed, if the socket takes it, and close."""
        if (owed := wire.owed()) and not self._unsent:
            with suppress(OSError):
                self.sock.send(owed)
        said = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
        reason = said.replace("_", " ").lower() if said.isupper() else said
        if self._is_opening:
            self._carrier.handshakes.failed(self.flow, reason, self._carrier.clock())
        self.close(f"TLS failed: {reason}")

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
        self._answer_bad_stream(bad)
        self._is_closing = True
        if not self._unsent:
            self._finish()

    def _answer_bad_stream(self, bad: BadStream) -> None:
        self._carrier.refuse(bad, self.flow)

    def _handle(self, message: bytes) -> None:
        """Handle one message.  If the handler waits, another greenlet handles the next message."""
        self._carrier.cancel_deadline(self)  # the next message has its own
        if self._framer and self._framer.buffered:
            self._carrier.reschedule(self)
        if self.wire is not None and self.wire.identities:
            self._carrier.learn_alias(self, message)
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
        if not self.is_open or self._is_closing:  # as `is_usable`, without its cost
            raise OSError(errno.ENOTCONN, "the connection is closed")
        if self._is_opening:
            self._wait(data)
        elif self.wire is None:
            self._write(data)
        else:
            self._write(self._wrapped(data))

    def _wrapped(self, data: bytes) -> bytes:
        """Return the octets that carry a message.  Raises OSError if the wire has failed."""
        if self.wire is None:
            return data
        try:
            return self.wire.wrap(data)
        except OSError as error:
            self._give_up(self.wire, error)
            raise

    def _write(self, data: bytes) -> None:
        """Send octets, or buffer them until the peer reads."""
        if self._unsent:
            self._buffer(data)
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
            self._buffer(data)
            self._writing.start(self._writable)

    def _wait(self, message: bytes) -> None:
        """Keep a message until the connection is open."""
        octets = self._unsent_octets + len(message)
        if octets > MAX_UNSENT_WHILE_CONNECTING:
            raise OSError(errno.ENOBUFS, "too many octets wait for the connection")
        if self._waiting is not None:
            self._waiting.append(message)
        self._count_unsent(octets)

    def _buffer(self, data: bytes) -> None:
        octets = self._unsent_octets + len(data)
        if octets > MAX_UNSENT:
            self.close("the peer does not read")
            raise OSError(errno.ENOBUFS, "the peer does not read")
        self._unsent.append(data)
        self._count_unsent(octets)

    def _count_unsent(self, octets: int) -> None:
        self._unsent_octets = octets
        self._report_buffered()
        if not self.is_open:
            raise OSError(errno.ENOBUFS, "all buffers are full")

    def _writable(self) -> None:
        """Send the buffer: the connection is established, or the peer has read; runs in the hub."""
        if self._is_connecting and not self._connected():
            return
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
        self._report_buffered()
        if self._is_closing:
            self._finish()

    def _connected(self) -> bool:
        """Take note that the socket is connected; return False if it is not."""
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.close(os.strerror(error))
            return False
        self._is_connecting = False
        if self.wire is not None:
            try:
                self.wire.begin()
                self._write(self.wire.owed())
            except OSError as failure:
                self.close(failure.strerror or str(failure))
                return False
        if self.wire is None or self.wire.is_ready:
            self._opened()
        return self.is_open

    def _opened(self) -> None:
        """Send the messages that waited until messages can be sent."""
        self._is_opening = False
        self._carrier.opened(self)
        waiting, self._waiting = self._waiting or [], None
        self._unsent_octets -= sum(map(len, waiting))
        with suppress(OSError):  # then it is closed
            for message in waiting:
                self._write(self._wrapped(message))

    def _report_buffered(self) -> None:
        buffered = self._unsent_octets + (self._framer.buffered if self._framer else 0)
        if buffered != self.buffered:
            change, self.buffered = buffered - self.buffered, buffered
            self._carrier.add_buffered(change)

    # End

    def _end_of_stream(self) -> None:
        """Close; send the buffer first, because a peer that sends no more may still read."""
        if not self._unsent or self._is_opening:
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
            self._send_end()
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def _send_end(self) -> None:
        """Send the end of the wire, if the socket takes it at once."""
        if self.wire is not None and (end := self.wire.end()) and not self._unsent:
            with suppress(OSError):
                self.sock.send(end)

    def close(self, cause: str) -> None:
        """Close the connection.  Unsent octets are lost."""
        if not self.is_open:
            return
        self.is_open = False
        if not self._is_opening:
            self._send_end()
        for watcher in (self._reading, self._writing):
            watcher.stop()
            watcher.close()
        self.sock.close()
        self._unsent.clear()
        self._waiting = None
        self._carrier.remove(self, cause)


class Layers(NamedTuple):
    """The layers of a transport: its framer, its wire if it has one, and its connection.

    `make_wire` gets True for an accepted connection, and the name that the peer of an opened one
    has to prove.
    """

    make_framer: Callable[[], MessageFramer] = Framer
    make_wire: Callable[[bool, str], Wire] | None = None
    connection: type[Connection] = Connection
