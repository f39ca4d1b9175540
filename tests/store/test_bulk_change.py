"""Changes of many chosen accounts."""

import pytest

from sip.store import bulk_write
from sip.store.accounts import AccountsRemoved, CredentialsChanged, ha1s
from sip.store.bulk_change import BulkChange
from sip.store.database import fetch
from sip.store.undo import Undo
from sip.store.users import Users
from tests.support.account_events import listen

REALM = "example.com"


@pytest.fixture(params=["few", "many"])
def change(users, request, monkeypatch) -> BulkChange:
    """For many accounts, the triggers are dropped; here from one account on, in parts of two."""
    if request.param == "many":
        monkeypatch.setattr(bulk_write, "_FEW", 1)
    return BulkChange(users, "admin")


@pytest.fixture
def ids(users) -> list[int]:
    return [
        users.add(name, "secret-1", display_name=f"Room {name}").id
        for name in ("ann", "bob", "eve")
    ]


def enabled(users: Users) -> dict[str, bool]:
    """What memory says, and a reload does not change."""
    known = {account.username: account.enabled for account in users.list()}
    assert known == {name: users.find(name, REALM).enabled for name in known}
    return known


def test_chosen_accounts_are_disabled_and_enabled(users, change, ids):
    gone, back = listen(users, AccountsRemoved), listen(users, CredentialsChanged)
    changed = change.disable({ids[0], ids[2], 999})
    assert (changed.count, changed.about) == (2, "2 users: ann, eve")
    assert enabled(users) == {"ann": False, "bob": True, "eve": False}
    assert sorted(gone) == ["ann", "eve"]
    assert change.enable(ids).about == "2 users: ann, eve", "one was enabled already"
    assert enabled(users) == {"ann": True, "bob": True, "eve": True}
    assert sorted(back) == ["ann", "eve"]


def test_chosen_accounts_are_deleted(users, change, ids):
    changed = change.delete(ids[:2])
    assert enabled(users) == {"eve": True}
    assert users.find("ann", REALM) is None
    assert Undo(users).undo(changed.step).undone == 2
    assert enabled(users) == {"ann": True, "bob": True, "eve": True}


def test_one_of_many_deleted_accounts_is_restored(users, change, ids):
    changed = change.delete(ids)
    assert users.restore(ids[1]).username == "bob"
    undone = Undo(users).undo(changed.step)
    assert (undone.undone, undone.kept) == (2, 1)


def test_new_passwords_are_valid(users, change, ids):
    changed = change.set_passwords(ids[:2])
    assert [each.username for each in changed.passwords] == ["ann", "bob"]
    assert [each.display_name for each in changed.passwords] == ["Room ann", "Room bob"]
    for each in changed.passwords:
        account = users.find(each.username, REALM)
        made = ha1s(each.username, REALM, each.password)
        assert (account.ha1_md5, account.ha1_sha256) == (made["ha1_md5"], made["ha1_sha256"])
    assert users.find("eve", REALM).ha1_md5 == ha1s("eve", REALM, "secret-1")["ha1_md5"]
    assert len({each.password for each in changed.passwords}) == 2
    Undo(users).undo(changed.step)
    assert users.find("ann", REALM).ha1_md5 == ha1s("ann", REALM, "secret-1")["ha1_md5"]


def test_the_name_behind_a_deleted_account_is_found(database, users, change):
    """Two accounts have one name after the main realm was renamed; the one that names it counts."""
    hidden = users.add("ann", "secret-1")
    database.run(lambda tables: fetch(tables, _NAME_REALM))
    users.reload()
    named = users.find("ann", REALM)
    assert named.id != hidden.id
    change.delete([named.id])
    assert users.find("ann", REALM).id == hidden.id


_NAME_REALM = """
    INSERT INTO users (username, realm, ha1_md5, created_at, updated_at)
    SELECT username, 'example.com', ha1_md5, 1, 1 FROM users
"""


def test_nothing_chosen_changes_nothing(users, change, ids):
    changed = change.delete([999])
    assert (changed.count, changed.step) == (0, 0)
    assert Undo(users).steps() == []


def test_of_many_accounts_only_the_number_is_recorded(users, change):
    ids = [users.add(f"phone{number}", "secret-1").id for number in range(11)]
    assert change.disable(ids).about == "11 users"


def test_the_progress_is_the_number_of_accounts(users, ids, monkeypatch):
    monkeypatch.setattr(bulk_write, "CHUNK", 2)
    done: list[int] = []
    BulkChange(users, "admin", done.append).disable(ids)
    assert done == [2, 1]
