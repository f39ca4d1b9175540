"""CPU time of a start: of the help, of two commands, and of the server until it answers OPTIONS.

    python bench/startup.py [--runs 10] [--cold]

Each run is a new process, in turns; the database was made by an earlier start and has no accounts.
The figures are user and system time of all threads, in seconds.  All modules have bytecode; with
--cold those of this project have none, and are compiled each time.
"""

import argparse
import compileall
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench import python_build
from bench.metrics import cpu_seconds
from tests.support.programs import end, free_port, free_port_of_both, start, tail

HOST = "127.0.0.1"
SOURCES = ("sip", "webadmin", "views")
COMMANDS = ("-help", "users list", "bans list")
PROBE_SECONDS = 0.002  # between two OPTIONS
ANSWERED_WITHIN = 30.0  # seconds
OPTIONS = (
    "OPTIONS sip:{host} SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch=z9hG4bKstart{number};rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:probe@{host}>;tag=start\r\nTo: <sip:{host}>\r\n"
    "Call-ID: start{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class Installation:
    """A copy of the server in `home`, with or without bytecode, and its database."""

    def __init__(self, home: Path, *, cold: bool) -> None:
        self.home = home
        self.log = home / "server.log"
        for name in SOURCES:
            shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "sipserver.py", home)
        if not cold:
            compileall.compile_dir(home, quiet=1)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SIPSERVER_")}
        self.environment = kept | {"PYTHONDONTWRITEBYTECODE": "1"}  # cold stays cold
        self.command = [sys.executable, "sipserver.py", "-db.path", str(home / "users.db")]

    def run(self, command: str) -> float:
        """Run a command to its end, and return its CPU time."""
        before = ended_children_seconds()
        subprocess.run(
            [*self.command, *command.split()],
            cwd=self.home,
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return ended_children_seconds() - before

    def first_answer(self) -> float:
        """Start the server, and return its CPU time when it has answered OPTIONS; end it."""
        port, web_port = free_port_of_both(HOST), free_port(socket.SOCK_STREAM)
        addresses = ["-sip.addr", f"{HOST}:{port}", "-web.addr", f"{HOST}:{web_port}"]
        process = start([*self.command, *addresses], self.log, cwd=self.home, env=self.environment)
        try:
            give_up_at = time.monotonic() + ANSWERED_WITHIN
            number = 0
            while process.poll() is None and time.monotonic() < give_up_at:
                number += 1
                if is_answered(OPTIONS.format(host=HOST, number=number), port):
                    return cpu_seconds([process.pid])
            raise SystemExit(f"the server did not answer:\n{tail(self.log)}")
        finally:
            end(process, signal.SIGTERM)


def is_answered(request: str, port: int) -> bool:
    """Return True if the server at `port` answers a request at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        probe.connect((HOST, port))
        try:
            probe.send(request.encode())
            return bool(probe.recv(65535))
        except ConnectionRefusedError:  # the port is not open yet
            time.sleep(PROBE_SECONDS)
        except TimeoutError:
            pass
        return False


def ended_children_seconds() -> float:
    """Return the CPU time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=10, help="processes of each kind")
    parser.add_argument("--cold", action="store_true", help="no bytecode of this project")
    options = parser.parse_args()
    print(python_build.heading())
    seconds: dict[str, list[float]] = {name: [] for name in (*COMMANDS, "first OPTIONS")}
    with tempfile.TemporaryDirectory() as home:
        server = Installation(Path(home) / "server", cold=options.cold)
        server.first_answer()  # makes the database
        for _ in range(options.runs):
            for command in COMMANDS:
                seconds[command].append(server.run(command))
            seconds["first OPTIONS"].append(server.first_answer())
    bytecode = "cold" if options.cold else "warm"
    print(f"bytecode {bytecode}")
    print(f"{'CPU seconds':16} {'median':>8} {'least':>8} {'most':>8}")
    for name, values in seconds.items():
        row = (statistics.median(values), min(values), max(values))
        print(f"{name:16} " + " ".join(f"{value:8.3f}" for value in row))


if __name__ == "__main__":
    main()
