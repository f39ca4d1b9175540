"""SIP over TLS with programs that we did not write: openssl and phones (RFC 3261 §26.2)."""

import subprocess
from pathlib import Path

import pytest

from tests.support.baresip import Baresip, BaresipTls
from tests.support.certificates import Certificates
from tests.support.phone_calls import part, talk_and_hear
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


def test_baresip_registers_and_calls_over_tls(server: Server, registered):
    alice, bob = registered(BaresipTls, "alice"), registered(Baresip, "bob")
    talk_and_hear(alice, bob)
    part(alice, bob)
    talk_and_hear(bob, alice)
    part(bob, alice)
