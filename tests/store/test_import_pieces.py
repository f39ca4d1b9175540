"""Imports in pieces: the same result as in one transaction, also if others change accounts."""

import io

import pytest

from sip.store import pieces
from sip.store.accounts import AccountsRemoved, CredentialsChanged
from sip.store.call_changes import change_call_settings
from sip.store.database import Database, fetch
from sip.store.import_pieces import apply_in_pieces
from sip.store.importing import apply, read_csv
from sip.store.undo import Undo
from sip.store.users import Users
from tests.support.account_events import listen
from tests.support.new_database import new_database

REALM = "example.com"
TABLE = """\
username,password,display_name,enabled,realm,aliases,dnd,ha1
alice,,Alice,,,102,on,
bob,,,,,101,,
carl,,,no,,,,
dora,secret-9,,,,,,
new1,secret-1,New One,,,103,,
new2,secret-2,,no,,,,
new3,,,,branch.example,,yes,0123456789abcdef0123456789abcdef
gen1,,Generated,,,,,
"""


@pytest.fixture(autouse=True)
def _pieces_of_one_account(monkeypatch):
    for name in ("FIRST_ROWS", "MIN_ROWS", "MAX_ROWS"):
        monkeypatch.setattr(pieces, name, 1)


def prepare(users: Users) -> Users:
    for name in ("alice", "bob", "carl", "dora", "same"):
        users.add(name, f"secret-of-{name}")
    change_call_settings(users, "alice", {"aliases": ["101"], "busy": "bob"})
    return users


def read(users: Users, table: str = TABLE):
    return read_csv(io.BytesIO(table.encode()), users.realm, update=True, generate=True)


def dump(database: Database) -> list[object]:
    """All that an import writes, but for generated passwords."""
    statements = (
        "SELECT id, username, realm, display_name, enabled, ha1_realm,"
        " iif(username GLOB 'gen*', '', ha1_md5) FROM users ORDER BY id",
        "SELECT * FROM aliases ORDER BY realm, alias",
        "SELECT * FROM call_settings ORDER BY user_id",
        "SELECT user_id, before IS NULL, after IS NULL FROM undo_rows ORDER BY user_id",
        "SELECT act, about, accounts, is_open FROM undo_steps",
        "SELECT without_triggers FROM account_changes",
        "SELECT rowid FROM user_names WHERE user_names MATCH 'new' ORDER BY rowid",
    )
    return [database.read(lambda tables, each=each: fetch(tables, each)) for each in statements]


def test_the_result_is_that_of_one_transaction(users, tmp_path):
    with new_database(str(tmp_path / "whole.db")) as database:
        whole = prepare(Users(database, REALM))
        expected = apply(whole, read(whole))
        wanted, before = dump(database), []
        prepare(users)
        before = dump(users.database)[:3]
        gone, changed = listen(users, AccountsRemoved), listen(users, CredentialsChanged)
        done: list[int] = []
        report = apply_in_pieces(users, read(users), progress=done.append)
        assert dump(users.database) == wanted
        assert report.summary == expected.summary
        assert [each.username for each in report.passwords] == ["gen1"]
        assert done[-1] == 8
        assert (gone, sorted(changed)) == (["carl"], ["dora", "gen1", "new1", "new3"])
        assert users.find("101", REALM).username == "bob"
        assert users.find("102", REALM).username == "alice"
        assert Undo(users).undo(report.undo_step).undone == 8
        assert dump(users.database)[:3] == before
        assert users.find("101", REALM).username == "alice"


def test_an_import_begins_again_after_other_changes(users):
    """Else a change of another program between two pieces could be written over."""
    prepare(users)
    seen: list[int] = []

    def progress(rows: int) -> None:
        seen.append(rows)
        if len(seen) == 3:
            users.set_display_name("dora", "Dora Later")

    report = apply_in_pieces(users, read(users), progress=progress)
    assert report.written
    assert 0 in seen, "it began again"
    account = users.find("dora", REALM)
    assert account.display_name == "Dora Later"
    assert len(users) == 9


def test_constant_changes_end_in_one_transaction(users):
    prepare(users)
    number = 0

    def progress(rows: int) -> None:
        nonlocal number
        number += 1
        users.set_display_name("same", f"Same {number}")

    report = apply_in_pieces(users, read(users), progress=progress)
    assert report.written
    assert len(users) == 9
    assert Undo(users).undo(report.undo_step).undone == 8


def test_a_name_that_is_taken_meanwhile_is_refused(users):
    prepare(users)
    before = dump(users.database)[:3]

    def progress(rows: int) -> None:
        if not users.find("NEW2", REALM):
            users.add("NEW2", "secret-7")

    report = apply_in_pieces(users, read(users), progress=progress)
    assert not report.written
    assert [refusal.reason for refusal in report.refused] == ["new2 differs from NEW2 only in case"]
    users.remove("NEW2")
    assert dump(users.database)[:3] == before


@pytest.mark.parametrize("table", ["username\nsame\n", "username,password\nx y,secret-1\n"])
def test_nothing_to_write_makes_no_step(users, table):
    prepare(users)
    report = apply_in_pieces(users, read(users, table))
    assert (report.written, report.undo_step) == (False, 0)
    assert Undo(users).steps() == []
