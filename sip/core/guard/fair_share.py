"""Who is served while more comes than can be: nobody more than a fair share.

Pure: the time is an argument, and whether the server is behind is told from outside.
"""

from collections.abc import Hashable
from enum import IntEnum
from math import inf

# Messages a second, of all sources of one standing together, that a shortage begins with.  What the
# machine can really do is found from there, by tenths of a second, in both directions.
FIRST_RATE = 4000.0
# It falls by this while the server is behind, at each tick, and rises by that while it isn't.  Down
# to a twentieth takes a second, up again five: a flood that goes on is felt once in a while only.
SLOWER, QUICKER = 0.86, 1.03
# Messages that a source may send at once: a registration and a call take fewer.
BURST = 8
# Who is no further ahead than that, as with the two requests of a registration, goes first.
MODEST = 2
# What the equal shares of all add up to; the rest is for those who come anew.
SHARED_OUT = 0.8
# How much of a second a source, and all together, may be ahead: two ticks, for their time is the
# only one that is looked at.
SECONDS_AHEAD = 0.1
# A shortage is over when nothing has been refused for so long.
CALM_SECONDS = 1.0
# More than that no machine serves; all but strangers are not limited any more then.
MOST_RATE = 20_000.0
# Sources of one standing whose shares are counted; a flood of forged addresses may use up the
# common rate, but no memory.
MAX_SOURCES = 8192
# How often those are let go of that send nothing more.
SECONDS_BETWEEN_SWEEPS = 1.0


class Standing(IntEnum):
    """What is known of a source; whoever is further up is slowed down later."""

    STRANGER = 0
    NEIGHBOUR = 1  # at an address from where somebody has shown a password
    PROVEN = 2


# None of them is left with less, so that somebody new can still register.
LEAST_RATE = {Standing.STRANGER: 100.0, Standing.NEIGHBOUR: 100.0, Standing.PROVEN: 500.0}


class _Pool:
    """The sources of one standing, and what they may have served: together, and each of them.

    A share is counted in messages: `_allowed` is how many any of them could have sent since the
    shortage began, and `_sent` how many one has.  Who has sent fewer starts from what is allowed
    now, so nothing is saved up; who wants more runs ahead of it, as far as a burst goes.
    """

    def __init__(self, least_rate: float) -> None:
        self.least_rate = least_rate
        self.rate = inf  # of all together, in messages a second; until the first `slow`
        self._sent: dict[Hashable, float] = {}
        self._allowed = self._ahead = 0.0
        self._all_sent = self._all_allowed = self._all_ahead = 0.0
        self._shared_out_at = self._sweep_at = 0.0

    def admits(self, source: Hashable, *, is_forgeable: bool) -> bool:
        """Tell whether one message more is within the share, and count it if it is."""
        sent = max(self._sent.get(source, 0.0), self._allowed)
        ahead = sent - self._allowed
        if ahead >= self._ahead:
            return False
        # Whoever can forge one address can forge a thousand: only their sum is bounded.  Half of
        # what there is in hand is for those who are not ahead, when a thousand others are.
        all_ahead = self._all_ahead if ahead < MODEST else self._all_ahead / 2
        if is_forgeable and self._all_sent - self._all_allowed >= all_ahead:
            return False
        self._all_sent = max(self._all_sent, self._all_allowed) + 1
        if len(self._sent) < MAX_SOURCES or source in self._sent:
            self._sent[source] = sent + 1
        return True

    def has_room(self, source: Hashable) -> bool:
        """Tell whether `admits` would say yes to whoever forges nothing; counts nothing."""
        return max(self._sent.get(source, 0.0), self._allowed) - self._allowed < self._ahead

    @property
    def share(self) -> float:
        """What each may have of the rate."""
        return self.rate * SHARED_OUT / max(1, len(self._sent))

    @property
    def is_least(self) -> bool:
        return self.rate <= self.least_rate

    def slow(self) -> None:
        self.rate = max(self.least_rate, min(self.rate, FIRST_RATE / SLOWER) * SLOWER)

    def quicken(self) -> None:
        self.rate = min(self.rate * QUICKER, MOST_RATE)

    def share_out(self, now: float) -> None:
        """Allow everybody who sends an equal part of the rate, for the time that has passed."""
        if self.rate == inf:
            return
        seconds = min(now - self._shared_out_at, SECONDS_AHEAD)
        self._shared_out_at = now
        share = self.share
        self._allowed += share * seconds
        self._ahead = max(BURST, share * SECONDS_AHEAD)
        self._all_allowed += self.rate * seconds
        self._all_ahead = max(2 * BURST, self.rate * 2 * SECONDS_AHEAD)
        if now >= self._sweep_at:
            self._sweep_at = now + SECONDS_BETWEEN_SWEEPS
            few = self._allowed - share * SECONDS_BETWEEN_SWEEPS
            self._sent = {source: sent for source, sent in self._sent.items() if sent > few}


class Shares:
    """Shares what can be served out, while that is short.

    `tick` has to be called regularly, with the time and whether more waits than should.  Whoever is
    of a lower standing is slowed down first; those of the next only when these are left with next
    to nothing and it is still too much.
    """

    def __init__(self) -> None:
        self.is_short = False
        self.refused = 0  # since the shortage began
        self._pools = _all_pools()
        self._calm_at = 0.0

    def admits(
        self, source: Hashable, now: float, *, standing: Standing, is_forgeable: bool
    ) -> bool:
        """Tell whether a message is to be served; only asked during a shortage.

        `is_forgeable` says that the address it came from is only what it says.
        """
        pool = self._pools[standing]
        if pool.rate == inf or pool.admits(source, is_forgeable=is_forgeable):
            return True
        self.refuse(now)
        return False

    def refuse(self, now: float) -> None:
        """Count a message that is not served: the shortage goes on."""
        self.refused += 1
        self._calm_at = now + CALM_SECONDS

    def share_of(self, standing: Standing) -> float:
        """How many messages a second each source of a standing may send."""
        return self._pools[standing].share

    def has_room(self, source: Hashable, now: float, *, standing: Standing) -> bool:
        """Tell whether a source on a connection may send one message more; if not, it waits.

        Only asked during a shortage, which isn't over while anybody waits for his share.
        """
        pool = self._pools[standing]
        if pool.rate == inf or pool.has_room(source):
            return True
        self._calm_at = now + CALM_SECONDS
        return False

    def tick(self, now: float, *, is_behind: bool) -> None:
        """Find out how much can be served: more and more, until the server is behind again."""
        pools = self._pools
        if is_behind:
            if not self.is_short:
                self.is_short, self.refused = True, 0
            self._calm_at = now + CALM_SECONDS
            next((pool for pool in pools if not pool.is_least), pools[-1]).slow()
        elif not self.is_short:
            return
        elif now >= self._calm_at:
            self.is_short = False
            self._pools = _all_pools()  # nothing is remembered
            return
        else:
            highest = max(standing for standing in Standing if pools[standing].rate < inf)
            pools[highest].quicken()
            if highest and pools[highest].rate == MOST_RATE:
                pools[highest] = _Pool(LEAST_RATE[highest])
        for pool in pools:
            pool.share_out(now)


def _all_pools() -> list[_Pool]:
    return [_Pool(LEAST_RATE[standing]) for standing in Standing]
