"""Who is served while more comes than can be: nobody more than a fair share.

Pure: the time is an argument, and whether the server is behind is told from outside.
"""

from collections.abc import Hashable
from math import inf

# Messages a second, of all sources of one standing together, that a shortage begins with.  What the
# machine can really do is found from there, by tenths of a second, in both directions.
FIRST_RATE = 4000.0
# It falls by this while the server is behind, at each tick, and rises by that while it isn't.  Down
# to a twentieth takes a second, up again seven: a flood that goes on is felt once in a while only.
SLOWER, QUICKER = 0.86, 1.02
# Strangers are never left with less, so that somebody new can still register.
LEAST_RATE_OF_STRANGERS = 100.0
LEAST_RATE_OF_PROVEN = 500.0
# Messages that a source may send at once: a registration and a call take fewer.
BURST = 8
# What the equal shares of all add up to; the rest is for those who come anew.
SHARED_OUT = 0.8
# How much of a second all together may be ahead.
SECONDS_AHEAD = 0.1
# A shortage is over when nothing has been refused for so long.
CALM_SECONDS = 1.0
# Sources of one standing whose shares are counted; a flood of forged addresses may use up the
# common rate, but no memory.
MAX_SOURCES = 8192
# How often those are let go of that send nothing more.
SECONDS_BETWEEN_SWEEPS = 1.0


class _Standing:
    """The sources of one standing: the rate of all together, and when each has used up its share.

    `_due` says when a source will be where it may be: one that sends less often than it may is
    behind that moment, one that sends more often runs ahead of it, by a burst at most.
    """

    def __init__(self, least_rate: float) -> None:
        self.least_rate = least_rate
        self.rate = inf  # until the first `slow`
        self._due: dict[Hashable, float] = {}
        self._all_due = 0.0
        self._step = self._interval = 0.0
        self._sweep_at = 0.0

    def admits(self, source: Hashable, now: float, *, is_forgeable: bool) -> bool:
        """Tell whether one message more is within the share, and count it if it is."""
        due = self._due.get(source, now)
        if due - now > BURST * self._interval:
            return False
        # Whoever can forge one address can forge a thousand: only their sum is bounded.
        if is_forgeable and self._all_due - now > SECONDS_AHEAD:
            return False
        self._all_due = max(self._all_due, now) + self._step
        if len(self._due) < MAX_SOURCES or source in self._due:
            self._due[source] = max(due, now) + self._interval
        return True

    @property
    def is_least(self) -> bool:
        return self.rate <= self.least_rate

    def slow(self) -> None:
        self.rate = max(self.least_rate, min(self.rate, FIRST_RATE / SLOWER) * SLOWER)

    def quicken(self) -> None:
        self.rate = self.rate * QUICKER if self.rate < 2 * FIRST_RATE else inf

    def share_out(self, now: float) -> None:
        """Give everybody who sends an equal part."""
        if now >= self._sweep_at:
            self._sweep_at = now + SECONDS_BETWEEN_SWEEPS
            quiet_since = now - SECONDS_BETWEEN_SWEEPS
            self._due = {source: due for source, due in self._due.items() if due > quiet_since}
        self._step = 1 / self.rate
        self._interval = self._step * max(1, len(self._due)) / SHARED_OUT


def _standings() -> tuple[_Standing, _Standing]:
    return _Standing(LEAST_RATE_OF_STRANGERS), _Standing(LEAST_RATE_OF_PROVEN)


class Shares:
    """Shares what can be served out, while that is short.

    Sources are of two standings.  Strangers are slowed down first; those who have proven who they
    are only when strangers are left with next to nothing and it is still too much.  `tick` has to
    be called regularly, with the time and whether more waits than should.
    """

    def __init__(self) -> None:
        self.is_short = False
        self.refused = 0  # since the shortage began
        self._strangers, self._proven = _standings()
        self._calm_at = 0.0

    def admits(self, source: Hashable, now: float, *, is_proven: bool, is_forgeable: bool) -> bool:
        """Tell whether a message is to be served; only asked during a shortage.

        `is_forgeable` says that the address it came from is only what it says.
        """
        standing = self._proven if is_proven else self._strangers
        if standing.rate == inf or standing.admits(source, now, is_forgeable=is_forgeable):
            return True
        self.refused += 1
        self._calm_at = now + CALM_SECONDS
        return False

    def tick(self, now: float, *, is_behind: bool) -> None:
        """Find out how much can be served: more and more, until the server is behind again."""
        if is_behind:
            if not self.is_short:
                self.is_short, self.refused = True, 0
            self._calm_at = now + CALM_SECONDS
            (self._proven if self._strangers.is_least else self._strangers).slow()
        elif not self.is_short:
            return
        elif now >= self._calm_at:
            self.is_short = False
            self._strangers, self._proven = _standings()  # nothing is remembered
            return
        else:
            (self._strangers if self._proven.rate == inf else self._proven).quicken()
        self._strangers.share_out(now)
        self._proven.share_out(now)
