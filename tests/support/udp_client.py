"""A UDP socket of the server on loopback that records what it receives."""

import socket
import time

import gevent
import pytest

from sip.transport.flow import Flow
from sip.transport.udp import UdpSocket


def has_ipv6() -> bool:
    """Return True if this machine has the loopback address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")

CLOSED = ("127.0.0.1", 9)  # the discard port, where no process listens


class UdpClient:
    """A UdpSocket, and the datagrams that it has received."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.heard: list[tuple[bytes, Flow]] = []
        self.lost: list[bytes] = []
        self.handler = lambda data, flow: None
        self.wakes = 0
        self.socket = UdpSocket((host, 0), self.receive, self.lost.append)
        readable = self.socket._readable

        def counted() -> None:
            self.wakes += 1
            readable()

        self.socket._readable = counted
        self.socket.start()

    @property
    def port(self) -> int:
        return self.socket.port

    def receive(self, data: bytes, flow: Flow) -> None:
        self.heard.append((data, flow))
        self.handler(data, flow)

    def hears(self, count: int) -> list[bytes]:
        """Wait until so many datagrams have come."""
        until(lambda: len(self.heard) >= count)
        return [data for data, _ in self.heard]


def until(condition, seconds: float = 10.0) -> None:
    """Let the loop run until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never was so"
        gevent.sleep(0.001)


class OddError(BaseException):
    """No Exception, as gevent.Timeout is none."""
