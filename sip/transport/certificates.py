"""Certificates with their keys, as TLS contexts that are replaced while the server runs.

One pair of files serves SIP and the pages, in a context for each role.  A renewed context is for
new connections; those that are open keep the old one.
"""

import ssl
import time
from collections.abc import Sequence

from sip.certificate import expires_at, rsa_bits

# A handshake with a longer RSA key takes 7 ms of the event loop (RSA-4096; with EC 0.5 ms).
MAX_USUAL_RSA_BITS = 3072
# RFC 7301: the registered protocol names of SIP and of HTTP/1.1.
ALPN_SIP = "sip/2"
ALPN_HTTP = "http/1.1"


class CertificateError(Exception):
    """A certificate, its key or a file of authorities is unusable; the text is for the operator."""


class Certificate:
    """A certificate chain and its key, as last read from their files.

    `alpn` are the protocols that are offered (RFC 7301).  `client_ca` is a PEM file of authorities:
    a client may then show a certificate of theirs.  Without `has_tickets` no client resumes a
    session by TLS 1.3: with EC keys a ticket costs about as much as it saves.
    """

    def __init__(
        self,
        certificate: str,
        key: str,
        alpn: Sequence[str] = (ALPN_HTTP,),
        *,
        client_ca: str = "",
        has_tickets: bool = True,
    ) -> None:
        self.files = certificate, key
        self._alpn = list(alpn)
        self._client_ca = client_ca
        self._has_tickets = has_tickets
        self.context = self._read()

    def renew(self) -> None:
        """Read the files again, for new connections.

        Raises CertificateError if they are unusable or expired; then the old ones stay in use.
        """
        context = self._read()
        if sentence := self.expiry_sentence():
            raise CertificateError(sentence)
        self.context = context

    def expiry_sentence(self) -> str:
        """Return a sentence for the operator if the certificate has expired, else ""."""
        path, _ = self.files
        try:
            end = expires_at(path)
        except (OSError, ValueError):
            return ""
        if end > time.time():
            return ""
        day = time.strftime("%Y-%m-%d", time.gmtime(end))
        return f"the certificate {path} expired on {day}: renew it, then send the server SIGHUP"

    def slow_key_sentence(self) -> str:
        """Return a sentence for the operator if the key makes handshakes slow, else ""."""
        path, _ = self.files
        try:
            bits = rsa_bits(path)
        except (OSError, ValueError):
            return ""
        if bits <= MAX_USUAL_RSA_BITS:
            return ""
        return (
            f"the certificate {path} has an RSA key of {bits} bits: each connection takes some 7 ms"
            " in which no message is handled; an ECDSA key, the default of certbot, takes 0.5 ms"
        )

    def _read(self) -> ssl.SSLContext:
        context = _new_context(ssl.PROTOCOL_TLS_SERVER, self._alpn)
        if not self._has_tickets:
            context.num_tickets = 0
        load_pair(context, *self.files)
        if self._client_ca:
            load_authorities(context, self._client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


class NextHopContext:
    """The TLS context for connections to next hops, as last read from its files.

    `ca` is a PEM file of authorities, "" for those of the system.  `certificate` is shown to a next
    hop that asks for one.  Names are compared by RFC 5922, not by OpenSSL: see tls_names.py.
    """

    def __init__(self, ca: str, certificate: Certificate) -> None:
        self._ca = ca
        self._certificate = certificate
        self.context = self._read()

    def renew(self) -> None:
        """Read the files again.  Raises CertificateError; then the old ones stay in use."""
        self.context = self._read()

    def _read(self) -> ssl.SSLContext:
        context = _new_context(ssl.PROTOCOL_TLS_CLIENT, [ALPN_SIP])
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        if self._ca:
            load_authorities(context, self._ca)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        load_pair(context, *self._certificate.files)
        return context


def _new_context(protocol: int, alpn: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996 deprecates older versions
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(alpn)
    return context


def load_authorities(context: ssl.SSLContext, path: str) -> None:
    """Trust the authorities in a PEM file.  Raises CertificateError."""
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise CertificateError(f"{path} has no certificates in PEM") from None
    except OSError as error:
        raise CertificateError(
            f"cannot read the certificates in {path}: {error.strerror}"
        ) from None


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Use a certificate and its key.  Raises CertificateError."""

    def no_passphrase() -> str:
        raise CertificateError(
            f"the key {key} has a passphrase; `openssl pkey -in {key} -out FILE` writes it"
            " without one"
        )

    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        reason = (error.reason or "not readable").replace("_", " ").lower()
        raise CertificateError(
            f"cannot use the certificate {certificate} with the key {key}: {reason}."
            " Both must be PEM files, and belong together"
        ) from None
    except OSError as error:
        raise CertificateError(
            f"cannot read the certificate {certificate} and its key {key}: {error.strerror}"
        ) from None
