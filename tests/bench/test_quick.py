"""The benchmark in the process plays whole registrations and calls."""

import pytest

from bench.quick import BATCH, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench(BATCH + 1)


def test_users_register_and_are_called(bench: Bench):
    """All answers are checked while they are played."""
    assert bench.pairs() > 0
    assert len(bench.server.location.bindings("u50@example.com")) == 1
    assert bench.calls() > 0


def test_other_work_is_done_before_each_message(bench: Bench):
    """Two messages of a registration, and six of a call, come from a phone."""
    bench.pairs()
    done = []
    bench.pairs(3, lambda: done.append("pair"))
    bench.calls(3, lambda: done.append("call"))
    assert (done.count("pair"), done.count("call")) == (3 * 2, 3 * 6)
