"""A TcpCarrier that listens on loopback: real sockets, no server."""

import socket as plain_socket
from dataclasses import dataclass, field

import gevent
from gevent import socket

from sip.message.framing import BadStream
from sip.transport.flow import Flow
from sip.transport.tcp import TcpCarrier
from tests.support.udp_client import until

HOST = "127.0.0.1"


def message(text: str = "hello", body: bytes = b"") -> bytes:
    return f"{text} SIP/2.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class ListeningCarrier:
    """A TcpCarrier that listens, the messages that it has received, and a test clock."""

    now: float = 100.0
    heard: list[tuple[bytes, Flow]] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)  # by their number
    refused: list[BadStream] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.handler = lambda data, flow: None
        self.streams = TcpCarrier(
            self.receive,
            self.closed.append,
            self.refuse,
            lambda flow: True,
            lambda flow: False,
            lambda: self.now,
        )
        self.port = self.streams.listen((HOST, 0)).local[1]
        self.streams.start()

    def receive(self, data: bytes, flow: Flow) -> None:
        self.heard.append((data, flow))
        self.handler(data, flow)

    def refuse(self, bad: BadStream, flow: Flow) -> None:
        self.refused.append(bad)
        self.streams.send(b"refused", flow)

    def connect(self, host: str = HOST) -> socket.socket:
        peer = socket.create_connection((HOST, self.port), 10.0, (host, 0))
        self.peers.append(peer)
        return peer

    peers: list[socket.socket] = field(default_factory=list)

    def hears(self, count: int) -> list[bytes]:
        until(lambda: len(self.heard) >= count)
        return [data for data, _ in self.heard]

    @property
    def held(self) -> int:
        gevent.sleep(0.02)
        return len(self.streams.connections)


def listens() -> tuple[plain_socket.socket, tuple[str, int]]:
    server = socket.socket()
    server.bind((HOST, 0))
    server.listen(5)
    server.settimeout(10.0)
    return server, server.getsockname()
