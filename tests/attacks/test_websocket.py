"""Attacks on SIP over WebSocket: frames that never end, floods of pings, half handshakes."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Ping

from sip.transport.tcp import MAX_CONNECTIONS_FROM_ADDRESS
from tests.support.programs import until
from tests.support.server import Server
from tests.support.server_load import memory_mb
from tests.support.websocket_phone import WebSocketClient, WebSocketPhone

pytestmark = pytest.mark.wire

PINGS = 100_000
HALF_HANDSHAKE = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nSec-Web"
# The head of a masked frame of 60,000 octets, and the first of these.
HALF_FRAME = b"\x81\xfe\xea\x60" + b"mask" + b"INVITE"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    server.has_users("alice")
    server.start()
    yield server
    server.has_no_traceback()
    server.close()


def is_registered(server: Server) -> bool:
    with suppress(OSError), closing(WebSocketPhone(server, "alice", 2.0)) as phone:
        return phone.registers() == 200
    return False


def test_half_frames_take_no_place_of_a_phone(server: Server):
    """An address has so many connections at most; the others get their answers."""
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS_FROM_ADDRESS):
            client = WebSocketClient(server.web_port, is_secure=False, host="127.0.0.2")
            stack.enter_context(closing(client)).socket.sendall(HALF_FRAME)
        late = WebSocketClient(server.web_port, is_secure=False, host="127.0.0.2")
        assert stack.enter_context(closing(late)).socket.recv(1) == b""
        assert is_registered(server)


def test_half_handshakes_lock_no_browser_out(server: Server):
    with ExitStack() as stack:
        for _ in range(200):
            with suppress(OSError):
                half = socket.create_connection(
                    ("127.0.0.1", server.web_port), 10, ("127.0.0.2", 0)
                )
                stack.enter_context(half).sendall(HALF_HANDSHAKE)
        until(lambda: is_registered(server), "a phone in a browser")


def test_floods_of_frames_cost_no_other_phone(server: Server):
    """A client that reads no pong gets none in memory; phones are answered meanwhile."""
    flood = Connection(ConnectionType.CLIENT).send(Ping(payload=b"x" * 125)) * 100
    before = memory_mb(server)
    client = WebSocketClient(server.web_port, is_secure=False, host="127.0.0.2")
    with closing(client):
        client.socket.settimeout(2.0)
        with suppress(OSError):  # it is held up, or closed
            for _ in range(PINGS // 100):
                client.socket.sendall(flood)
        assert is_registered(server)
    assert memory_mb(server) - before < 8
