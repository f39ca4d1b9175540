"""The timer wheel of all transactions: machines by the time of their next deadline."""

from collections.abc import Iterable

from sip.transaction.machine import Machine, TimerSlot

# Slots of the wheel in one second.  A timer never fires early; it fires when `due` is called next.
SLOTS_PER_SECOND = 20
# The farthest slot.  A later deadline waits in it and is moved on from there.  Without that, an
# INVITE that ends early, as nearly all do, would stay in the wheel for minutes until timer C.
SLOTS_AHEAD = 32 * SLOTS_PER_SECOND


class Timers:
    """A wheel of slots, by number.

    The cost of adding does not depend on the number of machines.  A machine whose deadline becomes
    later stays in its slot and is moved when the slot is due; one without deadline is removed then.
    """

    def __init__(self, now: float) -> None:
        self._slots: dict[int, TimerSlot] = {}
        self._current = int(now * SLOTS_PER_SECOND)

    def __len__(self) -> int:
        return sum(len(slot.machines) for slot in self._slots.values())

    def add(self, machine: Machine) -> None:
        """Schedule `machine` for its deadline.  Calling it again is cheap."""
        if machine.deadline is None:
            return
        number = int(machine.deadline * SLOTS_PER_SECOND)
        if machine.slot is not None and machine.slot.number <= number:
            return
        if number < self._current:
            number = self._current
        elif number > self._current + SLOTS_AHEAD:
            number = self._current + SLOTS_AHEAD
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = TimerSlot(number)
        slot.machines.append(machine)
        machine.slot = slot

    def due(self, now: float) -> list[Machine]:
        """Remove and return the machines that are due; the caller adds them again if needed."""
        until = int(now * SLOTS_PER_SECOND)
        machines: list[Machine] = []
        numbers: Iterable[int] = range(self._current, until + 1)
        if until - self._current > len(self._slots):  # the clock has jumped
            numbers = sorted(number for number in self._slots if number <= until)
        self._current = until
        for number in numbers:
            slot = self._slots.pop(number, None)
            for machine in slot.machines if slot else ():
                if machine.slot is not slot:
                    continue  # it was moved to an earlier slot
                machine.slot = None
                if machine.deadline is not None and machine.deadline <= now:
                    machines.append(machine)
                else:
                    self.add(machine)
        return machines
