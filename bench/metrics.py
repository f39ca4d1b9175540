"""Metrics of a server, measured from outside: CPU time, memory, and latency of OPTIONS."""

import collections
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.servers import Server

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
    return _busy_seconds(f"cpu{core}")


def foreign_seconds(pids: list[int]) -> float:
    """Return the time that all cores together worked for others than this process and `pids`.

    Children of this process that have ended count as its own.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time() + ended.ru_utime + ended.ru_stime + cpu_seconds(pids)
    return _busy_seconds("cpu") - own


def _busy_seconds(wanted: str) -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == wanted:
            user, nice, system, _idle, _waiting, *rest = map(int, ticks[:8])
            return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
    raise ValueError(f"/proc/stat has no line {wanted}")


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
