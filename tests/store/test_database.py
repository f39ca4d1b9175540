"""The file, its owner thread, and everything that can be wrong with a file."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from sip.monitor.metrics import DATABASE_ERRORS
from sip.store import schema
from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import Database, DatabaseError, fetch

ROOT = Path(__file__).parents[2]


def put(key, value="x"):
    return lambda tables: tables["meta"].insert({"key": key, "value": value})


def keys(database):
    return database.read(lambda tables: [row["key"] for row in tables.query("SELECT * FROM meta")])


def old_server_file(path, *rows):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " username TEXT NOT NULL UNIQUE, password TEXT NOT NULL)"
        )
        connection.executemany("INSERT INTO users (username, password) VALUES (?, ?)", rows)


def test_a_new_file_is_for_its_owner_alone(path):
    with Database(path) as database:
        database.run(put("a"))
        for name in (path, f"{path}-wal", f"{path}-shm"):
            assert stat.S_IMODE(os.stat(name).st_mode) == 0o600


def test_an_existing_file_keeps_its_mode(path):
    Path(path).touch()
    os.chmod(path, 0o640)
    with Database(path):
        pass
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


def test_what_was_written_is_there_after_opening_it_again(path):
    with Database(path) as database:
        database.run(put("a"))
    with Database(path) as database:
        assert keys(database) == ["a"]


def test_an_exception_rolls_back_and_comes_out_quietly(database, capfd):
    def fail(tables):
        put("a")(tables)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.run(fail)
    assert keys(database) == []
    assert capfd.readouterr().err == ""


def test_what_follows_a_commit_happens_in_the_order_of_commits(database):
    order = []
    work = [
        gevent.spawn(database.run, lambda tables, n=n: put(str(n))(tables) and n, order.append)
        for n in range(20)
    ]
    gevent.joinall(work, raise_error=True)
    committed = database.read(lambda t: [row["key"] for row in t.query("SELECT key FROM meta")])
    assert len(order) == len(committed) == 20


def test_a_killed_greenlet_does_not_keep_memory_behind_the_disk(database):
    seen = []
    asking = gevent.spawn(database.run, put("a"), seen.append)
    gevent.sleep(0)
    asking.kill()
    assert keys(database) == ["a"]
    assert len(seen) == 1


def test_only_another_connection_counts_as_elsewhere(database, path):
    database.run(put("mine"))
    assert not database.changed_elsewhere()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO meta VALUES ('theirs', 'x')")
    assert database.changed_elsewhere()
    assert not database.changed_elsewhere()


def test_a_secret_is_made_once(path):
    with Database(path) as database:
        made = database.secret("ticket")
        assert len(made) == 32
        assert made != database.secret("nonce")
    with Database(path) as database:
        assert database.secret("ticket") == made


def test_it_writes_so_that_a_power_cut_loses_nothing(database):
    def pragma(name):
        return database.read(lambda t: next(iter(t.query(f"PRAGMA {name}")))[name])

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("foreign_keys") == 1


def test_a_lock_held_elsewhere_is_a_sentence(database, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="another program has locked it"):
            database.run(put("a"))
        other.execute("ROLLBACK")
    database.run(put("a"))


def test_what_is_read_in_order_to_write_stays_true(database, path):
    def read_only(tables):
        list(tables.query("SELECT * FROM meta"))
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")

    with pytest.raises(DatabaseError, match="locked"):
        database.run(read_only)
    database.read(read_only)


def test_a_closed_database_says_so(path):
    database = Database(path)
    database.close()
    database.close()
    with pytest.raises(DatabaseError, match="is closed"):
        database.run(put("a"))


# Reads during writes


def test_what_is_browsed_is_what_was_committed(database):
    database.run(put("a"))
    assert database.browse(lambda t: fetch(t, "SELECT key FROM meta")) == [("a",)]
    database.run(put("b"))
    assert database.browse(lambda t: fetch(t, "SELECT count(*) FROM meta")) == [(2,)]


def test_a_browsing_connection_is_read_only(database):
    with pytest.raises(DatabaseError, match="readonly"):
        database.browse(put("a"))
    assert keys(database) == []
    database.run(put("a"))


def test_what_fails_while_browsing_comes_out_quietly(database, capfd):
    def fail(tables):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.browse(fail)
    with pytest.raises(DatabaseError, match="no such table: nowhere"):
        database.browse(lambda t: fetch(t, "SELECT * FROM nowhere"))
    assert database.browse(lambda t: fetch(t, "SELECT 1")) == [(1,)]
    assert capfd.readouterr().err == ""


def test_browsing_holds_on_to_no_snapshot(database, path):
    """Or the log beside the file would grow without end."""
    database.browse(lambda t: fetch(t, "SELECT * FROM meta"))
    database.run(put("a"))
    with closing(sqlite3.connect(path)) as other:
        busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy


def test_many_may_browse_at_once(database):
    database.run(put("a"))
    work = [gevent.spawn(database.browse, lambda t: fetch(t, "SELECT 1")) for _ in range(50)]
    gevent.joinall(work, raise_error=True)
    assert all(each.value == [(1,)] for each in work)


@pytest.mark.parametrize("was_open", [False, True])
def test_a_closed_database_cannot_be_browsed(path, was_open):
    database = Database(path)
    if was_open:
        database.browse(lambda t: fetch(t, "SELECT 1"))
    database.close()
    with pytest.raises(DatabaseError, match="is closed"):
        database.browse(lambda t: fetch(t, "SELECT 1"))


def test_a_name_with_anything_in_it_can_be_browsed(tmp_path):
    with Database(str(tmp_path / "50% off?mode=rw#1 ü.db")) as database:
        database.run(put("a"))
        assert database.browse(lambda t: fetch(t, "SELECT key FROM meta")) == [("a",)]


# From one schema to the next

STEP_1 = """
    INSERT INTO meta VALUES ('realm', 'example.com');
    INSERT INTO users (id, username, realm, enabled, ha1_md5, created_at, updated_at) VALUES
        (3, 'alice', NULL, 1, 'x', 0, 0), (4, 'alice', 'other.org', 1, 'x', 0, 0),
        (5, 'bob', NULL, 0, 'x', 0, 0), (6, 'carl', NULL, 1, 'x', 0, 0),
        (7, 'carl', 'example.com', 1, 'x', 0, 0), (8, 'dora', NULL, 1, 'x', 0, 0);
    INSERT INTO bindings VALUES
        ('alice@example.com', 'sip:a1@h', 9, 0.5, 'call', 7, 'p', 'i', 2, 'agent', 'flow', 100),
        ('alice@example.com', 'sip:a2@h', 9, 1, '', 0, '', '', 0, '', '', 200),
        ('alice@other.org', 'sip:a1@h', 9, 1, '', 0, '', '', 0, '', '', 300),
        ('bob@example.com', 'sip:b@h', 9, 1, '', 0, '', '', 0, '', '', 400),
        ('carl@example.com', 'sip:c@h', 9, 1, '', 0, '', '', 0, '', '', 500),
        ('nobody@example.com', 'sip:n@h', 9, 1, '', 0, '', '', 0, '', '', 600);
"""


def test_bindings_of_before_find_their_accounts(path):
    """Bindings without an account, and of a disabled account, are removed."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in schema.STEPS[0]:
            connection.execute(statement)
        connection.executescript(STEP_1)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    with Database(path) as database:
        rows = database.read(lambda t: fetch(t, "SELECT * FROM bindings"))
        users = database.read(
            lambda t: fetch(t, "SELECT id, online, last_seen FROM users ORDER BY id")
        )
        found = database.read(
            lambda t: fetch(t, "SELECT rowid FROM user_names WHERE user_names MATCH '\"ali\"'")
        )
    assert [(row[0], row[2]) for row in rows] == [
        (3, "sip:a1@h"),
        (3, "sip:a2@h"),
        (4, "sip:a1@h"),
        (7, "sip:c@h"),
    ]
    assert rows[0] == (
        *(3, "alice@example.com", "sip:a1@h", 9, 0.5, "call", 7),
        *("p", "i", 2, "agent", "flow", 100, "", 0),
    )
    assert users == [
        (3, 1, 200),
        (4, 1, 300),
        (5, 0, None),
        (6, 0, None),
        (7, 1, 500),
        (8, 0, None),
    ]
    assert found == [(3,), (4,)]


STEP_2 = """
    INSERT INTO users (id, username, ha1_md5, created_at, updated_at)
    VALUES (3, 'alice', 'x', 0, 0);
    INSERT INTO bindings VALUES
        (3, 'alice@example.com', 'sip:a@h', 9, 0.5, 'call', 7, 'p', 'i', 2, 'agent', 'flow', 100);
"""


def test_bindings_of_before_have_no_other_parameters(path):
    """RFC 3840 §6: they were not kept; the phone says them again when it refreshes."""
    with closing(sqlite3.connect(path)) as connection:
        for step in schema.STEPS[:2]:
            for statement in step:
                connection.execute(statement)
        connection.executescript(STEP_2)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 2")
    before = BindingRow(
        *(3, "alice@example.com", "sip:a@h", 9, 0.5, "call", 7, "p", "i", 2, "agent", "flow", 100)
    )
    with Database(path) as database:
        bindings = BindingStore(database)
        assert bindings.load(0) == [before]
        after = before._replace(cseq=8, params=";audio", generation=7)
        bindings.save([after], [], lambda: None).wait()
        bindings.close()
    with Database(path) as database:
        bindings = BindingStore(database)
        assert bindings.load(0) == [after]
        bindings.close()


def foreign(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (id)")


def foreign_with_an_id(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 7")
        connection.execute("CREATE TABLE users (id, username, password)")


def newer(path):
    with Database(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.STEPS) + 1}")


def text_file(path):
    Path(path).write_text("username,password\n" * 20)


def damaged(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (id)")
    octets = bytearray(Path(path).read_bytes())
    octets[100:] = b"\xff" * (len(octets) - 100)
    Path(path).write_bytes(octets)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (foreign, "database of another program"),
        (foreign_with_an_id, "database of another program"),
        (newer, "written by a newer sipserver"),
        (text_file, "not an SQLite database"),
        (damaged, "damaged"),
    ],
)
def test_a_file_that_will_not_do_is_refused_untouched(path, spoil, reason):
    spoil(path)
    before = Path(path).read_bytes()
    with pytest.raises(DatabaseError, match=reason) as refusal:
        Database(path)
    assert "-db.path" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert Path(path).read_bytes() == before
    assert os.listdir(os.path.dirname(path)) == ["sip.db"]


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(DatabaseError, match=r"there is no directory .*/missing"):
        Database(str(tmp_path / "missing" / "sip.db"))


def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(DatabaseError, match=r"cannot read .*directory"):
        Database(str(tmp_path))


def test_a_file_that_may_not_be_written_is_refused(path, monkeypatch):
    with Database(path):
        pass
    monkeypatch.setattr(os, "access", lambda place, mode: place != path)
    with pytest.raises(DatabaseError, match="may not write to"):
        Database(path)


def test_an_old_file_is_upgraded_and_copied(path):
    old_server_file(path, ("alice", "0123456789ABCDEF0123456789ABCDEF"), ("0077", "f" * 32))
    with Database(path) as database:
        rows = database.read(lambda tables: list(tables["users"].find(order_by="id")))
    assert [(row["id"], row["username"], row["realm"]) for row in rows] == [
        (1, "alice", None),
        (2, "0077", None),
    ]
    assert rows[0]["ha1_md5"] == "0123456789abcdef0123456789abcdef"
    assert rows[0]["enabled"] == 1
    copy = f"{path}.backup-1"
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)
    with Database(path):  # the second time nothing is left to do
        pass
    assert not os.path.exists(f"{path}.backup-2")


def test_a_take_over_that_fails_changes_nothing(path, monkeypatch):
    old_server_file(path, ("alice", "f" * 32))
    before = Path(path).read_bytes()
    monkeypatch.setattr(schema, "COPY_OLD_USERS", ("INSERT INTO nowhere VALUES (1)",))
    with pytest.raises(DatabaseError, match="nowhere"):
        Database(path)
    assert Path(path).read_bytes() == before


def test_a_plain_script_can_add_an_account(tmp_path):
    script = re.sub(
        r"^    ",
        "",
        """
    from sip.store.database import Database
    from sip.store.users import Users
    with Database("sip_users.db") as database:
        Users(database, realm="go-sip-server").add("alice", "secret")
    """,
        flags=re.MULTILINE,
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with closing(sqlite3.connect(tmp_path / "sip_users.db")) as connection:
        names = connection.execute("SELECT username, ha1_md5 FROM users").fetchall()
    assert names == [("alice", "8173d1a6dfda8045e6c84449e66a9863")]


def test_durations_of_writes_are_counted_but_not_those_of_reads(database: Database):
    before = sum(database.commit_seconds.counts)
    database.run(lambda tables: None)
    database.read(lambda tables: None)
    database.browse(lambda tables: None)
    with pytest.raises(ZeroDivisionError):
        database.run(lambda tables: 1 / 0)
    assert sum(database.commit_seconds.counts) == before + 1


def test_errors_of_sqlite_are_counted_but_no_others(database: Database):
    for function in (database.run, database.read, database.browse):
        with pytest.raises(DatabaseError):
            function(lambda tables: fetch(tables, "SELECT * FROM nowhere"))
        with pytest.raises(ZeroDivisionError):
            function(lambda tables: 1 / 0)
    assert database.counts == {DATABASE_ERRORS: 3}
