"""The feed of the overview: each event is one plain sentence."""

import pytest

from sip.monitor.calls import Call, CallFinished, CallResult, Side
from sip.monitor.events import (
    UNREGISTERED_BY_ADMIN,
    UNREGISTERED_BY_CLOSE,
    UNREGISTERED_BY_PHONE,
    UNREGISTERED_BY_TIME,
    AdminActed,
    Banned,
    Bus,
    Overload,
    Refused,
    Registered,
    Sender,
    Unbanned,
    Unregistered,
)
from sip.monitor.recent_events import RecentEvents
from sip.monitor.refusals import Refusals
from sip.store.audit import Act
from tests.webadmin.conftest import REALM
from webadmin.feed import feed
from webadmin.overview import SOME_EVENTS

ALICE = Side(f"sip:alice@{REALM}", 1, "alice", REALM)
BOB = Side("sip:bob@branch.example;user=phone", 2, "bob", "branch.example")
OUTSIDE = Side("sip:0049301234@192.0.2.9;transport=udp")
PHONE = ("sip:x@192.0.2.1", "baresip <b>", ("192.0.2.1", 5060), "UDP")
NETWORK = ("192.0.2.66", ("192.0.2.66", 0))


@pytest.fixture
def happens(context, clock):
    """Publish an event, and return its sentence."""
    bus = Bus(clock)
    context.recent, context.refusals = RecentEvents(bus), Refusals()

    def publish(event) -> str:
        bus.publish(event)
        row = feed(context)[0]
        return f"{row.subject} {row.text}"

    return publish


def call(result: str, **changes) -> CallFinished:
    made = Call(1, "call/1", "tag", ALICE, BOB, 1_699_999_000.0, ended_by="caller")
    made.result, made.ended_at, made.cause = result, 1_700_000_000.0, "loop detected"
    for name, value in changes.items():
        setattr(made, name, value)
    return CallFinished(made)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (CallResult.MISSED, "bob@branch.example did not answer a call from alice"),
        (CallResult.BUSY, "bob@branch.example was busy for a call from alice"),
        (CallResult.DECLINED, "bob@branch.example declined a call from alice"),
        (CallResult.CANCELLED, "alice hung up before bob@branch.example answered"),
        (CallResult.FAILED, "alice called bob@branch.example: loop detected"),
    ],
)
def test_the_end_of_a_call_is_a_sentence(happens, result, sentence):
    assert happens(call(result)) == sentence


def test_a_talk_is_told_with_its_length_and_its_ladder(happens, context):
    talked = call(CallResult.ANSWERED, answered_at=1_699_999_808.0, callee=OUTSIDE)
    assert happens(talked) == "alice talked to 0049301234@192.0.2.9 for 3 min 12 s"
    assert feed(context)[0].href == "/traces/call%2F1"


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            Registered(1.0, 1, "alice", REALM, *PHONE, True, 3601.0, False),
            "alice registered with baresip <b>",
        ),
        (Banned(1.0, *NETWORK, 601.0, "guessed", 1), "192.0.2.66 was banned for 10 min: guessed"),
        (Unbanned(1.0, NETWORK[0], "expired"), "192.0.2.66 is no longer banned"),
        (Overload(1.0, False, 1234), "Overload: 1,234 messages were dropped"),
        (
            AdminActed(1.0, Act.USER_ADDED, "admin", "192.0.2.7", "alice"),
            "Web admin: user added, alice, by admin",
        ),
        (
            AdminActed(1.0, Act.SIGN_IN_REFUSED, "", "192.0.2.7", ""),
            "Web admin: sign-in refused, by a user that is not signed in",
        ),
    ],
)
def test_an_event_is_a_sentence(happens, event, sentence):
    assert happens(event) == sentence


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (UNREGISTERED_BY_PHONE, "alice signed off"),
        (UNREGISTERED_BY_TIME, "alice is gone: the registration expired"),
        (UNREGISTERED_BY_CLOSE, "alice is gone: the connection was closed"),
        (UNREGISTERED_BY_ADMIN, "alice was signed off by an administrator"),
    ],
)
def test_a_phone_that_is_gone_is_told_with_the_reason(happens, reason, sentence):
    assert happens(Unregistered(1.0, 1, "alice", REALM, *PHONE, reason)) == sentence


def test_refusals_are_told_once_with_their_number(context, clock, happens):
    who = ("no such user", "", "bob", REALM, "bob", "0049301234", ("192.0.2.7", 5060), "192.0.2.7")
    for _ in range(3):
        head = (clock(), Sender.USER, "INVITE", 404)
        context.refusals.add(Refused(*head, *who, "UDP", "Desk", "one", "tag"))
    (row,) = feed(context)
    assert f"{row.subject} {row.text}" == "bob could not call 0049301234, 3 times: no such user"
    assert (row.detail, row.href) == ("192.0.2.7, Desk", "/trouble")


def test_the_page_escapes_what_a_phone_has_said(browser, happens):
    happens(Registered(1.0, 1, "alice", REALM, *PHONE, True, 3601.0, False))
    page = browser.get("/")
    assert "alice registered with baresip <b>" in page.words
    assert "192.0.2.1, UDP, behind NAT" in page.words
    assert "baresip <b>" not in page.text


def test_the_page_shows_some_rows_and_the_others_when_asked(browser, happens):
    for number in range(SOME_EVENTS + 3):
        happens(Banned(1.0, f"192.0.2.{number}", ("192.0.2.66", 0), 601.0, "guessed", 1))
    page = browser.get("/")
    assert page.words.count("was banned") == SOME_EVENTS
    assert f"All {SOME_EVENTS + 3} " in page.words
    page = browser.get("/?feed=all")
    assert page.words.count("was banned") == SOME_EVENTS + 3
    assert 'hx-get="/?feed=all"' in page.text
