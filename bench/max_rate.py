"""How far a server goes: the highest rate that it sustains on its one core, and for how long."""

import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.metrics import core_seconds, cpu_seconds
from bench.operations import Operation, Stage
from bench.servers import LOAD_CORE, SERVER_CORE

STEPS = 5  # down at most; what is lost at the last one is shown
TRIAL_SECONDS = 2.0
TOP = 40_000  # operations a second; no SIPp on one core sends more
LOWEST = 10  # nobody looks for less
NEAR = 1.1  # bisection ends when what held and what did not are this close
GRACE = 1.0  # seconds; who is that late has lost
STEP_DOWN = 0.9  # what held for a trial, and not for the whole time, is tried again so much lower
DISTURBED = 0.1  # of the server's core; what fails while others take as much is tried again
TRIES = 2  # then it counts as failed all the same
REPEATED = 0.001  # of the operations; a datagram that the kernel dropped shows as a repeat
LATE = 0.5  # seconds after the planned end; who waits longer asks again (RFC 3261 §17.1, T1)


@dataclass
class Limit:
    """The highest rate a second at which, for `seconds`, nothing was lost."""

    server: str
    operation: str
    rate: int
    seconds: float
    busy: float  # the share of its core that the server used then
    others: float  # the share of that core that went to others, or to other machines
    load: float  # the share of the other core that was used, by SIPp above all
    lost: int = 0
    trials: int = 0

    def record(self) -> dict[str, object]:
        """As it goes into the file of results."""
        return asdict(self)


def sustained(
    stage: Stage, operation: Operation, rate: float, seconds: float
) -> tuple[bool, Limit]:
    """Try one rate for so long; whether it held, and with what figures.

    It held when no operation was lost, next to none had to repeat itself, and the last ended in
    time.
    """
    pids = stage.server.pids()
    before = cpu_seconds(pids), core_seconds(SERVER_CORE), core_seconds(LOAD_CORE)
    outcome = stage.run(operation, rate=rate, seconds=seconds, grace=GRACE)
    after = cpu_seconds(pids), core_seconds(SERVER_CORE), core_seconds(LOAD_CORE)
    length = max(outcome.seconds, 0.1)
    busy, core, load = ((b - a) / length for a, b in zip(before, after, strict=True))
    held = (
        outcome.lost == 0
        and outcome.repeated <= REPEATED * outcome.planned
        and outcome.seconds <= seconds + LATE
    )
    return held, Limit(
        stage.server.name,
        operation.name,
        int(rate),
        seconds,
        busy,
        max(0.0, core - busy),
        load,
        outcome.lost,
    )


def highest(stage: Stage, operation: Operation, seconds: float, patience: float) -> Limit:
    """Find the highest sustained rate: by trials of two seconds, then held for `seconds`.

    After `patience` seconds what has held so far is near enough.
    """
    trials = itertools.count(1)
    until = time.monotonic() + patience

    def attempt(rate: float, length: float) -> tuple[bool, Limit]:
        for _ in range(TRIES):
            held, limit = sustained(stage, operation, rate, length)
            limit.trials = next(trials)
            if held:
                break
            stage.begin_anew()
            if limit.others < DISTURBED:
                break
        return held, limit

    def holds(rate: float) -> bool:
        return attempt(rate, TRIAL_SECONDS)[0]

    low, high = _bracket(holds, float(operation.rate), until)
    while high / low > NEAR and time.monotonic() < until:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    for _ in range(STEPS):
        held, limit = attempt(low, seconds)
        if held:
            break
        low *= STEP_DOWN
    return limit


def _bracket(holds: Callable[[float], bool], rate: float, until: float) -> tuple[float, float]:
    """A rate that holds and one that does not, or that nobody tried before `until`: twice as high."""
    if holds(rate):
        while rate < TOP and time.monotonic() < until and holds(2 * rate):
            rate *= 2
        return rate, 2 * rate
    while rate > LOWEST and not holds(rate / 2):
        rate /= 2
    return rate / 2, rate
