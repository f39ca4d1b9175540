"""The bindings on disk: what a promised 200 stands for."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sip.store import bindings as bindings_module
from sip.store.bindings import BindingRow, BindingStore, NotSaved, _Change, _Writer
from sip.store.database import Database, fetch
from sip.store.users import Users

ROOT = Path(__file__).parents[2]
ALICE, BOB = 1, 2  # their ids
DESK = BindingRow(
    user_id=ALICE,
    aor="alice@example.com",
    contact="<sip:alice@192.0.2.1:5060>",
    expires_at=2000,
    q=0.7,
    call_id="abc@desk",
    cseq=2147483647,
    path="<sip:edge.example.com;lr>",
    instance="<urn:uuid:1>",
    reg_id=1,
    user_agent="Desk/1.0",
    flow="udp 192.0.2.1 5060",
    updated_at=1000,
    params=';audio;methods="INVITE,BYE"',
)
KEY = DESK.key


@pytest.fixture
def bindings(database, users):
    users.add("alice", "secret")
    users.add("bob", "secret")
    bindings = BindingStore(database)
    yield bindings
    bindings.close()


def never():
    raise AssertionError("undone")


def states(database):
    """Whether each account is online, and when it was seen last."""
    query = "SELECT username, online, last_seen FROM users ORDER BY id"
    return {name: state for name, *state in database.read(lambda tables: fetch(tables, query))}


def test_a_row_comes_back_as_it_was(bindings):
    bindings.save([DESK], [], never).wait()
    assert bindings.load(1000) == [DESK]


def test_text_of_other_scripts_comes_back_too(bindings):
    """Only its octets are written as such; a key is the same in both rows."""
    for agent in ("J\u00f6rg \U0001f4de", "Desk/2.0", "\u00e9"):
        row = DESK._replace(user_agent=agent)
        bindings.save([row], [], never)
        assert bindings.load(1000) == [row]
    bindings.save([DESK._replace(contact="sip:j\u00f6rg@192.0.2.1")], [KEY], never)
    assert [row.contact for row in bindings.load(1000)] == ["sip:j\u00f6rg@192.0.2.1"]


def test_octets_that_are_no_utf8_come_back_too(bindings):
    odd = DESK._replace(user_agent="T\udce9l\udce9phone \x00 \U0001f4de", params=';x="\udce9"')
    bindings.save([odd], [], never).wait()
    assert bindings.load(1000) == [odd]
    bindings.save([], [KEY], never).wait()
    assert bindings.load(1000) == []


def test_a_refresh_replaces_the_row(bindings):
    bindings.save([DESK], [], never).wait()
    later = DESK._replace(expires_at=3000, cseq=1, updated_at=1500, params=";video")
    bindings.save([later], [], never).wait()
    assert bindings.load(1000) == [later]


def test_one_contact_in_two_homes_is_two_rows(bindings):
    """RFC 5626 §6: each is refreshed, moves and goes by itself."""
    home = DESK._replace(flow="udp 198.51.100.7 5060", instance="<urn:uuid:2>")
    bindings.save([DESK], [], never).wait()
    bindings.save([home], [], never).wait()
    moved = home._replace(flow="udp 198.51.100.7 6000", updated_at=1001)
    bindings.save([moved], [home.key], never).wait()
    assert bindings.load(1000) == [DESK, moved]
    bindings.remove([KEY])
    bindings.save([], [], never).wait()  # behind it in the queue
    assert bindings.load(1000) == [moved]


def test_in_one_batch_the_last_word_on_a_contact_counts(bindings):
    other = DESK._replace(contact="<sip:alice@192.0.2.2>")
    bindings.save([DESK, other], [], never)
    bindings.save([], [KEY, other.key], never)
    bindings.save([DESK._replace(cseq=7)], [], never).wait()
    assert bindings.load(1000) == [DESK._replace(cseq=7)]


def test_loading_leaves_out_and_deletes_what_is_over(bindings, path):
    bindings.save([DESK, DESK._replace(user_id=BOB, expires_at=5000)], [], never).wait()
    assert [row.user_id for row in bindings.load(2000.5)] == [BOB]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM bindings").fetchone() == (1,)


def test_forgetting_spares_a_row_that_was_refreshed(bindings):
    other = DESK._replace(user_id=BOB, expires_at=2060)
    bindings.save([DESK, other], [], never).wait()
    bindings.remove_expired([KEY, other.key], now=2000.2)
    bindings.close()
    assert bindings.load(0) == [other]


def test_a_database_that_cannot_write_undoes_and_says_so(bindings, path):
    undone = []
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotSaved, match="locked"):
            bindings.save([DESK], [], lambda: undone.append(DESK)).wait()
        other.execute("ROLLBACK")
    assert undone == [DESK]
    assert bindings.load(0) == []


# Online, and last seen


def test_a_register_sets_its_account_online_and_says_when(bindings, database):
    bindings.save([DESK], [], never, seen_at=1000).wait()
    assert states(database) == {"alice": [1, 1000], "bob": [0, None]}
    bindings.save([DESK._replace(updated_at=1500)], [], never, seen_at=1500).wait()
    assert states(database)["alice"] == [1, 1500]


def test_an_account_is_online_until_its_last_contact_goes(bindings, database):
    other = DESK._replace(contact="<sip:alice@192.0.2.2>")
    bindings.save([DESK, other], [], never, seen_at=1000).wait()
    bindings.save([], [KEY], never, seen_at=1100).wait()
    assert states(database)["alice"] == [1, 1100]
    bindings.save([], [other.key], never, seen_at=1200).wait()
    assert states(database)["alice"] == [0, 1200]


def test_last_seen_is_written_at_most_once_a_minute(bindings, database):
    """Writing it costs more than all else that a refresh does."""
    for at, kept in (
        (1000, 1000),
        (1059, 1000),
        (1060, 1060),
        (1061, 1060),
        (1119, 1060),
        (500, 500),
    ):
        bindings.save([DESK._replace(updated_at=at)], [], never, seen_at=at).wait()
        assert states(database)["alice"] == [1, kept]


@pytest.mark.parametrize("way", ["unregistered", "expired", "dropped", "disabled", "removed"])
def test_an_unregister_writes_last_seen_to_the_second(bindings, database, users, path, way):
    bindings.save([DESK], [], never, seen_at=1000).wait()
    bindings.save([DESK._replace(updated_at=1030)], [], never, seen_at=1030).wait()
    assert states(database)["alice"] == [1, 1000]
    if way == "unregistered":
        bindings.save([], [KEY], never, seen_at=1031).wait()
    elif way == "expired":
        bindings.remove_expired([KEY], now=2000)
        bindings.close()
    elif way == "dropped":
        bindings.save([], [KEY], never).wait()
    elif way == "disabled":
        users.disable("alice")
    else:
        users.remove("alice")
        users.restore(ALICE)
    assert states(database)["alice"] == [0, 1031 if way == "unregistered" else 1030]


def test_only_a_register_sets_last_seen(bindings, database):
    bindings.save([DESK], [], never, seen_at=1000).wait()
    bindings.save([], [KEY], never).wait()
    bindings.save([DESK], [], never).wait()
    assert states(database)["alice"] == [1, 1000]


def test_what_is_dropped_or_expires_is_not_seen(bindings, database):
    other = DESK._replace(user_id=BOB)
    bindings.save([DESK, other], [], never, seen_at=1000).wait()
    bindings.save([], [KEY], never).wait()
    bindings.remove_expired([other.key], now=2000)
    bindings.close()
    assert states(database) == {"alice": [0, 1000], "bob": [0, 1000]}


def test_one_batch_leaves_each_account_as_its_last_word_has_it(bindings, database):
    bindings.save([DESK], [], never, seen_at=900).wait()
    bindings.save([], [KEY], never, 1000)
    bindings.save([DESK], [], never, 1001)
    bindings.save([DESK._replace(user_id=BOB)], [], never, 1002)
    bindings.save([], [DESK._replace(user_id=BOB).key], never, 1003).wait()
    assert states(database) == {"alice": [1, 1001], "bob": [0, 1003]}


def test_all_rows_go_along_when_the_clock_of_the_machine_is_set(bindings):
    other = DESK._replace(contact="sip:other@192.0.2.1", updated_at=1001)
    bindings.save([DESK, other], [], never).wait()
    bindings.shift(-500)
    bindings.save([], [], never).wait()  # behind it in the queue
    assert bindings.load(0) == [
        row._replace(expires_at=row.expires_at - 500, updated_at=row.updated_at - 500)
        for row in (DESK, other)
    ]


def test_removing_does_not_wait_and_keeps_its_order(bindings, database):
    saving = bindings.save([DESK], [], never, 1000)
    bindings.remove([KEY])
    saving.wait()
    assert bindings.load(0) == []
    assert states(database)["alice"] == [0, 1000]


def test_loading_removes_orphans_and_corrects_online(bindings, database, users, path):
    users.add("carl", "secret")
    rows = [DESK, DESK._replace(user_id=BOB), DESK._replace(user_id=3), DESK._replace(user_id=99)]
    bindings.save(rows, [], never, seen_at=1000).wait()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE users SET online = 0 WHERE username = 'alice'")
        other.execute("UPDATE users SET enabled = 0 WHERE username = 'bob'")
        other.execute("DELETE FROM users WHERE username = 'carl'")
    assert bindings.load(1000) == [DESK]
    assert states(database) == {"alice": [1, 1000], "bob": [0, 1000]}
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT user_id FROM bindings").fetchall() == [(ALICE,)]


def test_a_removed_account_does_not_fail_the_batch(bindings, database, users):
    users.disable("bob")
    users.remove("alice")
    bindings.save([DESK, DESK._replace(user_id=BOB)], [], never, seen_at=1000).wait()
    assert states(database) == {"bob": [0, 1000]}


# A refresh leaves out the statements that would change nothing


def statements(database, work):
    """The tables of the UPDATE statements that are executed while `work` runs."""
    written = []
    database._connection.set_trace_callback(written.append)
    work()
    database._connection.set_trace_callback(None)
    return [text.split()[1] for text in written if text.split()[0] == "UPDATE"]


def test_a_refresh_within_the_minute_writes_one_row(bindings, database):
    for at in (1000, 1010):  # its state is read once
        bindings.save([DESK._replace(updated_at=at)], [], never, seen_at=at)

    def refresh(at):
        return lambda: bindings.save([DESK._replace(updated_at=at)], [], never, seen_at=at)

    assert statements(database, refresh(1020)) == []
    assert bindings.load(1000) == [DESK._replace(updated_at=1020)]
    assert statements(database, refresh(1060)) == ["users"]
    assert statements(database, refresh(1070)) == []
    assert states(database)["alice"] == [1, 1060]


def test_known_accounts_are_bounded(database, users, monkeypatch):
    monkeypatch.setattr(bindings_module, "MAX_KNOWN", 3)
    writer = _Writer(database)
    for number in range(1, 11):
        users.add(str(number), "secret")
    for at in (1000, 1010, 1060, 1070):
        for first in (1, 3, 5, 7, 9):
            rows = [DESK._replace(user_id=number) for number in (first, first + 1)]
            batch = [_Change([row], (), at) for row in rows]
            database.run(lambda tables, batch=batch: writer.write(tables, batch))
            assert len(writer._last_seen) <= 3
    assert set(map(tuple, states(database).values())) == {(1, 1060)}


class Fails(Exception):
    """A transaction that is rolled back."""


class Store:
    """A database with an account online; its writer may forget all before each batch."""

    def __init__(self, path, *, forgets):
        self.path, self.forgets = path, forgets
        self.database = Database(path)
        self.users = Users(self.database, "example.com")
        self.users.add("alice", "secret")
        self.writer = _Writer(self.database)
        for at in (1000, 1001):  # with the second one its state is known
            self.play("register", at)

    def write(self, *changes, fails=False):
        def write(tables):
            self.writer.write(tables, changes)
            if fails:
                raise Fails

        if self.forgets:
            self.writer = _Writer(self.database)
        with suppress(Fails):
            self.database.run(write)

    def play(self, step, at):
        row = DESK._replace(updated_at=at)
        if step in ("register", "fail"):
            self.write(_Change([row], (), at), fails=step == "fail")
        elif step == "unregister":
            self.write(_Change((), [KEY], at))
        elif step == "remove":
            self.write(_Change((), [KEY]))
        elif step == "expire":
            self.write(_Change((), (), None, [(*KEY, 2000)]))
        elif step == "move":
            moved = row._replace(contact="sip:alice@192.0.2.9")
            self.write(_Change([moved], [KEY], at), _Change((), [moved.key]))
        elif step == "shift":
            self.write(_Change((), (), step=500))
        elif step == "users":
            self.users.disable("alice")
            self.users.enable("alice")
        elif step == "other process":
            with closing(sqlite3.connect(self.path)) as other, other:
                other.execute("DELETE FROM bindings")
                other.execute("UPDATE users SET online = 0, last_seen = 7")
        elif step == "restart":
            self.writer = _Writer(self.database)

    def rows(self):
        """All that is stored of the account and its bindings."""
        users = "SELECT id, enabled, online, last_seen FROM users ORDER BY id"
        rows = "SELECT * FROM bindings ORDER BY user_id, contact, flow"
        return self.database.read(lambda tables: (fetch(tables, users), fetch(tables, rows)))


@pytest.mark.parametrize(
    "step",
    [
        *["register", "fail", "unregister", "remove", "expire", "move", "shift"],
        *["users", "other process", "restart"],
    ],
)
def test_left_out_statements_would_change_nothing(tmp_path, step):
    """A writer that knows nothing executes them all; both write the same."""
    usual = Store(str(tmp_path / "usual.db"), forgets=False)
    forgetful = Store(str(tmp_path / "forgetful.db"), forgets=True)
    with usual.database, forgetful.database:
        for at in (1005, 1030, 1060, 1130, 500):  # at last the clock is set back
            for store in (usual, forgetful):
                store.play(step, at)
                store.play("register", at + 1)
                store.play("register", at + 2)
            assert usual.rows() == forgetful.rows(), at


SAVING = """
import itertools, sys, gevent
from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import Database

def phone(bindings, number):
    for n in itertools.count():
        row = BindingRow(number, f"{number}@example.com", f"<sip:{n}@192.0.2.1>", 2_000_000_000)
        bindings.save([row], [], sys.exit).wait()
        print(row.aor, row.contact, flush=True)

with Database(sys.argv[1]) as database:
    bindings = BindingStore(database)
    gevent.joinall([gevent.spawn(phone, bindings, number) for number in range(1, 11)])
"""


def test_what_was_promised_survives_kill_9(path):
    with Database(path) as database:
        users = Users(database, "example.com")
        for number in range(1, 11):
            users.add(str(number), "secret")
    with subprocess.Popen(
        [sys.executable, "-c", SAVING, path],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        promised = [process.stdout.readline().split() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        promised += [line.split() for line in process.stdout if line.endswith("\n")]
    with Database(path) as database:
        bindings = BindingStore(database)
        kept = {(row.aor, row.contact) for row in bindings.load(0)}
        bindings.close()
    assert len(promised) >= 200
    assert {tuple(pair) for pair in promised} <= kept
