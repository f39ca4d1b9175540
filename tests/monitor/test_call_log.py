"""Log lines of calls that were not answered."""

import pytest

from sip.monitor.call_log import MAX_LINES, CallLog
from sip.monitor.calls import Call, CallFinished, Side
from sip.monitor.events import Bus


class Exchange:
    """A bus whose finished calls are logged, on a clock that the test turns."""

    def __init__(self, caplog) -> None:
        caplog.set_level("INFO", "sip.monitor.call_log")
        self.caplog = caplog
        self.now = 100.0
        self.bus = Bus()
        CallLog(self.bus, lambda: self.now)

    def ends(self, **fields) -> None:
        sides = Side("sip:alice@example.com", 1, "alice"), Side("sip:+4930@example.com")
        self.bus.publish(CallFinished(Call(1, "one", "a", *sides, 1.0, **fields)))

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.caplog.records]


@pytest.fixture
def exchange(caplog) -> Exchange:
    return Exchange(caplog)


def test_a_call_that_a_phone_declines_has_a_line(exchange):
    exchange.ends(result="busy", status=486, cause="bob's phone is busy", ended_by="callee")
    line = "busy call from alice to sip:+4930@example.com: 486 bob's phone is busy"
    assert exchange.lines == [line]
    assert exchange.caplog.records[0].call_id == "one"


def test_answered_and_refused_calls_have_no_line(exchange):
    """The refusal is logged where it happens."""
    exchange.ends(result="answered", status=200, answered_at=2.0, ended_by="caller")
    exchange.ends(result="failed", status=404, ended_by="server")
    assert exchange.lines == []


def test_the_lines_of_a_second_are_bounded(exchange):
    for _ in range(MAX_LINES + 5):
        exchange.ends(result="busy", status=486, ended_by="callee")
    assert len(exchange.lines) == MAX_LINES
    exchange.now += 1
    exchange.ends(result="busy", status=486, ended_by="callee")
    assert exchange.lines[MAX_LINES] == "5 more calls were not answered"
