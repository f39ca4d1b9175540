"""Partial drop in the kernel during a flood, on a turned clock."""

import random
from collections import Counter

import pytest

from sip.core.guard.guard import MAX_EXEMPT_PORTS, Guard
from sip.core.guard.kernel_drop import (
    HEAVY_RATE,
    KEEP_OVER_SHARE,
    MAX_COUNTED,
    MAX_SAMPLED,
    MIN_KEPT_RATE,
    SECONDS_BETWEEN_UPDATES,
    PacketSampler,
)
from sip.monitor.events import Bus
from sip.monitor.metrics import DROPPED_OVERLOAD
from sip.store.bans import Ban
from sip.transport.flow import Flow
from sip.transport.packet_filter import SampleRule

TICK = 0.05
SHARE = 1000.0  # messages a second
SERVER, FLOOD, OFFICE = ("192.0.2.1", 5060), "192.0.2.66", "198.51.100.7"


class Kernel:
    """A kernel that keeps datagrams by the keep ratios, and counts them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sampler = PacketSampler()
        self.share = SHARE
        self.lot = random.Random(1)

    def passes(self, seconds: float, **rates: int) -> dict[str, float]:
        """Let sources send at these rates per second; return the rates that were kept."""
        came = dict.fromkeys(rates, 0)
        for _ in range(round(seconds / TICK)):
            for source, rate in rates.items():
                part = self.sampler.keep_ratios.get(source, 1.0)
                for _ in range(round(rate * TICK)):
                    if self.lot.random() < part:
                        came[source] += 1
                        self.sampler.count(source)
            self.now += TICK
            self.sampler.update(self.now, lambda source: self.share)
        return {source: count / seconds for source, count in came.items()}


@pytest.fixture
def kernel() -> Kernel:
    kernel = Kernel()
    kernel.sampler.update(kernel.now, lambda source: SHARE)  # an overload begins
    return kernel


def test_of_a_flood_the_share_and_half_of_it_more_is_kept(kernel: Kernel):
    kernel.passes(0.5, flood=20_000, good=100)
    came = kernel.passes(2, flood=20_000, good=100)
    assert came["flood"] == pytest.approx(KEEP_OVER_SHARE * SHARE, rel=0.1)
    assert came["good"] == 100
    assert kernel.sampler.dropped == pytest.approx(20_000 * 2.3 - 1500 * 2.3, rel=0.1)


def test_sampling_begins_a_fifth_of_a_second_after_the_flood(kernel: Kernel):
    kernel.passes(SECONDS_BETWEEN_UPDATES + TICK, flood=20_000)
    assert kernel.sampler.keep_ratios["flood"] == pytest.approx(0.075)


def test_the_keep_ratio_follows_the_flood_and_the_share(kernel: Kernel):
    kernel.passes(2, flood=20_000)
    for rate, share in [(40_000, 1000.0), (4000, 1000.0), (4000, 200.0), (40_000, 500.0)]:
        kernel.share = share
        kernel.passes(1, flood=rate)
        came = kernel.passes(2, flood=rate)
        assert came["flood"] == pytest.approx(KEEP_OVER_SHARE * share, rel=0.1)


def test_a_silent_source_is_free_two_updates_later(kernel: Kernel):
    kernel.passes(2, flood=20_000)
    kernel.passes(2 * SECONDS_BETWEEN_UPDATES + TICK, good=100)
    assert not kernel.sampler.keep_ratios
    assert kernel.passes(1, flood=100) == {"flood": 100}


def test_a_source_below_its_share_is_never_sampled(kernel: Kernel):
    kernel.passes(2, flood=20_000, busy=1000)
    assert set(kernel.sampler.keep_ratios) == {"flood"}


def test_a_source_below_the_heavy_rate_is_never_sampled(kernel: Kernel):
    """However small its share is."""
    kernel.share = 1.0
    kernel.passes(2, little=int(HEAVY_RATE * 0.8), much=int(HEAVY_RATE * 1.3))
    assert set(kernel.sampler.keep_ratios) == {"much"}


def test_of_a_source_without_a_share_a_sample_is_kept(kernel: Kernel):
    kernel.share = 0.0
    kernel.passes(1, flood=20_000)
    for _ in range(100):
        came = kernel.passes(SECONDS_BETWEEN_UPDATES, flood=20_000)
        assert kernel.sampler.keep_ratios
        assert came["flood"] < 6 * MIN_KEPT_RATE


def test_a_flood_from_many_forged_addresses_is_not_sampled(kernel: Kernel):
    for _ in range(20):
        for number in range(1000):
            kernel.sampler.count(f"forged{number}")
        kernel.passes(TICK)
    assert not kernel.sampler.keep_ratios


def test_forged_addresses_are_bounded_and_hide_no_heavy_source(kernel: Kernel):
    kernel.passes(2, flood=20_000)
    for _ in range(12):
        for number in range(MAX_COUNTED + 10):
            kernel.sampler.count(f"forged{number}")
        assert len(kernel.sampler._received) <= MAX_COUNTED
        kernel.passes(TICK, flood=20_000)
        assert set(kernel.sampler.keep_ratios) == {"flood"}


def test_the_heaviest_sources_are_sampled_at_the_bound(kernel: Kernel):
    kernel.share = 1.0
    rates = {f"flood{number}": 1000 + 20 * number for number in range(MAX_SAMPLED + 20)}
    kernel.passes(SECONDS_BETWEEN_UPDATES + TICK, **rates)
    assert set(kernel.sampler.keep_ratios) == set(list(rates)[20:])


def test_reset_removes_all_of_an_earlier_flood(kernel: Kernel):
    kernel.passes(2, flood=20_000)
    kernel.sampler.reset()
    assert not kernel.sampler.keep_ratios
    assert not kernel.sampler.dropped
    kernel.sampler.count("flood")
    kernel.passes(SECONDS_BETWEEN_UPDATES, good=100)
    assert not kernel.sampler.keep_ratios


# With the guard


class Line:
    """A kernel that samples, a guard, and a server with a limit of messages per second."""

    def __init__(self, *, thins: bool = True, strength: int = 1500) -> None:
        self.now = 1000.0
        self.strength = strength
        self.thinned: dict[str, SampleRule] = {}
        self.orders: list[list[SampleRule]] = []
        self.thins = thins
        self.read = 0
        self.lot = random.Random(1)
        self.waiting: list[tuple[str, int]] = []
        self.guard = Guard(
            lambda: self.now,
            lambda: self.now,
            [],
            lambda network, username, realm: False,
            self.thin,
            Bus(),
        )

    def thin(self, sources) -> bool:
        self.orders.append(list(sources))
        self.thinned = {each.source: each for each in sources} if self.thins else {}
        return self.thins

    def keeps(self, host: str, port: int) -> bool:
        thinned = self.thinned.get(host)
        return (
            thinned is None
            or port in thinned.exempt_ports
            or self.lot.random() < thinned.keep_ratio
        )

    def passes(self, seconds: float, *senders: tuple[str, int, int]) -> list[float]:
        """Let hosts send from a port so many per second; return the part that was served.

        To read a message takes ten microseconds; messages without room in the buffer are lost.
        """
        self.read = 0
        served: Counter[tuple[str, int]] = Counter()
        for _ in range(round(seconds / TICK)):
            coming = [
                (host, port)
                for host, port, rate in senders
                for _ in range(round(rate * TICK))
                if self.keeps(host, port)
            ]
            self.lot.shuffle(coming)
            self.waiting += coming[: 3000 - len(self.waiting)]
            work = TICK
            done = 0
            for host, port in self.waiting:
                if work <= 0:
                    break
                done += 1
                work -= 1e-5
                if self.guard.allows(Flow("UDP", SERVER, (host, port))):
                    served[host, port] += 1
                    work -= 1 / self.strength
            self.read += done
            del self.waiting[:done]
            self.now += TICK
            self.guard.tick(self.now, has_backlog=len(self.waiting) > 200)
        return [served[host, port] / (rate * seconds) for host, port, rate in senders]


def test_a_flood_from_one_address_is_hardly_read():
    line = Line()
    line.passes(4, (FLOOD, 1, 60_000))
    served = line.passes(2, (FLOOD, 1, 60_000), (OFFICE, 1, 20), ("192.0.2.7", 1, 20))
    assert line.read < 2 * 2 * line.strength
    assert served[0] * 60_000 < 1.1 * line.strength
    assert min(served[1:]) > 0.97


def test_sampling_ends_with_the_flood():
    line = Line()
    line.passes(3, (FLOOD, 1, 60_000))
    assert line.thinned
    line.passes(0.6, (FLOOD, 1, 20))
    assert not line.thinned
    line.passes(2, (FLOOD, 1, 20))
    assert not line.guard._fair_share.is_overloaded
    assert line.orders[-1] == []
    told = len(line.orders)
    line.passes(2, (FLOOD, 1, 20))
    assert len(line.orders) == told


def test_sampling_ends_when_an_overload_ends_at_once():
    """As after a pause of the whole machine."""
    line = Line()
    line.passes(3, (FLOOD, 1, 60_000))
    line.now += 5
    line.guard.tick(line.now, has_backlog=False)
    assert not line.guard._fair_share.is_overloaded
    assert not line.thinned


def test_an_overload_lasts_as_long_as_a_sampled_flood(caplog):
    """It is told once, together with about how many the kernel has dropped."""
    line = Line()
    line.passes(5, (FLOOD, 1, 60_000))
    assert line.guard._fair_share.is_overloaded
    line.passes(2)
    (record,) = caplog.records
    assert 200_000 < line.guard.counts[DROPPED_OVERLOAD] == record.args[0] < 300_000


def test_a_verified_port_at_the_address_of_a_flood_is_exempt():
    line = Line()
    line.guard.mark_verified((OFFICE, 40_001))
    line.passes(6, (OFFICE, 1, 60_000))
    assert line.thinned[OFFICE].exempt_ports == (40_001,)
    line.guard.mark_verified((OFFICE, 40_002))
    line.passes(0.2, (OFFICE, 1, 60_000))
    assert line.thinned[OFFICE].exempt_ports == (40_001, 40_002)
    served = line.passes(2, (OFFICE, 1, 60_000), (OFFICE, 40_001, 20), (OFFICE, 40_002, 20))
    assert served[1:] == [1.0, 1.0]


def test_an_address_with_too_many_verified_ports_is_not_sampled():
    line = Line()
    for port in range(MAX_EXEMPT_PORTS + 1):
        line.guard.mark_verified((OFFICE, 40_000 + port))
    line.passes(5, (OFFICE, 1, 60_000), (FLOOD, 1, 60_000))
    assert set(line.thinned) == {FLOOD}


def test_a_trusted_address_is_not_sampled():
    line = Line()
    line.guard.load_bans([], [OFFICE])
    line.passes(3, (OFFICE, 1, 60_000), (FLOOD, 1, 60_000))
    assert set(line.thinned) == {FLOOD}


def test_a_banned_address_is_sampled_to_almost_nothing():
    line = Line()
    line.guard.load_bans(
        [Ban(FLOOD, "guessed passwords", int(line.now), int(line.now) + 600, 1)], []
    )
    line.passes(3, (FLOOD, 1, 90_000), ("192.0.2.7", 1, 2000))
    line.passes(3, (FLOOD, 1, 90_000))
    assert line.read < 3 * 2 * MIN_KEPT_RATE
    line.passes(2, (FLOOD, 1, 20))
    assert not line.guard._fair_share.is_overloaded  # it sends still, but that is no flood any more


def test_connections_are_never_sampled():
    """The kernel slows them down itself."""
    line = Line()
    line.passes(1, ("192.0.2.7", 1, 60_000))
    for _ in range(20):
        for _ in range(1000):
            line.guard.allows(Flow("TCP", SERVER, (OFFICE, 1), 1))
        line.passes(TICK, ("192.0.2.7", 1, 60_000))
    assert set(line.thinned) == {"192.0.2.7"}


def test_without_a_kernel_filter_the_shares_still_work():
    line = Line(thins=False)
    line.passes(3, (FLOOD, 1, 20_000))
    served = line.passes(3, (FLOOD, 1, 20_000), (OFFICE, 1, 20))
    assert served[1] > 0.9
    assert all(each.keep_ratio > 0.01 for order in line.orders for each in order)


def test_sampling_costs_a_forged_address_no_more_than_the_shares():
    """A flood in the name of another address: its own messages get through as rarely as before."""
    heard = []
    for thins in (True, False):
        line = Line(thins=thins)
        line.passes(3, (OFFICE, 1, 20_000))
        _, own = line.passes(10, (OFFICE, 1, 20_000), (OFFICE, 2, 200))
        heard.append(own)
    assert heard[0] > 0.8 * heard[1]
