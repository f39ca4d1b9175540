"""CPU time of a request on each transport, and the memory of an idle WebSocket.

    python bench/transports.py [--rounds 5] [--number 5000] [--idle 200]

A server answers OPTIONS on UDP, TCP, TLS, WS and WSS in turns, one after the other.  The figures are its CPU time for each request and its answer, and the ratio to UDP; trust the
ratios.  Idle WebSockets are opened from several addresses, because each has a limit.
"""

import argparse
import os
import socket
import ssl
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import python_build
from sip.transport.tcp import MAX_CONNECTIONS_FROM_ADDRESS
from tests.support.certificates import Certificates
from tests.support.server import Server
from tests.support.server_load import cpu_seconds, memory_mb
from tests.support.websocket_phone import WebSocketClient

HOST = "127.0.0.1"
TRANSPORTS = ("UDP", "TCP", "TLS", "WS", "WSS")


class Socket(Protocol):
    """What requests are sent on: a socket, or a WebSocket."""

    def send(self, data: bytes) -> object: ...
    def recv(self, size: int) -> bytes: ...
    def close(self) -> None: ...


def connect(server: Server, plain: Server, transport: str) -> Socket:
    """Open a socket of a transport; `plain` is a server whose pages are not encrypted."""
    if transport in ("WS", "WSS"):
        is_secure = transport == "WSS"
        return WebSocketClient((server if is_secure else plain).web_port, is_secure=is_secure)
    if transport == "UDP":
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.connect((HOST, server.port))
        return udp
    tcp = socket.create_connection((HOST, server.tls_port if transport == "TLS" else server.port))
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if transport == "TCP":
        return tcp
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(tcp)


def request(transport: str, domain: str) -> bytes:
    """Return an OPTIONS that the server answers itself."""
    unique = os.urandom(8).hex()
    lines = [
        f"OPTIONS sip:{domain} SIP/2.0",
        f"Via: SIP/2.0/{transport} {HOST}:5060;branch=z9hG4bK{unique};rport",
        "Max-Forwards: 70",
        f"From: <sip:probe@{domain}>;tag={unique}",
        f"To: <sip:{domain}>",
        f"Call-ID: {unique}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def ask(opened: Socket, transport: str, domain: str, number: int) -> None:
    """Send requests, each after the answer to the one before."""
    for _ in range(number):
        opened.send(request(transport, domain))
        if not opened.recv(65_535).startswith(b"SIP/2.0 200 "):
            raise RuntimeError(f"another answer than 200 on {transport}")


@contextmanager
def servers(home: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers: with a certificate, and with pages that are not encrypted."""
    home.joinpath("ca").mkdir()
    certificates = Certificates(home / "ca")
    made = (
        Server(home / "secure", *certificates.flags(HOST, part="web")),
        Server(home / "plain"),
    )
    with ExitStack() as stack:
        for server in made:
            server.start()
            stack.callback(server.close)
        yield made


def costs(secure: Server, plain: Server, rounds: int, number: int) -> dict[str, list[float]]:
    """Return the microseconds of a request by transport, one figure for each round."""
    found: dict[str, list[float]] = {transport: [] for transport in TRANSPORTS}
    with ExitStack() as stack:
        opened = {
            transport: stack.enter_context(closing(connect(secure, plain, transport)))
            for transport in TRANSPORTS
        }
        for each in range(rounds + 1):
            for transport, one in opened.items():
                server = plain if transport == "WS" else secure
                before = cpu_seconds(server)
                ask(one, transport, server.domain, number)
                if each:  # the first round fills the caches
                    found[transport].append((cpu_seconds(server) - before) / number * 1e6)
    return found


def idle_kb(server: Server, number: int, *, is_secure: bool) -> float:
    """Return the kB of resident memory for each WebSocket that says nothing."""
    with ExitStack() as stack:
        before = memory_mb(server)
        for index in range(number):
            host = f"127.0.0.{2 + index // (MAX_CONNECTIONS_FROM_ADDRESS - 1)}"
            client = WebSocketClient(server.web_port, is_secure=is_secure, host=host)
            stack.enter_context(closing(client))
        return (memory_mb(server) - before) * 1024 / number


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--number", type=int, default=5000)
    parser.add_argument("--idle", type=int, default=200)
    options = parser.parse_args()
    print(python_build.heading())
    with tempfile.TemporaryDirectory() as home, servers(Path(home)) as (secure, plain):
        found = costs(secure, plain, options.rounds, options.number)
        least = statistics.median(found["UDP"])
        for transport, figures in found.items():
            middle = statistics.median(figures)
            print(f"{transport:4} {middle:6.0f} µs a request, {middle / least:4.2f} of UDP")
        for server, name in ((plain, "WS"), (secure, "WSS")):
            used = idle_kb(server, options.idle, is_secure=name == "WSS")
            print(f"{name:4} {used:6.1f} kB for each idle connection")


if __name__ == "__main__":
    main()
