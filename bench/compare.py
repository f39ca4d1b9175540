"""Our server beside Kamailio, in one run: what each operation costs, and how far each one goes.

    python bench/compare.py [--rounds 3] [--seconds 5] [--only NAMES] [--quick]

Needs SIPp and Kamailio with its SQLite module (Debian: sip-tester, kamailio,
kamailio-sqlite-modules) and two cores: one for the server, one for the load.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tests")]

from bench.costs import measure_costs
from bench.measures import pin
from bench.operations import OPERATIONS
from bench.servers import LOAD_CORE, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--only", default="", help="operations, with commas between")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if sentences := missing():
        sys.exit("\n".join(sentences))
    pin(LOAD_CORE)
    names = options.only.split(",") if options.only else list(OPERATIONS)
    with tempfile.TemporaryDirectory() as home:
        for cost in measure_costs(Path(home), names, ["udp"], options.rounds, options.seconds):
            print(cost)


if __name__ == "__main__":
    main()
