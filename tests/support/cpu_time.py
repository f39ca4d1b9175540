"""What a running server takes of its machine."""

import os
import time
from pathlib import Path

from tests.support.server import Server


def cpu_seconds(server: Server) -> float:
    """The time of a processor that a server has taken so far."""
    return _seconds(Path(f"/proc/{server.process.pid}/stat"))


def main_thread_cpu_seconds(server: Server) -> float:
    """The same of its main thread alone, in which every message is handled."""
    pid = server.process.pid
    return _seconds(Path(f"/proc/{pid}/task/{pid}/stat"))


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of_a_unit() -> float:
    """The time of a processor that a fixed piece of Python takes on this machine just now.

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
