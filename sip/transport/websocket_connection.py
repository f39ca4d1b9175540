"""A connection whose messages travel in WebSocket frames (RFC 7118)."""

import logging
import socket
from contextlib import suppress
from typing import Any, NamedTuple

from sip.message.framing import PING, BadStream
from sip.transport.flow import Endpoint
from sip.transport.tcp_connection import Connection
from sip.transport.tls import TlsState
from sip.transport.websocket import WebSocketEnd, WebSocketFramer

log = logging.getLogger(__name__)


class Upgraded(NamedTuple):
    """A socket after the opening handshake (RFC 6455 §4.2): its peer, and the TLS on it.

    `first` are octets that were read after the handshake.
    """

    socket: socket.socket
    remote: Endpoint
    tls: TlsState | None = None
    first: bytes = b""


class WebSocketConnection(Connection):
    """A connection of a client that has opened a WebSocket for SIP; its framer frames ours, too."""

    __slots__ = ("_websocket",)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        if not isinstance(self._framer, WebSocketFramer):
            raise TypeError("a WebSocket has frames")
        self._websocket = self._framer

    def send(self, data: bytes) -> None:
        """Send one message, or a Ping frame for PING (RFC 7118 §6).  Raises OSError."""
        if not self.is_usable:
            super().send(data)  # which raises
        super().send(self._websocket.ping() if data == PING else self._websocket.wrap(data))

    def _pong(self) -> None:
        pong = self._websocket.pong()
        if pong and not self._unsent:
            with suppress(OSError):
                super().send(pong)

    def _answer_bad_stream(self, bad: BadStream) -> None:
        """Send the Close frame that ends the WebSocket (RFC 6455 §5.5.1)."""
        log.debug("WebSocket of %s: %s", self.flow.remote[0], bad.reason)
        if isinstance(bad, WebSocketEnd):
            with suppress(OSError):
                super().send(bad.frame)

    def _send_end(self) -> None:
        """Send a Close frame before the end of TLS, unless one was sent."""
        frame = self._websocket.close()
        if frame and not self._unsent:
            with suppress(OSError):
                self.sock.send(self.wire.wrap(frame) if self.wire else frame)
        super()._send_end()
