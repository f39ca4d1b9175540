"""The table of calls: what the events of the core make of it."""

import pytest

from sip.monitor.calls import FAILED_SECONDS, CallFinished, Calls, CallState
from sip.monitor.events import Bus, CallAnswered, CallEnded, CallRinging, CallStarted, Party

DESK = ("192.0.2.7", 5060)


class Exchange:
    """A bus with a clock that the test turns, and the calls on it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.bus = Bus(lambda: self.now)
        self.calls = Calls(self.bus)
        self.finished: list[CallFinished] = []
        self.bus.listen(CallFinished, self.finished.append)

    def starts(self, call_id: str = "one") -> None:
        alice = Party("sip:alice@example.com", 1, "alice", "example.com")
        bob = Party("sip:bob@example.com", 2, "bob", "example.com")
        address = ("192.0.2.1", 5060)
        self.bus.publish(CallStarted(self.now, call_id, "a", alice, bob, address, "UDP", "Desk"))

    def rings(self) -> None:
        self.bus.publish(CallRinging(self.now, "one", "a", 180, DESK, "UDP", "Bell"))

    def is_answered(self) -> None:
        self.bus.publish(CallAnswered(self.now, "one", "a", "b", 200, DESK, "UDP", "Bell"))

    def ends(self, status: int, ended_by: str) -> None:
        uris = "sip:alice@example.com", "sip:bob@example.com"
        self.bus.publish(CallEnded(self.now, "one", "a", "b", *uris, status, "over", ended_by))


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def test_a_call_rings_then_talks_and_leaves_at_its_end(exchange):
    exchange.starts()
    (call,) = exchange.calls.now()
    assert (call.state, call.caller.username, call.callee.device) == (
        CallState.RINGING,
        "alice",
        "",
    )
    exchange.now += 2
    exchange.rings()
    exchange.now += 3
    exchange.is_answered()
    assert (call.state, call.callee.device, call.callee.address) == (
        CallState.TALKING,
        "Bell",
        DESK,
    )
    exchange.now += 60
    exchange.ends(200, "callee")
    assert exchange.calls.now() == exchange.calls.failed() == []
    assert [event.call for event in exchange.finished] == [call]
    assert (call.rang_seconds, call.talked_seconds, call.result) == (3.0, 60.0, "answered")


@pytest.mark.parametrize(
    ("status", "result"),
    [(486, "busy"), (603, "declined"), (487, "cancelled"), (480, "missed"), (500, "failed")],
)
def test_a_failed_call_stays_for_a_while(exchange, status, result):
    exchange.starts()
    exchange.ends(status, "callee")
    assert [call.result for call in exchange.calls.failed()] == [result]
    exchange.now += FAILED_SECONDS + 1
    assert exchange.calls.failed() == []
