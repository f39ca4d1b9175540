"""The page of calls: rows, sentences, the button to hang up, and the stream of events."""

import html
import re

import pytest

from sip.monitor.calls import FAILED_SECONDS, Calls
from sip.monitor.events import (
    Bus,
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    CallUpdated,
    Party,
    PhonesRinging,
    RingingPhone,
)
from tests.support.followed_calls import ANSWER, OFFER
from tests.webadmin.conftest import REALM
from webadmin.calls import PAGE_SIZE

DESK, MOBILE = ("192.0.2.7", 5060), ("192.0.2.8", 5060)
MARKUP = "<b>Bold</b>"


class Exchange:
    """Calls that the page shows, on the clock of the page."""

    def __init__(self, context, clock) -> None:
        self.clock = clock
        self.bus = Bus(clock)
        self.alice = context.users.add("alice", "secret", display_name="Alice Liddell")
        self.hung_up: list[tuple[str, str]] = []
        context.calls = Calls(self.bus)
        context.hang_up = self.hang_up

    def hang_up(self, call_id: str, from_tag: str) -> bool:
        self.hung_up.append((call_id, from_tag))
        return True

    def starts(self, call_id: str = "one@host/x", device: str = "Desk 1") -> None:
        alice = Party(f"sip:alice@{REALM}", self.alice.id, "alice", REALM)
        bob = Party(f"sip:+49301234@{REALM};user=phone", 0, "", "")
        here = ("192.0.2.1", 5060)
        self.bus.publish(
            CallStarted(self.clock.now, call_id, "a", alice, bob, here, "UDP", device, True, OFFER)
        )

    def rings(self) -> None:
        phones = (
            RingingPhone(DESK, "UDP", "Bell", False),
            RingingPhone(MOBILE, "TCP", "Pocket", True),
        )
        now = self.clock.now
        self.bus.publish(CallRinging(now, "one@host/x", "a", 180, DESK, "UDP", "Bell"))
        self.bus.publish(PhonesRinging(now, "one@host/x", "a", phones))

    def is_answered(self) -> None:
        self.bus.publish(
            CallAnswered(
                self.clock.now, "one@host/x", "a", "b", 200, DESK, "UDP", "Bell", False, ANSWER
            )
        )

    def ends(self, status: int, cause: str, ended_by: str = "callee", cure: str = "") -> None:
        self.bus.publish(
            CallEnded(self.clock.now, "one@host/x", "a", "b", "", "", status, cause, ended_by, cure)
        )


@pytest.fixture
def exchange(context, clock) -> Exchange:
    return Exchange(context, clock)


def row_of(browser) -> str:
    """The words of the only row."""
    (row,) = re.findall(r'<tr id="call-.*?</tr>', browser.get("/calls").text, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split())


def test_an_empty_page_says_so(browser):
    page = browser.get("/calls")
    assert "No call rings or talks now." in page.words
    assert '<meta http-equiv="refresh"' in page.text


def test_a_ringing_call_shows_both_sides_and_its_phones(browser, exchange):
    exchange.starts()
    exchange.clock.now += 9
    exchange.rings()
    row = row_of(browser)
    assert "Alice Liddell alice Desk 1, 192.0.2.1, behind NAT +49301234 Bell" in row
    assert "Ringing 0:09 2 phones ring Bell, 192.0.2.7 Pocket, 192.0.2.8, behind NAT" in row
    assert "offered: opus, PCMA" in row
    page = browser.get("/calls")
    assert "0 talking 1 ringing" in page.words
    assert 'href="/traces/one%40host%2Fx"' in page.text
    assert f'href="/users/{exchange.alice.id}"' in page.text


def test_a_talking_call_shows_its_time_and_codec(browser, exchange):
    exchange.starts()
    exchange.rings()
    exchange.clock.now += 5
    exchange.is_answered()
    exchange.clock.now += 3792
    assert "Talking 1:03:12 PCMA offered: opus, PCMA" in row_of(browser)
    held = CallUpdated(exchange.clock.now, "one@host/x", "a", OFFER, ANSWER, frozenset({"caller"}))
    exchange.bus.publish(held)
    assert "On hold held by Alice Liddell" in row_of(browser)


def test_a_failed_call_stays_with_its_sentence(browser, exchange):
    exchange.starts()
    exchange.ends(500, "no contact reachable", "server", "Check the network of the phone.")
    row = row_of(browser)
    assert "Failed No contact reachable. Check the network of the phone." in row
    assert "Hang up" not in row
    exchange.clock.now += FAILED_SECONDS + 1
    assert "No call rings or talks now." in browser.get("/calls").words


def test_a_call_is_hung_up_and_audited(browser, context, exchange):
    exchange.starts()
    (call,) = context.calls.now()
    answer = browser.post(f"/calls/{call.id}/hang-up")
    assert (answer.status, answer.location) == (303, "/calls")
    assert exchange.hung_up == [("one@host/x", "a")]
    assert "The call from Alice Liddell to +49301234 was ended." in (browser.get("/calls").words)
    (entry,) = context.audit.entries("calls")
    assert (entry.act, entry.about) == ("call hung up", "alice to +49301234")


def test_a_call_that_has_ended_is_no_error(browser, context, exchange):
    exchange.starts()
    (call,) = context.calls.now()
    exchange.ends(200, "hung up")
    assert browser.post(f"/calls/{call.id}/hang-up").status == 303
    assert "This call has ended already." in browser.get("/calls").words
    assert exchange.hung_up == []
    assert list(context.audit.entries("calls")) == []


def test_another_site_cannot_hang_up(browser, context, exchange):
    exchange.starts()
    (call,) = context.calls.now()
    browser.own_site = {"Sec-Fetch-Site": "cross-site"}
    assert browser.post(f"/calls/{call.id}/hang-up").status == 403
    assert exchange.hung_up == []


def test_only_signed_in_users_see_calls(stranger, exchange):
    exchange.starts()
    for path in ("/calls", "/calls/events"):
        assert stranger.get(path).status == 303
    stranger.post("/calls/1/hang-up")
    assert exchange.hung_up == []


def test_texts_of_a_phone_are_no_markup(browser, exchange):
    exchange.starts(device=MARKUP)
    page = browser.get("/calls")
    assert MARKUP in page.words
    assert MARKUP not in page.text


# An id is the microsecond of the start, or the next free one; the clock of these tests stands.
BEFORE = 1_700_000_000_000_000 - 1


def numbers_on(page) -> list[int]:
    """The calls in the table of a page, counted from 1."""
    return [int(number) - BEFORE for number in re.findall(r'<tr id="call-(\d+)"', page.text)]


def link_of(page, text: str) -> str:
    """The URL of the link with a text below the table, "" without one."""
    found = re.search(rf'<li><a href="([^"]*)"[^>]*>{text}</a>', page.text)
    return html.unescape(found[1]) if found else ""


def test_many_calls_have_pages(browser, exchange):
    """A page of older calls stays the same while new ones begin, and refreshes itself."""
    for number in range(2 * PAGE_SIZE + 3):
        exchange.starts(str(number))
    first = browser.get("/calls")
    assert numbers_on(first) == [*range(2 * PAGE_SIZE + 3, PAGE_SIZE + 3, -1)]
    assert "Calls 1 to 50 of 103" in first.words
    assert link_of(first, "Newest") == ""
    second = browser.get(link_of(first, "Older"))
    exchange.starts("new")
    again = browser.get(link_of(first, "Older"))
    assert numbers_on(second) == numbers_on(again) == [*range(PAGE_SIZE + 3, 3, -1)]
    assert f'id="calls" hx-get="{link_of(first, "Older")}"' in second.text
    third = browser.get(link_of(second, "Older"))
    assert numbers_on(third) == [3, 2, 1]
    assert link_of(third, "Older") == ""
    assert numbers_on(browser.get(link_of(third, "Newer"))) == [*range(PAGE_SIZE + 3, 3, -1)]
    assert link_of(third, "Newest") == "/calls"
    cursor = BEFORE + PAGE_SIZE + 4
    answer = browser.post(f"/calls/{BEFORE + 3}/hang-up?before={cursor}")
    assert answer.location == f"/calls?before={cursor}"
    assert "No older call rings or talks now." in browser.get("/calls?before=1").words
    assert numbers_on(browser.get("/calls?before=x"))[0] == 2 * PAGE_SIZE + 4


def test_the_stream_is_an_uncompressed_event_stream(context, browser, monkeypatch):
    """It says at once that the page is to be loaded, because the page may be older."""
    monkeypatch.setattr("webadmin.live_streams.STREAM_SECONDS", 0.0)
    answer = browser.get("/calls/events", ACCEPT_ENCODING="gzip")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert "event: changed\ndata: 1\n\n" in answer.text


def test_too_many_streams_are_refused(browser, monkeypatch):
    """The page then refreshes itself by time."""
    monkeypatch.setattr("webadmin.live_streams.MAX_STREAMS", 0)
    assert browser.get("/calls/events").status == 503
