"""SIP over TLS with programs that we did not write: openssl and phones (RFC 3261 §26.2)."""

import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.support.baresip import Baresip, BaresipTls
from tests.support.certificates import Certificates
from tests.support.phone_calls import part, talk_and_hear
from tests.support.pjsua import Pjsua, PjsuaTls
from tests.support.programs import until
from tests.support.server import Server

NAME = "127.0.0.1"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def flags(certificates: Certificates) -> list[str]:
    return certificates.flags(NAME)


def openssl(server: Server, *words: str, octets: bytes = b"") -> str:
    """Return what `openssl s_client` shows of a connection to the server."""
    done = subprocess.run(
        [*["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}"], *words],
        input=octets,
        capture_output=True,
        timeout=30,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def test_openssl_agrees_on_tls_and_on_sip(server: Server, certificates: Certificates):
    shown = openssl(
        server, "-CAfile", str(certificates.ca), "-alpn", "h2,sip/2", "-verify_ip", NAME
    )
    for text in ("TLSv1.3", "ALPN protocol: sip/2", "Verify return code: 0 (ok)"):
        assert text in shown
    assert "alert protocol version" in openssl(server, "-tls1_1")


@pytest.mark.parametrize(
    ("one", "other"), [(BaresipTls, Pjsua), (PjsuaTls, Baresip), (BaresipTls, PjsuaTls)]
)
def test_phones_on_tls_call_and_are_called(registered, one, other):
    alice, bob = registered(one, "alice"), registered(other, "bob")
    talk_and_hear(alice, bob)
    part(alice, bob)
    talk_and_hear(bob, alice)
    part(bob, alice)


def test_a_renewal_keeps_connections_and_registrations(
    server: Server, certificates: Certificates, registered
):
    """By SIGHUP; files that will not do are one line in the log, and change nothing."""
    alice, bob = registered(BaresipTls, "alice"), registered(Baresip, "bob")
    trust = ssl.create_default_context(cafile=str(certificates.ca))

    def hangs_up(line: str) -> str:
        """Send SIGHUP, wait for the line, and return the serial number that is served then."""
        before = server.log.read_text().count(line)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.log.read_text().count(line) > before, line)
        with (
            socket.create_connection((NAME, server.tls_port), 10) as raw,
            trust.wrap_socket(raw, server_hostname=NAME) as peer,
        ):
            return peer.getpeercert()["serialNumber"]

    first = hangs_up("certificate reloaded")
    certificates.issue(NAME)
    second = hangs_up("certificate reloaded")
    certificates.issue(NAME, days=-1)
    third = hangs_up("cannot reload the certificate: the certificate ")
    assert first != second == third
    talk_and_hear(bob, alice)  # along the connection from before
    part(bob, alice)
    assert "TLS failed" not in server.log.read_text()
