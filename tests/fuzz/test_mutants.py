"""Twenty thousand messages that are nearly right, against the server as its users start it."""

import contextlib
import os
import random
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sip.message.message import Response, parse
from tests.fuzz.mutator import mutant
from tests.support.programs import PATIENCE, own_address, until
from tests.support.server import Server
from tests.support.world import Phone, World

MUTANTS = 20_000
# Between two questions whether it is there still: what a receive buffer of the kernel holds.
AT_ONCE = 20
# What a mutant may cost, in seconds of the server's CPU.
MAX_CPU = 0.0015
# Growth of memory that a second pass may cause, in kB: half-empty blocks and the last read.
# Two hundred octets that each mutant left would be that much.
MAX_GROWTH = 4096
# Lines of the log in a second: refusals, one complaint, and a few others.
MAX_LINES = 25
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The real server, for the domain of the mutants; it keeps no messages in memory."""
    server = Server(tmp_path / "server", "-trace.memory", "0")
    server.domain = "example.com"
    server.has_users("alice", "bob")
    server.start()
    yield server
    server.close()  # which holds it to a clean end, and a log without a traceback


@dataclass
class Figures:
    """Return a value of the system about a process."""

    cpu: float  # seconds
    memory: int  # kB
    descriptors: int

    @classmethod
    def of(cls, server: Server) -> "Figures":
        assert server.process is not None
        assert server.process.poll() is None
        home = Path(f"/proc/{server.process.pid}")
        spent = (home / "stat").read_text().rpartition(")")[2].split()[11:13]
        memory = re.search(r"VmRSS:\s+(\d+)", (home / "status").read_text())
        assert memory is not None
        cpu = sum(map(int, spent)) / TICKS
        return cls(cpu, int(memory[1]), len(list((home / "fd").iterdir())))


def pass_of(server: Server, peer: socket.socket, numbers: range) -> tuple[float, Figures]:
    """Send mutants, and give the CPU that each has cost, and how the server is then."""
    before, heard = Figures.of(server), 0
    for number in numbers:
        peer.send(mutant(random.Random(number)))
        if number % AT_ONCE == 0:
            until(lambda: server.answers_options(1.0), "an answer to OPTIONS")
            heard += len(heard_by(peer))
    assert heard > len(numbers) / 4  # else they were not read
    after = Figures.of(server)
    return (after.cpu - before.cpu) / len(numbers), after


def heard_by(peer: socket.socket) -> list[bytes]:
    """The messages that have arrived meanwhile."""
    heard: list[bytes] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            heard.append(peer.recv(65_535))
    return heard


@pytest.fixture
def peer(server: Server) -> Iterator[socket.socket]:
    """The sender, at an address where bob has a phone, to which some are forwarded."""
    host = own_address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((host, 5060))
        peer.connect(("127.0.0.1", server.port))
        peer.settimeout(PATIENCE)
        bob = Phone(World(), "bob", (host, 5060))
        request = bob.request(
            "REGISTER", "sip:example.com", to=f"<{bob.aor}>", headers=(f"Contact: {bob.contact}",)
        )
        peer.send(request.encode())
        challenge = parse(peer.recv(65_535))
        assert isinstance(challenge, Response)
        peer.send(bob.with_credentials(request, challenge, server.password_of("bob")).encode())
        assert peer.recv(65_535).startswith(b"SIP/2.0 200 ")
        peer.setblocking(False)
        yield peer


@pytest.mark.alone
@pytest.mark.wire
def test_twenty_thousand_mutants_cost_little_and_leave_nothing(server: Server, peer):
    """RFC 4475 §1; the same again find a server that has grown no more, and is the same process."""
    process, began = server.process, time.monotonic()
    besieged(server, peer, MUTANTS, began)
    assert server.process is process
    assert process.poll() is None


@pytest.mark.siege
@pytest.mark.wire
@pytest.mark.timeout(1800)
def test_three_hundred_thousand_mutants_do_neither(server: Server, peer):
    """The same for longer; the figures are shown."""
    besieged(server, peer, 150_000, time.monotonic())


def besieged(server: Server, peer: socket.socket, count: int, began: float) -> None:
    """Send so many twice, and hold the server to its bounds."""
    cost, first = pass_of(server, peer, range(count))
    cost_again, second = pass_of(server, peer, range(count))
    lines = server.log.read_text().splitlines()
    seconds = time.monotonic() - began
    costs = f"{cost * 1e3:.2f} and {cost_again * 1e3:.2f} ms of CPU each"
    sizes = f"{first.memory} and {second.memory} kB, {len(lines)} lines logged"
    print(f"\n{count} mutants twice in {seconds:.0f} s: {costs}, {sizes}")
    assert max(cost, cost_again) < MAX_CPU
    assert second.memory - first.memory < MAX_GROWTH
    assert second.descriptors <= first.descriptors
    assert len(lines) < MAX_LINES * (seconds + 2)
    assert max(map(len, lines)) < 500
    server.has_no_traceback()


@pytest.mark.wire
def test_a_thousand_mutants_on_connections_leave_none_open(server: Server):
    """RFC 3261 §18.3: the rest of a stream without message boundaries is not read."""
    before, host = Figures.of(server), own_address()
    for number in range(1000):
        with (
            socket.create_connection(
                ("127.0.0.1", server.port), PATIENCE, source_address=(host, 0)
            ) as line,
            contextlib.suppress(ConnectionError),
        ):
            line.sendall(mutant(random.Random(number)))
            line.shutdown(socket.SHUT_WR)
            while line.recv(65_535):
                pass
    after = Figures.of(server)
    assert (after.cpu - before.cpu) / 1000 < 2 * MAX_CPU  # opening and closing included
    until(lambda: Figures.of(server).descriptors <= before.descriptors, "all are closed")
    assert server.answers_options(1.0)
