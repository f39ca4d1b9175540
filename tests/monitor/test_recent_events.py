"""The latest events: a flood of one kind pushes out no other kind."""

from sip.monitor.calls import Call, CallFinished, Side
from sip.monitor.events import AdminActed, Banned, Bus, Overload, Registered
from sip.monitor.recent_events import KEPT_OF_KIND, MAX_SHOWN, MORE_SECONDS, RecentEvents

HERE = ("192.0.2.44", 5060)


def registers(bus: Bus, user_id: int, at: float, *, is_refresh: bool = False) -> None:
    who = (user_id, f"user{user_id}", "example.com", "sip:x@192.0.2.44", "Desk", HERE, "UDP")
    bus.publish(Registered(at, *who, False, at + 3600, is_refresh))


def ends(bus: Bus, ended_by: str, ringing_at: float = 0.0) -> None:
    call = Call(1, "one", "tag", Side("sip:a@x"), Side("sip:b@x"), 990.0, ended_by=ended_by)
    call.ended_at, call.ringing_at = 1000.0, ringing_at
    bus.publish(CallFinished(call))


def test_events_are_merged_with_the_newest_first():
    bus = Bus()
    recent = RecentEvents(bus)
    bus.publish(AdminActed(10.0, "user added", "admin", "192.0.2.7", "alice"))
    registers(bus, 1, 20.0)
    bus.publish(Banned(15.0, "192.0.2.66", ("192.0.2.66", 0), 600.0, "guessed passwords", 1))
    assert [type(row.event) for row in recent.latest(21.0)] == [Registered, Banned, AdminActed]


def test_refreshes_and_refused_calls_are_left_out():
    """Refreshes are no news, and Refusals has the refused calls."""
    bus = Bus()
    recent = RecentEvents(bus)
    registers(bus, 1, 20.0, is_refresh=True)
    ends(bus, "server")
    assert not recent.latest(21.0)
    ends(bus, "server", ringing_at=991.0)
    assert len(recent.latest(21.0)) == 1, "it rang until the server gave up"


def test_an_overload_that_has_dropped_nothing_is_left_out():
    """A busy machine begins and ends many of them."""
    bus = Bus()
    recent = RecentEvents(bus)
    bus.publish(Overload(1.0, True, 0))
    bus.publish(Overload(2.0, False, 0))
    assert not recent.latest(3.0)
    bus.publish(Overload(4.0, False, 7))
    assert len(recent.latest(5.0)) == 1


def test_equal_events_in_a_row_share_a_row():
    bus = Bus()
    recent = RecentEvents(bus)
    for at in (10.0, 20.0, 30.0):
        registers(bus, 1, at)
    (row,) = recent.latest(31.0)
    assert (row.at, row.count) == (30.0, 3)


def test_a_flood_of_phones_leaves_other_events_their_rows():
    bus = Bus()
    recent = RecentEvents(bus)
    bus.publish(AdminActed(1.0, "user added", "admin", "192.0.2.7", "alice"))
    for user_id in range(5000):
        registers(bus, user_id, 10.0 + user_id / 1000)
    rows = recent.latest(15.0)
    assert len(rows) == KEPT_OF_KIND + 1 <= MAX_SHOWN
    assert isinstance(rows[-1].event, AdminActed)
    assert [row.more for row in rows if row.more] == [5000 - KEPT_OF_KIND], "the others are counted"
    assert rows[-2].more, "in the oldest row of that kind"
    assert not any(row.more for row in recent.latest(16.0 + MORE_SECONDS))
