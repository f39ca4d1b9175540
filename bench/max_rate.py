"""Highest sustained rate of a server on one core, found by trials and bisection."""

import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.metrics import usage
from bench.operations import Operation, Stage
from bench.turns import DISTURBED

STEPS = 5  # maximum steps down; the losses of the last one are shown
TRIAL_SECONDS = 2.0
TOP = 40_000  # operations per second; SIPp on one core cannot send more
LOWEST = 10  # lower rates are not tried
NEAR = 1.1  # bisection ends when the sustained and the failed rate differ by this factor
GRACE = 1.0  # seconds; an operation that ends later is lost
STEP_DOWN = 0.9  # factor of the next rate, if a rate is sustained in a trial but not for longer
SHARED = 0.1  # of the server's core; if others use more, a failed trial is repeated
TRIES = 2  # trials of a rate; then it counts as failed
REPEATED = 0.001  # of the operations; a datagram that the kernel dropped is repeated by SIPp
LATE = 0.5  # seconds after the planned end; later SIPp would retransmit (RFC 3261 §17.1, T1)


@dataclass
class Limit:
    """The highest rate per second at which no operation was lost for `seconds`."""

    server: str
    operation: str
    rate: int
    seconds: float
    busy: float  # the share of its core that the server used then
    others: float  # the share of that core that other processes or machines used
    load: float  # the share of the other core that was used, mostly by SIPp
    foreign: float  # cores, of all, that processes outside this benchmark used
    lost: int = 0
    trials: int = 0

    def record(self) -> dict[str, object]:
        """Return the figures for the file of results."""
        return asdict(self)


def sustained(
    stage: Stage, operation: Operation, rate: float, seconds: float
) -> tuple[bool, Limit]:
    """Try one rate for `seconds`; return True if it was sustained, and the figures.

    A rate is sustained if no operation was lost, hardly any was repeated, and the last one ended in
    time.
    """
    with usage(stage.server) as used:
        outcome = stage.run(operation, rate=rate, seconds=seconds, grace=GRACE)
    length = max(outcome.seconds, 0.1)
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
        used.server / length,
        used.others / length,
        used.load / length,
        used.foreign / used.length,
        outcome.lost,
    )


def highest(stage: Stage, operation: Operation, seconds: float, patience: float) -> Limit:
    """Find the highest sustained rate: by trials of two seconds, then for `seconds`.

    After `patience` seconds the best rate so far is used.
    """
    trials = itertools.count(1)
    until = time.monotonic() + patience

    def attempt(rate: float, length: float) -> tuple[bool, Limit]:
        for _ in range(TRIES):
            held, limit = sustained(stage, operation, rate, length)
            limit.trials = next(trials)
            if held:
                break
            stage.restart()
            if limit.others < SHARED and limit.foreign < DISTURBED:
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
    """Return a sustained rate and twice that rate, which failed or was not tried before `until`."""
    if holds(rate):
        while rate < TOP and time.monotonic() < until and holds(2 * rate):
            rate *= 2
        return rate, 2 * rate
    while rate > LOWEST and not holds(rate / 2):
        rate /= 2
    return rate / 2, rate
