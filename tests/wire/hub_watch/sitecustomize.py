"""Report on stderr each greenlet that holds the hub; Python runs this at its start by PYTHONPATH.

While a greenlet runs, every other one waits.  The time that
the main thread waits for a processor is left out of it, for that belongs to other programs: told
are CPU_SECONDS of its own work, and BLOCKED_SECONDS in calls that wait for something else.
"""

import os
import sys
import time
import traceback

import greenlet

CPU_SECONDS = 0.05
BLOCKED_SECONDS = 0.5
REPORT = "holds the hub"

_schedstat = os.open(f"/proc/self/task/{os.getpid()}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
_before = (0.0, 0.0, 0.0)


def _times() -> tuple[float, float, float]:
    """The main thread's CPU time, its time in the queue for a processor, and the clock."""
    queued = int(os.pread(_schedstat, 64, 0).split()[1]) / 1e9
    return time.thread_time(), queued, time.monotonic()


def _switched(event: str, greenlets: tuple[greenlet.greenlet, greenlet.greenlet]) -> None:
    global _before
    (cpu, queued, now), former = _times(), _before
    held = cpu - former[0]
    blocked = now - former[2] - held - (queued - former[1])
    origin, _ = greenlets
    is_hub = type(origin).__name__ == "Hub"  # that one waits for all of them
    if former[2] and (held > CPU_SECONDS or (blocked > BLOCKED_SECONDS and not is_hub)):
        stack = "".join(traceback.format_stack(origin.gr_frame)) if origin.gr_frame else ""
        line = f"{origin!r} {REPORT}: {held:.3f} s of CPU, {blocked:.3f} s blocked\n{stack}"
        sys.stderr.write(line)
        sys.stderr.flush()
    _before = _times()


greenlet.settrace(_switched)
