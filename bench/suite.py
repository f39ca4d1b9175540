"""The sections of a comparison, in their order, and the plan of a run."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import concurrent_calls, cpu_cost, max_rate, scaling, stalls
from bench.metrics import memory_bytes
from bench.operations import MEASURED, OPERATIONS, USERS, Stage
from bench.servers import SERVERS

Figures = list[dict[str, object]]
WORK = ("pair", "call")  # the operations whose highest rates and growth are measured
RIVALS = ("ours", "tuned")  # the servers whose growth is compared


@dataclass(frozen=True)
class Plan:
    """The extent of a run; times in seconds."""

    rounds: int = 3
    seconds: float = 4.0  # of a load
    operations: tuple[str, ...] = tuple(MEASURED)
    kinds: tuple[str, ...] = ("udp", "tcp")
    warm_up: float = 5.0  # with 2,000 pairs per second, so that all 10,000 phones are registered
    sustained: float = 10.0  # the time for which a highest rate must be sustained
    patience: float = 40.0  # the time of the search for a highest rate
    limited: tuple[str, ...] = tuple(SERVERS)  # servers whose highest rates are measured
    points: int = 5  # rates between 100 operations per second and the highest rate
    bindings: tuple[int, ...] = (100, 10_000, 100_000)
    contacts: tuple[int, ...] = (1, 2, 3, 5, 7, 10)
    settle: float = scaling.SETTLE_SECONDS  # before memory is measured
    imported: int = stalls.IMPORTED
    held: int = 10_000  # concurrent calls
    held_rate: int = 500  # calls started per second
    steady: float = 60.0  # the time at 80 % of the highest rate; 0 skips this section

    @classmethod
    def quick(cls) -> "Plan":
        """Return a plan of about three minutes, without the long measurements."""
        return cls(
            rounds=1,
            seconds=1.0,
            kinds=("udp",),
            warm_up=1.0,
            sustained=2.0,
            patience=4.0,
            limited=RIVALS,
            points=2,
            bindings=(1_000,),
            contacts=(1, 5),
            settle=0.5,
            imported=2_000,
            held=200,
            held_rate=200,
            steady=0.0,
        )

    def changed(self, rounds: int | None, seconds: float | None, operations: list[str]) -> "Plan":
        """Return the plan with the values of the command line."""
        return dataclasses.replace(
            self,
            rounds=rounds or self.rounds,
            seconds=seconds or self.seconds,
            operations=tuple(operations) or self.operations,
        )


@contextlib.contextmanager
def stage(home: Path, name: str, plan: Plan) -> Iterator[Stage]:
    """Start one server, and register all its phones."""
    with SERVERS[name](home / name, USERS) as server:
        ready = Stage(server, home / name)
        ready.register_all(plan.warm_up)
        yield ready


def cost(home: Path, plan: Plan, _: dict[str, Figures]) -> Figures:
    """Measure the CPU time of every operation over every transport."""
    measured = cpu_cost.measure_costs(
        home,
        plan.operations,
        plan.kinds,
        rounds=plan.rounds,
        seconds=plan.seconds,
        warm_up=plan.warm_up,
    )
    return [one.record() for one in measured]


def limit(home: Path, plan: Plan, _: dict[str, Figures]) -> Figures:
    """Measure the highest sustained rates of pairs and calls."""
    found = []
    for name in plan.limited:
        with stage(home, name, plan) as ready:
            found += [
                max_rate.highest(ready, OPERATIONS[each], plan.sustained, plan.patience)
                for each in WORK
            ]
    return [one.record() for one in found]


def rate(home: Path, plan: Plan, before: dict[str, Figures]) -> Figures:
    """Measure cost and latency from 100 operations per second to the highest rate."""
    found: Figures = []
    for name in RIVALS:
        with stage(home, name, plan) as ready:
            for each in WORK:
                top = _highest(before, name, each)
                found += scaling.with_the_rate(
                    ready, OPERATIONS[each], top, min(plan.seconds, 2.0), plan.points
                )
    return found


def steady(home: Path, plan: Plan, before: dict[str, Figures]) -> Figures:
    """Run our server for a minute at 80 % of its highest rate."""
    found: Figures = []
    for each in WORK if plan.steady else ():
        with stage(home / each, "ours", plan) as ready:
            top = 0.8 * _highest(before, "ours", each)
            held, one = max_rate.sustained(ready, OPERATIONS[each], top, plan.steady)
            found.append({**one.record(), "held": held})
    return found


def _highest(before: dict[str, Figures], server: str, operation: str) -> int:
    """Return the highest rate that was found before; without one, the rate of the section costs."""
    for one in before.get("limits", ()):
        if (one["server"], one["operation"]) == (server, operation):
            return int(one["rate"])
    return OPERATIONS[operation].rate


def memory(home: Path, plan: Plan, _: dict[str, Figures]) -> Figures:
    """Measure the memory of each server at rest, with 10,000 users."""
    found: Figures = []
    for name, kind in SERVERS.items():
        with kind(home / name, USERS) as server:
            found.append({"server": name, "users": len(USERS), **memory_bytes(server.pids())})
    return found


def bindings(home: Path, plan: Plan, _: dict[str, Figures]) -> Figures:
    """Measure cost and memory from 100 to 100,000 bindings."""
    return [
        scaling.with_the_bindings(home / str(size), name, size, min(plan.seconds, 2.0), plan.settle)
        for name in RIVALS
        for size in plan.bindings
    ]


def forks(home: Path, plan: Plan, _: dict[str, Figures]) -> Figures:
    """Measure cost and latency of calls to users with 1 to 10 contacts."""
    return [
        one
        for name in RIVALS
        for one in scaling.with_the_fork(home, name, plan.contacts, min(plan.seconds, 2.0))
    ]


def gap(home: Path, plan: Plan, _: dict[str, Figures]) -> Figures:
    """Measure for how long our server reads no datagram."""
    return stalls.measure_gaps(home, plan.seconds, plan.imported)


def concurrent(home: Path, plan: Plan, _: dict[str, Figures]) -> Figures:
    """Measure the memory of 10,000 ringing and 10,000 established calls."""
    return [
        concurrent_calls.measure_concurrent_calls(
            home, "ours", plan.held, plan.held_rate, plan.settle
        )
    ]


SECTIONS: dict[str, Callable[[Path, Plan, dict[str, Figures]], Figures]] = {
    "costs": cost,
    "memory": memory,
    "limits": limit,
    "rates": rate,
    "bindings": bindings,
    "forks": forks,
    "gaps": gap,
    "held": concurrent,
    "steady": steady,
}
