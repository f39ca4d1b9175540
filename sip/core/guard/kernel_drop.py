"""Partial drop in the kernel: which share of a flood each source may still deliver.

Problem: reading a message costs more than refusing it; at 100,000 per second reading alone is too
    much, so the kernel has to drop most of a flood before it is read.
Model: each source that sends much more than its fair share gets a keep ratio below 1; the kernel
    keeps that fraction of its datagrams, at random.  These are a sample: their number divided by
    the ratio shows how much the source really sends, and the ratio is set by that.
Invariant: at least MIN_KEPT_RATE messages per second of each source are kept, and more than its
    fair share, so that the overload control still sees the flood and its end.
Bounds: MAX_COUNTED sources are counted, MAX_SAMPLED have a ratio.  A flood from many forged
    addresses is not sampled: none of them sends much.

Pure: the time is an argument, and so is the share of each source.
"""

from collections.abc import Callable
from heapq import nlargest

# Messages are counted for this time, then the ratios are computed anew.
SECONDS_BETWEEN_UPDATES = 0.2
# Messages per second from which on a source is sampled; to read and refuse so many takes 1 to 2 ms.
HEAVY_RATE = 200.0
# Messages per second below which a source that is sampled no longer counts as a flood.
QUIET_RATE = 50.0
# Multiple of its fair share that is kept of a source: the fair share must still refuse some
# messages, or the overload would end.
KEEP_OVER_SHARE = 1.5
# Messages per second that are kept at least: with so many, none in 0.2 s means silence.
MIN_KEPT_RATE = 30.0
# Sources that are counted between two updates.  A heavy source is among the first that are seen.
MAX_COUNTED = 4096
# Sources that are sampled, the heaviest ones.  256 cost the kernel 0.25 microseconds per datagram,
# measured, and the server a millisecond per update.
MAX_SAMPLED = 256


class PacketSampler:
    """Counts the messages of each source, and computes how much of it the kernel keeps."""

    def __init__(self) -> None:
        self.keep_ratios: dict[str, float] = {}  # of each sampled source: below 1
        self.dropped = 0.0  # messages that the kernel dropped since `reset`, estimated
        self._rates: dict[str, float] = {}  # of each heavy source, in messages per second
        self._received: dict[str, int] = {}
        self._updated_at: float | None = None

    def count(self, source: str) -> None:
        """Count one received message."""
        received = self._received
        if source in received:
            received[source] += 1
        elif len(received) < MAX_COUNTED:
            received[source] = 1

    def update(self, now: float, share_of: Callable[[str], float]) -> bool:
        """Compute the keep ratios anew; False: it is not time yet, and nothing has changed.

        `share_of` returns how many messages per second of a source may be served.
        """
        if self._updated_at is None:  # an overload begins
            self._updated_at = now
            self._received.clear()
        seconds = now - self._updated_at
        if seconds < SECONDS_BETWEEN_UPDATES:
            return False
        self._updated_at = now
        rates = {}
        for source, received in self._received.items():
            sent = received / self.keep_ratios.get(source, 1.0)
            self.dropped += sent - received
            rate, least = sent / seconds, HEAVY_RATE
            if source in self._rates:
                # Down at once, for a flood may be over; up by halves, for a small sample is coarse.
                rate, least = min(rate, (rate + self._rates[source]) / 2), QUIET_RATE
            if rate >= least:
                rates[source] = rate
        heaviest = nlargest(MAX_SAMPLED, rates, key=rates.__getitem__)
        self._rates = {source: rates[source] for source in heaviest}
        ratios = {
            source: max(MIN_KEPT_RATE, KEEP_OVER_SHARE * share_of(source)) / rate
            for source, rate in self._rates.items()
        }
        self.keep_ratios = {source: ratio for source, ratio in ratios.items() if ratio < 1}
        # These sources are counted in any case, however many others send.
        self._received = dict.fromkeys(self._rates, 0)
        return True

    def reset(self) -> None:
        """Remove all keep ratios and counters."""
        self.keep_ratios, self._rates, self._received = {}, {}, {}
        self.dropped, self._updated_at = 0.0, None
