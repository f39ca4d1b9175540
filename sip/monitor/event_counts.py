"""Counts of events: refusals by cause, and calls by result."""

from collections import Counter

from sip.monitor.calls import CallFinished
from sip.monitor.events import Bus, Refused

# Causes that are counted by themselves; a cause beyond them counts as OTHER.
MAX_CAUSES = 100
OTHER = "other"


class EventCounts:
    """The refusals and the ended calls since the start, by the events on `bus`.

    `refusals` has the refused REGISTERs and INVITEs by the code of their cause, `results` the ended
    calls by their result.
    """

    def __init__(self, bus: Bus) -> None:
        self.refusals: Counter[str] = Counter()
        self.results: Counter[str] = Counter()
        bus.listen(Refused, self._on_refused)
        bus.listen(CallFinished, self._on_finished)

    def _on_refused(self, event: Refused) -> None:
        code = getattr(event, "code", "") or OTHER
        if code not in self.refusals and len(self.refusals) >= MAX_CAUSES:
            code = OTHER
        self.refusals[code] += 1

    def _on_finished(self, event: CallFinished) -> None:
        self.results[event.call.result] += 1
