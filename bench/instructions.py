"""Machine instructions of a REGISTER pair and a call in-process, independent of other load.

    python bench/instructions.py [--number 100] [--timeout 180] [--readers]

Runs the loop of quick.py under Valgrind's callgrind (Debian: valgrind) three times in parallel: only
the start, the start with many pairs, and the start with many calls.  The difference to the start is
divided by their number.  The figures are thousands of instructions of this process; those of the
kernel are not counted.  It takes about a minute.

--readers counts all of that twice, without and with the readers of events, and prints the ratio.
The rows of the history are not part of it: bench/history.py measures them.
"""

import argparse
import contextlib
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import python_build

BATCH = 50  # users; each has one operation in a round of quick.py
# Seconds that a group commit waits: all REGISTERs of a batch share one, as slow as Valgrind is.
WINDOW = 2.0
RUNS = ("start", "pair", "call")


def play(run: str, number: int, *, has_readers: bool) -> None:
    """Run the counted work: one round of each to warm up, and then `number` operations."""
    from bench.quick import Bench

    gc.disable()  # its collections would make the figures vary
    bench = Bench(BATCH, WINDOW, has_readers=has_readers)
    bench.pairs()
    bench.calls()
    for _ in range(number // BATCH if run != "start" else 0):
        bench.pairs() if run == "pair" else bench.calls()


def counted(run: str, number: int, seconds: float, *, has_readers: bool) -> int:
    """Return the instructions of a whole run, which is ended after `seconds`."""
    more = [] if has_readers else ["--without-readers"]
    with contextlib.suppress(subprocess.TimeoutExpired), tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [
                *["valgrind", "--tool=callgrind", f"--callgrind-out-file={home}/out"],
                *[sys.executable, __file__, "--play", run, "--number", str(number), *more],
            ],
            env=os.environ | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if found := re.search(r"Collected : (\d+)", done.stderr):
            return int(found[1])
        raise SystemExit(f"valgrind ended with {done.returncode}: {done.stderr[-2000:]}")
    raise SystemExit(f"The run of {run} took longer than {seconds:g} s; --timeout allows more.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--number", type=int, default=100, help="operations, a multiple of 50")
    parser.add_argument("--timeout", type=float, default=180, help="maximum seconds of a run")
    parser.add_argument("--readers", action="store_true", help="also without readers of events")
    parser.add_argument("--play", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--without-readers", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        play(options.play, options.number, has_readers=not options.without_readers)
        return
    if not shutil.which("valgrind"):
        sys.exit("Valgrind is not installed: apt-get install valgrind.")
    print(python_build.heading())
    kinds = (False, True) if options.readers else (True,)
    jobs = [(run, has_readers) for has_readers in kinds for run in RUNS]

    def count(job: tuple[str, bool]) -> int:
        run, has_readers = job
        return counted(run, options.number, options.timeout, has_readers=has_readers)

    with ThreadPoolExecutor(len(RUNS)) as pool:
        totals = dict(zip(jobs, pool.map(count, jobs), strict=True))
    print(
        f"{'thousands of instructions':26} {'each':>8}" + "    without    ratio" * options.readers
    )
    for run in RUNS[1:]:
        each = [
            (totals[run, has_readers] - totals["start", has_readers]) / options.number / 1000
            for has_readers in reversed(kinds)
        ]
        row = f" {each[0]:8.1f}"
        if options.readers:
            row += f" {each[1]:10.1f} {each[0] / each[1]:8.3f}"
        print(f"{run:26}{row}")


if __name__ == "__main__":
    main()
