"""CSV: all rows or none, each row's fate in the report, and the way out and in again."""

import hashlib
import io
import sqlite3
from contextlib import closing

import pytest

from sip.store.database import Database
from sip.store.importing import BadFile, export_accounts, import_accounts
from sip.store.users import Users

MAIN = "example.com"


def ha1(username, password, realm=MAIN):
    return hashlib.md5(f"{username}:{realm}:{password}".encode()).hexdigest()


def take(users, text, **options):
    octets = text if isinstance(text, bytes) else text.encode()
    return import_accounts(users, io.BytesIO(octets), **options)


def counts(report):
    return report.new, report.changed, report.same, len(report.refused)


def test_passwords_become_every_ha1(users):
    report = take(users, "username,password,display_name\nalice,secret!,Alice\nbob,1234,\n")
    assert counts(report) == (2, 0, 0, 0)
    assert report.written
    assert report.weak == 1
    alice = users.find("alice", MAIN)
    assert alice.ha1_md5 == ha1("alice", "secret!")
    assert alice.ha1_sha512_256
    assert alice.display_name == "Alice"


def test_hashes_are_taken_as_they_are(users):
    take(users, f"username,ha1,realm,enabled\nalice,{ha1('alice', 'x').upper()},,no\n")
    alice = users.find("alice", MAIN)
    assert alice.ha1_md5 == ha1("alice", "x")
    assert alice.ha1_sha256 is None
    assert not alice.enabled


@pytest.mark.parametrize(
    "octets",
    [
        b"\xef\xbb\xbfusername,password\r\nalice,secret7\r\n",
        b"username;password\nalice;secret7",
        b"Username , PASSWORD\n\nalice,secret7\n\n",
        b'password,username\n"secret7","alice"\n',
    ],
)
def test_what_spreadsheets_write_is_read(users, octets):
    assert counts(take(users, octets)) == (1, 0, 0, 0)
    assert users.find("alice", MAIN).ha1_md5 == ha1("alice", "secret7")


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "must name the columns"),
        (b"alice,secret\n", "names a column 'alice'"),
        (b"username,username,password\n", "twice"),
        (b"password\nsecret\n", "username among them"),
        (b"username,realm\nalice,example.net\n", "neither password nor ha1"),
        (b"username,password\n\xff\xfe\n", "no UTF-8"),
        (b"username,password\nalice,a\0b\n", "NUL"),
        (b'username,password\nalice,"open\n', "no CSV"),
        (b"PK\x03\x04\x14\0\x06\0", "names a column"),
        ("username,password\n".encode("utf-16"), "no UTF-8"),
    ],
)
def test_a_file_that_is_no_list_of_accounts_is_refused(users, octets, reason):
    with pytest.raises(BadFile, match=reason):
        take(users, octets)
    assert users.list() == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a b,x,,,", "SIP URI"),
        ("bob,,,,", "neither password nor ha1"),
        ("bob,x,abc,,", "32 hexadecimal"),
        (f"bob,x,{'0' * 32},,", "both a password and an HA1"),
        ("bob,x,,perhaps,", "neither on nor off"),
        ('bob,x,,,a"b', "no realm"),
        ("bob,x", "2 fields where the header has 5"),
        ("ALICE,x,,,", "differs from alice by case alone"),
        ("alice,x,,,", "stands on line 2 already"),
        ("alice,x,,,example.com", "stands on line 2 already"),
        ("carl,other,,,", "has an account already, and differs"),
    ],
)
def test_one_refused_row_refuses_the_file(users, row, reason):
    users.add("carl", "secret")
    report = take(users, f"username,password,ha1,enabled,realm\nalice,x,,,\n{row}\n")
    ((line, said),) = report.refused
    assert line == 3
    assert reason in said
    assert not report.written
    assert [account.username for account in users.list()] == ["carl"]


def test_update_changes_what_differs_and_only_that(users):
    users.add("alice", "secret", display_name="Alice")
    users.add("bob", "secret")
    text = "username,password,display_name\nalice,other,\nbob,secret,\ncarl,secret,\n"
    report = take(users, text, update=True)
    assert counts(report) == (1, 1, 1, 0)
    alice = users.find("alice", MAIN)
    assert alice.ha1_md5 == ha1("alice", "other")
    assert alice.display_name == "Alice"


def test_another_md5_takes_the_outdated_sha_away(users):
    users.add("alice", "secret")
    same = take(users, f"username,ha1\nalice,{ha1('alice', 'secret')}\n")
    assert counts(same) == (0, 0, 1, 0)
    assert users.find("alice", MAIN).ha1_sha256
    take(users, f"username,ha1\nalice,{ha1('alice', 'other')}\n", update=True)
    assert users.find("alice", MAIN).ha1_sha256 is None
    assert not users.offers(MAIN, "SHA-256")


def test_a_dry_run_reports_and_writes_nothing(users):
    report = take(users, "username,password\nalice,secret\n", dry_run=True)
    assert counts(report) == (1, 0, 0, 0)
    assert not report.written
    assert users.list() == []


def test_a_change_between_comparing_and_writing_is_respected(users, path, monkeypatch):
    """Somebody adds bob after the comparison: he is neither lost nor there twice."""
    run = users.database.run

    def late(work):
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(
                "INSERT INTO users (username, ha1_md5, created_at, updated_at)"
                " VALUES ('bob', ?, 0, 0)",
                ("f" * 32,),
            )
        return run(work)

    monkeypatch.setattr(users.database, "run", late)
    report = take(users, "username,password\nalice,secret\nbob,secret\n")
    assert [line for line, _ in report.refused] == [3]
    assert not report.written
    (bob,) = users.list()
    assert bob.ha1_md5 == "f" * 32


def test_an_export_with_hashes_makes_the_same_accounts_elsewhere(users, tmp_path):
    take(users, "username,password,display_name,enabled,realm\n"
         'alice,secret,"Alice, ""A""",on,\nalice,x,Müller,off,example.net\n')  # fmt: skip
    text = io.StringIO()
    assert export_accounts(users, text, with_hashes=True) == 2
    with Database(str(tmp_path / "other.db")) as other:
        copy = Users(other, MAIN)
        assert counts(take(copy, text.getvalue())) == (2, 0, 0, 0)
        again = io.StringIO()
        export_accounts(copy, again, with_hashes=True)
    assert again.getvalue() == text.getvalue()
    assert counts(take(users, text.getvalue())) == (0, 0, 2, 0)


def test_an_export_without_hashes_can_be_imported_with_update(users):
    users.add("alice", "secret")
    text = io.StringIO()
    export_accounts(users, text)
    assert users.find("alice", MAIN).ha1_md5 not in text.getvalue()
    changed = text.getvalue().replace("alice,,,1", "alice,,Alice,0")
    assert counts(take(users, changed, update=True)) == (0, 1, 0, 0)
    alice = users.find("alice", MAIN)
    assert (alice.display_name, alice.enabled) == ("Alice", False)
    assert alice.ha1_md5 == ha1("alice", "secret")


def test_an_export_is_read_in_blocks(users, monkeypatch):
    monkeypatch.setattr("sip.store.importing._BLOCK", 3)
    take(users, "username,password\n" + "".join(f"user{n},x\n" for n in range(10)))
    text = io.StringIO()
    assert export_accounts(users, text) == 10
    assert len(text.getvalue().splitlines()) == 11
