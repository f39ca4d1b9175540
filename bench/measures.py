"""What is measured of a server from outside: CPU time, memory, and how long it lets one wait."""

import os
import threading
import time
from pathlib import Path

from bench.phones import Phone

_OF_A_PROCESS = 2  # the clock of all threads of a process, by the scheduler (linux/posix-timers.h)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that these processes have used, ended threads included.

    From the kernel's POSIX clock of each process, which counts nanoseconds; utime and stime
    count ticks of 10 ms, and schedstat forgets the threads that have ended.
    """
    return sum(time.clock_gettime((~pid << 3) | _OF_A_PROCESS) for pid in pids)


def memory_bytes(pids: list[int]) -> dict[str, int]:
    """Resident memory of these processes: `rss` counts shared pages in each, `pss` their share."""
    total = {"rss": 0, "pss": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            if name.lower() in total:
                total[name.lower()] += int(value.split()[0]) * 1024
    return total


class Prober(threading.Thread):
    """Asks OPTIONS all the time; `waits` is how many seconds each answer took."""

    def __init__(self, server: tuple[str, int], every: float) -> None:
        """Ask `server`, and rest for `every` seconds between an answer and the next question."""
        super().__init__(daemon=True)
        self.server, self.every = server, every
        self.waits: list[float] = []
        self.lost = 0
        self._stopping = threading.Event()

    def run(self) -> None:
        with Phone(self.server, "probe.test", seconds=2.0) as phone:
            while not self._stopping.wait(self.every):
                try:
                    self.waits.append(phone.options())
                except TimeoutError:
                    self.lost += 1
                    self.waits.append(2.0)

    def __enter__(self) -> "Prober":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()


def pin(core: int) -> None:
    """Keep this process, and all that it starts from now on, on one core."""
    os.sched_setaffinity(0, {core})
