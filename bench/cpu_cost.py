"""CPU time of each operation on each server, measured in turns, under the same conditions."""

import contextlib
import statistics
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from bench.operations import OPERATIONS, USERS, Stage
from bench.servers import SERVERS
from bench.turns import Repeats, Round, Turn, play


@dataclass
class Cost:
    """Microseconds of CPU per operation of a server, in each round."""

    server: str
    operation: str
    kind: str  # udp or tcp
    rate: int
    microseconds: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)  # see Turn
    foreign: list[float] = field(default_factory=list)
    planned: int = 0
    lost: int = 0
    repeated: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.microseconds)

    def add(self, turn: Turn) -> None:
        """Add the turn of one round."""
        self.microseconds.append(turn.microseconds)
        self.others.append(turn.others)
        self.foreign.append(turn.foreign)
        self.planned += turn.planned
        self.lost += turn.lost
        self.repeated += turn.repeated

    def record(self) -> dict[str, object]:
        """Return the figures for the file of results."""
        return asdict(self) | {"median": self.median}


def measure_costs(
    home: Path,
    servers: tuple[str, ...],
    work: list[tuple[str, str]],
    *,
    rounds: int,
    repeats: int,
    seconds: float,
    warm_up: float,
) -> list[Cost]:
    """Measure the `work` on these servers in turns: operations, and over which transport each.

    In each of `rounds`, an operation takes `seconds` on each server; `warm_up` is in seconds too.
    At most `repeats` disturbed rounds are repeated.
    """
    costs = {
        (server, name, kind): Cost(server, name, kind, OPERATIONS[name].rate)
        for name, kind in work
        for server in servers
    }
    spare = Repeats(repeats)
    with contextlib.ExitStack() as stack:
        stages = []
        for name in servers:
            server = stack.enter_context(SERVERS[name](home / name, USERS))
            stages.append(Stage(server, home / name))
            stages[-1].register_all(warm_up)
        for _ in range(rounds):
            for name, kind in work:
                turns = spare.quietest(partial(_play_round, stages, name, kind, seconds))
                for stage, turn in zip(stages, turns, strict=True):
                    costs[stage.server.name, name, kind].add(turn)
    return list(costs.values())


def _play_round(stages: list[Stage], name: str, kind: str, seconds: float) -> Round:
    load = {"kind": kind, "seconds": seconds}
    return [play(stage, OPERATIONS[name], **load) for stage in stages]
