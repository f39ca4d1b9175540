"""What is measured of a server from outside: CPU time, memory, and how long it lets one wait."""

import collections
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.servers import Server

PROBE_PROCESS = Path(__file__).with_name("probe_process.py")

_OF_A_PROCESS = 2  # the clock of all threads of a process, by the scheduler (linux/posix-timers.h)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that these processes have used, ended threads included.

    From the kernel's POSIX clock of each process, which counts nanoseconds; utime and stime
    count ticks of 10 ms, and schedstat forgets the threads that have ended.
    """
    return sum(time.clock_gettime((~pid << 3) | _OF_A_PROCESS) for pid in pids)


def core_seconds(core: int) -> float:
    """Time that a core was not idle, for whomever, and that the host gave to other machines."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _waiting, *rest = map(int, ticks[:8])
            return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
    raise ValueError(f"there is no core {core}")


def memory_bytes(pids: list[int]) -> dict[str, int]:
    """Memory of these processes.

    `rss` counts a shared page in each of them, `pss` each one's share of it; `own` is what is
    theirs alone, written by them: it does not change when others map the same libraries.
    """
    sums: collections.Counter[str] = collections.Counter()
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            sums[name] += 1024 * int(value.split()[0])
    own = sums["Pss_Anon"] + sums["Pss_Shmem"]
    return {"rss": sums["Rss"], "pss": sums["Pss"], "own": own}


class Prober:
    """Asks OPTIONS all the time, from a process of its own; `waits` are seconds, once it has ended."""

    def __init__(self, server: Server, every: float) -> None:
        """Ask `server`, and rest for `every` seconds between an answer and the next question."""
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
        """End it, which it does when its input ends, and take its figures."""
        text, _ = self.process.communicate("", timeout=20)
        self.waits = json.loads(text)

    def summary(self) -> dict[str, float]:
        """Milliseconds: the median, what 99 % stay below, and the longest."""
        waits = sorted(1e3 * wait for wait in self.waits)
        return {
            "count": len(waits),
            "median": statistics.median(waits),
            "p99": waits[int(0.99 * (len(waits) - 1))],
            "longest": waits[-1],
        }


def pin(core: int) -> None:
    """Keep this process, and all that it starts from now on, on one core."""
    os.sched_setaffinity(0, {core})
