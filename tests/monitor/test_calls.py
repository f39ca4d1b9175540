"""The table of calls: what the events of the core make of it."""

import pytest

from sip.monitor import calls as calls_module
from sip.monitor.calls import FAILED_SECONDS, CallFinished, Calls, CallState
from sip.monitor.events import (
    Bus,
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    Party,
    Refused,
    Sender,
)

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

    def is_refused(self, **changes) -> None:
        values = {"sender": Sender.USER, "method": "INVITE", "status": 403, "cause": "not allowed"}
        values |= {"cure": "Ask.", "username": "alice", "realm": "example.com", "user": "alice"}
        values |= {"to": "bob", "address": ("192.0.2.1", 5060), "network": "192.0.2.1"}
        values |= {"transport": "UDP", "device": "Desk", "call_id": "one", "from_tag": "a"}
        self.bus.publish(Refused(at=self.now, **(values | changes)))


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


def test_a_refused_invite_is_a_call_that_has_ended(exchange):
    exchange.is_refused()
    (event,) = exchange.finished
    call = event.call
    assert (call.result, call.cause, call.cure) == ("refused", "not allowed", "Ask.")
    assert exchange.calls.now() == []
    assert exchange.calls.failed() == [call]


@pytest.mark.parametrize(
    "changes", [{"sender": Sender.UNVERIFIED}, {"is_in_dialog": True}, {"method": "REGISTER"}]
)
def test_other_refusals_are_no_calls(exchange, changes):
    exchange.is_refused(**changes)
    assert exchange.finished == []


def test_the_refusal_that_ends_a_call_is_no_second_row(exchange):
    exchange.starts()
    exchange.ends(480, "server")
    exchange.is_refused(status=480)
    assert len(exchange.finished) == 1


def test_a_refusal_never_ends_a_call_that_rings(exchange):
    """Only the end of the call itself does; the Call-ID of a refusal may be forged."""
    exchange.starts()
    exchange.is_refused()
    assert len(exchange.calls) == 1
    assert exchange.finished == []


def test_the_table_is_bounded(exchange, monkeypatch):
    monkeypatch.setattr(calls_module, "MAX_CALLS", 3)
    monkeypatch.setattr(calls_module, "MAX_FAILED", 2)
    for number in range(10):
        exchange.starts(str(number))
    assert [call.call_id for call in exchange.calls.now()] == ["9", "8", "7"]
    for number in range(10):
        exchange.is_refused(call_id=f"other {number}")
    assert len(exchange.calls.failed()) == 2


def test_each_change_has_a_version(exchange):
    seen = {exchange.calls.version}
    for change in (exchange.starts, exchange.rings, exchange.is_answered):
        change()
        seen.add(exchange.calls.version)
    exchange.ends(200, "caller")
    assert len(seen | {exchange.calls.version}) == 5


def test_an_id_is_the_microsecond_of_the_start(exchange):
    """So no restart gives it to another call; one of the same microsecond has the next."""
    exchange.now = 1_700_000_000.25
    exchange.starts("one")
    exchange.starts("two")
    exchange.now -= 3600  # the clock was set
    exchange.starts("three")
    three, two, one = [call.id for call in exchange.calls.now()]
    assert (one, two, three) == (1_700_000_000_250_000, one + 1, one - 3_600_000_000)


def test_a_side_has_the_display_name_of_its_account(exchange):
    alice = Party("sip:alice@example.com", 1, "alice", "example.com", "Alice Liddell")
    exchange.is_refused(caller=alice)
    (call,) = exchange.calls.failed()
    assert (call.caller.name, call.caller.device, call.callee.name) == ("Alice Liddell", "Desk", "")
