"""Of which sources the kernel is to let only a part through, while more comes than can be served.

To read a message costs more than to refuse it, and of a hundred thousand in a second reading alone
is too much.  Pure: the time is an argument, and so is what a source may have.
"""

from collections.abc import Callable
from heapq import nlargest

# How long messages are counted before it is judged whose are too many.
SECONDS_BETWEEN_JUDGEMENTS = 0.2
# Messages a second from which on a source is thinned; to read and refuse so many takes 1 or 2 ms.
HEAVY_RATE = 200.0
# Of a source that is thinned already, messages a second that are no flood any more.
QUIET_RATE = 50.0
# So much of its share is let through that the shares have some to refuse still, and thus go on.
OF_SHARE = 1.5
# Messages a second that are let through at least: so many that none in 0.2 s means silence.
LEAST_SEEN = 30.0
# Sources that are counted in the time of a judgement.  Whoever is heavy is among the first to come.
MAX_COUNTED = 4096
# Sources that are thinned, the heaviest.  256 cost the kernel 0.25 microseconds a datagram,
# measured, and us a millisecond at each judgement.
MAX_THINNED = 256


class Thinning:
    """Counts what comes from each source, and thins what is much more than may be served.

    What is let through is a sample: it tells how much a source goes on sending, so the thinning
    follows it up and down, and a source that falls silent is no longer thinned.  A flood from
    many forged addresses is left as it is: none of them is heavy.
    """

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}  # of each source that is thinned: below 1
        self.kept_away = 0.0  # about how many messages, since the last `stop`
        self._rates: dict[str, float] = {}  # of each that was heavy, in messages a second
        self._came: dict[str, int] = {}
        self._judged_at: float | None = None

    def count(self, source: str) -> None:
        """A message has come."""
        came = self._came
        if source in came:
            came[source] += 1
        elif len(came) < MAX_COUNTED:
            came[source] = 1

    def judge(self, now: float, share_of: Callable[[str], float]) -> bool:
        """Find out anew who is thinned and how much; False: it is not time yet, nothing changes.

        `share_of` says how many messages a second of a source may be served.
        """
        if self._judged_at is None:  # a shortage begins
            self._judged_at = now
            self._came.clear()
        seconds = now - self._judged_at
        if seconds < SECONDS_BETWEEN_JUDGEMENTS:
            return False
        self._judged_at = now
        rates = {}
        for source, came in self._came.items():
            sent = came / self.parts.get(source, 1.0)
            self.kept_away += sent - came
            rate, least = sent / seconds, HEAVY_RATE
            if source in self._rates:
                # Down at once, for a flood may be over; up by halves, for few are a coarse sample.
                rate, least = min(rate, (rate + self._rates[source]) / 2), QUIET_RATE
            if rate >= least:
                rates[source] = rate
        heaviest = nlargest(MAX_THINNED, rates, key=rates.__getitem__)
        self._rates = {source: rates[source] for source in heaviest}
        parts = {
            source: max(LEAST_SEEN, OF_SHARE * share_of(source)) / rate
            for source, rate in self._rates.items()
        }
        self.parts = {source: part for source, part in parts.items() if part < 1}
        # These are counted in any case, however many others come.
        self._came = dict.fromkeys(self._rates, 0)
        return True

    def stop(self) -> None:
        """Thin nobody, and forget what was counted."""
        self.parts, self._rates, self._came = {}, {}, {}
        self.kept_away, self._judged_at = 0.0, None
