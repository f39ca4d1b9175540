"""The writer of the history: batches, faults of the database, limits, floods."""

import logging
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import gevent
import pytest

from sip.monitor.calls import CallFinished, CallResult
from sip.store import history_writer
from sip.store.database import Database, DatabaseError, fetch
from sip.store.history import DAY, HOUR, CallFilter, History
from sip.store.history_search import RESULTS
from sip.store.history_writer import HistoryWriter, Limits
from tests.support.past_calls import ALICE, BOB, outside, past_call, user

NOW = 1_700_000_000.0


@pytest.fixture
def running(database: Database) -> Iterator[HistoryWriter]:
    """A writer whose greenlet writes and removes by itself."""
    with closing(HistoryWriter(database, Limits(), lambda: NOW)) as writer:
        yield writer


@pytest.fixture
def writer(running: HistoryWriter) -> HistoryWriter:
    """A writer that writes and removes only what a test tells it to."""
    running._greenlet.kill()
    return running


def count(database: Database) -> int:
    ((rows,),) = database.browse(lambda tables: fetch(tables, "SELECT count(*) FROM calls"))
    return int(rows)


def assert_totals_agree(database: Database) -> None:
    """The totals of hours and days are the sums of the rows, and each side has a call."""
    with closing(sqlite3.connect(database.path)) as file:
        for unit in (HOUR, DAY):
            summed = file.execute(
                """
                SELECT id / 1000000 / :unit * :unit AS start, result, count(*), sum(is_outside),
                       count(ringing_after),
                       sum(CASE WHEN ringing_after IS NULL THEN 0
                           ELSE ifnull(answered_after, ended_after) - ringing_after END),
                       sum(ifnull(ended_after - answered_after, 0))
                FROM calls GROUP BY start, result ORDER BY start, result
                """,
                {"unit": unit},
            ).fetchall()
            kept = file.execute(
                "SELECT start, result, calls, outside, rung, rang_ms, talked_ms FROM call_totals"
                " WHERE seconds = ? ORDER BY start, result",
                (unit,),
            ).fetchall()
            assert kept == summed
        sides = set(file.execute("SELECT caller FROM calls UNION SELECT callee FROM calls"))
        assert set(file.execute("SELECT id FROM call_parties")) == sides
        file.execute(
            "INSERT INTO call_party_names (call_party_names, rank) VALUES ('integrity-check', 1)"
        )


def purge_all(writer: HistoryWriter) -> None:
    while writer.purge():
        pass


def test_a_call_is_written_soon_and_without_a_wait(database, running, monkeypatch):
    monkeypatch.setattr(history_writer, "WINDOW", 0.01)
    running.listen(CallFinished(past_call(NOW)))
    assert count(database) == 0
    with gevent.Timeout(5):
        while count(database) == 0:
            gevent.sleep(0.01)


def test_calls_at_the_end_of_the_server_are_written(database, running):
    running.listen(CallFinished(past_call(NOW)))
    running.close()
    running.listen(CallFinished(past_call(NOW)))
    assert count(database) == 1


def test_a_batch_is_one_commit(database, writer, monkeypatch):
    commits = []
    run = database.run
    monkeypatch.setattr(database, "run", lambda work: commits.append(1) or run(work))
    for at in range(100):
        writer.listen(CallFinished(past_call(NOW + at)))
    writer.flush()
    assert (len(commits), count(database)) == (1, 100)


def test_calls_of_one_second_are_written_in_one_round(database, running, monkeypatch):
    """However many batches they take."""
    monkeypatch.setattr(history_writer, "MAX_BATCH", 3)
    for at in range(8):
        running.listen(CallFinished(past_call(NOW + at)))
    monkeypatch.setattr(history_writer, "WINDOW", 1000.0)
    with gevent.Timeout(5):
        while count(database) < 8:
            gevent.sleep(0.01)


def test_a_locked_database_delays_rows_and_is_logged_once(database, running, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(history_writer, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(history_writer, "WINDOW", 0.0)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for at in range(3):
            running.listen(CallFinished(past_call(NOW + at)))
        gevent.sleep(0.5)
        other.execute("ROLLBACK")
    with gevent.Timeout(5):
        while count(database) < 3:
            gevent.sleep(0.01)
    said = [record.message for record in caplog.records if "history" in record.message]
    assert len(said) == 2
    assert said[0].startswith("cannot write history, trying again: ")
    assert said[1] == "history writes work again, 0 calls were lost so far"
    assert_totals_agree(database)


def test_a_rolled_back_side_is_made_again(database, writer, monkeypatch):
    """The ids of sides are remembered, but not those of a transaction that failed."""
    add_totals = history_writer._add_totals

    def fail(*_: object) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(history_writer, "_add_totals", fail)
    writer.listen(CallFinished(past_call(NOW)))
    writer.flush()
    monkeypatch.setattr(history_writer, "_add_totals", add_totals)
    writer.listen(CallFinished(past_call(NOW, user(8, "carol"), user(9, "dave"))))
    writer.flush()
    assert len(History(database).page(CallFilter()).calls) == 2
    assert_totals_agree(database)


def test_the_oldest_calls_are_lost_if_the_database_fails_long(writer, monkeypatch, database):
    monkeypatch.setattr(history_writer, "MAX_QUEUED", 5)
    monkeypatch.setattr(history_writer, "MAX_BATCH", 3)

    def fail(*_: object) -> None:
        raise DatabaseError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(database, "run", fail)
        for at in range(8):
            writer.listen(CallFinished(past_call(NOW + at)))
        writer.flush()
    assert writer.lost == 3
    writer.flush()
    assert [call.started_at - NOW for call in History(database).latest()] == [7, 6, 5, 4, 3]


def test_a_call_that_cannot_be_written_stops_no_later_one(database, writer, caplog):
    """An error of ours is one traceback, and its batch is lost."""
    broken = past_call(NOW)
    broken.result = "no such result"
    writer.listen(CallFinished(broken))
    writer.flush()
    writer.listen(CallFinished(past_call(NOW)))
    writer.flush()
    assert (count(database), writer.lost) == (1, 1)
    assert "cannot write history: 1 calls are lost" in caplog.text


# Limits


def fill(writer: HistoryWriter, number: int, **values: object) -> None:
    for at in range(number):
        writer.listen(CallFinished(past_call(NOW - number + at, **values)))
    writer.flush()


def test_calls_beyond_the_age_are_removed(database, writer):
    writer.listen(CallFinished(past_call(NOW - 90 * DAY - 1)))
    writer.listen(CallFinished(past_call(NOW - 90 * DAY + 1)))
    writer.flush()
    purge_all(writer)
    assert [call.started_at for call in History(database).latest()] == [NOW - 90 * DAY + 1]
    assert_totals_agree(database)


def test_the_oldest_calls_beyond_the_number_are_removed(database, writer):
    fill(writer, 10)
    writer.reconfigure(Limits(rows=4))
    purge_all(writer)
    assert [call.started_at - NOW for call in History(database).latest()] == [-1, -2, -3, -4]
    assert_totals_agree(database)


@pytest.mark.parametrize("limits", [Limits(days=0), Limits(rows=0)])
def test_no_history_is_kept_if_it_is_off(database, writer, limits):
    fill(writer, 3)
    writer.reconfigure(limits)
    writer.listen(CallFinished(past_call(NOW)))
    writer.flush()
    purge_all(writer)
    assert count(database) == 0
    assert_totals_agree(database)


def test_rows_are_removed_in_small_pieces(database, writer, monkeypatch):
    monkeypatch.setattr(history_writer, "MAX_BATCH", 4)
    fill(writer, 10)
    writer.reconfigure(Limits(days=0))
    left = [count(database)]
    while writer.purge():
        left.append(count(database))
        assert_totals_agree(database)
    assert left == [10, 6, 2]


def test_the_greenlet_removes_what_is_too_old(database, running, monkeypatch):
    monkeypatch.setattr(history_writer, "MAX_BATCH", 4)
    fill(running, 10)
    running.reconfigure(Limits(rows=1))
    with gevent.Timeout(5):
        while count(database) > 1:
            gevent.sleep(0.01)


def test_totals_agree_after_any_writes_and_removals(database, writer):
    chance = random.Random(20)
    people = [ALICE, BOB, user(3, "carol"), outside(), outside("tel:+4930")]
    for _ in range(12):
        for _ in range(chance.randrange(40)):
            call = past_call(
                NOW - chance.randrange(100 * DAY),
                chance.choice(people),
                chance.choice(people),
                chance.choice(RESULTS),
                rang=chance.choice((0, 3.1234)),
                talked=chance.random() * 100,
            )
            writer.listen(CallFinished(call))
        writer.flush()
        writer.reconfigure(Limits(chance.choice((80, 90, 3650)), chance.choice((30, 50, 1000))))
        writer.purge()
        assert_totals_agree(database)


# Floods


def test_a_flood_from_outside_has_a_rate_and_is_counted(database, writer, caplog):
    for at in range(2000):
        caller = outside(f"sip:{at}@evil.example")
        call = past_call(NOW + at / 1000, caller, BOB, CallResult.FAILED, rang=0)
        writer.listen(CallFinished(call))
    for at in range(500):
        writer.listen(CallFinished(past_call(NOW + at / 1000)))
    writer.flush()
    kept = history_writer.OUTSIDE_BURST + 2 * history_writer.OUTSIDE_PER_SECOND
    assert writer.refused == pytest.approx(2000 - kept, abs=1)
    assert count(database) == 2500 - writer.refused
    writer._purge_now()
    assert f"history: dropped {writer.refused} rows" in caplog.text


def test_calls_from_outside_push_out_no_calls_of_users(database, writer):
    """They have a fifth of the rows: the oldest of them go, however old the others are."""
    fill(writer, 20)
    for at in range(50):
        call = past_call(NOW + at, outside(), BOB, CallResult.MISSED)
        writer.listen(CallFinished(call))
    writer.flush()
    writer.reconfigure(Limits(rows=50))
    purge_all(writer)
    calls = History(database).latest(limit=100)
    assert [call.caller.user_id for call in calls] == [0] * 10 + [1] * 20
    assert_totals_agree(database)


def test_answered_calls_from_outside_are_calls_like_others(database, writer):
    for at in range(1000):
        writer.listen(CallFinished(past_call(NOW + at / 1000, outside())))
    writer.flush()
    assert (count(database), writer.refused) == (1000, 0)


def test_refused_calls_of_users_have_a_rate(database, writer):
    """Wrong numbers, for one; an unanswered call that a phone has heard of is always kept."""
    for at in range(3000):
        call = past_call(NOW + at / 3000, ALICE, BOB, CallResult.FAILED, rang=0)
        writer.listen(CallFinished(call))
        writer.listen(CallFinished(past_call(NOW + at / 3000, ALICE, BOB, CallResult.BUSY)))
    assert writer.refused == pytest.approx(2000 - history_writer.REFUSED_PER_SECOND, abs=1)


def test_an_account_that_is_only_claimed_counts_as_outside(database, writer):
    """A wrong password, or a fault that is noticed before the password."""
    wrong_password = past_call(NOW, ALICE, BOB, CallResult.REFUSED, rang=0)
    malformed = past_call(NOW, ALICE, BOB, CallResult.FAILED, rang=0)
    malformed.status = 420
    wrong_number = past_call(NOW, ALICE, BOB, CallResult.FAILED, rang=0)
    calls = (wrong_password, malformed, wrong_number, past_call(NOW, ALICE, BOB, CallResult.BUSY))
    assert [history_writer.is_outside(call) for call in calls] == [True, True, False, False]


def test_a_clock_that_is_set_back_frees_no_rows(writer):
    for at in range(5000):
        call = past_call(NOW - at * 100, outside(), BOB, CallResult.FAILED, rang=0)
        writer.listen(CallFinished(call))
    assert writer.refused == 5000 - history_writer.OUTSIDE_BURST
