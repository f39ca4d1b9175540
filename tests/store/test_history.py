"""Queries of the history: lists, filters, pages, totals and charts."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from sip.monitor.calls import Call, CallFinished, CallResult
from sip.store import history, history_search, schema
from sip.store.database import Database
from sip.store.history import DAY, HOUR, CallFilter, History, PastCall
from sip.store.history_search import RESULTS
from sip.store.history_writer import HistoryWriter, Limits
from sip.store.users import Users
from tests.support.cases import cases
from tests.support.past_calls import ALICE, BOB, REALM, outside, past_call, user, write_calls

MIDNIGHT = 1_700_006_400.0  # 2023-11-15T00:00:00Z

Record = Callable[..., None]


@pytest.fixture
def record(database: Database) -> Iterator[Record]:
    """Return `record(call, …)`: the calls are in the history when it returns."""
    with closing(HistoryWriter(database, Limits(rows=10**6), lambda: MIDNIGHT)) as writer:
        writer.reconfigure(Limits(days=3650))

        def record(*calls: Call) -> None:
            for call in calls:
                writer.listen(CallFinished(call))
            writer.flush()

        yield record


@pytest.fixture
def past(database: Database) -> History:
    return History(database)


def numbers(calls: tuple[PastCall, ...]) -> list[str]:
    return [f"{call.caller.number(REALM)} {call.callee.number(REALM)}" for call in calls]


def test_a_database_of_before_gets_a_history(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for step in schema.STEPS[:6]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 6")
    with Database(path) as database:
        write_calls(database, [past_call(MIDNIGHT)])
        assert len(History(database).latest()) == 1


def test_a_call_is_kept_with_all_that_was_known(record, past, database):
    users = Users(database, REALM)
    account = users.add("alice", "correct horse")
    users.set_display_name("alice", "Alice Liddell")
    alice = user(account.id, "alice", "Desk 1.0")
    call = past_call(MIDNIGHT + 0.25, alice, outside(), rang=4.25, talked=61.5, cause="hung up")
    call.cure = "None."
    record(call)
    (kept,) = past.page(CallFilter()).calls
    assert (kept.call_id, kept.started_at, kept.result) == (
        call.call_id,
        MIDNIGHT + 0.25,
        "answered",
    )
    assert (kept.rang_seconds, kept.talked_seconds, kept.status) == (4.25, 61.5, 200)
    assert (kept.cause, kept.cure, kept.ended_by) == ("hung up", "None.", "caller")
    assert (kept.caller.name, kept.caller.username, kept.caller.user_id) == (
        *("Alice Liddell", "alice", account.id),
    )
    assert (kept.caller.device, kept.caller.address) == ("Desk 1.0", "10.0.0.7:5060")
    assert kept.callee.number(REALM) == "+49305550199@gateway.example"


def test_a_deleted_user_keeps_its_name_in_the_history(record, past, database):
    users = Users(database, REALM)
    account = users.add("alice", "correct horse")
    users.set_display_name("alice", "Alice Liddell")
    record(past_call(MIDNIGHT, user(account.id, "alice")))
    users.remove("alice")
    record(past_call(MIDNIGHT + 1, user(account.id, "alice")))
    assert [call.caller.name for call in past.page(CallFilter()).calls] == ["Alice Liddell"] * 2


def test_a_new_display_name_is_shown_for_old_calls(record, past, database):
    users = Users(database, REALM)
    account = users.add("alice", "correct horse")
    record(past_call(MIDNIGHT, user(account.id, "alice")))
    users.set_display_name("alice", "Alice Liddell")
    assert past.page(CallFilter()).calls[0].caller.name == "Alice Liddell"


def test_calls_that_began_at_one_moment_are_all_kept(record, past):
    record(*(past_call(MIDNIGHT) for _ in range(3)), past_call(MIDNIGHT + 2e-6))
    record(past_call(MIDNIGHT), past_call(MIDNIGHT + 1e-6))
    assert len({call.call_id for call in past.page(CallFilter()).calls}) == 6


def test_texts_of_a_peer_are_kept_short_and_printable(record, past):
    stranger = outside("sip:\x00\ud800<b>@" + "x" * 1000)
    stranger.device = "\x1b[31m" + "y" * 1000
    record(past_call(MIDNIGHT, stranger, cause="z" * 1000))
    (call,) = past.page(CallFilter()).calls
    assert call.caller.uri.startswith("sip:\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}<b>@")
    assert [len(call.caller.uri), len(call.caller.device), len(call.cause)] == [300, 100, 300]


def test_a_user_is_found_on_either_side_by_name_and_realm(record, past):
    other = user(3, "alice")
    other.realm = "other.example"
    record(
        past_call(MIDNIGHT, ALICE, BOB),
        past_call(MIDNIGHT + 1, BOB, ALICE),
        past_call(MIDNIGHT + 2, other, BOB),
        past_call(MIDNIGHT + 3, BOB, outside()),
    )
    found = [numbers(past.page(CallFilter(user=name)).calls) for name in ("alice", "Alice", "")]
    assert [len(each) for each in found] == [3, 0, 4]
    named = past.page(CallFilter(user="alice@other.example")).calls
    assert numbers(named) == ["alice@other.example bob"]
    assert numbers(past.latest(user_id=1)) == ["bob alice", "alice bob"]
    assert numbers(past.latest(limit=1)) == ["bob +49305550199@gateway.example"]


def test_a_call_to_oneself_is_one_call(record, past):
    record(past_call(MIDNIGHT, ALICE, ALICE))
    assert len(past.page(CallFilter(user="alice")).calls) == 1


def test_a_claimed_name_is_found_but_the_call_is_not_the_users(record, past):
    """A refused call names the user whose password was wrong; that may be anyone."""
    claimed = outside("alice")
    claimed.username, claimed.realm = "alice", REALM
    for at, caller in enumerate((claimed, outside("alice"))):
        record(past_call(MIDNIGHT + at, caller, BOB, CallResult.REFUSED, rang=0))
    assert len(past.page(CallFilter(user="alice")).calls) == 2
    assert past.latest(user_id=1) == ()


# All filters, against the same filter in plain Python


def brute_force(calls: tuple[PastCall, ...], wanted: CallFilter) -> list[int]:
    """The ids of the calls that a filter means, newest first."""
    text = wanted.number.lower()
    return [
        call.id
        for call in calls
        if (not wanted.user or wanted.user in (call.caller.username, call.callee.username))
        and (not wanted.results or call.result in wanted.results)
        and wanted.since <= call.started_at < (wanted.until or 1e12)
        and any(
            text in part.lower()
            for side in (call.caller, call.callee)
            for part in (side.username, side.name, side.uri)
        )
    ]


@pytest.mark.parametrize("bounds", [(24, 1000, 10_000, 1000), (2, 6, 60, 40), (1, 1, 0, 25)])
@pytest.mark.parametrize("seed", range(3))
def test_each_filter_finds_what_a_plain_comparison_finds(
    record, past, database, monkeypatch, seed, bounds
):
    """Page by page, by each of the ways: ranges of an index, collected, compared one by one."""
    for name, bound in zip(
        ("MAX_SIDES", "MAX_MATCHES", "MAX_COLLECTED", "MAX_LOOKED_AT"), bounds, strict=True
    ):
        monkeypatch.setattr(history_search, name, bound)
    chance = random.Random(seed)
    people = [user(n, f"user{n:02}") for n in range(1, 13)]
    people += [outside(f"sip:+49{n:04}@gw.example") for n in range(12)]
    record(
        *(
            past_call(
                MIDNIGHT + chance.randrange(5 * DAY),
                chance.choice(people),
                chance.choice(people),
                chance.choice(RESULTS),
                rang=0 if chance.random() < 0.3 else 5,
            )
            for _ in range(300)
        )
    )
    everything = tuple(call for piece in past.pieces(CallFilter()) for call in piece)
    assert len(everything) == 300
    for _ in range(40):
        since = chance.choice((0, MIDNIGHT + DAY))
        wanted = CallFilter(
            chance.choice(("", "", "user03", "nobody")),
            chance.choice(("", "", "49", "+490", "ser1", "USER0", "user", "%", "0007")),
            tuple(chance.sample(RESULTS, chance.choice((0, 0, 1, 2)))),
            since,
            chance.choice((0, since + 2 * DAY)),
        )
        expected, found, before = brute_force(everything, wanted), [], None
        while True:
            page = past.page(wanted, before, limit=7)
            found += [call.id for call in page.calls]
            if page.next is None:
                break
            assert page.searched_to or len(page.calls) == 7
            before = page.next
        assert found == expected, wanted
        summary = past.summary(wanted, MIDNIGHT + 5 * DAY)
        if not summary.is_partial:
            assert summary.calls == sum(bar.calls for bar in summary.bars) == len(expected), wanted


@pytest.mark.parametrize("text", ["\x00", "\ud800", '"', "a" * 400, "%", "\\", "'; --", "ab*"])
def test_any_text_can_be_searched(record, past, text):
    record(past_call(MIDNIGHT))
    for wanted in (
        *(CallFilter(number=text), CallFilter(number=f"ali{text}")),
        *(CallFilter(user=text), CallFilter(user=f"alice{text}")),
    ):
        assert past.page(wanted).calls == ()
        assert past.summary(wanted, MIDNIGHT).calls == 0


def test_a_search_that_stops_early_says_how_far_it_went(record, past, monkeypatch):
    """Each request looks at a bounded number of calls, whatever the text matches."""
    monkeypatch.setattr(history_search, "MAX_MATCHES", 0)
    monkeypatch.setattr(history_search, "MAX_SIDES", 0)
    monkeypatch.setattr(history_search, "MAX_LOOKED_AT", 10)
    callees = [BOB] * 15 + [user(3, "carol")] * 5
    record(*(past_call(MIDNIGHT - at, ALICE, callee) for at, callee in enumerate(callees)))
    first = past.page(CallFilter(number="carol"))
    assert (first.calls, first.searched_to) == ((), MIDNIGHT - 9)
    second = past.page(CallFilter(number="carol"), first.next)
    assert (len(second.calls), second.next, second.searched_to) == (5, second.next, MIDNIGHT - 19)


# Totals


def test_the_summary_has_the_shares_and_averages(record, past):
    record(
        past_call(MIDNIGHT, rang=4, talked=60),
        past_call(MIDNIGHT + 60, rang=8, talked=120),
        past_call(MIDNIGHT + HOUR, result=CallResult.MISSED, rang=30),
        past_call(MIDNIGHT + HOUR, result=CallResult.FAILED, rang=0),
        past_call(MIDNIGHT + 2 * HOUR, result=CallResult.REFUSED, rang=0),
    )
    for wanted in (CallFilter(), CallFilter(user="alice"), CallFilter(number="bob")):
        summary = past.summary(wanted, MIDNIGHT + 3 * HOUR)
        assert (summary.calls, summary.answered, summary.refused) == (5, 2, 1)
        assert (summary.success_rate, summary.average_ring) == (0.5, 14.0)
        assert (summary.average_talk, summary.step, summary.is_partial) == (90.0, HOUR, False)
        bars = [(bar.start - MIDNIGHT, bar.calls, bar.answered) for bar in summary.bars]
        assert len(bars) >= 24
        assert bars[-4:] == [(0, 2, 2), (HOUR, 2, 0), (2 * HOUR, 1, 0), (3 * HOUR, 0, 0)]
        assert not any(calls for _, calls, _ in bars[:-4])


def test_no_calls_have_no_rates(past):
    summary = past.summary(CallFilter(), MIDNIGHT)
    assert (summary.calls, summary.success_rate) == (0, None)
    assert (summary.average_ring, summary.average_talk) == (None, None)
    assert past.today(MIDNIGHT).hours == (0,) * 24


@pytest.mark.parametrize(
    ("days", "step", "bars"),
    [(1, HOUR, 24), (8, HOUR, 192), (9, DAY, 9), (90, DAY, 90), (300, 7 * DAY, 43)],
)
def test_a_chart_is_by_hour_for_days_and_by_day_for_longer(record, past, days, step, bars):
    record(past_call(MIDNIGHT), past_call(MIDNIGHT + days * DAY - HOUR))
    wanted = CallFilter(since=MIDNIGHT, until=MIDNIGHT + days * DAY)
    summary = past.summary(wanted, MIDNIGHT + days * DAY)
    assert (summary.step, len(summary.bars), summary.bars[0].start) == (step, bars, MIDNIGHT)
    assert (summary.bars[0].calls, summary.bars[-1].calls) == (1, 1)


@cases("since", [0.0, 1.0, MIDNIGHT - 10**9, MIDNIGHT + 10**9])
@cases("until", [0.0, 1.0, 10.0**10, MIDNIGHT - 1])
def test_a_chart_of_any_period_is_short(record, past, since, until):
    record(past_call(MIDNIGHT))
    summary = past.summary(CallFilter(since=since, until=until), MIDNIGHT + 60)
    assert 1 <= len(summary.bars) <= history._MAX_BARS


def test_a_summary_of_many_calls_of_a_user_is_partial(record, past, monkeypatch):
    monkeypatch.setattr(history, "MAX_COUNTED", 3)
    record(*(past_call(MIDNIGHT + at) for at in range(4)))
    summary = past.summary(CallFilter(user="alice"), MIDNIGHT + 60)
    assert (summary.calls, summary.is_partial) == (3, True)
    assert past.summary(CallFilter(), MIDNIGHT + 60).calls == 4


def test_today_begins_at_midnight_and_the_line_has_24_hours(record, past):
    record(
        past_call(MIDNIGHT - 23 * HOUR),
        past_call(MIDNIGHT - 1, talked=60),
        past_call(MIDNIGHT, talked=120),
        past_call(MIDNIGHT + 30, result=CallResult.BUSY),
    )
    today = past.today(MIDNIGHT + 60)
    assert (today.calls, today.answered, today.success_rate) == (2, 1, 0.5)
    assert today.average_talk == 120
    assert today.hours == (1, *[0] * 21, 1, 2)
    assert past.today(MIDNIGHT + DAY).hours[0] == 0
