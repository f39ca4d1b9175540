"""The head of a ladder: outcome, times, and the devices of phones that name none in a call."""

from collections.abc import Callable

import pytest

from sip.monitor.calls import Calls
from sip.monitor.events import (
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    MessagePassed,
    Party,
)
from sip.monitor.traces import Traces
from sip.store.bindings import BindingRow, BindingStore
from tests.support.followed_calls import ANSWER, OFFER
from tests.webadmin.conftest import REALM

SERVER, ALICE, BOB = ("192.0.2.1", 5060), ("192.0.2.10", 5060), ("192.0.2.20", 5060)
KEY = ("one", "a")
PHONE = (*KEY, 180, BOB, "UDP", "Bell 2 (Linux)")


@pytest.fixture
def seen(context, clock) -> Callable[[object], str]:
    """Return `seen(event, after=seconds)`: the words of the ladder after it."""
    context.traces, context.calls = Traces(context.bus), Calls(context.bus)
    lines = "From: <sip:alice@example.com>;tag=a", "To: <sip:bob@example.com>", "Call-ID: one"
    octets = "\r\n".join(["INVITE sip:bob@example.com SIP/2.0", *lines, "", ""]).encode()
    for direction, remote in (("in", ALICE), ("out", BOB)):
        context.bus.publish(MessagePassed(clock.now, direction, SERVER, remote, "UDP", octets))
    parties = (Party(f"sip:{name}@{REALM}", 0, name, REALM) for name in ("alice", "bob"))
    context.bus.publish(CallStarted(clock.now, *KEY, *parties, ALICE, "UDP", "", False, OFFER))

    def see(browser, event=None, after: float = 0.0) -> str:
        clock.now += after
        if event is not None:
            context.bus.publish(event(clock.now))
        return browser.get("/traces/one").words

    return see


def rings(now: float) -> CallRinging:
    return CallRinging(now, *PHONE)


def answers(now: float) -> CallAnswered:
    return CallAnswered(now, *KEY, "b", 200, BOB, "UDP", "Bell 2", False, ANSWER)


def ends(now: float) -> CallEnded:
    return CallEnded(now, *KEY, "b", "", "", 200, "hung up", "callee")


def is_busy(now: float) -> CallEnded:
    return CallEnded(now, *KEY, "b", "", "", 486, "the phone is busy", "callee")


def test_an_answered_call_shows_its_phone_and_times(browser, seen):
    assert "alice → bob Ringing " in seen(browser)
    seen(browser, rings)
    words = seen(browser, answers, after=4)
    assert "alice → bob Answered by Bell 2 " in words
    assert "UTC · rang 4 s · talking · 2 messages · following" in words
    words = seen(browser, ends, after=192)
    assert "alice → bob Answered by Bell 2 " in words
    assert "UTC · rang 4 s · talked 3 min 12 s · 2 messages" in words


def test_a_call_that_failed_shows_how_long_it_rang(browser, seen):
    seen(browser, rings)
    words = seen(browser, is_busy, after=0.4)
    assert "alice → bob Busy " in words
    assert "UTC · rang 0.4 s · 2 messages" in words


def test_the_end_of_a_call_refreshes_a_page_that_follows(browser, seen):
    """The end may come without a message, and a page stops to ask when nothing follows."""
    seen(browser, rings)
    path = "/traces/one?m=1&seen=2"
    assert browser.get(path, HX_Request="true").status == 204
    seen(browser, is_busy)
    assert "Busy" in browser.get(path, HX_Request="true").words
    words = seen(browser, after=100)
    assert "following" not in words
    assert browser.get(f"{path}-ended", HX_Request="true").status == 200


def test_a_column_has_the_device_of_its_registration(browser, seen, context, clock):
    """Some phones name themselves in REGISTER only; the server's column has its domain."""
    bob = context.users.add("bob", "secret")
    now = int(clock.now)
    row = BindingRow(
        user_id=bob.id, aor=f"bob@{REALM}", contact="sip:bob@192.0.2.20", expires_at=now + 600,
        user_agent="Bell 2 <b>", flow="UDP/192.0.2.1:5060/192.0.2.20:5060", updated_at=now,
    )  # fmt: skip
    store = BindingStore(context.users.database, window=0)
    store.save([row], [], lambda: None, now)
    store.close()
    words = seen(browser)
    assert "bob Bell 2 <b> UDP 192.0.2.20:5060" in words
    assert f"sipserver {REALM} 192.0.2.1:5060" in words
    assert "Bell 2 <b>" in browser.get("/traces/one.txt").text
