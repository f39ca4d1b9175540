"""Aliases, forwarding and do not disturb: checked, stored, in memory, and kept by a restore."""

import sqlite3
from contextlib import closing

import pytest

from sip.store.audit import Audit
from sip.store.call_changes import call_settings, change_call_settings, is_known_target
from sip.store.call_settings import MAX_ALIASES, USUAL, BadSetting, CallSettings
from sip.store.groups import Groups
from sip.store.retention import RESTORABLE_SECONDS
from sip.store.users import NoSuchUser, UserExists, Users
from tests.support.cases import cases

MAIN = "example.com"


@pytest.fixture
def users(users: Users) -> Users:
    for name in ("alice", "bob"):
        users.add(name, "secret-1")
    return users


def change(users: Users, name: str, **changes) -> CallSettings:
    return change_call_settings(users, name, changes)


def test_changes_are_in_memory_and_after_a_restart(users: Users, database):
    settings = change(users, "alice", aliases=["102", " 101 ", "101"], busy="bob", dnd=True)
    assert settings == CallSettings(aliases=("101", "102"), busy="bob", dnd=True)
    for each in (users, Users(database, MAIN)):
        assert each.find("alice", MAIN).call_settings == settings
        assert call_settings(each, "alice") == settings
    assert change(users, "alice", busy="") == CallSettings(aliases=("101", "102"), dnd=True)
    assert change(users, "alice", aliases=[], dnd=False) == USUAL
    assert users.find("alice", MAIN).call_settings is None
    assert database.read(lambda tables: tables["call_settings"].count()) == 0
    with pytest.raises(NoSuchUser):
        change(users, "zoe", dnd=True)


def test_other_changes_of_a_user_keep_its_settings(users: Users):
    change(users, "alice", aliases=["101"])
    users.set_password("alice", "another-1")
    users.disable("alice")
    users.enable("alice")
    assert users.find("101", MAIN).call_settings == CallSettings(aliases=("101",))
    assert [each.call_settings for each in users.list()] == [CallSettings(("101",)), None]


@pytest.mark.parametrize(
    ("spelling", "found"),
    [
        ("+4989101", True),
        ("+49-89-101", True),
        ("+49(89)101", True),
        ("Jose\N{COMBINING ACUTE ACCENT}", True),
        ("josé", False),
        ("+4989102", False),
    ],
)
def test_an_alias_is_found_like_a_user_name(users: Users, spelling: str, found: bool):
    change(users, "alice", aliases=["+49-89-101", "José"])
    account = users.find(spelling, MAIN)
    assert (account is not None and account.username == "alice") is found
    assert users.find(spelling, "example.org") is None


@pytest.mark.parametrize(
    "taken",
    ["bob", "BOB", "201", "Sales", "+49-30-1", "José", "2-0-1", "(7).00", "700;ext=1", "80.0"],
)
def test_a_name_belongs_to_one_user_or_group(users: Users, taken: str):
    """In any case, Unicode form and spelling of a number."""
    users.add("+49301", "secret-1")
    change(users, "bob", aliases=["201", "jose\N{COMBINING ACUTE ACCENT}", "8-00"])
    Groups(users).add("sales", ["bob"])
    Groups(users).add("7-00", ["bob"])
    with pytest.raises(UserExists, match=r"is (the|an) .*; choose another alias"):
        change(users, "alice", aliases=[taken])
    assert users.find("alice", MAIN).call_settings is None


def test_a_new_user_cannot_have_a_taken_name(users: Users):
    change(users, "bob", aliases=["201"])
    with pytest.raises(UserExists, match="201 is an alias of bob; choose another name"):
        users.add("201", "secret-1")
    users.add("201", "secret-1", realm="example.org")
    Groups(users).add("30-1", ["bob"])
    for name, holder in (
        ("2-01", "an alias of bob"),
        ("301", "the group 30-1, in another spelling"),
        ("3-01", "the group 30-1, in another spelling"),
    ):
        with pytest.raises(UserExists, match=f"{name} is {holder}; choose another name"):
            users.add(name, "secret-1")


def test_two_users_may_have_one_number_in_two_spellings(users: Users):
    """10-1 and 101 are two phones in many offices; an alias can be neither of both."""
    for name in ("10-1", "101"):
        users.add(name, "secret-1")
    assert [users.find(name, MAIN).username for name in ("10-1", "101")] == ["10-1", "101"]
    change(users, "101", always="10-1")
    with pytest.raises(UserExists, match=r"1\.01 is the user 101; choose another alias"):
        change(users, "alice", aliases=["1.01"])
    users.remove("101")
    with pytest.raises(UserExists, match="101 is the user 10-1, in another spelling"):
        change(users, "alice", aliases=["101"])
    assert change(users, "10-1", aliases=["101", "1-01"]).aliases == ("101",)
    with pytest.raises(BadSetting, match="cannot forward to itself"):
        change(users, "10-1", always="(101)")


@cases(
    ("field", "value", "reason"),
    [
        ("aliases", ["a b"], "cannot be the alias"),
        ("aliases", ["alice"], "is the user name itself"),
        ("aliases", [str(n) for n in range(MAX_ALIASES + 1)], "at most 20"),
        ("aliases", "101", "not a list"),
        ("dnd", "maybe", "on or off"),
        ("always", "a b", "is not a name, a number or a SIP address"),
        ("always", "http://x", "is not a SIP address"),
        ("always", "sips:bob@example.org", "is not a SIP address"),
        ("always", "x" * 300, "more than 255 characters"),
        ("always", "ALICE", "cannot forward to itself"),
        ("no_answer_seconds", 2, "from 3 to 120"),
        ("no_answer_seconds", "1e1", "from 3 to 120"),
        ("no_answer_seconds", "0000000209", "from 3 to 120"),
        ("color", "red", "there is no call setting"),
    ],
)
def test_a_bad_value_names_its_field(users: Users, field: str, value: object, reason: str):
    with pytest.raises(BadSetting, match=reason) as caught:
        change_call_settings(users, "alice", {field: value})
    assert caught.value.field == field
    assert users.find("alice", MAIN).call_settings is None


def test_a_target_with_an_at_is_an_address(users: Users):
    assert change(users, "alice", always="bob@example.org").always == "sip:bob@example.org"


def test_an_alias_is_no_target_of_its_user(users: Users):
    with pytest.raises(BadSetting, match="cannot forward to itself"):
        change(users, "alice", aliases=["101"], offline="101")


def test_known_targets_are_users_aliases_and_groups(users: Users):
    change(users, "bob", aliases=["201"])
    Groups(users).add("sales", ["bob"])
    known = [is_known_target(users, name) for name in ("bob", "201", "sales", "zoe")]
    assert known == [True, True, True, False]


def test_a_restored_user_has_its_settings_and_groups(users: Users, database):
    """An alias that was taken meanwhile stays with its new holder."""
    change(users, "alice", aliases=["101", "102"], always="bob")
    groups = Groups(users)
    groups.add("sales", ["alice", "bob"])
    number = users.find("alice", MAIN).id
    users.remove("alice")
    assert users.find("101", MAIN) is None
    assert users.find_group("sales", MAIN).members == ("bob",)
    change(users, "bob", aliases=["102"])
    assert users.restore(number).call_settings == CallSettings(("101",), always="bob")
    assert users.find("102", MAIN).username == "bob"
    for each in (users, Users(database, MAIN)):
        assert each.find("101", MAIN).username == "alice"
        assert each.find_group("sales", MAIN).members == ("alice", "bob")


def test_a_restore_fails_if_the_name_is_an_alias_now(users: Users):
    number = users.find("alice", MAIN).id
    users.remove("alice")
    change(users, "bob", aliases=["alice"])
    with pytest.raises(UserExists, match="alice is an alias of bob now"):
        users.restore(number)


def test_a_restore_compares_spellings_too(users: Users):
    """Of the name, and of each alias."""
    change(users, "alice", aliases=["101", "10-2"])
    number, other = users.find("alice", MAIN).id, users.add("301", "secret-1").id
    users.remove("alice")
    users.remove("301")
    change(users, "bob", aliases=["1-01", "3-01"])
    Groups(users).add("102", ["bob"])
    assert users.restore(number).call_settings is None
    with pytest.raises(UserExists, match="301 is an alias of bob, written 3-01 now"):
        users.restore(other)


def test_nothing_is_left_of_a_user_after_the_hour(users: Users, database):
    Groups(users).add("sales", ["alice", "bob"])
    users.remove("alice")
    users.purge_removed(2**32 + RESTORABLE_SECONDS)
    assert database.read(lambda tables: tables["call_group_members"].count()) == 1


def test_changes_by_another_process_are_reloaded(users: Users, path: str):
    number = users.find("alice", MAIN).id
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO aliases VALUES ('', '101', ?)", (number,))
        connection.execute("INSERT INTO call_settings (user_id, dnd) VALUES (?, 1)", (number,))
    users.reload()
    assert users.find("101", MAIN).call_settings == CallSettings(("101",), dnd=True)


def test_a_change_by_a_phone_is_in_the_audit(users: Users, database):
    users.change_settings_by_phone("alice", MAIN, {"always": "bob"})
    (entry,) = Audit(database).entries()
    assert (entry.who, entry.about) == ("alice (phone)", "alice: always bob")
    assert entry.text == "call settings changed"
