"""Accounts: accepted and refused values, and memory that never knows more than the disk."""

import gc
import hashlib
import sqlite3
from contextlib import closing

import gevent
import pytest

from sip.store import users as users_module
from sip.store.accounts import AccountsRemoved, CredentialsChanged
from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import Database, DatabaseError
from sip.store.users import NoSuchUser, UserExists, Users

MAIN = "example.com"


def elsewhere(path, statement, *values):
    """Write to the file as another process would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def names(users):
    return [(account.username, account.realm) for account in users.list()]


def test_an_account_has_every_ha1(users):
    """RFC 7616 §3.4.2, and FIPS 180-4 for SHA-512/256."""
    users.add("alice", "secret", display_name="Alice")
    account = users.find("alice", MAIN)
    a1 = b"alice:example.com:secret"
    assert account.ha1_md5 == hashlib.md5(a1).hexdigest()
    assert account.ha1_sha256 == hashlib.sha256(a1).hexdigest()
    assert account.ha1_sha512_256 == hashlib.new("sha512_256", a1).hexdigest()
    assert (account.realm, account.display_name, account.enabled) == (None, "Alice", True)
    assert account.ha1_md5 not in repr(account)


def test_accounts_are_there_after_a_restart(path):
    with Database(path) as database:
        Users(database, MAIN).add("alice", "secret")
        Users(database, MAIN).add("alice", "other", realm="example.net")
    with Database(path) as database:
        users = Users(database, MAIN)
        assert users.find("alice", MAIN).realm is None
        assert users.find("alice", "example.net").realm == "example.net"
        assert users.find("alice", "example.org") is None
        assert users.realms() == {MAIN, "example.net"}
        assert users.warning == ""


@pytest.mark.parametrize(
    "name", ["alice", "0077", "+4930123", "a.b-c_d", "*97", "jörg", "a;b", "a@b.org"]
)
def test_a_name_that_can_stand_before_the_at_sign_is_taken(users, name):
    """RFC 3261 §25.1, `user`."""
    users.add(name, "secret")
    assert users.find(name, MAIN)


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "j%C3%B6rg", "a%4", "%61lice", "a\n", 'a"b', "a\u037eb:"]
)
def test_a_name_that_cannot_is_refused(users, name):
    with pytest.raises(ValueError, match="SIP URI"):
        users.add(name, "secret")
    assert users.list() == []


def test_a_name_taken_is_refused_and_changes_nothing(users):
    users.add("alice", "secret")
    before = users.find("alice", MAIN).ha1_md5
    with pytest.raises(UserExists, match="already has an account"):
        users.add("alice", "other")
    with pytest.raises(UserExists, match="only in case"):
        users.add("Alice", "other")
    users.add("Alice", "other", realm="example.net")
    assert users.find("alice", MAIN).ha1_md5 == before
    assert users.find("Alice", MAIN) is None


def test_the_main_realm_by_its_name_is_the_main_realm(users):
    users.add("alice", "secret", realm=MAIN)
    assert users.find("alice", MAIN).realm is None
    with pytest.raises(UserExists):
        users.add("alice", "secret")


def test_an_empty_password_is_refused_and_four_digits_are_not(users):
    with pytest.raises(ValueError, match="empty"):
        users.add("door", "")
    users.add("door", "1234")


def test_what_no_phone_has_a_field_for_is_refused(users):
    users.add("n" * 128, "p" * 256, realm="r" * 255, display_name="d" * 128)
    for what, values in {
        "user name": ("n" * 129, "p", None, ""),
        "password": ("n", "p" * 257, None, ""),
        "realm": ("n", "p", "r" * 256, ""),
        "display name": ("n", "p", None, "d" * 129),
    }.items():
        with pytest.raises(ValueError, match=f"the {what} has .* the maximum is"):
            users.add(*values)
    for deed, value in (("set_password", "p" * 257), ("set_display_name", "d" * 129)):
        with pytest.raises(ValueError, match="the maximum is"):
            getattr(users, deed)("n" * 128, value, "r" * 255)
    assert len(users) == 1


def test_a_password_that_is_no_text_is_refused(users):
    """Its digest would be one that no phone can send."""
    with pytest.raises(ValueError, match="not UTF-8"):
        users.add("alice", "gr\udcfcn")
    users.add("alice", "grün")
    with pytest.raises(ValueError, match="not UTF-8"):
        users.set_password("alice", "gr\udcfcn")
    assert (
        users.find("alice", MAIN).ha1_md5
        == hashlib.md5("alice:example.com:grün".encode()).hexdigest()
    )


def test_two_greenlets_cannot_add_the_same_name(users):
    work = [gevent.spawn(users.add, "alice", f"secret {n}") for n in range(10)]
    gevent.joinall(work)
    assert sum(each.successful() for each in work) == 1
    (account,) = users.list()
    assert account.ha1_md5 == users.find("alice", MAIN).ha1_md5


def test_remove_password_enable_and_disable(users):
    users.add("alice", "secret")
    before = users.find("alice", MAIN)
    users.set_password("alice", "other")
    users.disable("alice")
    assert users.find("alice", MAIN).ha1_md5 != before.ha1_md5
    assert not users.find("alice", MAIN).enabled
    users.enable("alice")
    assert users.find("alice", MAIN).enabled
    users.remove("alice")
    assert users.find("alice", MAIN) is None
    assert users.list() == []


@pytest.mark.parametrize("deed", ["remove", "enable", "disable"])
def test_an_account_that_is_not_there_is_named(users, deed):
    with pytest.raises(NoSuchUser, match=r"no account bob in the realm example\.net"):
        getattr(users, deed)("bob", "example.net")


def test_memory_follows_the_disk_and_never_leads(users, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError):
            users.add("alice", "secret")
        other.execute("ROLLBACK")
    assert users.find("alice", MAIN) is None


def test_a_change_by_another_process_is_seen_after_reload(users, database, path):
    users.add("alice", "secret")
    users.add("bob", "secret", realm="example.net")
    elsewhere(path, "UPDATE users SET enabled = 0 WHERE username = 'alice'")
    elsewhere(path, "DELETE FROM users WHERE username = 'bob'")
    assert database.changed_elsewhere()
    users.reload()
    assert not users.find("alice", MAIN).enabled
    assert users.realms() == {MAIN}


def test_an_account_removed_elsewhere_cannot_be_changed(users, path):
    users.add("alice", "secret")
    elsewhere(path, "DELETE FROM users")
    with pytest.raises(NoSuchUser):
        users.set_password("alice", "other")


def test_no_change_is_lost_to_a_reload_beside_it(users):
    work = []
    for n in range(20):
        work += [gevent.spawn(users.add, f"user{n}", "secret"), gevent.spawn(users.reload)]
    gevent.joinall(work, raise_error=True)
    assert len(users) == 20
    assert all(users.find(f"user{n}", MAIN) for n in range(20))


def test_sha_is_offered_only_where_every_enabled_user_can_answer(users, path):
    assert users.offers(MAIN, "SHA-256")
    users.add("alice", "secret")
    elsewhere(
        path,
        "INSERT INTO users (username, ha1_md5, created_at, updated_at) VALUES ('bob', ?, 0, 0)",
        "f" * 32,
    )
    users.reload()
    assert users.offers(MAIN, "MD5")
    assert not users.offers(MAIN, "SHA-256")
    assert not users.offers(MAIN, "SHA-512-256")
    assert users.offers("example.net", "SHA-256")
    assert not users.offers(MAIN, "SHA-1")
    users.disable("bob")
    assert users.offers(MAIN, "SHA-256")
    users.enable("bob")
    assert not users.offers(MAIN, "SHA-256")
    users.set_password("bob", "secret")
    assert users.offers(MAIN, "SHA-512-256")


def test_a_renamed_realm_warns_until_new_passwords_are_set(path):
    with Database(path) as database:
        users = Users(database, "old.example")
        users.add("alice", "secret")
        users.add("bob", "secret")
        users.add("carl", "secret", realm="example.net")
    with Database(path) as database:
        users = Users(database, MAIN)
        assert "2 account(s) were set for the realm old.example" in users.warning
        users.set_password("alice", "secret")
        assert "1 account(s)" in Users(database, MAIN).warning
        users.set_password("bob", "secret")
        assert Users(database, MAIN).warning == ""


@pytest.mark.parametrize("realms", [(None, MAIN), (MAIN, None)])
def test_a_row_with_the_realms_name_wins_over_one_without(path, realms):
    with Database(path) as database:
        users = Users(database, "old.example")
        for realm in realms:
            users.add("alice", "secret", realm=realm)
        users.add("bob", "old")
    with Database(path) as database:
        users = Users(database, MAIN)
        named = users.find("alice", MAIN)
        assert named.realm == MAIN
        assert len(users.list()) == 3
        users.disable("alice")
        assert not users.find("alice", MAIN).enabled


def test_a_hidden_row_is_found_after_the_other_is_removed(path):
    with Database(path) as database:
        users = Users(database, "old.example")
        users.add("alice", "old")
        users.add("alice", "new", realm=MAIN)
        users = Users(database, MAIN)
        users.remove("alice")
        assert users.find("alice", MAIN) is not None
        assert names(users) == [("alice", None)]


# Removed, and brought back


def test_what_was_removed_comes_back_as_it_was(users, path):
    users.add("alice", "secret", realm="example.net", display_name="Alice")
    users.disable("alice", "example.net")
    before = users.find("alice", "example.net")
    elsewhere(path, "UPDATE users SET last_seen = 77, created_at = 5")
    users.remove("alice", "example.net")
    assert users.realms() == {MAIN}
    account = users.restore(before.id)
    assert users.find("alice", "example.net") is account
    for name in type(account).__slots__:
        assert getattr(account, name) == getattr(before, name)
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT created_at, last_seen, online, ha1_realm FROM users"
        assert connection.execute(query).fetchall() == [(5, 77, 0, "example.net")]
        assert connection.execute("SELECT count(*) FROM removed_users").fetchone() == (0,)
    with pytest.raises(NoSuchUser, match="cannot be restored"):
        users.restore(before.id)


@pytest.mark.parametrize("name", ["alice", "ALICE"])
def test_a_name_that_was_taken_meanwhile_is_not_taken_away(users, name):
    number = users.add("alice", "secret").id
    users.remove("alice")
    users.add(name, "other")
    with pytest.raises(UserExists):
        users.restore(number)
    assert names(users) == [(name, None)]
    users.remove(name)
    assert users.restore(number).username == "alice"


def test_after_an_hour_nothing_is_left_of_it(users, path, database):
    def kept():
        with closing(sqlite3.connect(path)) as connection:
            return [row[0] for row in connection.execute("SELECT username FROM removed_users")]

    def an_hour_passes():
        elsewhere(path, "UPDATE removed_users SET removed_at = removed_at - 3600")

    number = users.add("alice", "secret").id
    users.add("bob", "secret")
    users.remove("alice")
    users.purge_removed()
    assert kept() == ["alice"]
    an_hour_passes()
    with pytest.raises(NoSuchUser):
        users.restore(number)
    users.remove("bob")
    assert kept() == ["bob"]
    an_hour_passes()
    Users(database, MAIN)
    assert kept() == []
    users.remove(users.add("carl", "secret").username)
    users.purge_removed(9e9)
    assert kept() == []


def test_an_id_is_never_given_twice(users):
    first = users.add("alice", "secret").id
    users.remove("alice")
    assert users.add("alice", "secret").id != first


def test_an_account_is_found_without_looking_at_all_of_them(users, database):
    """Among 100,000 that would take 30 ms, and every REGISTER would wait for it."""
    seen = []
    plain = users_module.fetch

    def explained(tables, statement, values=()):
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE")):
            plan = plain(tables, f"EXPLAIN QUERY PLAN {statement}", values)
            seen.extend((statement, step) for *_, step in plan if "SCAN" in step)
        return plain(tables, statement, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users_module, "fetch", explained)
        for realm in (None, "example.net"):
            number = users.add("alice", "secret", realm).id
            users.set_display_name("alice", "Alice", realm)
            users.disable("alice", realm)
            users.remove("alice", realm)
            users.restore(number)
    # Those two have few rows: what was deleted, and what was changed at once, in the last hour.
    assert {step for _, step in seen} <= {"SCAN removed_users", "SCAN undo_steps"}


# Which of two


@pytest.mark.parametrize(
    ("deed", "values"),
    [
        ("remove", {}),
        *[("change", {"enabled": False}), ("change", {"display_name": "Alice"})],
        ("set_password", {"password": "other"}),
    ],
)
def test_a_number_says_which_of_two_that_claim_one_name(path, deed, values):
    with Database(path) as database:
        users = Users(database, "old.example")
        users.add("alice", "open")
        users.add("alice", "named", realm=MAIN)
        users = Users(database, MAIN)
        gone = []
        users.bus.listen(AccountsRemoved, lambda event: gone.extend(event.accounts))
        before = {account.id: repr(vars_of(account)) for account in users.list()}
        getattr(users, deed)("alice", number=1, **values)
        after = {account.id: repr(vars_of(account)) for account in users.list()}
        assert after[2] == before[2]
        assert after.get(1) != before[1]
        assert users.find("alice", MAIN).id == 2
        assert {account.id for account in gone} <= {1}


def vars_of(account):
    return {name: getattr(account, name) for name in type(account).__slots__}


def test_an_old_number_does_not_change_a_new_account(users):
    users.add("bob", "secret")
    number = users.add("alice", "secret").id
    users.remove("alice")
    users.add("alice", "other")
    abroad = users.add("alice", "secret", realm="example.net").id
    for wrong in (number, 1, 99, abroad):
        with pytest.raises(NoSuchUser):
            users.change("alice", number=wrong, enabled=False)
    assert all(account.enabled for account in users.list())


# Gone


@pytest.fixture
def gone(users):
    """The accounts reported as removed, as (id, name)."""
    told = []
    users.bus.listen(
        AccountsRemoved, lambda event: told.extend((a.id, a.username) for a in event.accounts)
    )
    return told


def test_removed_and_disabled_users_are_reported_to_the_caller(users, gone):
    asked_by = []
    users.bus.listen(
        AccountsRemoved, lambda event: asked_by.append((gevent.getcurrent(), *event.accounts))
    )
    users.add("alice", "secret")
    users.set_password("alice", "other")
    users.set_display_name("alice", "Alice")
    assert asked_by == []
    users.disable("alice")
    users.enable("alice")
    users.remove("alice")
    users.restore(1)
    assert [(who, account.id) for who, account in asked_by] == [(gevent.getcurrent(), 1)] * 2


@pytest.fixture
def let_in(users):
    """The users reported with new credentials, by name."""
    told = []
    users.bus.listen(
        CredentialsChanged, lambda event: told.extend(a.username for a in event.accounts)
    )
    return told


def test_changed_credentials_are_reported_by_the_caller(users, let_in):
    """Each change after which a refused phone may be accepted; no other change."""
    users.add("alice", "secret")
    users.set_display_name("alice", "Alice")
    users.disable("alice")
    assert let_in == ["alice"]
    users.enable("alice")
    users.set_password("alice", "other")
    users.remove("alice")
    assert let_in == ["alice"] * 3
    users.restore(1)
    assert let_in == ["alice"] * 4


def test_credentials_changed_elsewhere_are_reported_on_reload(users, let_in, path):
    for name in ("alice", "bob", "carl", "dora", "emil", "fritz"):
        users.add(name, "secret")
    users.disable("emil")
    let_in.clear()
    elsewhere(path, "UPDATE users SET ha1_sha256 = ? WHERE username = 'alice'", "a" * 64)
    elsewhere(path, "UPDATE users SET display_name = 'x' WHERE username = 'bob'")
    elsewhere(path, "UPDATE users SET enabled = 0 WHERE username = 'carl'")
    elsewhere(path, "UPDATE users SET enabled = 1 WHERE username = 'emil'")
    elsewhere(path, "DELETE FROM users WHERE username = 'fritz'")
    elsewhere(
        path,
        "INSERT INTO users (username, ha1_md5, created_at, updated_at) VALUES ('gerd', ?, 0, 0)",
        "f" * 32,
    )
    users.reload()
    assert sorted(let_in) == ["alice", "emil", "gerd"]
    users.reload()
    assert len(let_in) == 3


def test_a_reload_reports_removed_and_disabled_accounts(users, gone, path):
    for name in ("alice", "bob", "carl", "dora", "emil"):
        users.add(name, "secret")
    users.disable("emil")
    gone.clear()
    elsewhere(path, "UPDATE users SET enabled = 0 WHERE username IN ('alice', 'emil')")
    elsewhere(path, "DELETE FROM users WHERE username IN ('bob', 'carl', 'emil')")
    elsewhere(
        path,
        "INSERT INTO users (username, ha1_md5, created_at, updated_at) VALUES ('carl', ?, 0, 0)",
        "f" * 32,
    )
    elsewhere(path, "UPDATE users SET ha1_md5 = ? WHERE username = 'dora'", "e" * 32)
    users.reload()
    assert sorted(gone) == [(1, "alice"), (2, "bob"), (3, "carl")]
    users.reload()
    assert len(gone) == 3


@pytest.mark.parametrize("deed", ["remove", "disable"])
def test_their_phones_are_gone_from_the_file_in_the_same_breath(users, database, path, deed):
    users.add("alice", "secret")
    users.add("bob", "secret")
    bindings = BindingStore(database)
    rows = [BindingRow(number, "x@y", "sip:x@h", 9_000_000_000) for number in (1, 2)]
    bindings.save(rows, [], lambda: None, seen_at=1000).wait()
    getattr(users, deed)("alice")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT user_id FROM bindings").fetchall() == [(2,)]
        online = "SELECT username FROM users WHERE online = 1"
        assert connection.execute(online).fetchall() == [("bob",)]
    bindings.close()


def test_reloading_leaves_the_collector_as_it_was(users):
    for was_on in (False, True):
        (gc.enable if was_on else gc.disable)()
        users.reload()
        assert gc.isenabled() == was_on
