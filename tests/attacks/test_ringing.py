"""Strangers who call everybody: phones ring on, and what that takes comes back."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks.test_overload import MEMORY_MB, memory_mb
from tests.wire.programs import end, own_address
from tests.wire.server import CALLEES, Server

pytestmark = [pytest.mark.wire, pytest.mark.siege]

PHONE = Path(__file__).with_name("ringing.py")
RATE = 4000  # calls a second
SECONDS = 8
# Timer C of RFC 3261, after which a phone that only rings is cancelled; and 32 s for what is over.
RINGS_ON, IS_OVER = 181, 32
# The wheel's turn, a sweep, and the phones that register again meanwhile.
LATER = 10


@pytest.fixture
def phones(server: Server, sipp) -> Iterator[Callable[[str], None]]:
    """Fifty users at one address, who all do the same with each call: `rings` or `is-busy`."""
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


@pytest.mark.timeout(600)
@pytest.mark.parametrize("addresses", [1, 200])
@pytest.mark.parametrize(("does", "seconds"), [("rings", RINGS_ON + IS_OVER), ("is-busy", IS_OVER)])
def test_what_calls_of_strangers_take_comes_back(server, flood, phones, does, seconds, addresses):
    """RFC 3261 §16.6, timer C: nobody cancels a call whose caller never was; then it is over."""
    phones(does)
    before = memory_mb(server)
    flood("call", addresses=addresses, seconds=SECONDS, rate=RATE)
    most, ends_at = before, time.monotonic() + SECONDS + seconds + LATER
    while time.monotonic() < ends_at:
        most = max(most, memory_mb(server))
        assert server.answers_options(seconds=5.0)
        time.sleep(1.0)
    after = memory_mb(server)
    print(
        f"\na phone that {does}, called from {addresses} addresses:"
        f" {before:.0f} MB before, {most:.0f} MB at most, {after:.0f} MB after"
    )
    assert after < before + MEMORY_MB
