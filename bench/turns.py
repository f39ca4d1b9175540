"""Turns: one load on one server, repeated if other processes disturbed it."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.metrics import usage
from bench.operations import Operation, Stage

DISTURBED = 0.5  # cores that processes outside the benchmark use; a round with more is repeated
TRIES = 3  # of one round; then the quietest one counts
TOO_MANY = 0.1  # of the operations; if more are lost, the cost of the others is not valid


@dataclass(frozen=True)
class Turn:
    """The figures of one load on one server."""

    microseconds: float  # CPU of the server for one operation
    others: float  # the share of the server's core that other processes used
    foreign: float  # cores, of all, that processes outside this benchmark used
    planned: int
    lost: int
    repeated: int

    @property
    def is_valid(self) -> bool:
        """True if the cost is that of whole operations."""
        return self.lost < TOO_MANY * self.planned


Round = list[Turn]


def play(stage: Stage, operation: Operation, **load) -> Turn:
    """Play an operation on one server, while others of this benchmark may idle."""
    with usage(stage.server) as used:
        outcome = stage.run(operation, **load)
    return Turn(
        microseconds=1e6 * used.server / max(1, outcome.successful) / operation.each,
        others=used.others / used.length,
        foreign=used.foreign / used.length,
        planned=outcome.planned * operation.each,
        lost=outcome.lost * operation.each,
        repeated=outcome.repeated,
    )


class Repeats:
    """Plays disturbed rounds again, at most `spare` times in all."""

    def __init__(self, spare: int) -> None:
        self.spare = spare

    def quietest(self, play_round: Callable[[], Round]) -> Round:
        """Play a round until it is not disturbed, at most TRIES times; return the quietest one."""
        found = [play_round()]
        while _foreign(found[-1]) > DISTURBED and len(found) < TRIES and self.spare > 0:
            self.spare -= 1
            found.append(play_round())
        return min(found, key=_foreign)


def _foreign(turns: Round) -> float:
    return max(turn.foreign for turn in turns)
