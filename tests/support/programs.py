"""Start programs on addresses of their own, wait for them, and end them by pid."""

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds; what takes longer on a loopback is lost, not late


def own_address(neighbour: str = "") -> str:
    """An address of the loopback network that no other process uses, all its ports free.

    A phone with an address of its own may use the ports of the book, and what leaves
    from a wrong address shows.  127.0.x.x is left to the server.  The address is in the /24 of
    `neighbour`, if one is given.
    """
    near = neighbour.rpartition(".")[0]
    while True:
        network = near or f"127.{random.randint(1, 254)}.{random.randint(0, 255)}"
        address = f"{network}.{random.randint(1, 254)}"
        if _is_free(address, socket.SOCK_DGRAM) and _is_free(address, socket.SOCK_STREAM):
            return address


def _is_free(address: str, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((address, 5060))
        except OSError:
            return False
    return True


# Below those that the system assigns by itself (net.ipv4.ip_local_port_range).
PORTS = (16_000, 32_000)


def _own_ports() -> list[int]:
    """The ports of this process of pytest, in any order; another one has other ports."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = list(range(PORTS[0] + number, PORTS[1], count))
    random.shuffle(ports)
    return ports


# None is given twice until all were: a server may not have opened its own yet.
_PORTS = itertools.cycle(_own_ports())


def free_port(kind: socket.SocketKind, address: str = "127.0.0.1") -> int:
    """A port that was free a moment ago, and that the system does not assign by itself."""
    while True:
        port = next(_PORTS)
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            probe.bind((address, port))
            return port


def free_port_of_both(address: str = "127.0.0.1") -> int:
    """A port that is free for datagrams and for connections."""
    while True:
        port = free_port(socket.SOCK_DGRAM, address)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.bind((address, port))
            return port


def program(name: str) -> str:
    """The path of an installed program; one that is missing fails the test, it doesn't skip it."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")  # nft is in there
    assert path, (
        f"the program {name} is not installed "
        "(apt-get install sip-tester baresip-core chromium nftables iproute2 conntrack tshark"
        " linphone-cli nginx-light rtpengine-daemon)"
    )
    return path


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until `condition` holds; fail, saying `what` never came, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)


def start(command: list[str], output: Path, **options) -> subprocess.Popen:
    """Start a program that writes what it has to say to the file `output`."""
    with output.open("ab") as file:
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", file)
        return subprocess.Popen(command, stderr=file, **options)


def end(process: subprocess.Popen, by: signal.Signals, seconds: float = PATIENCE) -> int:
    """End a process that we started, and return its exit code (negative: minus the signal)."""
    if process.poll() is None:
        process.send_signal(by)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{process.args} outlived {by.name} by {seconds:g} s") from None
    return process.returncode


def tail(file: Path, lines: int = 40) -> str:
    """The end of a log, for the message of a test that failed."""
    if not file.exists():
        return f"({file.name} was never written)"
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
