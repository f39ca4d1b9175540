"""Counts of refusals and calls, by their events."""

from types import SimpleNamespace

import pytest

from sip.monitor.calls import CallFinished
from sip.monitor.event_counts import MAX_CAUSES, OTHER, EventCounts
from sip.monitor.events import Bus, Refused


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def counts(bus: Bus) -> EventCounts:
    return EventCounts(bus)


def refuse(bus: Bus, code: str) -> None:
    bus.topic(Refused).publish(SimpleNamespace(code=code))


def test_refusals_count_by_the_code_of_their_cause(bus: Bus, counts: EventCounts):
    for code in ("wrong_password", "unknown_user", "wrong_password", ""):
        refuse(bus, code)
    assert counts.refusals == {"wrong_password": 2, "unknown_user": 1, OTHER: 1}


def test_the_number_of_causes_is_bounded(bus: Bus, counts: EventCounts):
    for number in range(MAX_CAUSES + 5):
        refuse(bus, f"cause_{number}")
    refuse(bus, "cause_0")
    assert len(counts.refusals) == MAX_CAUSES + 1
    assert (counts.refusals[OTHER], counts.refusals["cause_0"]) == (5, 2)


def test_ended_calls_count_by_their_result(bus: Bus, counts: EventCounts):
    for result in ("answered", "busy", "answered"):
        bus.publish(CallFinished(SimpleNamespace(result=result)))
    assert counts.results == {"answered": 2, "busy": 1}
