"""Groups: added, changed and removed, in the database and in memory."""

from dataclasses import replace
from time import time

import pytest

from sip.store.accounts import UserExists
from sip.store.call_changes import change_call_settings
from sip.store.call_settings import BadSetting
from sip.store.groups import IN_TURN, Group, Groups, NoSuchGroup
from sip.store.retention import RESTORABLE_SECONDS
from sip.store.users import Users

MAIN = "example.com"


@pytest.fixture
def groups(users: Users) -> Groups:
    for name in ("alice", "bob", "carol"):
        users.add(name, "secret-1")
    return Groups(users)


def test_a_group_is_in_memory_and_after_a_restart(users: Users, database, groups: Groups):
    group = groups.add("6-00", ["bob", "alice", "bob"], strategy=IN_TURN, seconds=10, then="carol")
    assert group == Group(group.id, "6-00", None, ("bob", "alice"), IN_TURN, 10, "carol")
    for each in (users, Users(database, MAIN)):
        assert each.find_group("600", MAIN) == group
        assert each.find_group("600", "example.org") is None
    assert groups.list() == [group]
    assert groups.list("example.org") == []
    assert groups.named("6-00") == groups.get(group.id) == group


def test_a_group_is_changed_field_by_field(users: Users, groups: Groups):
    group = groups.add("sales", ["bob"])
    changed = groups.change(group.id, {"name": "sale", "members": ["carol"], "seconds": "5"})
    assert changed == Group(group.id, "sale", None, ("carol",), "all", 5, "")
    assert users.find_group("sales", MAIN) is None
    assert users.find_group("sale", MAIN) == changed
    assert groups.change(group.id, {"name": "Sale"}).name == "Sale"


def test_a_removed_group_is_gone(users: Users, groups: Groups):
    group = groups.add("sales", ["bob"])
    groups.remove(group.id)
    assert users.find_group("sales", MAIN) is None
    for call in (groups.get, groups.remove, lambda number: groups.change(number, {})):
        with pytest.raises(NoSuchGroup):
            call(group.id)
    with pytest.raises(NoSuchGroup):
        groups.named("sales")


def test_a_removed_group_is_restored_within_the_hour(users: Users, groups: Groups, database):
    """With its id and members; a user that was deleted meanwhile is none."""
    group = groups.add("6-00", ["bob", "alice"], strategy=IN_TURN, seconds=10, then="carol")
    groups.remove(group.id)
    assert groups.removed(group.id) == "6-00"
    users.remove("bob")
    restored = groups.restore(group.id)
    assert restored == replace(group, members=("alice",))
    for each in (users, Users(database, MAIN)):
        assert each.find_group("600", MAIN) == restored
    assert groups.removed(group.id) == ""
    with pytest.raises(NoSuchGroup, match="cannot be restored"):
        groups.restore(group.id)


def test_a_taken_name_of_a_group_is_not_restored(users: Users, groups: Groups, database):
    group = groups.add("6-00", ["bob"])
    groups.remove(group.id)
    change_call_settings(users, "alice", {"aliases": ["600"]})
    with pytest.raises(UserExists, match="6-00 is an alias of alice now"):
        groups.restore(group.id)
    users.purge_removed(time() + RESTORABLE_SECONDS + 1)
    with pytest.raises(NoSuchGroup, match="over an hour ago"):
        groups.restore(group.id)
    assert database.read(lambda tables: tables["call_group_members"].count()) == 0


@pytest.mark.parametrize("name", ["bob", "ALICE", "101", "Sales"])
def test_the_name_of_a_group_must_be_free(users: Users, groups: Groups, name: str):
    change_call_settings(users, "alice", {"aliases": ["101"]})
    groups.add("sales", ["bob"])
    with pytest.raises(UserExists, match="choose another name"):
        groups.add(name, ["bob"])
    with pytest.raises(UserExists, match="is the group sales"):
        users.add("sales", "secret-1")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", "", "cannot be the name"),
        ("members", [], "at least one member"),
        ("members", ["zoe"], "there is no user zoe"),
        ("members", "bob", "not a list"),
        ("members", [f"u{n}" for n in range(51)], "at most 50"),
        ("strategy", "random", "one of all, in_turn"),
        ("seconds", 0, "from 3 to 120"),
        ("then", "a b", "is not a name"),
        ("then", "SALES", "cannot forward to itself"),
        ("color", "red", "has no field color"),
    ],
)
def test_a_bad_value_names_its_field(groups: Groups, field: str, value: object, reason: str):
    group = groups.add("sales", ["bob"])
    with pytest.raises(BadSetting, match=reason) as caught:
        groups.change(group.id, {field: value})
    assert caught.value.field == field
    assert groups.get(group.id) == group
