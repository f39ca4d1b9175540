"""sipserver.py with a watch on its event loop.

    python bench/watched_server.py FILE FLAGS OF SIPSERVER…

A timer is due each millisecond.  A gap is the time by which it came too late, less the time in
which the kernel let the hub's thread wait for a core: so other programs of the machine count only
where they delay a thread that holds the interpreter.  On SIGUSR1 the worst gaps since the last one are written to FILE, each with the CPU
time of the hub's thread in it, and with the stacks of all threads that a sampler saw then.
"""

import json
import signal
import sys
import time
import traceback
from _thread import get_ident
from collections import deque
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).parent.parent))

import sipserver

EVERY = 0.001
SAMPLED = 0.003  # seconds; a gap that is longer gets its stacks
MOST = 8
Gap = tuple[float, float, list[str]]  # seconds, CPU seconds of the hub, stacks


def waited_for_a_core() -> float:
    """Return the seconds in which this thread was ready to run, and did not."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


class Watch:
    """The timer in the hub, and the thread that samples stacks."""

    def __init__(self, file: Path) -> None:
        import gevent
        from gevent.monkey import get_original

        self._file = file
        self._gaps: list[Gap] = []
        self._samples: deque[tuple[float, str]] = deque(maxlen=2000)
        self._hub = get_ident()
        self._timer = gevent.get_hub().loop.timer(EVERY, EVERY)
        self._last = time.perf_counter()
        self._cpu = time.thread_time()
        self._waited = waited_for_a_core()
        self._timer.start(self._tick)
        gevent.signal_handler(signal.SIGUSR1, self._write)
        self._sleep = get_original("time", "sleep")
        get_original("_thread", "start_new_thread")(self._sample, ())

    def _tick(self) -> None:
        now, cpu, waited = time.perf_counter(), time.thread_time(), waited_for_a_core()
        gap = now - self._last - EVERY - (waited - self._waited)
        if len(self._gaps) < MOST or gap > self._gaps[-1][0]:
            stacks = [text for at, text in list(self._samples) if self._last <= at <= now]
            shown = [*dict.fromkeys(stacks)] if gap > SAMPLED else []
            self._gaps.append((gap, cpu - self._cpu, shown[-6:]))
            self._gaps.sort(key=lambda one: -one[0])
            del self._gaps[MOST:]
        self._last, self._cpu, self._waited = time.perf_counter(), time.thread_time(), waited

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
