"""CPU time of each operation on each server, measured in turns, under the same conditions."""

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.metrics import core_seconds, cpu_seconds, foreign_seconds
from bench.operations import OPERATIONS, USERS, Operation, Stage
from bench.servers import SERVER_CORE, SERVERS

DISTURBED = 0.5  # cores that other processes use; a round with more is repeated
TRIES = 3  # of one round; then the least disturbed one counts


@dataclass(frozen=True)
class Turn:
    """One load on one server."""

    microseconds: float  # CPU of the server for one operation
    others: float  # the share of the server's core that others used
    foreign: float  # cores, of all, that processes other than this benchmark used
    planned: int
    lost: int
    repeated: int

    @property
    def is_disturbed(self) -> bool:
        return self.foreign > DISTURBED


Round = list[Turn]


class Repeats:
    """Plays disturbed rounds again, at most `spare` times in all."""

    def __init__(self, spare: int) -> None:
        self.spare = spare

    def quietest(self, play: Callable[[], Round]) -> Round:
        """Play a round until it is not disturbed, at most TRIES times; return the quietest one."""
        found = [play()]
        while _foreign(found[-1]) > DISTURBED and len(found) < TRIES and self.spare > 0:
            self.spare -= 1
            found.append(play())
        return min(found, key=_foreign)


def _foreign(turns: Round) -> float:
    return max(turn.foreign for turn in turns)


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
    operations: tuple[str, ...],
    kinds: tuple[str, ...],
    *,
    rounds: int,
    seconds: float,
    warm_up: float,
) -> list[Cost]:
    """Measure the operations over each kind of transport, in turns.

    Each of `rounds` takes `seconds` per operation; `warm_up` is in seconds too.  Half as many
    rounds again may be repeats.
    """
    work = [(name, kind) for kind in kinds for name in operations]
    costs = {
        (server, name, kind): Cost(server, name, kind, OPERATIONS[name].rate)
        for name, kind in work
        for server in SERVERS
    }
    repeats = Repeats(rounds * len(work) // 2)
    with contextlib.ExitStack() as stack:
        stages = []
        for name, kind in SERVERS.items():
            server = stack.enter_context(kind(home / name, USERS))
            stages.append(Stage(server, home / name))
            stages[-1].register_all(warm_up)
        for _ in range(rounds):
            for name, kind in work:
                turns = repeats.quietest(
                    lambda name=name, kind=kind: play_round(
                        stages, stages, OPERATIONS[name], kind, seconds
                    )
                )
                for stage, turn in zip(stages, turns, strict=True):
                    costs[stage.server.name, name, kind].add(turn)
    return list(costs.values())


def play_round(
    order: list[Stage], running: list[Stage], operation: Operation, kind: str, seconds: float
) -> Round:
    """Play an operation for `seconds` on each server in `order`, while those `running` idle."""
    return [play(stage, running, operation, kind, seconds) for stage in order]


def play(
    stage: Stage, running: list[Stage], operation: Operation, kind: str, seconds: float
) -> Turn:
    """Play an operation for `seconds` on one server, while the others `running` idle."""
    pids = stage.server.pids()
    all_pids = [pid for one in running for pid in one.server.pids()]
    began, before, core = time.monotonic(), cpu_seconds(pids), core_seconds(SERVER_CORE)
    foreign = foreign_seconds(all_pids)
    outcome = stage.run(operation, kind=kind, seconds=seconds)
    length = time.monotonic() - began
    spent = cpu_seconds(pids) - before
    others = core_seconds(SERVER_CORE) - core - spent
    return Turn(
        microseconds=1e6 * spent / max(1, outcome.successful) / operation.each,
        others=max(0.0, others / length),
        foreign=max(0.0, (foreign_seconds(all_pids) - foreign) / length),
        planned=outcome.planned * operation.each,
        lost=outcome.lost * operation.each,
        repeated=outcome.repeated,
    )
