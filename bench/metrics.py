"""Metrics of a server, measured from outside: CPU time, memory, and latency of OPTIONS."""

import collections
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.servers import LOAD_CORE, SERVER_CORE, Server

PROBE_PROCESS = Path(__file__).with_name("probe_process.py")

_OF_A_PROCESS = 2  # the clock of all threads of a process, by the scheduler (linux/posix-timers.h)


def cpu_seconds(pids: list[int]) -> float:
    """Return user and system time of these processes, including threads that have ended.

    It is read from the kernel's POSIX clock of each process, in nanoseconds: utime and stime count
    ticks of 10 ms, and schedstat does not include ended threads.
    """
    return sum(time.clock_gettime((~pid << 3) | _OF_A_PROCESS) for pid in pids)


def core_seconds(core: int) -> float:
    """Return the time that a core was not idle, including time that the host gave to others."""
    user, nice, system, _idle, _waiting, *rest = _core_ticks(f"cpu{core}")
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def foreign_seconds() -> float:
    """Return the CPU time of all processes but this one and its descendants, and of the host.

    It is the sum over the processes, with the children that each has waited for.  The time of whole
    cores in /proc/stat, less our own, could fall below zero: it counts ticks by sampling.
    """
    parents: dict[int, int] = {}
    spent: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()  # the name may contain spaces
        except OSError:  # it has ended
            continue
        pid = int(file.parent.name)
        parents[pid] = int(fields[1])
        spent[pid] = sum(map(int, fields[11:15]))  # utime, stime, cutime and cstime
    foreign = sum(ticks for pid, ticks in spent.items() if not _is_ours(pid, parents))
    return (foreign + _core_ticks("cpu")[7]) / os.sysconf("SC_CLK_TCK")  # [7] is steal


def _is_ours(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        if pid == os.getpid():
            return True
        pid = parents[pid]
    return False


@dataclass
class Usage:
    """CPU that was used during a load; all values in seconds."""

    length: float = 0.0
    server: float = 0.0
    others: float = 0.0  # of other processes, on the server's core
    load: float = 0.0  # on the core of the load
    foreign: float = 0.0  # of processes outside this benchmark, on all cores


@contextlib.contextmanager
def usage(server: Server) -> Iterator[Usage]:
    """Measure what a load on `server` uses; the figures are complete when the context ends."""
    pids = server.pids()

    def now() -> list[float]:
        cores = core_seconds(SERVER_CORE), core_seconds(LOAD_CORE)
        return [time.monotonic(), cpu_seconds(pids), *cores, foreign_seconds()]

    used, before = Usage(), now()
    yield used
    length, spent, core, load, foreign = (b - a for a, b in zip(before, now(), strict=True))
    used.length, used.server, used.load = length, spent, load
    used.others, used.foreign = max(0.0, core - spent), max(0.0, foreign)


def _core_ticks(name: str) -> list[int]:
    """Return the ticks of a line of /proc/stat, "cpu" for all cores: user, nice, system, idle …"""
    for line in Path("/proc/stat").read_text().splitlines():
        found, *ticks = line.split()
        if found == name:
            return [int(each) for each in ticks[:8]]
    raise ValueError(f"/proc/stat has no line {name}")


def memory_bytes(pids: list[int]) -> dict[str, int]:
    """Return the memory of these processes.

    `rss` counts a shared page in each process, `pss` counts the share of each.  `own` counts only
    pages that they have written: it does not change if other processes map the same libraries.
    """
    sums: collections.Counter[str] = collections.Counter()
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            sums[name] += 1024 * int(value.split()[0])
    own = sums["Pss_Anon"] + sums["Pss_Shmem"]
    return {"rss": sums["Rss"], "pss": sums["Pss"], "own": own}


class Prober:
    """Sends OPTIONS all the time, in a separate process; at its end, `waits` are in seconds."""

    def __init__(self, server: Server, every: float) -> None:
        """Probe `server`, with a pause of `every` seconds after each response."""
        host, port = server.address.split(":")
        self.command = [sys.executable, str(PROBE_PROCESS), host, port, str(every)]
        self.waits: list[float] = []

    def __enter__(self) -> "Prober":
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process.stdout.readline()  # it has begun
        return self

    def __exit__(self, *_: object) -> None:
        """End the process by closing its input, and read its figures."""
        text, _ = self.process.communicate("", timeout=20)
        self.waits = json.loads(text)

    def summary(self) -> dict[str, float]:
        """Return the median, the 99th percentile and the maximum, in milliseconds."""
        waits = sorted(1e3 * wait for wait in self.waits)
        return {
            "count": len(waits),
            "median": statistics.median(waits),
            "p99": waits[int(0.99 * (len(waits) - 1))],
            "longest": waits[-1],
        }


def pin(core: int) -> None:
    """Pin this process, and all processes that it starts later, to one core."""
    os.sched_setaffinity(0, {core})
