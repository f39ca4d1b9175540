"""Fixtures for the tests of transports."""

import gevent
import pytest
from gevent import socket

from tests.support.tcp_fixture import ListeningCarrier
from tests.support.udp_client import UdpClient


@pytest.fixture
def ears():
    """Make sockets that listen; they are closed afterwards."""
    made: list[UdpClient] = []

    def listen(host: str = "127.0.0.1") -> UdpClient:
        made.append(UdpClient(host))
        return made[-1]

    yield listen
    for ear in made:
        ear.socket.stop()
    gevent.sleep(0)


@pytest.fixture
def peers():
    """Make sockets of peers; they are closed afterwards."""
    made: list[socket.socket] = []

    def peer(host: str = "127.0.0.1", *, port: int = 0) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, port))
        sock.settimeout(10.0)
        made.append(sock)
        return sock

    yield peer
    for sock in made:
        sock.close()


@pytest.fixture
def place():
    made = ListeningCarrier()
    yield made
    for peer in made.peers:
        peer.close()
    made.streams.stop()
    gevent.sleep(0)
