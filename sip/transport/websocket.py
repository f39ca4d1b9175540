"""WebSocket frames: cuts what a client sends into SIP messages, and frames ours (RFC 7118 §5).

No socket and no clock, like sip.message.framing.  The frames themselves are wsproto's (RFC 6455).
"""

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from sip.message.framing import PING, PONG, BadStream
from sip.message.message import MAX_BODY_BYTES, MAX_HEAD_BYTES

MAX_MESSAGE_OCTETS = MAX_HEAD_BYTES + MAX_BODY_BYTES
# Frames of one message.  Libraries for SIP send one frame for each message; each more costs 15 µs.
MAX_FRAGMENTS = 64
_MASK_OCTETS = 4
# The largest payload whose length needs no further octets, two, or eight (RFC 6455 §5.2).
_HEADERS = ((125, 2), (65_535, 4), (2**63, 10))


class WebSocketEnd(BadStream):
    """The client has closed the WebSocket, or broken its rules; `frame` is our Close frame."""

    def __init__(self, reason: str, frame: bytes) -> None:
        super().__init__(reason, 0, b"")
        self.frame = frame


class WebSocketFramer:
    """Both directions of one WebSocket, after its handshake, on the side of the server.

    A message travels in one WebSocket message, of text or of octets (RFC 7118 §5).
    """

    __slots__ = ("_fragments", "_message", "_payload", "_pong", "_unread", "_websocket")

    def __init__(self) -> None:
        self._websocket = Connection(ConnectionType.SERVER)
        self._message = bytearray()  # the beginning of the next message
        self._fragments = 0  # frames of it that have ended
        self._unread = 0  # octets of further frames, nearly: a split frame may count some twice
        self._payload = 0  # octets of `_unread` that are in `_message` already
        self._pong = b""  # the answer to the ping that `next` has returned

    @property
    def has_partial_message(self) -> bool:
        """Return True if the beginning of a message is buffered, and not its end."""
        return bool(self._message or self._fragments)

    @property
    def buffered(self) -> int:
        """The number of octets after the message that was returned last."""
        return len(self._message) + self._unread

    def feed(self, data: bytes) -> None:
        """Add octets that were read."""
        self._unread += len(data)
        self._websocket.receive_data(data)

    def next(self) -> bytes | None:
        """Return the next whole message, or PING for a ping; None if there is none.

        Raises WebSocketEnd.
        """
        for event in self._websocket.events():
            if isinstance(event, TextMessage | BytesMessage):
                self._add(event)
                if event.message_finished:
                    return self._take()
            elif isinstance(event, Ping):
                return self._take_ping(event)
            elif isinstance(event, Pong):
                self._frame_ended(len(event.payload))
                return PING  # so that the connection counts it like a message
            elif isinstance(event, CloseConnection):
                raise self._end(event.response())
        self._unread = self._payload = 0
        return None

    def pong(self) -> bytes:
        """Return the octets to send for the PING that `next` has returned; b"" if none are due."""
        pong, self._pong = self._pong, b""
        return pong

    def wrap(self, data: bytes) -> bytes:
        """Return the frame of one message of ours: text, unless it is not UTF-8 (RFC 7118 §5)."""
        try:
            return self._websocket.send(TextMessage(data=data.decode()))
        except UnicodeDecodeError:
            return self._websocket.send(BytesMessage(data=data))

    def ping(self) -> bytes:
        """Return a Ping frame: it keeps NATs and reverse proxies from closing (RFC 7118 §6)."""
        return self._websocket.send(Ping())

    def close(self) -> bytes:
        """Return the Close frame of a server that goes away; b"" if one was sent before."""
        if self._websocket.state is not ConnectionState.OPEN:
            return b""
        return self._websocket.send(CloseConnection(CloseReason.GOING_AWAY))

    def _add(self, event: TextMessage | BytesMessage) -> None:
        """Add a piece of a message, within the bounds.  Raises WebSocketEnd."""
        piece = event.data.encode() if isinstance(event, TextMessage) else event.data
        self._message += piece
        self._payload += len(piece)
        if event.frame_finished:
            self._fragments += 1
            self._frame_ended(self._payload)
            self._payload = 0
        if len(self._message) > MAX_MESSAGE_OCTETS:
            raise self._too_big(f"a message of over {MAX_MESSAGE_OCTETS} octets")
        if self._fragments >= MAX_FRAGMENTS and not event.message_finished:
            raise self._too_big(f"a message in over {MAX_FRAGMENTS} frames")

    def _take(self) -> bytes:
        """Return the message that is whole."""
        message = bytes(self._message)
        self._message.clear()
        self._fragments = 0
        if message == PING:  # RFC 5626 §3.5.1; some clients send it instead of a Ping frame
            self._pong = self.wrap(PONG)
        return message

    def _take_ping(self, ping: Ping) -> bytes:
        self._frame_ended(len(ping.payload))
        self._pong = self._websocket.send(ping.response())
        return PING

    def _frame_ended(self, payload: int) -> None:
        header = next(octets for most, octets in _HEADERS if payload <= most)
        self._unread = max(0, self._unread - header - _MASK_OCTETS - payload)

    def _too_big(self, reason: str) -> WebSocketEnd:
        return self._end(CloseConnection(CloseReason.MESSAGE_TOO_BIG, reason))

    def _end(self, close: CloseConnection) -> WebSocketEnd:
        """Return the end of this WebSocket, with our Close frame (RFC 6455 §5.5.1, §7.4)."""
        self._message.clear()
        reason = close.reason or "the client closed the WebSocket"
        return WebSocketEnd(reason, self._websocket.send(close))
