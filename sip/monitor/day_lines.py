"""The lines of a day on the overview: phones online, calls, and refusals; in memory only.

A day is cut into slots of ten minutes.  `sample` is called every second or so, so that the highest
number of calls of a slot is right to a second.
"""

from collections import Counter, deque
from collections.abc import Sequence, Sized
from dataclasses import dataclass, field
from typing import NamedTuple

from sip.monitor.calls import CallFinished, Calls, CallState
from sip.monitor.events import Bus, Refused

SLOT_SECONDS = 600
SLOTS = 144
_SLOTS_OF_AN_HOUR = 6
_DAY = SLOTS * SLOT_SECONDS
_MINUTES_OF_AN_HOUR = 60
# Causes and phones that are counted of each minute; a flood has more.
MAX_CAUSES = 50
MAX_PHONES = 200


class Line:
    """One number for each slot of the last day, the oldest first; None where it is not known."""

    def __init__(self) -> None:
        self._values: deque[float | None] = deque([None] * SLOTS, maxlen=SLOTS)
        self._slot = 0

    def _advance(self, now: float) -> None:
        slot = int(now) // SLOT_SECONDS
        if slot == self._slot:
            return
        # A clock that was set back goes on with the present slot.
        for _ in range(min(slot - self._slot, SLOTS)):
            self._values.append(None)
        self._slot = max(slot, self._slot)

    def set(self, now: float, value: float) -> None:
        """Set the number of the present slot."""
        self._advance(now)
        self._values[-1] = value

    def raise_to(self, now: float, value: float) -> None:
        """Raise the number of the present slot, if it is smaller."""
        self._advance(now)
        self._values[-1] = max(self._values[-1] or 0, value)

    def add(self, now: float, count: float = 1) -> None:
        """Add to the number of the present slot."""
        self._advance(now)
        self._values[-1] = (self._values[-1] or 0) + count

    def values(self, now: float) -> list[float | None]:
        """Return all numbers, that of the present slot last."""
        self._advance(now)
        return [*self._values]


class CallsToday(NamedTuple):
    """The calls that have ended since midnight (UTC): all, and the answered ones.

    `average_talk` is in seconds, None without an answered call.
    """

    calls: int
    answered: int
    average_talk: float | None


@dataclass(slots=True)
class RefusedLately:
    """The refusals of the last hour: their number, of how many phones, and the usual cause."""

    count: int
    phones: int
    cause: str
    cause_count: int


@dataclass(slots=True)
class _Minute:
    number: int
    count: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    phones: set[tuple[str, str]] = field(default_factory=set)


class DayLines:
    """The numbers of the last day, by the events on `bus`; `phones` has one entry for each user."""

    def __init__(self, bus: Bus, calls: Calls, phones: Sized) -> None:
        self.online, self.calls, self.ended, self.refused = Line(), Line(), Line(), Line()
        self.most_calls = 0
        self.most_calls_at = 0.0
        self._calls = calls
        self._phones = phones
        self._day = 0  # days since 1970
        self._today = [0, 0, 0.0]
        self._minutes: deque[_Minute] = deque(maxlen=_MINUTES_OF_AN_HOUR)
        bus.listen(CallFinished, self._on_finished)
        bus.listen(Refused, self._on_refused)

    def sample(self, now: float) -> None:
        """Take the numbers of phones and calls; `now` is in Unix seconds."""
        self._begin_day(now)
        count = len(self._calls)
        self.online.set(now, len(self._phones))
        self.calls.raise_to(now, count)
        if count > self.most_calls:
            self.most_calls, self.most_calls_at = count, now

    def today(self, now: float) -> CallsToday:
        """Return the ended calls since midnight or the start of the server."""
        self._begin_day(now)
        calls, answered, seconds = self._today
        return CallsToday(int(calls), int(answered), seconds / answered if answered else None)

    def ringing(self) -> int:
        """Return the number of calls that ring now."""
        return sum(call.state == CallState.RINGING for call in self._calls.now())

    def online_an_hour_ago(self, now: float) -> float | None:
        """Return the number of phones an hour ago, None if it is not known."""
        return self.online.values(now)[-1 - _SLOTS_OF_AN_HOUR]

    def refused_lately(self, now: float) -> RefusedLately:
        """Return the refusals of the last hour."""
        since = int(now // 60) - _MINUTES_OF_AN_HOUR
        minutes = [minute for minute in self._minutes if minute.number > since]
        causes: Counter[str] = Counter()
        phones: set[tuple[str, str]] = set()
        for minute in minutes:
            causes.update(minute.causes)
            phones |= minute.phones
        cause, count = next(iter(causes.most_common(1)), ("", 0))
        return RefusedLately(sum(minute.count for minute in minutes), len(phones), cause, count)

    def _begin_day(self, now: float) -> None:
        day = int(now // _DAY)
        if day != self._day:
            self._day, self._today = day, [0, 0, 0.0]
            self.most_calls, self.most_calls_at = 0, 0.0

    def _on_finished(self, event: CallFinished) -> None:
        call = event.call
        self._begin_day(call.ended_at)
        self.ended.add(call.ended_at)
        self._today[0] += 1
        if call.answered_at:
            self._today[1] += 1
            self._today[2] += call.talked_seconds

    def _on_refused(self, event: Refused) -> None:
        self.refused.add(event.at)
        number = int(event.at // 60)
        if not self._minutes or self._minutes[-1].number < number:
            self._minutes.append(_Minute(number))
        minute = self._minutes[-1]
        minute.count += 1
        if event.cause in minute.causes or len(minute.causes) < MAX_CAUSES:
            minute.causes[event.cause] += 1
        if len(minute.phones) < MAX_PHONES:
            minute.phones.add((event.user, event.network))


def points(values: Sequence[float | None], width: float = 100.0, height: float = 28.0) -> str:
    """Return the points of an SVG polyline; a number that is not known is left out.

    The line begins at 0 on the lower edge, and its highest point is near the upper edge; a line of
    zeros lies at the lower edge.
    """
    most = max((value for value in values if value is not None), default=0) or 1
    step = width / max(len(values) - 1, 1)
    low, high = height - 2, 4.0
    return " ".join(
        f"{number * step:.1f},{low - (low - high) * value / most:.1f}"
        for number, value in enumerate(values)
        if value is not None
    )
