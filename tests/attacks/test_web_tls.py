"""Attacks on the web admin within TLS, and its answers without TLS."""

import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
import trustme

from tests.support.network import Machine
from tests.support.programs import until
from tests.support.server import Server
from tests.support.web_attacker import PASSWORD, Attacker, statuses, work_before_sip

pytestmark = pytest.mark.wire


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Server, ssl.SSLContext]]:
    """A server with TLS, and how to trust it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = Server(
        tmp_path / "server",
        *["-web.cert", str(tmp_path / "cert.pem"), "-web.key", str(tmp_path / "key.pem")],
    )
    server.environment["SIPSERVER_ADMIN_PASSWORD"] = PASSWORD
    server.start()
    yield server, trust
    server.close()


def page_by_tls(server: Server, trust: ssl.SSLContext) -> bytes:
    heard = b""
    with (
        socket.create_connection(("127.0.0.1", server.web_port), 10) as raw,
        trust.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while some := connection.recv(65_536):
            heard += some
    return heard


def test_tls_is_served_and_plain_http_gets_a_hint(secured):
    server, trust = secured
    page = page_by_tls(server, trust)
    assert statuses(page) == [200]
    assert b"\r\nStrict-Transport-Security: " in page
    plain = Attacker(server).asks("GET", "/login")
    assert statuses(plain) == [400]
    assert b"https://" in plain
    assert "HTTPS" in server.log.read_text()


def test_reload_takes_a_new_certificate_and_refuses_a_broken_one(secured, tmp_path):
    """SIGHUP, as a program that renews certificates sends it."""
    server, trust = secured
    key = tmp_path / "key.pem"
    good = key.read_bytes()
    key.write_text("no key")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "cannot reload the certificate" in server.log.read_text(), "it is refused")
    assert statuses(page_by_tls(server, trust)) == [200]
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(key)
    assert key.read_bytes() != good
    server.process.send_signal(signal.SIGHUP)
    authority.configure_trust(trust)

    def shows_the_new_one() -> bool:
        with (
            socket.create_connection(("127.0.0.1", server.web_port), 10) as raw,
            trust.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
        ):
            shown = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))
            return "".join(shown.split()) in "".join((tmp_path / "cert.pem").read_text().split())

    until(shows_the_new_one, "the new certificate is shown")
    server.has_no_traceback()


def test_hanging_handshakes_do_not_delay_others(secured):
    server, trust = secured
    attacker = Attacker(server)
    with ExitStack() as held:
        for number in range(300):
            connection = attacker.connects(f"127.0.7.{number % 3 + 1}")
            held.callback(connection.close)
            with suppress(OSError):
                connection.sendall([b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01"][number % 3])
        assert statuses(page_by_tls(server, trust)) == [200]
        assert work_before_sip(server) < 0.5


@pytest.mark.parametrize("wrong", ["missing", "swapped", "alone"])
def test_a_certificate_that_will_not_do_is_one_sentence(tmp_path, wrong):
    issued = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    flags = {
        "missing": ["-web.cert", str(tmp_path / "none.pem"), "-web.key", str(key)],
        "swapped": ["-web.cert", str(key), "-web.key", str(certificate)],
        "alone": ["-web.cert", str(certificate)],
    }[wrong]
    server = Server(tmp_path / "server", *flags)
    with pytest.raises(AssertionError, match=f"it ended with {2 if wrong == 'alone' else 1}"):
        server.start()
    lines = server.log.read_text().splitlines()
    (sentence,) = [line for line in lines if line.startswith("sipserver.py: ")]
    assert "cert" in sentence
    server.has_no_traceback()


def test_a_public_unencrypted_admin_warns_at_its_start(tmp_path):
    """It listens on a machine of its own, without a route to it."""
    with closing(Machine("127.0.0.1")) as machine:
        server = Server(tmp_path / "server", "-web.addr", "0.0.0.0:8080", machine=machine)
        server.start()
        server.stop()
        assert server.log.read_text().count("is not encrypted: set -web.cert and -web.key") == 1
