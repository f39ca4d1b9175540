"""Fair shares during an overload, on a turned clock."""

import random
from collections import deque

import pytest

from sip.core.guard.fair_share import CALM_SECONDS, MAX_SOURCES, MIN_RATE, FairShare, TrustLevel

UNKNOWN, SAME_ADDRESS, VERIFIED = TrustLevel
TICK = 0.05
DROPPING = 5e-6  # seconds that a message takes which is refused
ROOM = 3000  # messages that wait; further ones are lost


class Server:
    """Handles so many messages per second, and drops many more; behind while a burst waits."""

    def __init__(self, strength: int = 1500) -> None:
        self.strength = strength
        self.now = 100.0
        self.waiting: deque[tuple[object, TrustLevel, int]] = deque()
        self.shares = FairShare()
        self.lot = random.Random(1)

    def passes(
        self, seconds: float, *senders: tuple[object, int, TrustLevel], forgeable: bool = True
    ) -> list[float]:
        """Let time pass; each sender is a source, its messages per second, and its trust level.

        Return the part of each sender's messages that was served.
        """
        sent, served = [0] * len(senders), [0] * len(senders)
        left = [self.lot.random() for _ in senders]
        for _ in range(round(seconds / TICK)):
            coming = []
            for number, (source, rate, trust) in enumerate(senders):
                left[number] += rate * TICK
                many, left[number] = divmod(left[number], 1)
                sent[number] += int(many)
                coming += [(source, trust, number)] * int(many)
            self.lot.shuffle(coming)
            self.waiting += coming[: max(0, ROOM - len(self.waiting))]
            work = TICK
            while self.waiting and work > 0:
                source, trust, number = self.waiting.popleft()
                if not self.shares.is_overloaded or self.shares.allows(
                    source, self.now, trust=trust, is_forgeable=forgeable
                ):
                    served[number] += 1
                    work -= 1 / self.strength
                else:
                    work -= DROPPING
            self.now += TICK
            self.shares.tick(self.now, has_backlog=len(self.waiting) > 200)
        self.waiting.clear()
        return [have / max(1, had) for have, had in zip(served, sent, strict=True)]


@pytest.fixture
def server() -> Server:
    return Server()


def test_no_message_is_refused_without_overload(server: Server):
    assert server.passes(3, ("a", 1450, UNKNOWN)) == [1.0]
    assert not server.shares.is_overloaded


def test_a_flood_from_one_address_leaves_all_others_alone(server: Server):
    good = [(f"good{number}", 10, UNKNOWN) for number in range(20)]
    served = server.passes(5, ("flood", 4500, UNKNOWN), *good)
    assert served[0] < 0.4
    assert min(served[1:]) > 0.98


def test_a_flood_from_many_addresses_spares_quiet_ones(server: Server):
    flood = [(f"flood{number}", 22, UNKNOWN) for number in range(200)]
    quiet = [(f"quiet{number}", 2, UNKNOWN) for number in range(50)]
    server.passes(2, *flood, *quiet)
    served = server.passes(5, *flood, *quiet)
    assert sum(served[200:]) / 50 > 0.95
    assert sum(served[:200]) / 200 < 0.5


def test_a_verified_source_is_served_in_any_flood(server: Server):
    """Even of forged addresses, each of which sends one message alone."""
    flood = [(object(), 1, UNKNOWN) for _ in range(4500)]
    served = server.passes(4, ("proven", 500, VERIFIED), *flood)
    assert served[0] > 0.99


def test_forged_addresses_are_bounded_and_leave_a_rest(server: Server):
    for _ in range(2):
        flood = [(object(), 1, UNKNOWN) for _ in range(5000)]
        served = server.passes(2, *flood)
        assert len(server.shares._pools[UNKNOWN]._sent) <= MAX_SOURCES
    assert sum(served) / len(served) > 0.1  # 0.3 would be all that the server can do


def test_the_server_stays_busy_meanwhile(server: Server):
    """No more is refused than the server cannot handle."""
    server.passes(2, ("flood", 6000, UNKNOWN))
    (share,) = server.passes(8, ("flood", 6000, UNKNOWN))
    assert 0.7 * 1500 < share * 6000 < 1.1 * 1500


def test_too_many_verified_sources_share_the_rate(server: Server):
    server.passes(4, ("greedy", 4500, VERIFIED), ("modest", 50, VERIFIED))
    served = server.passes(6, ("greedy", 4500, VERIFIED), ("modest", 50, VERIFIED))
    assert served[1] > 0.98
    assert served[0] < 0.4


def test_a_new_source_gets_in_beside_greedy_verified_ones(server: Server):
    greedy = [(number, 1000, VERIFIED) for number in range(5)]
    server.passes(5, *greedy)
    served = server.passes(5, *greedy, ("new", 10, UNKNOWN))
    assert served[-1] > 0.95
    assert server.shares._pools[UNKNOWN].rate == MIN_RATE[UNKNOWN]


def test_unknown_sources_are_throttled_first(server):
    flood = [(f"flood{number}", 22, UNKNOWN) for number in range(200)]
    server.passes(2, *flood, ("answers", 200, SAME_ADDRESS), ("calls", 200, VERIFIED))
    served = server.passes(4, *flood, ("answers", 200, SAME_ADDRESS), ("calls", 200, VERIFIED))
    assert min(served[-2:]) > 0.98
    server.passes(4, ("greedy", 4500, SAME_ADDRESS), ("calls", 1000, VERIFIED))
    served = server.passes(4, ("greedy", 4500, SAME_ADDRESS), ("calls", 1000, VERIFIED))
    assert served[0] < 0.3
    assert served[1] > 0.98


def test_on_connections_the_sum_of_unknown_sources_has_no_limit(server: Server):
    """Their addresses are real, so each has its share, and nothing sent there is repeated."""
    flood = [(object(), 1, UNKNOWN) for _ in range(2000)]
    server.passes(1, *flood, forgeable=False)
    assert server.shares.is_overloaded
    assert not server.shares.refused


def test_an_overload_ends_a_second_after_the_flood(server: Server):
    server.passes(3, ("flood", 9000, UNKNOWN))
    assert server.shares.is_overloaded
    assert server.shares.refused
    server.passes(CALM_SECONDS + 1, ("good", 10, UNKNOWN))
    assert not server.shares.is_overloaded
    assert not server.shares._pools[UNKNOWN]._sent


def test_has_room_agrees_with_allows(server: Server):
    server.passes(2, ("flood", 4500, UNKNOWN))
    shares = server.shares
    for _ in range(200):
        has_room = shares.has_room("line", server.now, trust=UNKNOWN)
        assert has_room == shares.has_room("line", server.now, trust=UNKNOWN)
        assert has_room == shares.allows("line", server.now, trust=UNKNOWN, is_forgeable=False)
    assert not has_room


def test_an_overload_lasts_while_a_source_waits(server: Server):
    """Else all waiting connections would be read at once, and start the next overload."""
    server.passes(2, ("flood", 4500, UNKNOWN))
    shares = server.shares
    while shares.has_room("line", server.now, trust=UNKNOWN):
        shares.allows("line", server.now, trust=UNKNOWN, is_forgeable=False)
    for _ in range(round(2 * CALM_SECONDS / TICK)):
        server.now += TICK
        while shares.has_room("line", server.now, trust=UNKNOWN):
            shares.allows("line", server.now, trust=UNKNOWN, is_forgeable=False)
        shares.tick(server.now, has_backlog=False)
        assert shares.is_overloaded
    for _ in range(round(CALM_SECONDS / TICK) + 1):
        server.now += TICK
        shares.tick(server.now, has_backlog=False)
    assert not shares.is_overloaded
