"""Changes of many accounts in pieces: whole or not at all, and REGISTERs come between."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from sip.store import pieces
from sip.store.bulk_change import BulkChange
from sip.store.database import Database, fetch
from sip.store.import_pieces import apply_in_pieces
from sip.store.importing import read_csv
from sip.store.pieces import in_pieces, next_rows
from sip.store.undo import NoSuchStep, Undo
from sip.store.users import Users

REALM = "example.com"
NAMES = ("ann", "bob", "eve", "ina")


class Stopped(Exception):
    """Raised in the middle of a change."""


@pytest.fixture(autouse=True)
def _pieces_of_one_account(monkeypatch):
    for name in ("FIRST_ROWS", "MIN_ROWS", "MAX_ROWS"):
        monkeypatch.setattr(pieces, name, 1)


@pytest.fixture
def ids(users: Users) -> list[int]:
    return [users.add(name, "secret-1", display_name=f"Room {name}").id for name in NAMES]


def imports(users: Users, progress: Callable[[int], object]) -> None:
    rows = b"username,password,enabled\nann,secret-2,\nbob,,no\nnew,secret-3,\nother,secret-4,\n"
    csv_file = read_csv(io.BytesIO(rows), users.realm, update=True)
    assert apply_in_pieces(users, csv_file, progress=progress).written


CHANGES: dict[str, Callable[[Users, list[int], Callable[[int], object]], object]] = {
    "disable": lambda users, ids, progress: BulkChange(users, "admin", progress).disable(ids),
    "delete": lambda users, ids, progress: BulkChange(users, "admin", progress).delete(ids),
    "passwords": lambda users, ids, progress: BulkChange(users, "admin", progress).set_passwords(
        ids
    ),
    "import": lambda users, ids, progress: imports(users, progress),
}


def state(database: Database) -> list[tuple[object, ...]]:
    """All accounts as the database has them, but for the time of the change."""
    statement = "SELECT id, username, display_name, enabled, ha1_md5, ha1_realm FROM users"
    return database.read(lambda tables: fetch(tables, f"{statement} ORDER BY id"))


def check_whole(users: Users, before: list[tuple[object, ...]]) -> None:
    """Nothing is left of a change: in the accounts, in memory, in the indexes, in the steps."""
    database = users.database
    assert state(database) == before
    for _, username, _, enabled, ha1, _ in before:
        account = users.find(str(username), REALM)
        assert account is not None
        assert (account.enabled, account.ha1_md5) == (bool(enabled), ha1)
    assert len(users) == len(before)
    assert Undo(users).steps() == []
    rows = "SELECT count(*) FROM undo_rows UNION ALL SELECT without_triggers FROM account_changes"
    assert database.read(lambda tables: fetch(tables, rows)) == [(0,), (0,)]
    check = "INSERT INTO user_names (user_names) VALUES ('integrity-check')"
    database.run(lambda tables: fetch(tables, check))


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_that_fails_is_taken_back(users, ids, what):
    before = state(users.database)
    done = []

    def fail(rows: int) -> None:
        done.append(state(users.database))
        if len(done) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        CHANGES[what](users, ids, fail)
    assert done[0] != before, "the first piece was written"
    check_whole(users, before)


@pytest.mark.parametrize("what", CHANGES)
def test_a_killed_change_is_undone_at_start(users, ids, what, tmp_path):
    """The files are copied between two pieces: so they are after kill -9."""
    before = state(users.database)
    copy = killed_after(2, users, tmp_path, lambda stop: CHANGES[what](users, ids, stop))
    with Database(copy) as database:
        again = Users(database, REALM)
        assert state(database) != before
        (undone,) = Undo(again).undo_open()
        assert undone.undone == 2
        check_whole(again, before)
        assert Undo(again).undo_open() == []


def killed_after(most: int, users: Users, home: Path, change: Callable[..., object]) -> str:
    """Return the path of a copy of the database, made after so many pieces."""
    copy, done = home / "killed.db", []

    def copy_files(rows: int) -> None:
        done.append(rows)
        if len(done) == most:
            for end in ("", "-wal"):
                shutil.copy(users.database.path + end, f"{copy}{end}")

    change(copy_files)
    return str(copy)


def test_a_killed_undo_is_finished_at_start(users, ids, tmp_path, monkeypatch):
    before = state(users.database)
    step = BulkChange(users, "admin").delete(ids).step
    publish = users.publish_many

    def undo(stop: Callable[[int], None]) -> None:
        monkeypatch.setattr(users, "publish_many", lambda *some: (publish(*some), stop(1)))
        Undo(users).undo(step)

    copy = killed_after(2, users, tmp_path, undo)
    with Database(copy) as database:
        again = Users(database, REALM)
        assert len(again) == 2
        (undone,) = Undo(again).undo_open()
        assert undone.undone == 2
        check_whole(again, before)


def test_other_writes_come_between_pieces(users, ids):
    """So a REGISTER waits for one piece, not for all."""
    order: list[str] = []

    def write() -> None:
        users.database.run(lambda tables: fetch(tables, "SELECT 1"))
        order.append("other")

    def progress(rows: int) -> None:
        order.append("piece")
        if len(order) == 1:
            gevent.spawn(write)
            gevent.sleep(0)

    BulkChange(users, "admin", progress).disable(ids)
    assert order.index("other") < 3, order
    assert order.count("piece") == 4


def test_an_open_step_is_not_undone_by_others(users, ids):
    """It is not listed while it is written, and an undo of it comes after its last piece."""
    listed, undone = [], []

    def progress(rows: int) -> None:
        listed.append(len(Undo(users).steps()))
        if len(listed) == 1:
            undone.append(gevent.spawn(Undo(users).undo, 1))

    changed = BulkChange(users, "admin", progress).disable(ids)
    assert changed.step == 1
    assert listed == [0, 0, 0, 1], "the last piece finishes it"
    assert undone[0].get(timeout=10).undone == 4
    with pytest.raises(NoSuchStep):
        Undo(users).undo(1)


def test_accounts_deleted_meanwhile_are_left_out(users, ids):
    def delete_the_last(rows: int) -> None:
        if users.find("ina", REALM):
            users.remove("ina")

    change = BulkChange(users, "admin", delete_the_last)
    changed = change.set_passwords(ids)
    assert changed.count == 3
    assert [each.username for each in changed.passwords] == ["ann", "bob", "eve"]
    (step,) = Undo(users).steps()
    assert step.accounts == 3


def test_the_size_of_a_piece_follows_its_time(monkeypatch):
    for name, rows in (("MIN_ROWS", 50), ("MAX_ROWS", 400)):
        monkeypatch.setattr(pieces, name, rows)
    monkeypatch.setattr(pieces, "PIECE_SECONDS", 0.02)
    assert next_rows(100, 0.02) == 100
    assert next_rows(100, 0.04) == 50
    assert next_rows(100, 9.0) == 50, "at least MIN_ROWS"
    assert next_rows(100, 0.0) == 200, "at most twice as many"
    assert next_rows(300, 0.001) == 400, "at most MAX_ROWS"


def test_only_the_last_piece_is_synced(database):
    seen = []

    def write(tables, some, is_last: bool) -> None:
        ((mode,),) = fetch(tables, "PRAGMA synchronous")
        seen.append((some[0], is_last, mode))

    for _ in in_pieces(database, [1, 2, 3], write):
        pass
    assert seen == [(1, False, 1), (2, False, 1), (3, True, 2)]  # 1: NORMAL, 2: FULL
