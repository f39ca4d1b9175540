"""CPU time of each operation on each server, measured in turns, under the same conditions."""

import contextlib
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.metrics import core_seconds, cpu_seconds
from bench.operations import OPERATIONS, USERS, Operation, Stage
from bench.servers import SERVER_CORE, SERVERS


@dataclass
class Cost:
    """Microseconds of CPU per operation of a server, in each round."""

    server: str
    operation: str
    kind: str  # udp or tcp
    rate: int
    microseconds: list[float] = field(default_factory=list)
    others: list[float] = field(
        default_factory=list
    )  # the share of its core that other processes used
    planned: int = 0
    lost: int = 0
    repeated: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.microseconds)

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

    Each of `rounds` takes `seconds` per operation; `warm_up` is in seconds too.
    """
    costs = {
        (server, name, kind): Cost(server, name, kind, OPERATIONS[name].rate)
        for kind in kinds
        for name in operations
        for server in SERVERS
    }
    with contextlib.ExitStack() as stack:
        stages = {}
        for name, kind in SERVERS.items():
            server = stack.enter_context(kind(home / name, USERS))
            stages[name] = Stage(server, home / name)
            # Once around, so that every measured REGISTER updates a binding.
            stages[name].run(OPERATIONS["pair"], seconds=warm_up)
        for _ in range(rounds):
            for (server, name, kind), cost in costs.items():
                once(stages[server], OPERATIONS[name], cost, kind, seconds)
    return list(costs.values())


def once(stage: Stage, operation: Operation, cost: Cost, kind: str, seconds: float) -> None:
    """Add one round to `cost`."""
    pids = stage.server.pids()
    began, before, core = time.monotonic(), cpu_seconds(pids), core_seconds(SERVER_CORE)
    outcome = stage.run(operation, kind=kind, seconds=seconds)
    spent = cpu_seconds(pids) - before
    foreign = core_seconds(SERVER_CORE) - core - spent
    cost.others.append(max(0.0, foreign / (time.monotonic() - began)))
    cost.planned += outcome.planned * operation.each
    cost.lost += outcome.lost * operation.each
    cost.repeated += outcome.repeated
    cost.microseconds.append(1e6 * spent / max(1, outcome.successful) / operation.each)
