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
_FIN, _CONTROL, _MASKED, _LENGTH = 0x80, 0x08, 0x80, 0x7F
_TEXT, _BINARY = 0x81, 0x82  # a message in one frame, of either kind (RFC 6455 §5.2)
_MASK_OCTETS = 4
# The first length that needs two more octets, and the first that needs eight.
_LONG, _HUGE = 126, 65_536


class WebSocketEnd(BadStream):
    """The client has closed the WebSocket, or broken its rules; `frame` is our Close frame."""

    def __init__(self, reason: str, frame: bytes) -> None:
        super().__init__(reason, 0, b"")
        self.frame = frame


class WebSocketFramer:
    """Both directions of one WebSocket, after its handshake, on the side of the server.

    A message travels in one WebSocket message, of text or of octets (RFC 7118 §5).  Nearly each is
    one frame, which is cut out here; all other frames are wsproto's, one after the other.
    """

    __slots__ = ("_fragments", "_is_split", "_left", "_message", "_pong", "_unread", "_websocket")

    def __init__(self) -> None:
        self._websocket = Connection(ConnectionType.SERVER)
        self._unread = bytearray()
        self._left = 0  # octets of the present frame of wsproto that it does not have yet
        self._is_split = False  # the next frame of data continues a message
        self._message = bytearray()  # the beginning of the next message
        self._fragments = 0  # frames of it that have ended
        self._pong = b""  # the answer to the ping that `next` has returned

    @property
    def has_partial_message(self) -> bool:
        """Return True if the beginning of a message is buffered, and not its end."""
        return bool(self._unread or self._left or self._message or self._fragments)

    @property
    def buffered(self) -> int:
        """The number of octets after the message that was returned last."""
        return len(self._unread) + len(self._message)

    def feed(self, data: bytes) -> None:
        """Add octets that were read."""
        self._unread += data

    def next(self) -> bytes | None:
        """Return the next whole message, or PING for a ping; None if there is none.

        Raises WebSocketEnd.
        """
        unread = self._unread
        while unread:
            if not self._left:
                message = self._begin_frame()
                if message is not None:
                    return message
                if not self._left:
                    return None
            piece = bytes(unread[: self._left])
            del unread[: self._left]
            self._left -= len(piece)
            self._websocket.receive_data(piece)
            found = self._handle_events()
            if found is not None:
                return found
        return None

    def _begin_frame(self) -> bytes | None:
        """Return the message that is the next frame, if it is one and whole.

        Sets `_left` for any other frame whose head is there.
        """
        unread = self._unread
        if len(unread) < 2:
            return None
        first, length = unread[0], unread[1] & _LENGTH
        begin = 2
        if length >= _LONG:
            begin = 4 if length == _LONG else 10
            if len(unread) < begin:
                return None
            least = _LONG if length == _LONG else _HUGE
            length = int.from_bytes(unread[2:begin])
        else:
            least = 0
        is_masked = bool(unread[1] & _MASKED)
        if is_masked:
            begin += _MASK_OCTETS
        if (
            first in (_TEXT, _BINARY)
            and is_masked
            and not self._is_split
            and least <= length <= MAX_MESSAGE_OCTETS
        ):
            if len(unread) < begin + length:
                return None
            message = _unmasked(
                unread[begin - _MASK_OCTETS : begin], unread[begin : begin + length]
            )
            if first == _BINARY or _is_utf_8(message):
                del unread[: begin + length]
                return self._returned(message)
        if not first & _CONTROL:
            self._is_split = not first & _FIN
        self._left = begin + length
        return None

    def _handle_events(self) -> bytes | None:
        """Return the message or PING that the last octets have ended.  Raises WebSocketEnd."""
        for event in self._websocket.events():
            if isinstance(event, TextMessage | BytesMessage):
                self._add(event)
                if event.message_finished:
                    message = bytes(self._message)
                    self._message.clear()
                    self._fragments = 0
                    return self._returned(message)
            elif isinstance(event, Ping):
                self._pong = self._websocket.send(event.response())
                return PING
            elif isinstance(event, Pong):
                return PING  # so that the connection counts it like a message
            elif isinstance(event, CloseConnection):
                raise self._end(event.response())
        return None

    def pong(self) -> bytes:
        """Return the octets to send for the PING that `next` has returned; b"" if none are due."""
        pong, self._pong = self._pong, b""
        return pong

    def wrap(self, data: bytes) -> bytes:
        """Return the frame of one message of ours: text, unless it is not UTF-8 (RFC 7118 §5)."""
        kind, length = _TEXT if _is_utf_8(data) else _BINARY, len(data)
        if length < _LONG:
            return bytes((kind, length)) + data
        if length < _HUGE:
            return bytes((kind, _LONG)) + length.to_bytes(2) + data
        return bytes((kind, _LENGTH)) + length.to_bytes(8) + data

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
        self._message += event.data.encode() if isinstance(event, TextMessage) else event.data
        self._fragments += event.frame_finished
        if len(self._message) > MAX_MESSAGE_OCTETS:
            raise self._too_big(f"a message of over {MAX_MESSAGE_OCTETS} octets")
        if self._fragments >= MAX_FRAGMENTS and not event.message_finished:
            raise self._too_big(f"a message in over {MAX_FRAGMENTS} frames")

    def _returned(self, message: bytes) -> bytes:
        """Return a message that is whole; prepare the answer to the ping of RFC 5626 §3.5.1."""
        if message == PING:  # some clients send it instead of a Ping frame
            self._pong = self.wrap(PONG)
        return message

    def _too_big(self, reason: str) -> WebSocketEnd:
        return self._end(CloseConnection(CloseReason.MESSAGE_TOO_BIG, reason))

    def _end(self, close: CloseConnection) -> WebSocketEnd:
        """Return the end of this WebSocket, with our Close frame (RFC 6455 §5.5.1, §7.4)."""
        self._message.clear()
        self._unread.clear()
        reason = close.reason or "the client closed the WebSocket"
        return WebSocketEnd(reason, self._websocket.send(close))


def _unmasked(mask: bytearray, payload: bytearray) -> bytes:
    """Return the payload of a frame of a client (RFC 6455 §5.3)."""
    size = len(payload)
    key = (mask * (size // _MASK_OCTETS + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
