"""Rounds of a benchmark that other processes disturbed are repeated, not endlessly."""

import itertools

from bench.turns import DISTURBED, TRIES, Repeats, Round, Turn


def turn(foreign: float) -> Turn:
    return Turn(microseconds=1.0, others=0.0, foreign=foreign, planned=1, lost=0, repeated=0)


class Rounds:
    """Rounds whose busiest turn has these foreign cores."""

    def __init__(self, *foreign: float) -> None:
        self.foreign = itertools.chain(foreign, itertools.repeat(foreign[-1]))
        self.count = 0

    def __call__(self) -> Round:
        self.count += 1
        return [turn(0.0), turn(next(self.foreign))]


def test_a_quiet_round_is_played_once():
    rounds = Rounds(DISTURBED)
    Repeats(9).quietest(rounds)
    assert rounds.count == 1


def test_a_disturbed_round_is_repeated_until_quiet():
    rounds = Rounds(2 * DISTURBED, DISTURBED / 2, 0.0)
    assert Repeats(9).quietest(rounds)[1].foreign == DISTURBED / 2
    assert rounds.count == 2


def test_the_quietest_of_three_disturbed_rounds_counts():
    rounds = Rounds(2.0, 1.0, 1.5)
    assert Repeats(9).quietest(rounds)[1].foreign == 1.0
    assert rounds.count == TRIES


def test_all_rounds_share_the_spare_repeats():
    rounds, repeats = Rounds(2.0), Repeats(3)
    for _ in range(5):
        repeats.quietest(rounds)
    assert rounds.count == 5 + 3
