"""TLS as octets in and octets out: no socket, no greenlet, no wait (RFC 8446, RFC 3261 §26.2.1).

OpenSSL reads and writes memory only.  The connection gives it what arrived, and sends what it owes.
A connection takes some 18 kB of OpenSSL's memory; a record takes 2 to 4 µs, a handshake with an EC
key half a millisecond.
"""

import ssl
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

from sip.transport.certificates import Certificate, NextHopContext
from sip.transport.tls_names import is_identity, sip_identities

# Octets decrypted at a time: a record has at most 16 kB (RFC 8446 §5.1).
_PIECE = 16 * 1024


class TlsState(NamedTuple):
    """TLS of a connection that another server has accepted; octets pass two buffers in memory."""

    tls: ssl.SSLObject
    arrived: ssl.MemoryBIO
    leaving: ssl.MemoryBIO


class TlsWire:
    """The state of TLS on one connection.

    `is_ready` is True once the keys are agreed on; `has_ended` once the peer has said that it sends
    nothing more.  `identities` are the SIP domains of the peer's certificate, if it has shown one
    and its authority is trusted.  A client verifies that `name` is one of them, unless it is "".
    """

    __slots__ = ("_arrived", "_leaving", "_name", "_tls", "has_ended", "identities", "is_ready")

    def __init__(self, context: ssl.SSLContext, *, is_server: bool, name: str = "") -> None:
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._arrived,
            self._leaving,
            server_side=is_server,
            server_hostname=None if is_server else _server_name(name),
        )
        self._name = "" if is_server else name
        self.is_ready = self.has_ended = False
        self.identities: frozenset[str] = frozenset()

    @classmethod
    def take_over(
        cls, tls: ssl.SSLObject, arrived: ssl.MemoryBIO, leaving: ssl.MemoryBIO
    ) -> "TlsWire":
        """Return the wire of a connection whose handshake another server has done."""
        wire = cls.__new__(cls)
        wire._tls, wire._arrived, wire._leaving = tls, arrived, leaving
        wire._name, wire.identities = "", frozenset()
        wire.is_ready, wire.has_ended = True, False
        return wire

    def begin(self) -> None:
        """Begin the handshake as the client; `owed` returns its first octets."""
        self._shake_hands()

    def take(self, octets: bytes) -> bytes:
        """Decrypt octets that arrived; during the handshake there is no plain text yet.

        Raises OSError if they are not TLS, or if the peer's certificate is refused.
        """
        self._arrived.write(octets)
        if not self.is_ready:
            self._shake_hands()
            if not self.is_ready:
                return b""
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(_PIECE):
                # Usually this was all; another read would take longer than this one.
                if not self._arrived.pending and not self._tls.pending():
                    return b"".join(pieces) + piece if pieces else piece
                pieces.append(piece)
            self.has_ended = True
        except ssl.SSLWantReadError:
            pass
        return b"".join(pieces)

    def wrap(self, plain: bytes) -> bytes:
        """Return octets to send, encrypted, after those that are owed.  Raises OSError."""
        self._tls.write(plain)
        return self._leaving.read()

    def owed(self) -> bytes:
        """Return octets to send now: of the handshake, an answer to a key update, an alert."""
        return self._leaving.read()

    def end(self) -> bytes:
        """Return the octets that say that nothing more is sent (RFC 8446 §6.1)."""
        if self.is_ready:
            with suppress(OSError):  # the peer's own end is not awaited
                self._tls.unwrap()
        return self._leaving.read()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.identities = sip_identities(self._tls.getpeercert())
        if self._name and not is_identity(self._name, self.identities):
            raise ssl.SSLCertVerificationError(f"the certificate is not for {self._name}")
        self.is_ready = True


class TlsContexts:
    """The contexts of TLS for both roles: `certificate` for clients, `next_hops` for servers."""

    def __init__(self, certificate: Certificate, next_hops: NextHopContext) -> None:
        self.certificate = certificate
        self.next_hops = next_hops

    def wire(self, is_server: bool, name: str) -> TlsWire:
        """Return the wire of a new connection; `name` is what a next hop has to prove."""
        if is_server:
            return TlsWire(self.certificate.context, is_server=True)
        return TlsWire(self.next_hops.context, is_server=False, name=name)

    def renew(self) -> None:
        """Read all files again, for new connections.

        Raises CertificateError if one is unusable; then its old content stays in use.
        """
        self.certificate.renew()
        self.next_hops.renew()


def _server_name(name: str) -> str | None:
    """Return the name for SNI: an address has none (RFC 6066 §3)."""
    try:
        ip_address(name)
    except ValueError:
        return name or None
    return None
