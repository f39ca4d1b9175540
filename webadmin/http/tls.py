"""TLS for the pages: the certificate, and connections that are encrypted."""

import logging
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent.socket

from webadmin.http.connections import Connection, Guests, Limits, Phase
from webadmin.thread_pool import TooBusy

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# A record has up to 16 kB (RFC 8446 §5.1); what is encrypted at once waits in memory to be sent.
_RECORD_BYTES = 16 * 1024
_PIECE_BYTES = 64 * 1024

# How a TLS record with a handshake begins (RFC 8446 §5.1), and no request of HTTP.
_HANDSHAKE = b"\x16"

_SENTENCE = b"This server speaks HTTPS here: begin the address with https:// instead.\n"
_NO_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_SENTENCE), _SENTENCE)
)

log = logging.getLogger(__name__)


class CertificateError(Exception):
    """A certificate or key that cannot be used; the text is for the operator."""


class Certificate:
    """The certificate and its key, as the two files were when last read."""

    def __init__(self, certificate: str, key: str) -> None:
        self._files = certificate, key
        self.context = self._read()

    def renew(self) -> None:
        """Read the files again, for connections from now on.

        Raises CertificateError where they cannot be used; then the former ones hold.
        """
        self.context = self._read()

    def _read(self) -> ssl.SSLContext:
        certificate, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996 has buried those before
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])

        def no_passphrase() -> str:
            raise CertificateError(
                f"the key {key} is locked with a passphrase; `openssl pkey -in {key} -out FILE`"
                " writes one without"
            )

        try:
            context.load_cert_chain(certificate, key, password=no_passphrase)
        except ssl.SSLError as error:
            reason = (error.reason or "not readable").replace("_", " ").lower()
            raise CertificateError(
                f"cannot use the certificate {certificate} with the key {key}: {reason}."
                " Both have to be PEM, and belong together"
            ) from None
        except OSError as error:
            raise CertificateError(
                f"cannot read the certificate {certificate} and its key {key}: {error.strerror}"
            ) from None
        return context


class TlsConnection(Connection):
    """A connection within TLS.

    OpenSSL works on memory alone, so that every octet on the wire comes and goes through the
    limits of Connection.
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

    def greet(self, guests: Guests) -> bool:
        """Agree on keys, within the time that a head has; the sums are done in another thread.

        False where the peer speaks no TLS, which it is told, or none that we speak.
        """
        self.expect_greeting()
        self._receive()
        first = self._arrived.read()
        if first[:1] != _HANDSHAKE:
            if first:
                self.part(_NO_TLS)
            return False
        self._arrived.write(first)
        guests.take_turn()
        while not self._is_open:
            try:
                guests.workers.run(self._tls.do_handshake)
                self._is_open = True
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            except ssl.SSLError as error:
                log.debug("no TLS with %s: %s", self.address, error.reason)
                self._flush()  # the alert that says why
                return False
            except TooBusy:
                return False
        self._flush()
        return True

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read what there is, or wait for it."""
        if not self._is_open:
            return super().recv_into(buffer, nbytes, flags)
        while True:
            try:
                size = int(self._tls.read(nbytes or len(buffer), buffer))  # the stubs say bytes
            except ssl.SSLWantReadError:
                self._flush()  # an answer to an update of keys
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
        """Send all of it, as long as the peer reads."""
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

    def finish(self) -> None:
        """Tell the peer that this was all: without it, an end could be somebody else's doing."""
        if self._is_open:
            with suppress(ssl.SSLError):  # the peer's own farewell is not waited for
                self._tls.unwrap()
            self._flush()

    def _receive(self) -> None:
        """Take encrypted octets in, or the end of them."""
        size = super().recv_into(self._record)
        if size:
            self._arrived.write(memoryview(self._record)[:size])
        else:
            self._arrived.write_eof()

    def _flush(self) -> None:
        if self._leaving.pending:
            super().sendall(self._leaving.read())
