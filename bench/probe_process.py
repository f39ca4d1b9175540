"""Asks a server OPTIONS all the time until its input ends, then prints how long each answer took.

    python bench/probe_process.py HOST PORT EVERY

EVERY is the rest in seconds between an answer and the next question.  Prints an empty line when
it begins, and a JSON list of seconds at the end; an answer that never came counts as 2 seconds.
"""

import contextlib
import json
import os
import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.phones import Phone

PATIENCE = 2.0  # seconds


def main() -> None:
    host, port, every = sys.argv[1:]
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)  # what it waits for shall be the server alone
    waits: list[float] = []
    with Phone((host, int(port)), "probe.test", PATIENCE) as phone:
        phone.options()
        print(flush=True)
        while not select.select([sys.stdin], [], [], float(every))[0]:
            try:
                waits.append(phone.options())
            except OSError:
                waits.append(PATIENCE)
    print(json.dumps(waits))


if __name__ == "__main__":
    main()
