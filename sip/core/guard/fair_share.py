"""Fair-share overload control: which sources are served while the server is overloaded.

Problem: under a flood, phones that send a few messages must still be served.
Model: one pool per trust level.  A pool finds the rate it can serve by trial, as TCP finds its
    window: multiply by RATE_DECREASE while messages wait, by RATE_INCREASE while none do.
Invariant: in one pool each source may send an equal share of the rate plus a burst.  The pool of
    verified sources is slowed only after all lower pools are down to their minimum rate.
Bounds: MAX_SOURCES counters per pool; above that only the common rate limits (forged addresses).

Pure: the time is an argument, and so is whether there is a backlog.
"""

from collections.abc import Hashable
from enum import IntEnum
from math import inf

# Messages per second of a whole pool when an overload begins.  The rate that the machine can really
# serve is found from there, in steps of a tick, in both directions.
INITIAL_RATE = 4000.0
# Factors of the rate per tick, with a backlog and without one.  Down to a twentieth
# takes one second, up again five: a lasting flood causes delays only once in a while.
RATE_DECREASE, RATE_INCREASE = 0.86, 1.03
# Messages that a source may send at once: a registration and a call take fewer.
BURST = 8
# A source that is fewer messages ahead of its share than that has priority: it covers the two
# requests of a registration.
FREE_BURST = 2
# Fraction of the rate that the equal shares add up to; the rest is for new sources.
SHARED_FRACTION = 0.8
# How far a source, and a whole pool, may be ahead of what is granted, in seconds.  Shares are
# granted once per tick, so this is two ticks.
SECONDS_AHEAD = 0.1
# An overload ends when nothing has been refused for this time.
CALM_SECONDS = 1.0
# No machine serves more messages per second.  At this rate a pool is no longer limited, except the
# pool of unknown sources.
MAX_RATE = 20_000.0
# Sources of one pool whose messages are counted; a flood of forged addresses may use up the common
# rate, but no memory.
MAX_SOURCES = 8192
# Interval at which counters of silent sources are removed.
SECONDS_BETWEEN_SWEEPS = 1.0


class TrustLevel(IntEnum):
    """What the server knows about a source; the lowest level is slowed down first."""

    UNKNOWN = 0
    SAME_ADDRESS = 1  # another port of that address has shown a password
    VERIFIED = 2


# Messages per second that each pool keeps, so that a new phone can still register.
MIN_RATE = {
    TrustLevel.UNKNOWN: 100.0,
    TrustLevel.SAME_ADDRESS: 100.0,
    TrustLevel.VERIFIED: 500.0,
}


class _Pool:
    """The sources of one trust level: the rate of all together, and the share of each.

    Shares are counted in messages.  `_allowed` is how many messages any source could have sent
    since the overload began, `_sent` how many a source has sent.  A source that has sent fewer
    starts from `_allowed`, so unused shares cannot be saved up; a source that has sent more is
    ahead of its share, by a burst at most.
    """

    def __init__(self, min_rate: float) -> None:
        self.min_rate = min_rate
        self.rate = inf  # of all sources, in messages per second; until the first decrease_rate()
        self._sent: dict[Hashable, float] = {}
        self._allowed = self._max_ahead = 0.0
        self._total_sent = self._total_allowed = self._max_total_ahead = 0.0
        self._granted_at = self._sweep_at = 0.0

    def allows(self, source: Hashable, *, is_forgeable: bool) -> bool:
        """Return True if one more message is within the share of `source`, and count it then."""
        sent = max(self._sent.get(source, 0.0), self._allowed)
        ahead = sent - self._allowed
        if ahead >= self._max_ahead:
            return False
        # A sender that can forge one address can forge a thousand: only their sum is bounded.  Half
        # of the reserve is kept for sources that are within their free burst.
        max_total = self._max_total_ahead if ahead < FREE_BURST else self._max_total_ahead / 2
        if is_forgeable and self._total_sent - self._total_allowed >= max_total:
            return False
        self._total_sent = max(self._total_sent, self._total_allowed) + 1
        if len(self._sent) < MAX_SOURCES or source in self._sent:
            self._sent[source] = sent + 1
        return True

    def has_room(self, source: Hashable) -> bool:
        """Return what `allows` would for an address that is not forged; count nothing."""
        return max(self._sent.get(source, 0.0), self._allowed) - self._allowed < self._max_ahead

    @property
    def share(self) -> float:
        """The share of each source, in messages per second."""
        return self.rate * SHARED_FRACTION / max(1, len(self._sent))

    @property
    def is_at_minimum(self) -> bool:
        return self.rate <= self.min_rate

    def decrease_rate(self) -> None:
        self.rate = max(self.min_rate, min(self.rate, INITIAL_RATE / RATE_DECREASE) * RATE_DECREASE)

    def increase_rate(self) -> None:
        self.rate = min(self.rate * RATE_INCREASE, MAX_RATE)

    def grant(self, now: float) -> None:
        """Grant each source an equal part of the rate for the time since the last call."""
        if self.rate == inf:
            return
        seconds = min(now - self._granted_at, SECONDS_AHEAD)
        self._granted_at = now
        share = self.share
        self._allowed += share * seconds
        self._max_ahead = max(BURST, share * SECONDS_AHEAD)
        self._total_allowed += self.rate * seconds
        self._max_total_ahead = max(2 * BURST, self.rate * 2 * SECONDS_AHEAD)
        if now >= self._sweep_at:
            self._sweep_at = now + SECONDS_BETWEEN_SWEEPS
            few = self._allowed - share * SECONDS_BETWEEN_SWEEPS
            self._sent = {source: sent for source, sent in self._sent.items() if sent > few}


class FairShare:
    """Decides during an overload which messages are served.

    Call `tick` regularly, with the time and whether there is a backlog.  The pool of the lowest
    trust level is slowed down first; the next one only when all lower pools are at their minimum
    rate and there is still a backlog.
    """

    def __init__(self) -> None:
        self.is_overloaded = False
        self.refused = 0  # messages since the overload began
        self._pools = _new_pools()
        self._calm_at = 0.0

    def allows(
        self, source: Hashable, now: float, *, trust: TrustLevel, is_forgeable: bool
    ) -> bool:
        """Return True if a message is to be served; ask only during an overload.

        `is_forgeable` says that the source address is unverified, as with UDP.
        """
        pool = self._pools[trust]
        if pool.rate == inf or pool.allows(source, is_forgeable=is_forgeable):
            return True
        self.refuse(now)
        return False

    def refuse(self, now: float) -> None:
        """Count a message that is not served; the overload lasts on."""
        self.refused += 1
        self._calm_at = now + CALM_SECONDS

    def share_of(self, trust: TrustLevel) -> float:
        """Return how many messages per second each source of a trust level may send."""
        return self._pools[trust].share

    def has_room(self, source: Hashable, now: float, *, trust: TrustLevel) -> bool:
        """Return True if a source on a connection may send one more message; if not, it waits.

        Ask only during an overload; it does not end while a source waits for its share.
        """
        pool = self._pools[trust]
        if pool.rate == inf or pool.has_room(source):
            return True
        self._calm_at = now + CALM_SECONDS
        return False

    def tick(self, now: float, *, has_backlog: bool) -> None:
        """Adapt the rates: increase them until there is a backlog again."""
        pools = self._pools
        if has_backlog:
            if not self.is_overloaded:
                self.is_overloaded, self.refused = True, 0
            self._calm_at = now + CALM_SECONDS
            next((pool for pool in pools if not pool.is_at_minimum), pools[-1]).decrease_rate()
        elif not self.is_overloaded:
            return
        elif now >= self._calm_at:
            self.is_overloaded = False
            self._pools = _new_pools()  # all counters are removed
            return
        else:
            highest = max(trust for trust in TrustLevel if pools[trust].rate < inf)
            pools[highest].increase_rate()
            if highest and pools[highest].rate == MAX_RATE:
                pools[highest] = _Pool(MIN_RATE[highest])
        for pool in pools:
            pool.grant(now)


def _new_pools() -> list[_Pool]:
    return [_Pool(MIN_RATE[trust]) for trust in TrustLevel]
