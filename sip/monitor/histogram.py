"""Histograms of durations: how many were at most a millisecond, 2.5 ms and so on."""

from bisect import bisect_left

# Upper bounds in seconds, from a quick commit to a broken disk.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """Durations in seconds, each counted by the smallest of BOUNDS that it does not exceed.

    The last of `counts` is for those above all bounds; `sum` is the sum of all durations.
    """

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds
