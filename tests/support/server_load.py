"""CPU time and memory that a running server uses."""

import os
import time
from pathlib import Path

from tests.support.programs import until
from tests.support.server import Server


def cpu_seconds(server: Server) -> float:
    """Return the CPU time that a server has used so far, in seconds."""
    return _seconds(Path(f"/proc/{server.process.pid}/stat"))


def main_thread_cpu_seconds(server: Server) -> float:
    """Return the CPU seconds of its main thread alone, which handles every message."""
    pid = server.process.pid
    return _seconds(Path(f"/proc/{pid}/task/{pid}/stat"))


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of_a_unit() -> float:
    """Return the CPU seconds that a fixed piece of Python takes on this machine now.

    A busy machine does less in a second of a processor, since caches, clock and the other half of
    a core are shared.  A bound in units, measured beside the server, allows for that.
    """
    began = time.process_time()
    rows: dict[str, tuple[int, str]] = {}
    for number in range(100_000):
        name = f"user{number}@example.test"
        rows[name] = number, name.partition("@")[0]
    assert sum(number for number, _ in rows.values()) == 4_999_950_000
    return time.process_time() - began


MEMORY_MB = 38  # growth of the server that a flood may cause; 7 of it are kept messages


def memory_mb(server: Server) -> float:
    """Return the resident memory of the server, in MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def work_before_an_answer(server: Server) -> float:
    """Return the CPU seconds that the server uses until it answers an OPTIONS.

    It is asked again every half second, as RFC 3261 §17.1.2.2 has it.
    """
    before = cpu_seconds(server)
    until(lambda: server.answers_options(seconds=0.5), "an answer to OPTIONS")
    return cpu_seconds(server) - before
