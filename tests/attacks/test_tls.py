"""Attacks on SIP over TLS: handshakes that never end, and floods of them."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from sip.transport.handshakes import MAX_HANDSHAKES, MAX_HANDSHAKES_FROM_ADDRESS
from tests.support.certificates import Certificates
from tests.support.programs import until
from tests.support.server import Server

pytestmark = pytest.mark.wire

ADDRESSES = 15
NAME = "127.0.0.1"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def server(tmp_path: Path, certificates: Certificates) -> Iterator[Server]:
    server = Server(tmp_path / "server", *certificates.flags(NAME))
    server.start()
    yield server
    server.close()


def client_hello() -> bytes:
    """The first octets of a TLS client."""
    arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(arrived, leaving, server_hostname="sip.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return leaving.read()


def test_half_handshakes_take_no_place_of_a_phone(server: Server, certificates: Certificates):
    """They are more than the server keeps: it ends the oldest, and answers all others."""
    hello = client_hello()
    trust = ssl.create_default_context(cafile=str(certificates.ca))
    with ExitStack() as stack:
        halves = []
        for number in range(2, 2 + ADDRESSES):
            for _ in range(MAX_HANDSHAKES_FROM_ADDRESS):
                address = NAME, server.tls_port
                half = socket.create_connection(address, 10, (f"127.0.0.{number}", 0))
                halves.append(stack.enter_context(half))
                half.sendall(hello)
        until(lambda: server.answers_options(seconds=2), "an answer to OPTIONS")
        until(lambda: is_answered(server, trust), "an answer within TLS")
        for half in halves[: len(halves) - MAX_HANDSHAKES]:
            while half.recv(65_536):  # the flight of the server, and then the end
                pass


def is_answered(server: Server, trust: ssl.SSLContext) -> bool:
    """Return True if a phone gets an answer; during an overload it tries again."""
    address = NAME, server.tls_port
    with (
        suppress(OSError),
        socket.create_connection(address, 10) as raw,
        trust.wrap_socket(raw, server_hostname=NAME) as phone,
    ):
        phone.sendall(b"\r\n\r\n")
        return phone.recv(10) == b"\r\n"
    return False
