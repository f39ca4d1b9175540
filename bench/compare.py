"""Comparison with Kamailio in one run: CPU per operation, highest rates, memory, latency.

    python bench/compare.py [--rounds 3] [--seconds 4] [--only NAMES] [--quick]
                            [--results FILE] [--table] [--picture]

Needs SIPp and Kamailio with its SQLite module (Debian: sip-tester, kamailio,
kamailio-sqlite-modules) and two cores: one for the server, one for the load.  A whole run takes
about 40 minutes, --quick about three.  NAMES are sections or operations, separated by commas; their
results replace only their part of FILE.  --table and --picture measure nothing: they print the
table, or draw the picture, from FILE.

Our server is measured pure and compiled.  A whole run builds the compiled copy if it is not
current, which takes two minutes more; --quick takes the copy only if it is current.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import compiled_copy, plot, python_build, results, table
from bench.metrics import foreign_seconds, pin
from bench.operations import MEASURED
from bench.servers import LOAD_CORE, missing
from bench.suite import SECTIONS, Plan

RESULTS = Path(__file__).with_name("results.json")
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "performance.svg"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--rounds", type=int, help="rounds of each load (3; with --quick 1)")
    parser.add_argument("--seconds", type=float, help="seconds of each load (4; with --quick 1)")
    parser.add_argument(
        "--only", default="", metavar="NAMES", help=", ".join([*SECTIONS, *MEASURED])
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a small run of three minutes; saves its results only with --results",
    )
    parser.add_argument("--results", type=Path, help="file of the results (bench/results.json)")
    parser.add_argument("--table", action="store_true", help="only print the saved results")
    parser.add_argument("--picture", action="store_true", help="only draw the saved results")
    options = parser.parse_args()
    options.only = [name for name in options.only.split(",") if name]
    if unknown := set(options.only) - {*SECTIONS, *MEASURED}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    return options


def main() -> None:
    options = arguments()
    file = options.results or RESULTS
    if options.table or options.picture:
        kept = results.load(file)
        if options.table:
            print(table.of(kept))
        if options.picture:
            PICTURE.write_text(plot.of(kept))
        return
    if sentences := missing():
        sys.exit("\n".join(sentences))
    uncompiled = "build/compiled is not current: make compiled"
    if not options.quick:
        print("build/compiled …", flush=True)
        uncompiled = compiled_copy.build()
    elif compiled_copy.is_current():
        uncompiled = ""
    print(python_build.heading())
    if uncompiled:
        print(f"The compiled server is not measured: {uncompiled}")
    pin(LOAD_CORE)
    operations = [name for name in options.only if name in MEASURED]
    sections = [name for name in options.only if name in SECTIONS]
    if operations and "costs" not in sections:
        sections.append("costs")
    plan = Plan.quick() if options.quick else Plan()
    plan = plan.changed(options.rounds, options.seconds, operations, compiled=not uncompiled)
    found = results.new(plan, uncompiled)
    for name in sections or SECTIONS:
        began, before = time.monotonic(), foreign_seconds()
        print(f"{name} …", end=" ", flush=True)
        known = (results.load(file).get("sections") or {}) | found["sections"]
        with tempfile.TemporaryDirectory() as home:
            found["sections"][name] = SECTIONS[name](Path(home) / name, plan, known)
        length = time.monotonic() - began
        foreign = found["foreign"][name] = (foreign_seconds() - before) / max(1.0, length)
        print(f"{length:.0f} s, others used {foreign:.2f} cores", flush=True)
        if (
            not options.quick or options.results
        ):  # after each section, so that an interrupted run loses little
            results.save(results.merged(results.load(file), found), file)
    print(table.of(found))
    if file == RESULTS and not options.quick:
        PICTURE.write_text(plot.of(results.load(file)))


if __name__ == "__main__":
    main()
