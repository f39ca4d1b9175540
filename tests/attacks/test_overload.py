"""More than the server can do, while others call and register."""

import time
from pathlib import Path

import pytest

from tests.wire.server import CALLEES, CALLERS, Server

pytestmark = pytest.mark.wire

RATES = {"REGISTER": 20_000, "INVITE": 15_000, "OPTIONS": 25_000, "garbage": 50_000}
RATE = 20  # good calls, and registrations, a second
SECONDS = 5
MEMORY_MB = 30


def memory_mb(server: Server) -> float:
    """What the server holds of the machine's memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def waits(server: Server) -> float:
    """How long an OPTIONS takes, asked again every half second as RFC 3261 §17.1.2.2 has it."""
    asked = time.monotonic()
    while not server.answers_options(seconds=0.5):
        assert time.monotonic() - asked < 10, "no answer to OPTIONS"
    return time.monotonic() - asked


def good_share(server: Server, sipp, flood, kind: str, addresses: int, seconds: int) -> float:
    """The share of calls and registrations that succeed during a flood; worst of the two."""
    many = RATE * seconds
    phones = sipp("callee", calls=many, to=server.address, seconds=seconds + 30)
    sipp(
        "register",
        calls=len(CALLEES),
        to=server.address,
        people=[("", user, server.password_of(user)) for user in CALLEES],
        address=phones.address,
        port=5070,
        contact=phones.socket,
    ).succeeds()
    people = [(b, a, server.password_of(a)) for a, b in zip(CALLERS, CALLEES, strict=True)]
    flood(kind, addresses=addresses, seconds=seconds + 2, rate=RATES[kind])
    time.sleep(0.5)  # it has begun
    good = [
        sipp(
            scenario,
            calls=many,
            rate=RATE,
            to=server.address,
            from_domain="elsewhere.test" if scenario == "caller_patient" else None,
            people=people if scenario == "caller_patient" else [("", a, p) for _, a, p in people],
            contact="127.0.0.9:5060",
            seconds=seconds + 30,
        )
        for scenario in ("caller_patient", "register")
    ]
    for each in good:
        each.process.wait(seconds + 40)
    return min(each.statistics().successful / many for each in good)


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize(("addresses", "least"), [(1, 0.99), (200, 0.95)])
def test_good_calls_go_on_during_a_flood(server, sipp, flood, kind, addresses, least):
    """Three times of what the server can do, of one kind, from one address and from many."""
    before = memory_mb(server)
    share = good_share(server, sipp, flood, kind, addresses, SECONDS)
    assert share >= least
    assert waits(server) < 1
    assert memory_mb(server) < before + MEMORY_MB


@pytest.mark.siege
@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize(("addresses", "least"), [(1, 0.99), (200, 0.95)])
def test_good_calls_go_on_for_as_long_as_the_flood_lasts(
    server, sipp, flood, kind, addresses, least
):
    """The same for half a minute, in which the guard finds its measure again and again."""
    before = memory_mb(server)
    assert good_share(server, sipp, flood, kind, addresses, 30) >= least
    assert waits(server) < 1
    assert memory_mb(server) < before + MEMORY_MB
