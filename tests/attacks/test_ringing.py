"""Strangers that call all users: phones ring on, and the memory comes back."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.programs import end, own_address
from tests.support.server import CALLEES, Server
from tests.support.server_load import MEMORY_MB, memory_mb, work_before_an_answer

pytestmark = [pytest.mark.wire, pytest.mark.siege]

PHONE = Path(__file__).parents[1] / "support/ringing_phone.py"
RATE = 4000  # calls a second
SECONDS = 8
# Five thousand calls ring at once then: of what they took stay pieces between others, too small for
# the system (docs/performance.md says how much for ten thousand), and the next ones use them.
LEFT_MB = 90
# Timer C of RFC 3261, which cancels a phone that only rings; and 32 s for finished
# transactions.
RINGS_ON, IS_OVER = 181, 32
# The wheel's turn, a sweep, and the phones that register again meanwhile.
LATER = 10


@pytest.fixture
def phones(server: Server, sipp) -> Iterator[Callable[[str], None]]:
    """Fifty users at one address that all do the same with each call: `rings` or `is-busy`."""
    with ExitStack() as started:

        def register(does: str) -> None:
            address = own_address()
            process = subprocess.Popen(
                [sys.executable, str(PHONE), address, does], stdin=subprocess.PIPE
            )
            started.callback(end, process, 9)
            started.callback(process.stdin.close)
            sipp(
                "register",
                calls=len(CALLEES),
                to=server.address,
                people=[("", user, server.password_of(user)) for user in CALLEES],
                address=address,
                port=5070,
                contact=f"{address}:5060",
            ).succeeds()

        yield register


def takes(server: Server, flood, addresses: int, seconds: float) -> tuple[float, float]:
    """The memory, in MB, that calls take at most, and the rest of it after all calls."""
    before = memory_mb(server)
    flood("call", addresses=addresses, seconds=SECONDS, rate=RATE)
    most, ends_at = before, time.monotonic() + SECONDS + seconds + LATER
    while time.monotonic() < ends_at:
        most = max(most, memory_mb(server))
        time.sleep(1.0)
    assert work_before_an_answer(server) < 1
    after = memory_mb(server)
    print(
        f"\ncalls from {addresses} addresses:"
        f" {before:.0f} MB before, {most:.0f} MB at most, {after:.0f} MB after"
    )
    return most - before, after - before


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("addresses", "left"), [(1, MEMORY_MB), (200, LEFT_MB)])
def test_calls_that_ring_on_end_by_themselves(server, flood, phones, addresses, left):
    """RFC 3261 §16.6, timer C: no CANCEL arrives for a call with a forged caller."""
    phones("rings")
    _, kept = takes(server, flood, addresses, RINGS_ON + IS_OVER)
    assert kept < left


@pytest.mark.timeout(600)
def test_calls_of_one_address_to_busy_phones_leave_nothing(server, flood, phones):
    phones("is-busy")
    _, kept = takes(server, flood, 1, IS_OVER)
    assert kept < MEMORY_MB


@pytest.mark.timeout(600)
def test_a_second_flood_takes_what_the_first_has_left(server, flood, phones):
    """No memory is lost: the part that the system did not get back serves the next flood."""
    phones("is-busy")
    most, kept = takes(server, flood, 200, IS_OVER)
    assert kept < LEFT_MB
    more, kept_more = takes(server, flood, 200, IS_OVER)
    assert kept + more < 1.5 * most
    assert kept_more < MEMORY_MB / 2
