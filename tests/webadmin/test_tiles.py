"""The four tiles of the overview."""

import re

from sip.monitor.calls import Calls
from sip.monitor.day_lines import SLOT_SECONDS, CallsToday, DayLines
from sip.monitor.events import Bus, CallStarted, Party, Refused, Sender
from tests.webadmin.conftest import REALM
from webadmin.tiles import tiles


def running(context, clock) -> Bus:
    """Give the pages the lines of a server that runs on their clock."""
    bus = Bus(clock)
    context.calls = Calls(bus)
    context.lines = DayLines(bus, context.calls, context.phones)
    return bus


def test_the_phones_are_compared_with_an_hour_ago(context, clock):
    running(context, clock)
    for online, words in ((7, "counted for less than"), (4, "3 fewer than"), (4, "as many as")):
        context.phones.online = online
        context.lines.sample(clock())
        assert tiles(context)[0].text.startswith(words)
        clock.now += 6 * SLOT_SECONDS
    context.phones.online = 5
    tile = tiles(context)[0]
    assert (tile.figure, tile.small, tile.text) == ("5", "of 0 users", "1 more than an hour ago")


def test_a_line_needs_two_points(context, clock):
    running(context, clock)
    context.phones.online = 4
    context.lines.sample(clock())
    assert not tiles(context)[0].points
    clock.now += SLOT_SECONDS
    context.lines.sample(clock())
    tile = tiles(context)[0]
    assert tile.points == "99.3,4.0 100.0,4.0"
    assert tile.ground == "99.3,28 99.3,4.0 100.0,4.0 100.0,28"


def test_the_calls_of_now_are_told_with_the_most_of_today(context, clock):
    bus = running(context, clock)
    side = Party("sip:a@x", 1, "a", "x")
    for number in range(2):
        start = (f"call{number}", "tag", side, side, ("192.0.2.1", 5060), "UDP", "")
        bus.publish(CallStarted(clock(), *start))
    context.lines.sample(clock())
    tile = tiles(context)[1]
    text = re.sub("<[^>]*>", "", tile.text)
    assert (tile.figure, tile.small, text) == ("2", "2 ringing", "most today: 2 at 22:13 UTC")


def test_the_calls_of_today_are_told_with_share_and_average(context):
    assert tiles(context)[2].text == "none has ended yet"
    context.calls_today = lambda: CallsToday(1248, 1200, 131.0)
    tile = tiles(context)[2]
    assert (tile.figure, tile.text) == ("1,248", "96% answered · 2 min 11 s on average")


def test_the_refusals_of_an_hour_lead_to_their_page(context, clock):
    bus = running(context, clock)
    assert tiles(context)[3].text == "nothing was refused"
    who = ("wrong password for carol", "", "carol", REALM, "carol", "", ("192.0.2.7", 5060), "a")
    for _ in range(12):
        head = (clock(), Sender.USER, "REGISTER", 401)
        bus.publish(Refused(*head, *who, "UDP", "Desk", "one", "tag"))
    tile = tiles(context)[3]
    assert (tile.figure, tile.small) == ("12", "by 1 phone")
    assert (tile.text, tile.text_href) == ("12 times: wrong password for carol", "/trouble")
