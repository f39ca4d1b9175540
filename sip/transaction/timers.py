"""The wheel that remembers whose turn is when."""

from collections.abc import Iterable

from sip.transaction.machine import Machine

# The wheel's slots in a second.  A timer is never early, and as late as `due` is asked for it.
SLOTS_PER_SECOND = 20
# The farthest slot.  A later deadline is moved on from there, so that what ends early, as a call
# that timer C watches nearly always does, is not held for minutes.
SLOTS_AHEAD = 32 * SLOTS_PER_SECOND


class Timers:
    """A wheel of slots, each a list of machines that have work in it.

    Adding costs the same however many wait.  A machine whose deadline moves away stays in its
    slot and is moved on when that comes; one whose deadline goes is forgotten then.
    """

    def __init__(self, now: float) -> None:
        self._slots: dict[int, list[Machine]] = {}
        self._current = int(now * SLOTS_PER_SECOND)

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots.values())

    def add(self, machine: Machine) -> None:
        """See to it that `machine` is handed out at its deadline.  Cheap to call again."""
        if machine.deadline is None:
            return
        slot = int(machine.deadline * SLOTS_PER_SECOND)
        if machine.slot is not None and machine.slot <= slot:
            return
        if slot < self._current:
            slot = self._current
        elif slot > self._current + SLOTS_AHEAD:
            slot = self._current + SLOTS_AHEAD
        machine.slot = slot
        if slot in self._slots:
            self._slots[slot].append(machine)
        else:
            self._slots[slot] = [machine]

    def due(self, now: float) -> list[Machine]:
        """Hand out the machines whose deadline has come; what they need next is added anew."""
        until = int(now * SLOTS_PER_SECOND)
        machines: list[Machine] = []
        slots: Iterable[int] = range(self._current, until + 1)
        if until - self._current > len(self._slots):  # the clock has leapt
            slots = sorted(slot for slot in self._slots if slot <= until)
        self._current = until
        for slot in slots:
            for machine in self._slots.pop(slot, ()):
                if machine.slot != slot:
                    continue  # it has moved to an earlier slot since
                machine.slot = None
                if machine.deadline is not None and machine.deadline <= now:
                    machines.append(machine)
                else:
                    self.add(machine)
        return machines
