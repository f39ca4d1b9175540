"""The numbers of the last day, on a clock of the test."""

import pytest

from sip.monitor.calls import Call, CallFinished, Calls, Side
from sip.monitor.day_lines import (
    MAX_CAUSES,
    MAX_PHONES,
    SLOT_SECONDS,
    SLOTS,
    DayLines,
    Line,
    points,
)
from sip.monitor.events import Bus, CallStarted, Party, Refused, Sender

MIDNIGHT = 19_000 * 86_400.0


class Day:
    """The lines of a server whose phones and calls the test counts."""

    def __init__(self) -> None:
        self.now = MIDNIGHT + 36_000
        self.bus = Bus(lambda: self.now)
        self.phones: list[int] = []
        self.calls = Calls(self.bus)
        self.lines = DayLines(self.bus, self.calls, self.phones)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.lines.sample(self.now)

    def starts_call(self, number: int) -> None:
        parties = Party("sip:a@x", 1, "a", "x"), Party("sip:b@x", 2, "b", "x")
        start = (self.now, f"call{number}", "tag", *parties, ("192.0.2.1", 5060), "UDP", "")
        self.bus.publish(CallStarted(*start))

    def ends_call(self, talked: float = 0.0) -> None:
        call = Call(1, "one", "tag", Side("sip:a@x"), Side("sip:b@x"), self.now)
        call.answered_at, call.ended_at = (self.now - talked) if talked else 0.0, self.now
        self.bus.publish(CallFinished(call))

    def refuses(
        self, user: str = "alice", cause: str = "wrong password", network: str = ""
    ) -> None:
        who = (cause, "", user, "x", user, "", ("192.0.2.7", 5060), network or "192.0.2.7")
        head = (self.now, Sender.USER, "REGISTER", 401)
        self.bus.publish(Refused(*head, *who, "UDP", "Desk", "one", "tag"))


@pytest.fixture
def day() -> Day:
    return Day()


def test_a_slot_has_the_last_number_of_phones(day):
    day.phones += [1, 2, 3]
    day.passes(0)
    day.phones.pop()
    day.passes(1)
    assert day.lines.online.values(day.now)[-1] == 2
    day.phones.append(4)
    day.passes(SLOT_SECONDS)
    assert day.lines.online.values(day.now)[-2:] == [2, 3]


def test_the_number_of_an_hour_ago_is_known_after_an_hour(day):
    day.phones.append(1)
    for _ in range(6):
        assert day.lines.online_an_hour_ago(day.now) is None
        day.passes(SLOT_SECONDS)
        day.phones.append(2)
    day.passes(SLOT_SECONDS)
    assert day.lines.online_an_hour_ago(day.now) == 1


def test_a_slot_has_the_most_calls_that_were_at_once(day):
    for number in range(3):
        day.starts_call(number)
    day.passes(1)
    day.calls._calls.clear()
    day.passes(1)
    assert day.lines.calls.values(day.now)[-1] == 3
    assert (day.lines.most_calls, day.lines.most_calls_at) == (3, day.now - 1)
    day.passes(86_400)
    assert day.lines.most_calls == 0, "another day"


def test_the_calls_of_today_end_at_midnight(day):
    day.ends_call(60.0)
    day.ends_call(30.0)
    day.ends_call()
    assert day.lines.today(day.now) == (3, 2, 45.0)
    assert day.lines.today(MIDNIGHT + 86_399) == (3, 2, 45.0)
    assert day.lines.today(MIDNIGHT + 86_400) == (0, 0, None)


def test_the_refusals_of_an_hour_have_their_usual_cause(day):
    day.refuses("old", "unknown user old")
    day.passes(3600)
    day.refuses("bob", "unknown user bob")
    for _ in range(4):
        day.passes(300)
        day.refuses()
    lately = day.lines.refused_lately(day.now)
    assert (lately.count, lately.phones) == (5, 2)
    assert (lately.cause, lately.cause_count) == ("wrong password", 4)


def test_a_flood_of_refusals_fills_no_memory(day):
    for number in range(2000):
        day.refuses(f"user{number}", f"unknown user user{number}", f"10.0.0.{number}")
    (minute,) = day.lines._minutes
    assert (minute.count, len(minute.causes), len(minute.phones)) == (2000, MAX_CAUSES, MAX_PHONES)


def test_a_line_has_the_slots_of_one_day():
    line = Line()
    line.add(MIDNIGHT, 7)
    assert len(line.values(MIDNIGHT)) == SLOTS
    last = MIDNIGHT + (SLOTS - 1) * SLOT_SECONDS
    assert line.values(last)[0] == 7
    assert line.values(last + SLOT_SECONDS) == [None] * SLOTS
    line.add(MIDNIGHT + 10**9)
    line.add(MIDNIGHT)
    assert line.values(MIDNIGHT + 10**9)[-1] == 2, (
        "a clock that is set back goes on with the present slot"
    )


def test_the_points_of_a_line_are_scaled_to_its_highest():
    assert points([None, 0, 5, 10]) == "33.3,26.0 66.7,15.0 100.0,4.0"
    assert points([0.0, 0.0]) == "0.0,26.0 100.0,26.0"
    assert points([]) == ""
