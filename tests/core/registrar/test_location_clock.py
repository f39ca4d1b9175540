"""The clock of the machine is set, forth or back: phones are bound as long as they were told."""

import pytest

from sip.core.registrar.location import Location
from sip.monitor.events import Bus
from tests.support.accounts import MemoryBindingStore
from tests.support.bindings import changed, plain_binding

DAYS = 10 * 86_400.0


class Machine:
    """A disk, a clock that can be set, and one that only goes on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.unix = 1_700_000_000.0
        self.disk = MemoryBindingStore()
        self.location = self.started()

    def started(self) -> Location:
        location = Location(self.disk, lambda: self.now, lambda: self.unix, Bus())
        location.load(self.disk.load(self.unix))
        return location

    def passes(self, seconds: float, step: float = 0.0) -> None:
        """Time goes by, and the clock is set by `step` on top of it."""
        self.now += seconds
        self.unix += seconds + step
        self.location.follow_unix_clock()
        self.location.sweep(self.now)

    def binds(self, contact: str, seconds: float) -> None:
        new = changed(plain_binding(contact, self.now + seconds), call_id=contact)
        self.location.update("bob@example.com", [new])

    def left(self) -> dict[str, float]:
        """Seconds that each contact is bound for yet."""
        bindings = self.location.bindings("bob@example.com")
        return {b.contact: b.expires_at - self.now for b in bindings}


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("step", [DAYS, -DAYS, 5.0, -5.0])
def test_a_clock_that_is_set_changes_no_binding(machine: Machine, step: float):
    """Neither in memory nor, after a restart, on the disk."""
    machine.binds("sip:bob@192.0.2.9", 3600.0)
    machine.passes(60.0, step)
    assert machine.left() == {"sip:bob@192.0.2.9": 3540.0}
    machine.location = machine.started()
    assert machine.left() == {"sip:bob@192.0.2.9": pytest.approx(3540.0, abs=1.0)}
    machine.passes(3541.0)
    assert machine.left() == {}
    assert machine.disk.rows == {}


def test_a_clock_that_is_set_twice_ends_where_it_began(machine: Machine):
    machine.binds("sip:bob@192.0.2.9", 3600.0)
    (before,) = machine.disk.rows.values()
    machine.passes(1.0, DAYS)
    machine.binds("sip:bob@192.0.2.10", 3600.0)
    machine.passes(1.0, -DAYS)
    first, second = machine.disk.rows.values()
    assert first == before
    assert second.expires_at - before.expires_at == 1


def test_a_binding_stored_in_the_future_lasts_as_granted(machine: Machine):
    """The clock was set while the server was off: by how much is not known."""
    machine.binds("sip:bob@192.0.2.9", 3600.0)
    machine.unix -= DAYS
    machine.location = machine.started()
    assert machine.left() == {"sip:bob@192.0.2.9": 3600.0}


def test_a_clock_that_only_drifts_is_left_alone(machine: Machine, monkeypatch):
    def shift(seconds: int) -> None:
        raise AssertionError("nothing was set")

    monkeypatch.setattr(machine.disk, "shift", shift)
    for _ in range(100):
        machine.passes(1.0, 0.01)
