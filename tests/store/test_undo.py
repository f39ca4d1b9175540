"""Undo of changes of many accounts."""

from time import time

import pytest

from sip.store import bulk_write as bulk
from sip.store import undo_steps
from sip.store.accounts import AccountsRemoved, CredentialsChanged
from sip.store.call_changes import change_call_settings
from sip.store.database import Database, fetch
from sip.store.groups import Groups
from sip.store.undo import NoSuchStep, Undo, recorded
from sip.store.users import Users
from tests.support.account_events import listen


@pytest.fixture
def undos(users: Users) -> Undo:
    return Undo(users)


def disable(database: Database, users: Users, ids: list[int], now: float | None = None) -> int:
    """Disable accounts in one step, and return its id."""

    def write(tables) -> int:
        with (
            recorded(tables, "user disabled", "2 users", "admin", ids, now) as step,
            bulk.writing(tables, 0, len(ids), []),
        ):
            for number in ids:
                fetch(tables, "UPDATE users SET enabled = 0 WHERE id = ?", (number,))
        return step

    step = database.run(write)
    users.reload()
    return step


def delete(database: Database, users: Users, ids: list[int]) -> int:
    def write(tables) -> int:
        with (
            recorded(tables, "user deleted", "", "admin", ids) as step,
            bulk.writing(tables, 0, len(ids), ids),
        ):
            bulk.remove(tables, ids, int(time()))
        return step

    step = database.run(write)
    users.reload()
    return step


def test_a_step_is_listed_for_an_hour(database, users, undos):
    account = users.add("ann", "secret-1")
    step = disable(database, users, [account.id], now=1000)
    (listed,) = undos.steps(now=4599)
    assert (listed.id, listed.act, listed.changed_by) == (step, "user disabled", "admin")
    assert (listed.about, listed.accounts, listed.at) == ("2 users", 1, 1000)
    assert undos.steps(now=4600) == []
    with pytest.raises(NoSuchStep):
        undos.undo(step, now=4600)


def test_changed_accounts_get_their_former_values(database, users, undos):
    ann, bob = users.add("ann", "secret-1"), users.add("bob", "secret-2", enabled=False)
    step = disable(database, users, [ann.id, bob.id])
    names = listen(users, CredentialsChanged)
    undone = undos.undo(step)
    assert (undone.undone, undone.kept) == (2, 0)
    assert users.find("ann", "example.com").enabled
    assert not users.find("bob", "example.com").enabled
    assert names == ["ann"]
    assert undos.steps() == []
    with pytest.raises(NoSuchStep):
        undos.undo(step)


def test_later_changes_of_accounts_are_kept(database, users, undos):
    ann, bob = users.add("ann", "secret-1"), users.add("bob", "secret-2")
    step = disable(database, users, [ann.id, bob.id])
    users.set_password("bob", "another-2")
    undone = undos.undo(step)
    assert (undone.undone, undone.kept) == (1, 1)
    assert users.find("ann", "example.com").enabled
    assert not users.find("bob", "example.com").enabled


def test_steps_of_an_account_are_undone_in_reverse(database, users, undos):
    ann = users.add("ann", "secret-1")
    first = disable(database, users, [ann.id])
    second = delete(database, users, [ann.id])
    assert [step.id for step in undos.steps()] == [second, first]
    undos.undo(second)
    assert undos.undo(first).undone == 1
    assert users.find("ann", "example.com").enabled


def test_deleted_accounts_are_restored(database, users, undos):
    ann = users.add("ann", "secret-1", display_name="Ann Example")
    step = delete(database, users, [ann.id])
    assert users.find("ann", "example.com") is None
    assert undos.undo(step).undone == 1
    found = users.find("ann", "example.com")
    assert (found.id, found.ha1_md5, found.display_name) == (ann.id, ann.ha1_md5, "Ann Example")


@pytest.mark.parametrize("name", ["ann", "Ann", "änn"])
def test_a_taken_name_is_not_restored(database, users, undos, name):
    gone = users.add("änn" if name == "änn" else "ann", "secret-1")
    step = delete(database, users, [gone.id])
    users.add(name, "secret-2")
    undone = undos.undo(step)
    assert (undone.undone, undone.kept) == (0, 1)
    assert users.find(name, "example.com").id != gone.id


@pytest.mark.parametrize(("name", "alias"), [("101", "10-1"), ("10-1", "101"), ("101", "101")])
def test_a_number_that_is_an_alias_now_is_not_restored(database, users, undos, name, alias):
    step = delete(database, users, [users.add(name, "secret-1").id])
    users.add("ann", "secret-1", calls={"aliases": [alias]})
    assert undos.undo(step).kept == 1
    assert users.find(name, "example.com").username == "ann"


def test_added_accounts_are_deleted(database, users, undos):
    def add(tables) -> int:
        with recorded(tables, "users imported", "", "admin", []) as step:
            for name in ("ann", "bob"):
                fetch(tables, _INSERT, (name,))
        return step

    users.add("eve", "secret-1")
    step = database.run(add)
    users.reload()
    users.set_display_name("bob", "Bob Later")
    names = listen(users, AccountsRemoved)
    undone = undos.undo(step)
    assert (undone.undone, undone.kept) == (1, 1)
    assert users.find("ann", "example.com") is None
    assert users.find("bob", "example.com") is not None
    assert names == ["ann"]
    restored = users.restore(undone_id(database))
    assert restored.username == "ann"


_INSERT = """
    INSERT INTO users (username, ha1_md5, created_at, updated_at)
    VALUES (?, '00000000000000000000000000000000', 1, 1)
"""


def undone_id(database: Database) -> int:
    ((number,),) = database.read(lambda tables: fetch(tables, "SELECT id FROM removed_users"))
    return number


def test_many_accounts_are_found_by_name_after_undo(database, users, undos):
    """The names are written in bulk, because triggers would cost too much."""
    ids = [users.add(f"phone{n}", "secret-1", display_name=f"Phone {n}").id for n in range(3)]
    bulk_few, bulk._FEW = bulk._FEW, 2
    try:
        step = delete(database, users, ids)
        assert names_with(database, "phone") == 0
        undos.undo(step)
        assert names_with(database, "phone") == 3
    finally:
        bulk._FEW = bulk_few
    check = "INSERT INTO user_names (user_names) VALUES ('integrity-check')"
    database.run(lambda tables: fetch(tables, check))


def names_with(database: Database, text: str) -> int:
    statement = "SELECT count(*) FROM user_names WHERE user_names MATCH ?"
    ((number,),) = database.read(lambda tables: fetch(tables, statement, (text,)))
    return number


def test_the_oldest_steps_make_room(database, users, undos, monkeypatch):
    monkeypatch.setattr(undo_steps, "MAX_ROWS", 2)
    ids = [users.add(name, "secret-1").id for name in ("ann", "bob", "eve")]
    first = disable(database, users, ids[:1])
    second = disable(database, users, ids[1:2])
    assert [step.id for step in undos.steps()] == [second, first]
    third = disable(database, users, ids)
    assert [step.id for step in undos.steps()] == [third]
    users.purge_removed()
    rows = database.read(lambda tables: fetch(tables, "SELECT DISTINCT step_id FROM undo_rows"))
    assert rows == [(third,)]


def test_secrets_of_old_steps_are_deleted(database, users):
    disable(database, users, [users.add("ann", "secret-1").id])
    users.purge_removed(time() + 3601)
    assert not database.read(lambda tables: fetch(tables, "SELECT * FROM undo_rows"))


def test_accounts_that_stay_are_named(database, users, undos):
    ids = [users.add(name, "secret-1").id for name in ("ann", "bob", "carl", "dora")]
    step = disable(database, users, ids)
    users.set_display_name("bob", "Bob")
    users.remove("carl")
    undone = undos.undo(step)
    assert (undone.undone, undone.kept) == (2, 2)
    assert undone.kept_names == ["bob", "carl"]


def test_a_name_that_is_an_alias_or_a_group_is_not_restored(database, users, undos):
    ids = [users.add(name, "secret-1").id for name in ("201", "sales", "änn")]
    step = delete(database, users, ids)
    users.add("bob", "secret-2")
    change_call_settings(users, "bob", {"aliases": ["201", "änn"]})
    Groups(users).add("Sales", ["bob"])
    undone = undos.undo(step)
    assert (undone.undone, undone.kept) == (0, 3)
    assert users.find("201", "example.com").username == "bob"


def test_call_settings_of_a_later_time_do_not_matter(database, users, undos):
    """A step that has not changed them can be undone, and leaves them."""
    ann = users.add("ann", "secret-1")
    step = disable(database, users, [ann.id])
    change_call_settings(users, "ann", {"aliases": ["201"], "dnd": True})
    assert undos.undo(step).undone == 1
    found = users.find("201", "example.com")
    assert (found.username, found.enabled, found.call_settings.dnd) == ("ann", True, True)


def test_a_step_of_an_earlier_version_is_undone(database, users, undos):
    """That had no call settings in its rows."""
    ann = users.add("ann", "secret-1")
    change_call_settings(users, "ann", {"dnd": True})
    step = disable(database, users, [ann.id])
    shorten = "UPDATE undo_rows SET before = json_remove(before, '$[7]')"
    database.run(lambda tables: fetch(tables, shorten))
    assert undos.undo(step).undone == 1
    assert users.find("ann", "example.com").enabled
    assert users.find("ann", "example.com").call_settings.dnd
