"""Connections of the web admin with TLS."""

import logging
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent.socket

from sip.transport.tls import TlsState
from webadmin.http.connections import Connection, ConnectionLimiter, Limits, Phase
from webadmin.thread_pool import TooBusy

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# A record has up to 16 kB (RFC 8446 §5.1).  A piece is encrypted into memory before it is sent.
_RECORD_BYTES = 16 * 1024
_PIECE_BYTES = 64 * 1024

# The first octet of a TLS handshake (RFC 8446 §5.1); no HTTP request begins with it.
_HANDSHAKE = b"\x16"

_SENTENCE = b"This port uses HTTPS: begin the address with https://\n"
_NO_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_SENTENCE), _SENTENCE)
)

log = logging.getLogger(__name__)


class TlsConnection(Connection):
    """A connection with TLS.

    OpenSSL reads and writes memory only, so that all octets on the wire pass the limits of
    Connection.
    """

    def __init__(
        self,
        accepted: gevent.socket.socket,
        host: str,
        limits: Limits,
        context: ssl.SSLContext,
    ) -> None:
        super().__init__(accepted, host, limits)
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_side=True)
        self._record = bytearray(_RECORD_BYTES)
        self._is_open = False

    def handshake(self, limiter: ConnectionLimiter) -> bool:
        """Do the TLS handshake, within the time limit of a head; OpenSSL runs in a thread.

        Return False if the peer does not use TLS, and say so in plain HTTP, or if no version or
        cipher is shared.
        """
        self.expect_handshake()
        self._receive()
        first = self._arrived.read()
        if first[:1] != _HANDSHAKE:
            if first:
                self.send_and_close(_NO_TLS)
            return False
        self._arrived.write(first)
        limiter.wait_turn()
        while not self._is_open:
            try:
                limiter.workers.run(self._tls.do_handshake)
                self._is_open = True
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            except ssl.SSLError as error:
                log.debug("TLS handshake failed with %s: %s", self.address, error.reason)
                self._flush()  # sends the alert with the reason
                return False
            except TooBusy:
                return False
        self._flush()
        return True

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read the data that has arrived, or wait for some."""
        if not self._is_open:
            return super().recv_into(buffer, nbytes, flags)
        while True:
            try:
                size = int(self._tls.read(nbytes or len(buffer), buffer))  # the stubs say bytes
            except ssl.SSLWantReadError:
                self._flush()  # sends the reply to a key update
                self._receive()
            except ssl.SSLEOFError:
                return 0
            except ssl.SSLError:
                self._fail(None)
            else:
                if not size and self.phase is not Phase.IDLE:
                    self._fail("400 Bad Request")
                return size

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        """Send all data, as long as the peer reads."""
        if not self._is_open:
            super().sendall(data, flags)
            return
        view = memoryview(data)
        for start in range(0, len(view), _PIECE_BYTES):
            try:
                self._tls.write(view[start : start + _PIECE_BYTES])
            except ssl.SSLError:
                self._fail(None)
            self._flush()

    def _tls_state(self) -> TlsState:
        return TlsState(self._tls, self._arrived, self._leaving)

    def end_stream(self) -> None:
        """Send close_notify: without it the peer cannot exclude that an attacker cut the stream."""
        if self._is_open and not self.is_handed_over:
            with suppress(ssl.SSLError):  # the close_notify of the peer is not awaited
                self._tls.unwrap()
            self._flush()

    def _receive(self) -> None:
        """Receive encrypted octets, or the end of the stream."""
        size = super().recv_into(self._record)
        if size:
            self._arrived.write(memoryview(self._record)[:size])
        else:
            self._arrived.write_eof()

    def _flush(self) -> None:
        if self._leaving.pending:
            super().sendall(self._leaving.read())
