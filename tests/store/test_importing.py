"""CSV: all rows or none, each row's fate in the report, and the way out and in again."""

import hashlib
import io
import sqlite3
from contextlib import closing

import pytest

from sip.store import csv_file as csv_file_module
from sip.store import import_plan, importing
from sip.store.accounts import AccountsRemoved, CredentialsChanged
from sip.store.database import Database, fetch
from sip.store.importing import (
    BadFile,
    apply,
    check,
    export_accounts,
    exported,
    import_accounts,
    read_csv,
)
from sip.store.undo import Undo
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
        (b"", "no header line with a column username"),
        (b"alice,secret7\n", "a column username; the first line has the columns: alice, secret7"),
        (b"password\nsecret\n", "no header line with a column username"),
        (b"username,password\n\x81\xfe\n", "not text in UTF-8"),
        (b"username,password\nalice,a\0b\n", "NUL"),
        (b'username,password\nalice,"open\n', "not CSV"),
        (b"PK\x03\x04\x14\0\x06\0", "spreadsheet, not CSV"),
        ("username,password\n".encode("utf-32"), "UTF-32"),
        ("username,password\nalice,x\n".encode("utf-16")[:-1], "not UTF-16"),
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
        ("bob,,,,", "without password and ha1"),
        ("bob,x,abc,,", "32 hexadecimal"),
        (f"bob,x,{'0' * 32},,", "password and HA1 do not match"),
        ("bob,x,,perhaps,", "must be on or off"),
        ('bob,x,,,a"b', "not a realm"),
        ("bob,x,,,,y", "6 fields, but the header has 5"),
        ("bob", "bob is a new user without password and ha1"),
        (",x,,,", "the user name is empty"),
        ("ALICE,x,,,", "differs from alice only in case"),
        ("alice,y,,,", "is already on line 2, with other values"),
        ("alice,x,,no,example.com", "is already on line 2"),
        ("carl,other,,,", "already has an account, and this row would change it: password"),
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
    """Another process adds bob after the comparison: he is neither lost nor there twice."""
    run = users.database.run

    def late(work, then):
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(
                "INSERT INTO users (username, ha1_md5, created_at, updated_at)"
                " VALUES ('bob', ?, 0, 0)",
                ("f" * 32,),
            )
        return run(work, then)

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


# In three steps, as the pages do it


def csv_of(text, **options):
    return read_csv(io.BytesIO(text.encode()), MAIN, **options)


def test_a_sheet_is_checked_and_later_applied(users):
    users.add("bob", "secret")
    csv_file = csv_of("username,password\nalice,1234\nbob,secret\n")
    looked_at = check(users, csv_file)
    assert counts(looked_at) == (1, 0, 1, 0)
    assert (looked_at.weak, looked_at.written) == (1, False)
    assert [account.username for account in users.list()] == ["bob"]
    done = apply(users, csv_file)
    assert counts(done) == (1, 0, 1, 0)
    assert done.written
    assert users.find("alice", MAIN).id == users.list()[0].id
    assert counts(apply(users, csv_file)) == (0, 0, 2, 0)


def test_an_account_that_came_after_the_check_is_respected(users):
    csv_file = csv_of("username,password\nalice,secret\n")
    assert counts(check(users, csv_file)) == (1, 0, 0, 0)
    users.add("Alice", "secret")
    ((_, reason),) = apply(users, csv_file).refused
    assert "only in case" in reason
    assert users.find("alice", MAIN) is None


def test_each_change_of_an_account_is_noticed(users, database):
    """By its number, on which an import is decided; what REGISTERs change is no such thing."""

    def number():
        return database.read(lambda t: fetch(t, "SELECT number FROM account_changes"))

    head = "username,password\n"
    deeds = [
        lambda: users.add("alice", "secret"),
        lambda: users.set_password("alice", "other"),
        lambda: users.disable("alice"),
        lambda: users.remove("alice"),
        lambda: users.restore(1),
        lambda: take(users, head + "bob,x\n"),
        lambda: take(users, head + "".join(f"user{n},x\n" for n in range(600))),
        lambda: take(users, head + "".join(f"user{n},y\n" for n in range(600)), update=True),
    ]
    for deed in deeds:
        before = number()
        deed()
        assert number() != before
    before = number()
    database.run(lambda t: fetch(t, "UPDATE users SET online = 1, last_seen = 7"))
    assert number() == before


def test_rows_beyond_the_bound_refuse_the_file(users):
    text = "username,password\n" + "".join(f"user{n},x\n" for n in range(3))
    assert len(csv_of(text, max_rows=3).rows) == 3
    with pytest.raises(BadFile, match="more than 2 rows"):
        csv_of(text, max_rows=2)


def test_refusals_beyond_the_bound_are_counted(users, monkeypatch):
    monkeypatch.setattr("sip.store.importing.MAX_REFUSALS", 3)
    monkeypatch.setattr(csv_file_module, "MAX_REFUSALS", 3)
    users.add("user9", "other")
    report = take(users, "username,password\n" + "a b,x\n" * 5 + "user9,x\n")
    assert [line for line, _ in report.refused] == [2, 3, 4]
    assert report.refused_more == 3
    assert not report.written


def test_an_import_that_disables_lets_the_phones_go(users, path):
    gone = []
    users.bus.listen(AccountsRemoved, lambda event: gone.extend(event.accounts))
    users.add("alice", "secret")
    users.add("bob", "secret")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE users SET online = 1")
        other.execute(
            "INSERT INTO bindings VALUES (1, 'alice@example.com', 'sip:a@h', 9, 1.0,"
            " '', 0, '', '', 0, '', '', 0, '', 0)"
        )
    take(users, "username,enabled,display_name\nalice,no,\nbob,yes,Bob\n", update=True)
    assert [(account.id, account.username) for account in gone] == [(1, "alice")]
    assert not users.find("alice", MAIN).enabled
    assert users.find("bob", MAIN).display_name == "Bob"
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT online FROM users").fetchall() == [(0,), (1,)]
        assert other.execute("SELECT count(*) FROM bindings").fetchone() == (0,)


def test_an_import_reports_accounts_with_new_credentials(users):
    """New accounts, other passwords, enabled ones; not those with another display name alone."""
    for name in ("alice", "bob", "carl", "dora"):
        users.add(name, "secret")
    users.disable("carl")
    let_in = []
    users.bus.listen(
        CredentialsChanged, lambda event: let_in.extend(a.username for a in event.accounts)
    )
    rows = ("alice,other,,", "bob,secret,,Bob", "carl,secret,yes,", "dora,other,no,", "emil,x,,")
    text = "\n".join(["username,password,enabled,display_name", *rows])
    take(users, f"{text}\n", update=True)
    assert sorted(let_in) == ["alice", "carl", "emil"]
    take(users, f"{text}\n", update=True)
    assert len(let_in) == 3


@pytest.mark.parametrize("number", [10, 600])
def test_memory_is_what_a_restart_would_read(users, database, number):
    """Whether few are written, or many at once; new ones, changed ones and both."""

    def of(users):
        slots = type(users.list()[0]).__slots__
        return [
            [getattr(users.find(a.username, a.realm or MAIN), s) for s in slots]
            for a in users.list()
        ]

    text = "username,password,display_name,enabled\n"
    take(users, text + "".join(f"user{n},x,Name {n},{n % 2}\n" for n in range(number)))
    assert of(users) == of(Users(database, MAIN))
    users.remove("user3")
    text += "".join(f"user{n},y,Title {n},{n % 3 % 2}\n" for n in range(1, number + 20))
    report = take(users, text, update=True)
    assert counts(report) == (21, number - 2, 0, 0)
    assert of(users) == of(Users(database, MAIN))
    assert users.find("user3", MAIN).ha1_md5 == ha1("user3", "y")
    assert len(users) == number + 20


def test_a_hidden_row_of_the_same_name_is_not_changed(path):
    """After the main realm was renamed: phones are answered by the one that names it."""
    with Database(path) as database:
        old = Users(database, "old.example")
        old.add("alice", "named", realm=MAIN)
        old.add("alice", "open")
        users = Users(database, MAIN)
        take(users, "username,display_name\nalice,Alice\n", update=True)
        assert [a.display_name for a in users.list() if a.realm == MAIN] == ["Alice"]
        assert [a.display_name for a in users.list() if a.realm is None] == [""]
        assert users.find("alice", MAIN).display_name == "Alice"


FORMULAS = ["+4930123", "=1+1", "-x", "'+49", "''=1", "'abc", "'", "$1", "a=b", "0077"]


@pytest.mark.parametrize("for_spreadsheet", [False, True])
def test_names_that_look_like_formulas_come_back_as_they_were(users, tmp_path, for_spreadsheet):
    for name in FORMULAS:
        users.add(name, "secret", display_name=name.replace("$", "@") + " x")
    text = "".join(exported(users, with_hashes=True, for_spreadsheet=for_spreadsheet))
    if for_spreadsheet:
        for line in text.splitlines():
            for cell in line.split(","):
                assert not cell.lstrip('"').startswith(("=", "+", "-", "@"))
    else:
        assert "\n+4930123,,+4930123 x,1," in text
    with Database(str(tmp_path / "other.db")) as other:
        copy = Users(other, MAIN)
        assert counts(take(copy, text)) == (len(FORMULAS), 0, 0, 0)
        expected = [(a.username, a.display_name, a.ha1_md5) for a in users.list()]
        assert [(a.username, a.display_name, a.ha1_md5) for a in copy.list()] == expected


def test_a_password_that_no_phone_can_have_is_refused(users):
    report = take(users, f"username,password\nalice,{'x' * 257}\n{'n' * 129},x\n")
    assert [reason.partition(";")[0] for _, reason in report.refused] == [
        "the password has 257 characters",
        "the user name has 129 characters",
    ]


def test_an_import_is_undone_as_a_whole(users):
    """New accounts are deleted, changed ones as before; those changed since stay."""
    ann = users.add("ann", "former", display_name="Ann")
    gone = []
    users.bus.listen(AccountsRemoved, lambda event: gone.extend(each.id for each in event.accounts))
    rows = "username,password,display_name,enabled\nann,x,Ann Lee,no\nbob,x,,\ncarl,x,,\n"
    report = take(users, rows, update=True)
    bob = users.find("bob", MAIN)
    gone.clear()
    users.set_display_name("carl", "Carl")
    undone = Undo(users).undo(report.undo_step)
    assert (undone.undone, undone.kept, undone.kept_names) == (2, 1, ["carl"])
    assert users.find("bob", MAIN) is None
    assert gone == [bob.id], "its phones are signed off"
    after = users.find("ann", MAIN)
    assert (after.ha1_md5, after.display_name, after.enabled) == (ann.ha1_md5, "Ann", True)
    assert users.find("carl", MAIN).display_name == "Carl"


def test_an_import_of_nothing_new_has_no_undo(users):
    rows = "username,password\nann,secret-1\n"
    assert take(users, rows).undo_step
    assert not take(users, rows, update=True).undo_step


def test_an_import_too_large_to_undo_is_still_made(users, monkeypatch):
    monkeypatch.setattr(import_plan, "MAX_ROWS", 1)
    report = take(users, "username,password\nann,x\nbob,x\n")
    assert report.written
    assert not report.undo_step


def test_an_export_of_some_accounts_has_only_these(users):
    """Even if a whole block of them was deleted since they were found."""
    ids = [users.add(f"user{number}", "x").id for number in range(5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "_BLOCK", 2)
        blocks = exported(users, chosen=ids[1:])
        next(blocks)
        for name in ("user1", "user2"):
            users.remove(name)
        assert [text.partition(",")[0] for text in "".join(blocks).splitlines()] == [
            "user3",
            "user4",
        ]
