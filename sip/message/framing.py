"""The framer: cuts a stream of octets into messages (RFC 3261 §18.3, RFC 5626 §3.5.1).

No socket and no clock: octets go in, whole messages come out.
"""

import re

from sip.message.grammar import BadMessage
from sip.message.message import MAX_BODY_BYTES, MAX_HEAD_BYTES

# Content-Length in a head whose line ends are all CRLF: its value, with folds.  No octet matches
# two parts of it, so the time is linear; otherwise a head of 64 kB of spaces would take seconds.
_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:([^\r]*(?:\r\n[ \t][^\r]*)*)", re.IGNORECASE)
_ODD_BLANK_LINE = re.compile(rb"\n\r?\n")  # an empty line without CRLF CRLF
# A ping is two line ends between messages; some clients send one line end after a message (§7.5).
PING = b"\r\n\r\n"
PONG = b"\r\n"


def with_length(data: bytes) -> bytes:
    """Return a message for a stream, with the mandatory Content-Length (§16.6 step 9, §20.14).

    A message that was received as a datagram may have none.
    """
    end = data.find(PING)
    if end <= 0 or data.find(b"\r\nContent-Length:", 0, end) > 0:  # the usual spelling
        return data
    if _LENGTH.search(data, 0, end + 2):
        return data
    length = b"Content-Length: %d\r\n" % (len(data) - end - 4)
    return data[: end + 2] + length + data[end + 2 :]


class BadStream(BadMessage):
    """The beginning of the next message can't be found; `head` holds the octets of this one."""

    def __init__(self, reason: str, status: int, head: bytes) -> None:
        super().__init__(reason, status)
        self.head = head


class Framer:
    """Cuts one stream into messages.

    `has_partial_message` is True if the beginning of a message is there and its end is not.
    """

    __slots__ = ("_buffer", "_message_length", "_scanned")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # octets of the buffer in which no end of a head begins
        self._message_length = 0  # octets of the partial message; 0 until its head is whole

    @property
    def has_partial_message(self) -> bool:
        """Return True if the beginning of a message is buffered, and not its end."""
        return self._buffer[:4].strip(b"\r\n") != b""

    @property
    def buffered(self) -> int:
        """The number of octets after the message that was returned last."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add octets that were read."""
        self._buffer += data

    def next(self) -> bytes | None:
        """Return the next whole message, or PING; None if there is none.  Raises BadStream."""
        buffer = self._buffer
        if not self._message_length:
            if buffer[:2] == PONG:
                return self._line_ends()
            end = buffer.find(b"\r\n\r\n", self._scanned)
            if end < 0 and (odd := _ODD_BLANK_LINE.search(buffer, self._scanned)):
                # The sender means it as the end of the head, and waits for a response.
                raise BadStream("Line end that is not CRLF", 400, bytes(buffer[: odd.end()]))
            if end < 0 and len(buffer) <= MAX_HEAD_BYTES:
                self._scanned = max(0, len(buffer) - 3)
                return None
            if end < 0 or end > MAX_HEAD_BYTES:
                head = bytes(buffer[:MAX_HEAD_BYTES])
                raise BadStream(f"Header fields over {MAX_HEAD_BYTES} octets", 513, head)
            self._message_length = end + 4 + _body_length(bytes(buffer[: end + 2]))
        if len(buffer) < self._message_length:
            return None
        return self._take(self._message_length)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._scanned = self._message_length = 0
        return taken

    def _line_ends(self) -> bytes | None:
        """Return PING for two line ends between messages; skip one when more octets follow."""
        buffer = self._buffer
        if len(buffer) < 4 and PING.startswith(buffer):
            return None
        if buffer[:4] == PING:
            return self._take(4)
        self._take(2)
        return self.next()


def _body_length(head: bytes) -> int:
    """Return the length of the body after a head, which ends with its last line end.

    With odd line ends or two lengths, another element could find another length: then nothing after
    the head can be trusted.  The same holds for another protocol.  Raises BadStream.
    """
    start_line = head[: head.find(b"\r\n")].upper()
    if b" SIP/" not in start_line and not start_line.startswith(b"SIP/"):
        raise BadStream("Malformed request line", 400, head)
    if head.count(b"\n") != head.count(b"\r\n") or head.count(b"\r") != head.count(b"\r\n"):
        raise BadStream("Line end that is not CRLF", 400, head)
    lengths = _LENGTH.findall(head)
    if not lengths:
        raise BadStream("Missing Content-Length header field", 400, head)  # §20.14: on a stream
    if len(lengths) > 1:
        raise BadStream("More than one Content-Length header field", 400, head)
    text = lengths[0].strip(b" \t\r\n")
    if not text.isdigit() or len(text) > 10:
        raise BadStream("Malformed Content-Length", 400, head)
    length = int(text)
    if length > MAX_BODY_BYTES:
        raise BadStream(f"Request Entity Too Large: over {MAX_BODY_BYTES} octets", 413, head)
    return length
