"""Comparison of versions of this server on the wire: CPU per operation, in turns.

    python bench/versions.py TREE [TREE ...] [--operations pair,call,call-407] [--rounds 4]
                             [--seconds 4] [--rate RATE] [--python PATH] [--tcp]

Each TREE is a folder with a checkout of the project, or a compiled copy of one (build/compiled).
All servers run at once on one core; they are played in turns, A B B A in each round, with SIPp on
the other core.  A round in which other processes use more than half a core is repeated, at most
twice, and as many rounds as there are in all.  `(!)` marks what is disturbed still.  Two trees take
four minutes on a quiet machine.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import python_build
from bench.metrics import pin
from bench.operations import MEASURED, OPERATIONS, USERS, Operation, Stage
from bench.servers import LOAD_CORE, Ours, missing
from bench.table import aligned
from bench.turns import DISTURBED, Repeats, Round, Turn, play

WARM_UP = 5.0  # seconds


class Version(Ours):
    """The server in one folder, run by one Python."""

    def __init__(self, number: int, root: Path, python: str, home: Path) -> None:
        """Prepare version `number`, counted from 0, with the users of the benchmarks."""
        self.root, self.python = root.resolve(), python
        self.name, self.label = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number], str(root)
        super().__init__(home / self.name, USERS)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("trees", type=Path, nargs="+", metavar="TREE")
    parser.add_argument("--operations", default="pair,call,call-407", help=",".join(MEASURED))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each load")
    parser.add_argument(
        "--rate", type=int, help="operations per second, if the machine is too busy for the usual"
    )
    parser.add_argument("--python", default=sys.executable, help="the Python of all servers")
    parser.add_argument("--tcp", action="store_true", help="over TCP instead of UDP")
    options = parser.parse_args()
    options.operations = options.operations.split(",")
    if unknown := set(options.operations) - set(MEASURED):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    for tree in options.trees:
        if not (tree / "sipserver.py").exists():
            parser.error(f"there is no {tree}/sipserver.py")
    return options


def main() -> None:
    options = arguments()
    if sentences := missing(with_kamailio=False):
        sys.exit("\n".join(sentences))
    pin(LOAD_CORE)
    print(python_build.heading() if options.python == sys.executable else options.python)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        stages = []
        for number, tree in enumerate(options.trees):
            version = stack.enter_context(Version(number, tree, options.python, home))
            print(f"{version.name} is {version.label}")
            stages.append(Stage(version, version.home))
            stages[-1].register_all(WARM_UP)
        kind = "tcp" if options.tcp else "udp"
        for name in options.operations:
            print(f"\n{measured(stages, OPERATIONS[name], kind, options)}", flush=True)


def measured(
    stages: list[Stage], operation: Operation, kind: str, options: argparse.Namespace
) -> str:
    """Play all rounds of an operation; return the table of it."""
    rate = options.rate or operation.rate
    repeats = Repeats(options.rounds)

    def play_round() -> Round:
        load = {"kind": kind, "rate": rate, "seconds": options.seconds}
        return [play(stage, operation, **load) for stage in stages + stages[::-1]]

    rounds = [repeats.quietest(play_round) for _ in range(options.rounds)]
    valid = [one for one in rounds if all(turn.is_valid for turn in one)]
    title = f"{operation.name}, {kind.upper()}, {rate}/s: µs of CPU for each"
    if len(valid) < len(rounds):
        title += f"; {len(rounds) - len(valid)} of {len(rounds)} rounds do not count: too many lost"
    head = ("version", "median", "range", "x A", "range", "core by others", "foreign cores", "lost")
    rows = [
        [stage.server.name, *_figures(valid, number), *_conditions(rounds, number)]
        for number, stage in enumerate(stages)
    ]
    return aligned(title, head, rows)


def _figures(rounds: list[Round], number: int) -> list[str]:
    """Return the cost of one version, and its ratio to the first one within each round."""
    if not rounds:
        return ["-"] * 4
    each = [turn.microseconds for turn in _turns(rounds, number)]
    ratios = [_sum(one, number) / _sum(one, 0) for one in rounds]
    return [
        f"{statistics.median(each):.0f}",
        f"{min(each):.0f}-{max(each):.0f}",
        f"{statistics.median(ratios):.3f}",
        f"{min(ratios):.3f}-{max(ratios):.3f}",
    ]


def _conditions(rounds: list[Round], number: int) -> list[str]:
    """Return what others used while one version was played, and its losses."""
    turns = _turns(rounds, number)
    foreign = [turn.foreign for turn in turns]
    mark = " (!)" if max(foreign) > DISTURBED else ""
    lost, planned = sum(turn.lost for turn in turns), sum(turn.planned for turn in turns)
    return [
        f"{statistics.median(turn.others for turn in turns):.0%}",
        f"{statistics.median(foreign):.2f}, most {max(foreign):.2f}{mark}",
        f"{lost} of {planned} (!)" if lost else "0",
    ]


def _turns(rounds: list[Round], number: int) -> list[Turn]:
    """Return all turns of a version: two in each round."""
    return [turn for one in rounds for turn in (one[number], one[-1 - number])]


def _sum(turns: Round, number: int) -> float:
    """Return the microseconds of both turns of a version in a round A B B A."""
    return turns[number].microseconds + turns[-1 - number].microseconds


if __name__ == "__main__":
    main()
