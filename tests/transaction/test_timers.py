"""The timer wheel: no timer is early, and no timer is lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sip.transaction.machine import TIMEOUT, TIMER_C, Machine
from sip.transaction.timers import SLOTS_AHEAD, SLOTS_PER_SECOND, Timers
from sip.transport.flow import Flow

FLOW = Flow("UDP", ("192.0.2.1", 5060), ("192.0.2.7", 5060))
SLOT = 1 / SLOTS_PER_SECOND


def due_at(deadline: float | None) -> Machine:
    machine = Machine(FLOW)
    machine.deadline = deadline
    return machine


def test_a_machine_is_handed_out_at_its_deadline_and_not_before():
    """Also within one slot."""
    timers, machine = Timers(100.0), due_at(100.52)
    timers.add(machine)
    assert timers.due(100.5) == []
    assert timers.due(100.519) == []
    assert timers.due(100.52) == [machine]
    assert timers.due(200.0) == []
    assert len(timers) == 0


def test_a_deadline_that_has_passed_is_due_at_once():
    """A timer of 0 s, on a connection."""
    timers = Timers(100.0)
    machines = [due_at(100.0), due_at(3.0)]
    for machine in machines:
        timers.add(machine)
    assert timers.due(100.0) == machines


def test_adding_again_adds_nothing():
    """The layer adds a machine after each event."""
    timers, machine = Timers(0.0), due_at(1.0)
    for _ in range(3):
        timers.add(machine)
    assert len(timers) == 1
    assert timers.due(1.0) == [machine]


def test_a_later_deadline_is_waited_for():
    """The machine stays in its slot, and is moved on when that is due."""
    timers, machine = Timers(0.0), due_at(1.0)
    timers.add(machine)
    machine.deadline = 5.0
    timers.add(machine)
    assert len(timers) == 1
    assert timers.due(4.999) == []
    assert timers.due(5.0) == [machine]


def test_an_earlier_deadline_replaces_the_former_slot():
    """A cancelled call."""
    timers, machine = Timers(0.0), due_at(30.0)
    timers.add(machine)
    machine.deadline = 2.0
    timers.add(machine)
    assert timers.due(1.999) == []
    assert timers.due(2.0) == [machine]
    assert timers.due(31.0) == []
    assert len(timers) == 0


def test_a_machine_that_came_back_to_a_slot_is_handed_out_once():
    """The machine is in the wheel twice by then."""
    timers, machine = Timers(0.0), due_at(10.0)
    timers.add(machine)
    machine.deadline = 1.0
    timers.add(machine)
    assert timers.due(1.0) == [machine]
    machine.deadline = 10.02
    timers.add(machine)
    assert timers.due(10.01) == []
    assert timers.due(10.02) == [machine]
    assert timers.due(11.0) == []


def test_a_removed_deadline_is_never_due():
    """A transaction that has ended."""
    timers, machine = Timers(0.0), due_at(1.0)
    timers.add(machine)
    machine.deadline = None
    assert timers.due(1.0) == []
    assert len(timers) == 0
    timers.add(machine)
    assert len(timers) == 0


def test_an_early_end_frees_the_slot_before_timer_c():
    """Most calls end long before."""
    timers, machine = Timers(0.0), due_at(TIMER_C)
    timers.add(machine)
    machine.deadline = None
    timers.due(TIMEOUT)
    assert len(timers) == 0


def test_a_deadline_beyond_the_wheel_is_met_to_the_moment():
    """It is moved on each time its slot is due."""
    timers, machine = Timers(0.0), due_at(TIMER_C)
    timers.add(machine)
    now = 0.0
    while now < TIMER_C - SLOT:
        now += SLOT
        assert timers.due(now) == []
        assert len(timers) == 1
    assert timers.due(TIMER_C) == [machine]


def test_after_a_clock_jump_all_is_due_once_and_in_order():
    """The computer was suspended, or the hub was blocked."""
    timers = Timers(0.0)
    machines = [due_at(at) for at in (0.3, 7.0, 8.0, 31.0, 500.0)]
    for machine in reversed(machines):
        timers.add(machine)
    assert timers.due(86_400.0) == machines
    assert len(timers) == 0
    late = due_at(86_401.0)
    timers.add(late)
    assert timers.due(86_400.9) == []
    assert timers.due(86_401.0) == [late]


def test_a_clock_that_stands_still_loses_nothing():
    """Two calls of `due` within one slot."""
    timers, machine = Timers(10.0), due_at(10.01)
    assert timers.due(10.0) == []
    timers.add(machine)
    assert timers.due(10.0) == []
    assert timers.due(10.005) == []
    assert timers.due(10.01) == [machine]


def test_fifty_thousand_machines_come_out_once_each():
    """The cost of adding does not depend on the number of machines."""
    timers = Timers(0.0)
    machines = [due_at(1 + (number % 997) / 31) for number in range(50_000)]
    for machine in machines:
        timers.add(machine)
    now, out = 0.0, []
    while now < 34.0:
        now += SLOT
        for machine in timers.due(now):
            assert now - 2 * SLOT < machine.deadline <= now
            out.append(id(machine))
    assert sorted(out) == sorted(map(id, machines))


# A step is a machine and the milliseconds until its deadline (None: it has ended), or the
# milliseconds that pass before `due` is called.
CHANGE = st.tuples(st.integers(0, 5), st.none() | st.integers(-50, 40_000))
PASSING = st.integers(0, 300) | st.integers(0, 200_000)


@settings(max_examples=100)
@given(st.lists(CHANGE | PASSING, max_size=60))
def test_the_wheel_agrees_with_a_list_that_is_searched(steps):
    """After any moves, ends and clock jumps, `due` returns what a scan of all deadlines finds."""
    now = 50.0
    timers = Timers(now)
    machines = [due_at(None) for _ in range(6)]
    for step in steps:
        if isinstance(step, tuple):
            machine, milliseconds = machines[step[0]], step[1]
            machine.deadline = None if milliseconds is None else now + milliseconds / 1000
            timers.add(machine)
            continue
        now += step / 1000
        expected = [m for m in machines if m.deadline is not None and m.deadline <= now]
        due = timers.due(now)
        assert sorted(map(id, due)) == sorted(map(id, expected))
        for machine in due:
            machine.deadline = None
    for machine in machines:
        machine.deadline = None
    timers.due(now + SLOTS_AHEAD / SLOTS_PER_SECOND)
    assert len(timers) == 0  # after one round no terminated machine is left
