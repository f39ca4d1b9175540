"""Histograms of durations."""

from sip.monitor.histogram import BOUNDS, Histogram


def test_a_duration_counts_below_the_first_bound_it_reaches():
    """Prometheus counts those that are at most as large as the bound."""
    histogram = Histogram()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1], BOUNDS[-1] + 1):
        histogram.observe(seconds)
    assert histogram.counts[:2] == [2, 1]
    assert histogram.counts[-2:] == [1, 1]
    assert sum(histogram.counts) == 5
    assert round(histogram.sum - 2 * BOUNDS[-1], 5) == 1.00201
