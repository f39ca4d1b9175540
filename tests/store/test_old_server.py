"""The file of the server that came before: taken over whole, or left as it is."""

import hashlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sip.store import schema
from sip.store.database import Database
from sip.store.directory import Directory, Question
from sip.store.users import Users

ROOT = Path(__file__).parents[2]
PEOPLE = ["alice", "Alice", "0077", "bob", "zo\u00eb", "door 1"]


def ha1(username, realm="go-sip-server"):
    """The stored password of a user in the old server."""
    return hashlib.md5(f"{username}:{realm}:secret-of-{username}".encode()).hexdigest()


def old_file(path, rows=None, *, journal="delete"):
    """Make a file as the old server did, with gaps where it had deleted users."""
    rows = rows or [(3 * n, name, ha1(name)) for n, name in enumerate(PEOPLE, 1)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(
            "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " username TEXT NOT NULL UNIQUE, password TEXT NOT NULL)"
        )
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
    return rows


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def kept(path):
    """The rows as the old server had them, out of a file that was taken over."""
    query = "SELECT id, username, ha1_md5 FROM users WHERE realm IS NULL AND enabled ORDER BY id"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS),)
        old = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%old%' OR sql LIKE '%old_users%'"
        assert connection.execute(old).fetchone() == (0,)
        return connection.execute(query).fetchall()


def backups(path):
    directory, name = os.path.split(path)
    return sorted(file for file in os.listdir(directory) if file.startswith(f"{name}.backup-"))


def test_every_account_is_taken_over_with_its_id(path):
    rows = old_file(path)
    with Database(path) as database:
        users = Users(database, "go-sip-server")
        for number, name, digest in rows:
            account = users.find(name, "go-sip-server")
            assert (account.id, account.realm, account.ha1_md5) == (number, None, digest)
            assert account.enabled
            assert (account.ha1_sha256, account.ha1_sha512_256) == (None, None)
        assert len(users) == len(rows)
        # Else users without an HA1 for it could not answer.
        assert not users.offers("go-sip-server", "SHA-256")
        assert users.add("new", "secret").id > rows[-1][0]


def test_what_was_taken_over_is_listed_and_found(path):
    old_file(path)
    with Database(path) as database:
        directory = Directory(database, Users(database, "example.com"))
        assert directory.page(Question()).total == len(PEOPLE)
        found = directory.page(Question(search="lic")).entries
    assert [(entry.username, entry.realm, entry.last_seen) for entry in found] == [
        ("alice", "example.com", None),
        ("Alice", "example.com", None),
    ]


def test_the_copy_beside_it_is_faithful(path):
    old_file(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM users WHERE username = 'bob'")
        connection.execute("CREATE INDEX mine ON users (password)")
    before = dump(path)
    with Database(path):
        pass
    assert backups(path) == ["sip.db.backup-1"]
    assert dump(f"{path}.backup-1") == before
    assert stat.S_IMODE(os.stat(f"{path}.backup-1").st_mode) == 0o600


def test_the_copy_can_be_taken_over_again(path):
    """The purpose: the copy replaces the file."""
    rows = old_file(path)
    with Database(path) as database:
        Users(database).remove("alice")
    for beside in ("-wal", "-shm"):
        assert not os.path.exists(path + beside)
    os.replace(f"{path}.backup-1", path)
    with Database(path):
        pass
    assert kept(path) == rows


def test_a_copy_that_is_there_already_is_left_alone(path):
    old_file(path)
    Path(f"{path}.backup-1").write_text("mine")
    with Database(path):
        pass
    assert Path(f"{path}.backup-1").read_text() == "mine"
    assert backups(path) == ["sip.db.backup-1", "sip.db.backup-2"]


def test_the_file_keeps_its_mode(path):
    old_file(path)
    os.chmod(path, 0o640)
    with Database(path):
        pass
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


def test_the_second_start_changes_nothing(path):
    rows = old_file(path)
    with Database(path) as database:
        Users(database)
    before = dump(path)
    with Database(path) as database:
        Users(database)
    assert dump(path) == before
    assert backups(path) == ["sip.db.backup-1"]
    assert kept(path) == rows


def test_old_accounts_belong_to_the_main_realm_of_any_name(path):
    """The old file does not contain its realm; the settings do."""
    old_file(path)
    with Database(path) as database:
        users = Users(database, "example.com")
        assert users.warning == ""
        assert users.find("alice", "example.com").realm is None
        assert users.realms() == {"example.com"}
    with Database(path) as database:
        users = Users(database, "example.net")
        assert users.find("alice", "example.net")
        assert f"{len(PEOPLE)} account(s)" in users.warning
        assert "-sip.realm example.com" in users.warning


def test_names_that_differ_by_case_alone_stay_two(path):
    """The old server took both; here only a new account would be refused."""
    old_file(path)
    with Database(path) as database:
        users = Users(database)
        pair = [users.find(name, "go-sip-server") for name in ("alice", "Alice")]
        assert [account.ha1_md5 for account in pair] == [ha1("alice"), ha1("Alice")]
        users.set_password("Alice", "another")
        users.disable("Alice")
        users.reload()
        assert users.find("alice", "go-sip-server").ha1_md5 == ha1("alice")
        assert users.find("alice", "go-sip-server").enabled
        users.remove("Alice")
        assert users.find("alice", "go-sip-server")


def test_hashes_in_upper_case_are_the_same_hashes(path):
    old_file(path, [(1, "alice", ha1("alice").upper())])
    with Database(path) as database:
        assert Users(database).find("alice", "go-sip-server").ha1_md5 == ha1("alice")


def test_columns_without_a_strict_type_may_hold_anything(path):
    """Numbers and blobs become text; a value that is no HA1 accepts no password."""
    old_file(
        path,
        [
            (1, 1001, ha1("1001")),
            (2, 7.5, 12345),
            (3, b"blob", ha1("blob").encode()),
            (4, "hash", "not a hash"),
            (5, "none", ""),
            (-6, "below", ha1("below")),
            (2**62, "above", ha1("above")),
        ],
    )
    with Database(path) as database:
        users = Users(database)
        names = {account.username: account.id for account in users.list()}
        assert users.find("1001", "go-sip-server").ha1_md5 == ha1("1001")
        assert users.find("blob", "go-sip-server").ha1_md5 == ha1("blob")
        assert users.find("7.5", "go-sip-server").ha1_md5 == "12345"
        users.set_password("hash", "secret")
    expected = {"1001": 1, "7.5": 2, "blob": 3, "hash": 4, "none": 5, "below": -6, "above": 2**62}
    assert names == expected


def test_one_row_that_cannot_be_an_account_keeps_no_other_out(path, caplog):
    """No name, a name twice, octets that are no text: all the others register as before."""
    rows = [
        (1, "", ha1("")),
        (2, b"bob", ha1("somebody")),
        (3, "bob", ha1("bob")),
        (4, b"caf\xe9", ha1("x")),
        (5, "carol", b"\xff\xfe"),
        (6, "alice", ha1("alice")),
    ]
    old_file(path, rows)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO users VALUES (7, CAST(x'78e9' AS TEXT), 'x')")
    with Database(path) as database:
        users = Users(database)
        names = {account.username: account.id for account in users.list()}
        assert users.find("bob", "go-sip-server").ha1_md5 == ha1("bob")
    assert names == {"bob": 3, "caf\\xe9": 4, "carol": 5, "alice": 6, "x\\xe9": 7}
    (warning,) = caplog.messages
    assert warning.startswith(f"skipped 2 rows of the old database {path}")


@pytest.mark.parametrize("beside", ["-wal", "-wal and -shm"])
def test_a_log_that_was_never_written_back_is_taken_over_too(path, tmp_path, beside):
    """As after a crash of an old server that kept a write-ahead log."""
    source = str(tmp_path / "source.db")
    rows = old_file(source, journal="wal")
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO users VALUES (100, 'late', ?)", (ha1("late"),))
        for suffix in ("", *beside.split(" and ")):
            shutil.copy(source + suffix, path + suffix)
        before = list(connection.iterdump())
    with Database(path):
        pass
    assert kept(path) == [*rows, (100, "late", ha1("late"))]
    assert dump(f"{path}.backup-1") == before


def test_a_file_whose_only_table_is_in_its_log_is_taken_over_too(path, tmp_path):
    source = str(tmp_path / "source.db")
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("SELECT * FROM sqlite_schema").fetchall()  # keeps the log in use
        rows = old_file(source, journal="wal")
        for suffix in ("", "-wal"):
            shutil.copy(source + suffix, path + suffix)
    with Database(path):
        pass
    assert kept(path) == rows


# Takes a file over again and again, each time killed later, until it lives to the end.  It forks,
# as importing takes longer than the step to be interrupted.  A cache of a few pages makes SQLite
# write to the file long before the commit, as it would with 100,000 accounts.
KILLED = """
import os, shutil, signal, sqlite3, sys
from sip.store import database

source, target, moment = sys.argv[1:]

class Mortal(sqlite3.Connection):
    left = 0

    def execute(self, *arguments):
        if moment == "before":
            self.count()
        result = super().execute(*arguments)
        if moment == "after":
            self.count()
        return result

    def backup(self, *arguments, **options):
        super().backup(*arguments, pages=1, progress=lambda *left: self.count(), **options)

    def count(self):
        Mortal.left -= 1
        if Mortal.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def connect(*arguments, connect=sqlite3.connect, **options):
    made = connect(*arguments, factory=Mortal, **options)
    sqlite3.Connection.execute(made, "PRAGMA cache_size = 5")
    return made

number, status = 0, signal.SIGKILL
while status == signal.SIGKILL:
    number += 1
    path = f"{target}-{number}.db"
    shutil.copy(source, path)
    child = os.fork()
    if not child:
        sqlite3.connect = connect
        Mortal.left = number
        database.Database(path).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
print(number, status)
"""


@pytest.mark.wire  # it takes many processes
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_upgrade_killed_anywhere_is_done_at_the_next_start(path, tmp_path, moment):
    """SQLite rolls back unfinished writes, and none of our code may run before that."""
    rows = old_file(path, [(n, f"user{n:04}", ha1(f"user{n}")) for n in range(1, 1001)])
    target = str(tmp_path / "killed")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, path, target, moment],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stderr == ""
    number, status = map(int, done.stdout.split())
    assert status == 0
    assert number > len([statement for step in schema.STEPS for statement in step])
    half_done = 0
    for n in range(1, number + 1):
        file = f"{target}-{n}.db"
        half_done += os.path.exists(f"{file}-journal")
        with Database(file):
            pass
        assert kept(file) == rows, f"killed at statement {n} of {number}"
        assert any(is_copy(f"{file}.backup-{m}", rows) for m in (1, 2)), f"statement {n}"
    assert half_done > len(schema.COPY_OLD_USERS)


# Killed when all is written and the journal, which would undo it, is still there: the file then
# says already that it is ours.
COMMITTING = """
import os, shutil, signal, sqlite3, sys
from sip.store import database

path = sys.argv[1]

class Mortal(sqlite3.Connection):
    def execute(self, *arguments):
        if arguments == ("COMMIT",):
            shutil.copy(path + "-journal", path + ".kept")
            super().execute(*arguments)
            os.rename(path + ".kept", path + "-journal")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*arguments)

def connect(*arguments, connect=sqlite3.connect, **options):
    made = connect(*arguments, factory=Mortal, **options)
    made.execute("PRAGMA synchronous = OFF")  # the journal is good without a sync of its own
    return made

sqlite3.connect = connect
database.Database(path)
"""


def test_an_upgrade_killed_in_its_commit_is_done_at_next_start(path):
    """Until the journal is gone, SQLite undoes it all; so what the file says may be undone."""
    rows = old_file(path, [(n, f"user{n:04}", ha1(f"user{n}")) for n in range(1, 1001)])
    done = subprocess.run(
        [sys.executable, "-c", COMMITTING, path],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert os.path.exists(f"{path}-journal")
    assert Path(path).read_bytes()[68:72] == schema.APPLICATION_ID.to_bytes(4, "big")
    with Database(path):
        pass
    assert kept(path) == rows


def is_copy(path, rows):
    """Whether the file is a whole copy of the old server's; one that was begun is an empty one."""
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT * FROM sqlite_schema").fetchall():
            return False
        return connection.execute("SELECT * FROM users ORDER BY id").fetchall() == rows


# Modes don't bind root, unless it gives up what sets it above them.  A file system that is
# mounted to be read binds every user.  To mount one a user needs namespaces, as in
# tests/support/network.py; there it must keep the flags that /tmp often has.
MORTAL = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
BOUND = [] if os.geteuid() else MORTAL
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
READ_ONLY = 'mount --bind -o ro,nosuid,nodev "$0" "$0" && exec "$@"'
MOUNTED = [*UNSHARE, "sh", "-c", READ_ONLY]


@pytest.mark.wire  # it takes many processes
@pytest.mark.parametrize("how", ["file", "directory", "mounted"])
@pytest.mark.parametrize("command", [["users", "list"], []], ids=["users", "server"])
def test_what_may_not_be_written_is_refused_and_stays_as_it_is(tmp_path, how, command):
    home = tmp_path / "home"
    home.mkdir()
    path = str(home / "old.db")
    old_file(path)
    before = Path(path).read_bytes(), os.stat(path).st_mtime_ns
    if how == "file":
        os.chmod(path, 0o400)
    if how == "directory":
        os.chmod(home, 0o500)
    done = subprocess.run(
        [
            *([*MOUNTED, str(home)] if how == "mounted" else BOUND),
            *[sys.executable, str(ROOT / "sipserver.py"), *command, "-db.path", path],
            *["-sip.addr", "127.0.0.1:0", "-web.addr", "127.0.0.1:0"],
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    place = path if how != "directory" else str(home)
    assert f"cannot write to the database {path}: this user may not write to {place};" in sentence
    assert "-db.path" in sentence
    assert (Path(path).read_bytes(), os.stat(path).st_mtime_ns) == before
    assert os.listdir(home) == ["old.db"]


# A file system of its own, where the file fits once.
SMALL = """
mount -t tmpfs -o size=96k small "$0" && cp old.db "$0" && "$@" users list -db.path "$0/old.db"
echo "exit $?" && cmp old.db "$0/old.db" && echo same
"""


def test_without_room_for_the_copy_the_old_file_is_unchanged(tmp_path):
    """No copy, no change."""
    home = tmp_path / "home"
    home.mkdir()
    old_file(tmp_path / "old.db", [(n, f"user{n}", ha1(f"user{n}")) for n in range(800)])
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", SMALL, home, sys.executable, str(ROOT / "sipserver.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["exit 1", "same"], done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("sipserver.py: cannot ")
    assert "make room" in sentence
