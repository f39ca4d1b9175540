"""A probe: sends OPTIONS to a server until its input ends, then prints all response times.

    python bench/probe_process.py HOST PORT EVERY

EVERY is the pause in seconds between a response and the next request.  Prints an empty line when it
starts, and a JSON list of seconds at the end; a missing response counts as 2 seconds.
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
        os.setpriority(os.PRIO_PROCESS, 0, -15)  # so that it waits only for the server
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
