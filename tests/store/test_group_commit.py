"""Group commit: waiters, failures of a whole group, and killed waiters."""

import logging
import sqlite3
from contextlib import closing

import gevent
import pytest

from sip.store.database import DatabaseError, write_many
from sip.store.group_commit import GroupCommit, NotSaved


class Batches:
    """Writes keys to the table `meta`, and remembers in which batches they came."""

    def __init__(self):
        self.seen = []

    def __call__(self, tables, batch):
        self.seen.append(list(batch))
        write_many(tables, "INSERT INTO meta VALUES (?, 'x')", [(key,) for key in batch])


@pytest.fixture
def batches():
    return Batches()


@pytest.fixture
def journal(database, batches):
    journal = GroupCommit(database, batches)
    yield journal
    journal.close()


def keys(path):
    with closing(sqlite3.connect(path)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM meta")}


def never():
    raise AssertionError("undone")


def waits(journal, key, undo=never):
    journal.commit(key, undo).wait()


def outcome(journal, key, undone):
    try:
        journal.commit(key, lambda: undone.append(key)).wait()
    except NotSaved:
        return False
    return True


def test_a_commit_that_returns_is_on_disk(journal, path):
    journal.commit("a", never).wait()
    assert keys(path) == {"a"}


def test_a_thousand_waiters_share_few_commits(journal, batches, path):
    wanted = {f"key {n}" for n in range(1000)}
    gevent.joinall([gevent.spawn(waits, journal, key) for key in wanted], raise_error=True)
    assert keys(path) == wanted
    assert len(batches.seen) <= 2


def test_what_comes_while_a_commit_runs_goes_into_the_next(database, path):
    seen = []

    def slowly(tables, batch):
        seen.append(list(batch))
        if len(seen) == 1:
            entered.append(True)
            while len(journal._queue) < 2:  # in the owner thread, which may block
                pass

    entered = []
    journal = GroupCommit(database, slowly, window=0.0)
    first = gevent.spawn(waits, journal, "a")
    while not entered:
        gevent.sleep(0.001)
    others = [gevent.spawn(waits, journal, key) for key in "bc"]
    gevent.joinall([first, *others], raise_error=True)
    journal.close()
    assert seen == [["a"], ["b", "c"]]


def test_a_failed_batch_is_undone_newest_first(database, batches, path, caplog):
    undone, entered = [], []
    caplog.set_level(logging.CRITICAL)

    def fails_once(tables, batch):
        entered.append(True)
        batches(tables, batch)
        if len(entered) == 1:
            while len(journal._queue) < 2:  # in the owner thread
                pass
            raise DatabaseError("the disk is full")

    journal = GroupCommit(database, fails_once)
    batch = [gevent.spawn(outcome, journal, key, undone) for key in "ab"]
    while not entered:
        gevent.sleep(0.001)
    behind = [gevent.spawn(outcome, journal, key, undone) for key in "cd"]
    gevent.joinall(batch + behind)
    assert [each.value for each in batch + behind] == [False] * 4
    assert undone == ["d", "c", "b", "a"]
    assert keys(path) == set()
    journal.commit("e", never).wait()
    assert keys(path) == {"e"}
    journal.close()


def test_an_undo_that_fails_does_not_keep_the_others_from_theirs(journal, path, caplog):
    undone = []

    def broken():
        raise ZeroDivisionError

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first = gevent.spawn(outcome, journal, "a", undone)
        second = gevent.spawn(waits, journal, "b", broken)
        gevent.joinall([first, second])
        other.execute("ROLLBACK")
    assert undone == ["a"]
    assert isinstance(second.exception, NotSaved)
    assert "cannot undo" in caplog.text


def test_a_killed_waiter_is_written_and_harms_no_other(journal, path):
    doomed = gevent.spawn(waits, journal, "doomed")
    others = [gevent.spawn(waits, journal, key) for key in "ab"]
    gevent.sleep(0)
    doomed.kill()
    gevent.joinall(others, raise_error=True)
    assert keys(path) == {"doomed", "a", "b"}


def test_functions_are_called_when_a_commit_is_done(journal, path, caplog):
    """An exception of one is logged, and keeps no other from its call."""
    called = []

    def broken(failure):
        raise ZeroDivisionError

    commit = journal.commit("a", never)
    commit.when_done(broken)
    commit.when_done(lambda failure: called.append((failure, keys(path))))
    assert not called
    journal.commit("b", never).wait()
    assert called == [("", {"a", "b"})]
    assert "ZeroDivisionError" in caplog.text
    commit.when_done(called.append)
    assert called[1:] == [""]


def test_a_greenlet_that_timed_out_is_not_woken(journal):
    woken = []

    def impatient():
        with gevent.Timeout(0.001, False):
            journal.commit("a", never).wait()
        gevent.get_hub().loop.run_callback(lambda: None)
        gevent.sleep(0.05)
        woken.append(True)

    waiting = gevent.spawn(impatient)
    gevent.sleep(0.03)  # the commit is over by now
    assert not woken
    waiting.join()
    assert woken


def test_a_greenlet_resumed_too_early_waits_again(journal, path):
    waiting = gevent.spawn(waits, journal, "a")
    gevent.sleep(0)
    gevent.get_hub().loop.run_callback(waiting.switch)
    gevent.sleep(0)
    assert not waiting.dead
    waiting.join()
    assert keys(path) == {"a"}


def test_closing_writes_what_is_queued_and_refuses_the_rest(database, batches, path):
    journal = GroupCommit(database, batches)
    waiting = gevent.spawn(waits, journal, "a")
    gevent.sleep(0)
    journal.post("b")
    journal.close()
    waiting.get()
    assert keys(path) == {"a", "b"}
    undone = []
    with pytest.raises(NotSaved):
        journal.commit("c", lambda: undone.append("c")).wait()
    assert undone == ["c"]
    journal.post("d")
    assert keys(path) == {"a", "b"}


def test_a_closed_database_fails_the_waiters(database, batches, caplog):
    journal = GroupCommit(database, batches)
    database.close()
    undone = []
    with pytest.raises(NotSaved, match="closed"):
        journal.commit("a", lambda: undone.append("a")).wait()
    assert undone == ["a"]
    journal.close()


def test_more_than_may_wait_is_refused_and_undone_at_once(database, monkeypatch):
    """A disk that is stuck must not keep every handler of the server waiting."""
    monkeypatch.setattr("sip.store.group_commit.MAX_QUEUED", 2)
    journal = GroupCommit(database, lambda tables, batch: None, window=10.0)
    waiting = [gevent.spawn(waits, journal, key) for key in "ab"]
    gevent.sleep(0)
    undone = []
    with pytest.raises(NotSaved, match="2 changes are waiting for the disk"):
        journal.commit("c", lambda: undone.append("c")).wait()
    assert undone == ["c"]
    journal.close()
    gevent.joinall(waiting, raise_error=True)


def test_failing_writes_are_logged_once_a_second(database, monkeypatch, caplog):
    """With the count of all that was not said."""
    now = [100.0]
    monkeypatch.setattr("sip.store.group_commit.monotonic", lambda: now[0])
    caplog.set_level(logging.INFO)
    failing = [True]

    def write(tables, batch):
        if failing:
            raise DatabaseError("the disk is full")

    journal = GroupCommit(database, write, window=0.0)
    for passing in (0.0, 0.1, 0.1, 0.9):
        now[0] += passing
        with pytest.raises(NotSaved):
            journal.commit("a", lambda: None).wait()
    failing.clear()
    for _ in range(2):
        journal.commit("a", never).wait()
    journal.close()
    assert [record.getMessage() for record in caplog.records] == [
        "database write failed, 1 changes not saved: the disk is full",
        "database write failed, 3 changes not saved: the disk is full",
        "database writes work again",
    ]
