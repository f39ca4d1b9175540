"""Generations of temporary GRUUs: which of them are valid (RFC 5627 §5.1, §5.3).

Problem: a phone gets another temporary GRUU in each response to a REGISTER.  All of them are valid
    until its Call-ID changes or its last contact ends.
Model: a phone, which is an instance of an address-of-record, has one generation at a time, a random
    number that each of its temporary GRUUs holds.  A new generation ends all earlier GRUUs.
Invariant: a generation leads to one phone at most, and only while that may have a contact.  A
    phone whose connection has closed keeps its generation until its registration would expire,
    because it registers again with the same Call-ID.
Bounds: one generation for each bound instance that asks for GRUUs, and MAX_LOST.

Pure: the time is an argument.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sip.core.gruu import MAX_GENERATION
from sip.core.registrar.bindings import Binding, Bindings

# Phones whose connection has closed, some 400 octets each.  The oldest is removed.
MAX_LOST = 20_000

# An address-of-record and an instance id in lower case.
_Key = tuple[str, str]


class _Lost(NamedTuple):
    """A phone whose connection has closed: what its last REGISTER was, and when that expires."""

    call_id: str
    reg_id: int
    expires_at: float


# What an update has changed: the generation before, and the lost phone that has come back.
Changed = dict[_Key, tuple[int, _Lost | None]]


class Generations:
    """The generation of each phone that has asked for GRUUs.

    `numbers` is empty as long as no phone has asked; only this class changes it.
    """

    def __init__(self) -> None:
        self.numbers: dict[_Key, int] = {}
        self._phones: dict[int, _Key] = {}  # by their generation
        self._lost: OrderedDict[_Key, _Lost] = OrderedDict()

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, aor: str, instance: str) -> int:
        """Return the generation of a phone; 0 if it has none."""
        return self.numbers.get((aor, instance.lower()), 0)

    def phone_of(self, generation: int, now: float) -> _Key | None:
        """Return the address-of-record and the instance of a generation; None if it has ended."""
        key = self._phones.get(generation)
        if key is None:
            return None
        lost = self._lost.get(key)
        if lost is not None and lost.expires_at <= now:
            self._remove(key)
            return None
        return key

    def load(self, aor: str, instance: str, generation: int) -> None:
        """Take a stored generation; that of the latest REGISTER comes last."""
        if generation:
            self._set((aor, instance.lower()), generation)

    def update(
        self, aor: str, current: Bindings, wanted: Sequence[Binding], now: float, *, is_asked: bool
    ) -> Changed:
        """Apply a REGISTER with the contacts `wanted` to a user with the bindings `current`.

        A phone whose Call-ID has changed gets another generation, or none unless `is_asked` says
        that it supports GRUUs.  Return what was changed, for `restore`.
        """
        changed: Changed = {}
        for new in wanted:
            key = aor, new.instance.lower()
            known = self.numbers.get(key, 0)
            if not new.instance or new.expires_at <= now or not (known or is_asked):
                continue
            lost = self._lost.pop(key, None)
            if lost is not None:
                changed.setdefault(key, (known, lost))
                known = 0 if lost.expires_at <= now else known
            if known and self._has_other_call_id(new, current, lost):
                known = 0
            if not known and is_asked:
                known = secrets.randbelow(MAX_GENERATION) + 1
            if known != self.numbers.get(key, 0):
                changed.setdefault(key, (self.numbers.get(key, 0), None))
                self._set(key, known)
        return changed

    @staticmethod
    def _has_other_call_id(new: Binding, current: Bindings, lost: _Lost | None) -> bool:
        """Return True if the latest REGISTER of a phone had another Call-ID.

        With Outbound that of the same flow counts (§5.1).
        """
        former = [
            (binding.registered_at, binding.call_id)
            for binding in current
            if binding.has_instance_of(new)
            and (not new.profile.reg_id or binding.profile.reg_id == new.profile.reg_id)
        ]
        if former:
            return max(former)[1] != new.call_id
        is_same_flow = lost is not None and lost.reg_id == new.profile.reg_id
        return lost is not None and is_same_flow and lost.call_id != new.call_id

    def restore(self, changed: Changed) -> None:
        """Undo an update: its REGISTER was not saved, so no GRUU has ended (§4.2)."""
        for key, (number, lost) in changed.items():
            self._set(key, number)
            if number and lost is not None:
                self._lost[key] = lost

    def end(self, aor: str, before: Iterable[Binding], after: Iterable[Binding]) -> None:
        """Remove the generations of phones whose last contact has ended (§5.3)."""
        for key in self._leaving(aor, before, after):
            self._remove(key)

    def lose(
        self, aor: str, before: Iterable[Binding], after: Iterable[Binding], now: float
    ) -> None:
        """Keep the generations of phones whose last connection has closed."""
        leaving = self._leaving(aor, before, after)
        for binding in before:
            key = aor, binding.instance.lower()
            if key in leaving:
                self._lost.pop(key, None)
                lost = _Lost(binding.call_id, binding.profile.reg_id, binding.expires_at)
                self._lost[key] = lost  # the latest are last
        while self._lost:
            oldest = next(iter(self._lost))
            if len(self._lost) <= MAX_LOST and self._lost[oldest].expires_at > now:
                return
            self._remove(oldest)

    def _leaving(self, aor: str, before: Iterable[Binding], after: Iterable[Binding]) -> set[_Key]:
        """Return the phones with a generation that have no binding any more."""
        known = {(aor, binding.instance.lower()) for binding in before} & self.numbers.keys()
        return known - {(aor, binding.instance.lower()) for binding in after} if known else known

    def _set(self, key: _Key, number: int) -> None:
        self._remove(key)
        if number:
            self.numbers[key] = number
            self._phones[number] = key

    def _remove(self, key: _Key) -> None:
        self._phones.pop(self.numbers.pop(key, 0), None)
        self._lost.pop(key, None)
