"""Fixtures of the attacks: the server as its users start it, and floods."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.programs import end
from tests.support.server import Server
from tests.wire.conftest import database, flags, line, machine, server, sipp

__all__ = ["database", "flags", "line", "machine", "server", "sipp"]

FLOOD = Path(__file__).parents[1] / "support/flood.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no other test run beside a flood."""
    for item in items:
        if "flood" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.alone)


@pytest.fixture
def flood(server: Server) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a flood: `flood("REGISTER", addresses=200)`; it ends by itself, or with the test."""
    with ExitStack() as started:

        def start(
            kind: str, *, addresses: int, seconds: float, rate: int, by: int = 1
        ) -> list[subprocess.Popen]:
            net = random.randint(100, 250)
            hosts = [f"127.{net}.{number >> 7}.{1 + (number & 127)}" for number in range(addresses)]
            words = [
                sys.executable,
                str(FLOOD),
                kind,
                server.address,
                str(seconds),
                str(rate // by),
            ]
            processes = []
            for _ in range(by):
                process = subprocess.Popen([*words, *hosts], stdout=subprocess.PIPE, text=True)
                started.callback(end, process, signal.SIGKILL)
                started.callback(process.stdout.close)
                processes.append(process)
            return processes

        yield start
