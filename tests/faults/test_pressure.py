"""Descriptors run out, peers are slow or silent by the hundred: others are served, and it rests."""

import contextlib
import os
import resource
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.network import Loopback
from tests.support.programs import PATIENCE, program, until
from tests.support.raw_tcp import TcpClient
from tests.support.server import Server
from tests.support.server_load import cpu_seconds

# Of one processor, by a server that has nothing to do but wait: its timers take about 1 %.
REST = 0.25
WATCHED = 2.0  # seconds


def rests(server: Server) -> bool:
    """Watch it for a while: it doesn't turn in circles."""
    before = cpu_seconds(server)
    time.sleep(WATCHED)
    return cpu_seconds(server) - before < REST * WATCHED


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def web_answers(server: Server, seconds: float = PATIENCE) -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"{server.web_url}/healthz", timeout=seconds) as answer,
    ):
        return answer.read() == b"ok"
    return False


@pytest.fixture
def line(server: Server) -> Iterator[Callable[[], TcpClient]]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(TcpClient(server)))


@pytest.fixture
def opened() -> Iterator[Callable[[int, str], socket.socket]]:
    """Open a connection to a port, from an address of the loopback network."""
    with contextlib.ExitStack() as stack:

        def connect(port: int, host: str) -> socket.socket:
            made = socket.create_connection(("127.0.0.1", port), 5, source_address=(host, 0))
            return stack.enter_context(made)

        yield connect


def test_udp_is_served_without_descriptors(server: Server, registered, opened, line):
    """Connections are served once there are descriptors: it retries now and then, no more."""
    alice, bob = registered("alice"), registered("bob")
    call, _ = alice.calls(bob)
    pid = server.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(server), hard))
    waiting = [opened(port, "127.0.0.7") for port in (server.port, server.web_port) * 5]
    assert rests(server)
    assert server.answers_options(PATIENCE)
    alice.invites_again(call, bob)
    alice.hangs_up(call, bob)
    again, _ = bob.calls(alice)
    bob.hangs_up(again, alice)
    assert alice.registers() == 200
    lines = [line for line in server.log.read_text().splitlines() if " WARNING " in line]
    assert 2 <= len(lines) <= 20
    assert all("Too many open files" in line for line in lines)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    assert line().asks() == 200
    assert web_answers(server)
    assert len(waiting) == 10
    server.has_no_traceback()


class FewDescriptors(Loopback):
    """This machine, where a process may open no more than some shells allow."""

    enter = (program("prlimit"), "--nofile=450:450")


def test_connections_leave_descriptors_to_all_else(tmp_path: Path, opened):
    """Phones on TCP can't take those of the pages, nor both of them those of the database."""
    server = Server(tmp_path / "server", machine=FewDescriptors())
    server.start()
    try:
        for number in range(2, 12):
            for _ in range(25):
                opened(server.web_port, f"127.0.3.{number}")
                with contextlib.suppress(ConnectionError):
                    opened(server.port, f"127.0.4.{number}")
        assert server.answers_options(PATIENCE)
        assert web_answers(server)
        assert "connection limit 66 " in server.log.read_text()
        assert "Too many open files" not in server.log.read_text()
    finally:
        server.close()


def test_hundreds_of_slow_peers_delay_no_other(server: Server, registered, opened, line):
    """Half a message, half a page's head, and nothing at all: each has its bound."""
    alice, bob = registered("alice"), registered("bob")
    for number in range(2, 6):
        for kind in range(30):
            sip = opened(server.port, f"127.0.1.{number}")
            web = opened(server.web_port, f"127.0.2.{number}")
            if kind % 3:
                sip.send(b"INVITE sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/T"[: 9 + kind])
                web.send(b"GET /users HTTP/1.1\r\nHost: a"[: 4 + kind % 25])
    assert rests(server)
    assert line().asks() == 200
    assert web_answers(server)
    call, _ = alice.calls(bob)
    alice.hangs_up(call, bob)
    assert server.answers_options(PATIENCE)


def test_a_web_client_that_reads_nothing_delays_no_other(server: Server, opened):
    slow = [opened(server.web_port, "127.0.2.9") for _ in range(20)]
    for one in slow:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(200):
                one.send(b"GET /static/vendor/htmx/htmx.min.js HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: web_answers(server), "a page for another browser")
    assert server.answers_options(PATIENCE)
    until(lambda: rests(server), "it rests once it has sent what the buffers take")
