"""The clock of the machine is set while the server runs, without effect on phones."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.programs import until
from tests.support.server import Server
from tests.support.socket_phone import SocketPhone, value

TEN_DAYS = 864_000
# What Python runs before all else: its clock is off by what stands in a file.
CLOCK = """
import time

def stepped(real=time.time, path={path!r}):
    with open(path) as file:
        return real() + float(file.read() or 0)

time.time = stepped
"""


@pytest.fixture
def sets_clock(tmp_path: Path) -> Callable[[int], None]:
    file = tmp_path / "offset"
    file.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(path=str(file)))

    def set_clock(offset: int) -> None:
        new = file.with_suffix(".new")
        new.write_text(str(offset))
        new.rename(file)

    return set_clock


@pytest.fixture
def environment(tmp_path: Path, sets_clock) -> dict[str, str]:
    return {"PYTHONPATH": str(tmp_path)}


def seconds_left(phone: SocketPhone) -> int:
    """For how long it is bound, by an answer to a REGISTER that asks for nothing else."""
    uri = f"sip:{phone.server.domain}"
    _, response = phone.authorized("REGISTER", uri, phone.registration)
    return int(re.search(r"expires=(\d+)", value("Contact", response))[1])


@pytest.mark.parametrize("step", [TEN_DAYS, -TEN_DAYS], ids=["forth", "back"])
def test_a_clock_that_is_set_by_ten_days_changes_nothing(server: Server, handset, sets_clock, step):
    """Nonces, registrations, calls; and after a restart, with the clock set right again, too."""
    alice, bob = handset("alice"), handset("bob")
    assert [alice.registers(), bob.registers()] == [200, 200]
    call, theirs = alice.calls(bob)
    other, branch = bob.dials(alice)
    ringing = alice.hears("INVITE ")
    alice.answers(ringing, 180)

    sets_clock(step)
    until(lambda: "system clock changed by" in server.log.read_text(), "it is in the log")
    alice.answers(ringing, 486)
    busy = bob.final(branch)
    assert busy.startswith("SIP/2.0 486 ")
    bob.acknowledges(busy, alice.address[1:-1], other)
    bob.invites_again(theirs, alice)
    assert 3500 < seconds_left(alice) <= 3600
    assert bob.registers() == 200

    server.restart()
    assert 3500 < seconds_left(alice) <= 3600
    sets_clock(0)
    until(lambda: server.log.read_text().count("system clock changed by") == 2, "it is in the log")
    server.restart()
    assert 3500 < seconds_left(alice) <= 3600
    assert 3500 < seconds_left(bob) <= 3600
    alice.hangs_up(call, bob)
