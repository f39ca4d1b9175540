"""sipserver.py with a watch on its event loop.

    python bench/watched_server.py FILE FLAGS OF SIPSERVER…

A timer is due each millisecond.  A gap is the time by which it came too late, less the time in
which the kernel let the hub's thread wait for a core.  The hub also waits for a thread that holds
the interpreter, and that may wait for a core as well: `held` is the gap less the longest such wait,
so that it is what this program does, and not what others on the machine do.  On SIGUSR1 the worst
gaps since the last one are written to FILE, each with the CPU time of the hub's thread in it, and
with the stacks of all threads that a sampler saw then.
"""

import json
import os
import signal
import sys
import time
import traceback
from _thread import get_ident, get_native_id
from collections import deque
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).parent.parent))

import sipserver

EVERY = 0.001
SAMPLED = 0.003  # seconds; a gap that is longer gets its stacks
MOST = 8
# Seconds; without the longest wait of another thread for a core; CPU seconds of the hub; stacks.
Gap = tuple[float, float, float, list[str]]


class Waits:
    """The time in which each thread of this process was ready to run, and got no core."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}  # descriptor by thread
        self._seconds: dict[int, float] = {}
        self._rounds = 0

    def since_last(self) -> dict[int, float]:
        """Return the seconds of each thread since the last call."""
        if self._rounds % 100 == 0:
            for tid in {int(name) for name in os.listdir("/proc/self/task")} - {*self._files}:
                self._files[tid] = os.open(f"/proc/self/task/{tid}/schedstat", os.O_RDONLY)
        self._rounds += 1
        found = {}
        for tid, file in [*self._files.items()]:
            try:
                now = int(os.pread(file, 100, 0).split()[1]) / 1e9
            except OSError:  # it has ended
                os.close(self._files.pop(tid))
                continue
            found[tid] = now - self._seconds.get(tid, now)
            self._seconds[tid] = now
        return found


class Watch:
    """The timer in the hub, and the thread that samples stacks."""

    def __init__(self, file: Path) -> None:
        import gevent
        from gevent.monkey import get_original

        self._file = file
        self._gaps: list[Gap] = []
        self._samples: deque[tuple[float, str]] = deque(maxlen=2000)
        self._hub, self._tid = get_ident(), get_native_id()
        self._timer = gevent.get_hub().loop.timer(EVERY, EVERY)
        self._last = time.perf_counter()
        self._cpu = time.thread_time()
        self._waits = Waits()
        self._waits.since_last()
        self._timer.start(self._tick)
        gevent.signal_handler(signal.SIGUSR1, self._write)
        self._sleep = get_original("time", "sleep")
        get_original("_thread", "start_new_thread")(self._sample, ())

    def _tick(self) -> None:
        now, cpu, waits = time.perf_counter(), time.thread_time(), self._waits.since_last()
        gap = now - self._last - EVERY - waits.pop(self._tid, 0.0)
        if len(self._gaps) < MOST or gap > self._gaps[-1][0]:
            stacks = [text for at, text in list(self._samples) if self._last <= at <= now]
            shown = [*dict.fromkeys(stacks)] if gap > SAMPLED else []
            held = max(0.0, gap - max(waits.values(), default=0.0))
            self._gaps.append((gap, held, cpu - self._cpu, shown[-6:]))
            self._gaps.sort(key=lambda one: -one[0])
            del self._gaps[MOST:]
        self._last, self._cpu = time.perf_counter(), time.thread_time()

    def _sample(self) -> None:
        own = get_ident()
        while True:
            self._sleep(0.002)
            for ident, frame in sys._current_frames().items():
                if ident != own:
                    name = "hub" if ident == self._hub else "thread"
                    self._samples.append((time.perf_counter(), f"{name}: {_short(frame)}"))

    def _write(self) -> None:
        gaps, self._gaps = self._gaps, []
        partial = self._file.with_suffix(".new")
        partial.write_text(json.dumps(gaps))
        partial.rename(self._file)


def _short(frame: FrameType) -> str:
    places = traceback.extract_stack(frame)[-6:]
    return " > ".join(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in places)


def main() -> int:
    file = Path(sys.argv.pop(1))
    build = sipserver.build

    def build_watched(*args: object) -> object:
        service = build(*args)  # type: ignore[arg-type]
        sipserver.watch = Watch(file)  # type: ignore[attr-defined]
        return service

    sipserver.build = build_watched  # type: ignore[assignment]
    from sip.cli.main import main as command

    return command(sys.argv[1:], sipserver.run)


if __name__ == "__main__":
    sys.exit(main())
