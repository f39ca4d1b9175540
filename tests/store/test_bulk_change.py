"""Changes of many chosen accounts."""

import unicodedata

import pytest

from sip.store import pieces
from sip.store.accounts import AccountsRemoved, CredentialsChanged, ha1s
from sip.store.bulk_change import BulkChange
from sip.store.call_changes import change_call_settings
from sip.store.call_settings import CallSettings
from sip.store.database import fetch
from sip.store.desk_phones import DeskPhones, PhoneTaken
from sip.store.groups import Groups
from sip.store.undo import Undo
from sip.store.users import Users
from tests.support.account_events import listen

REALM = "example.com"


@pytest.fixture(params=["few", "many"])
def change(users, request, monkeypatch) -> BulkChange:
    """Many accounts are changed in pieces, here of one account."""
    if request.param == "many":
        for name in ("FIRST_ROWS", "MIN_ROWS", "MAX_ROWS"):
            monkeypatch.setattr(pieces, name, 1)
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
    monkeypatch.setattr(pieces, "FIRST_ROWS", 2)
    monkeypatch.setattr(pieces, "MAX_ROWS", 2)
    done: list[int] = []
    BulkChange(users, "admin", done.append).disable(ids)
    assert done == [2, 1]


@pytest.fixture
def called(users, ids) -> list[int]:
    """Accounts with aliases, forwarding, a place in a group, and a desk phone."""
    settings = {"aliases": ["201", "desk", "ünn"], "busy": "eve", "no_answer_seconds": 30}
    change_call_settings(users, "ann", settings)
    change_call_settings(users, "bob", {"dnd": True, "aliases": ["202"]})
    Groups(users).add("sales", ["ann", "eve"])
    DeskPhones(users.database).add("001565aabbcc", ids[0])
    return ids


def settings_of(users: Users) -> dict[str, CallSettings | None]:
    """What memory says, and a reload does not change."""
    known = {account.username: account.call_settings for account in users.list()}
    assert known == {name: users.find(name, REALM).call_settings for name in known}
    return known


@pytest.mark.parametrize("act", ["disable", "set_passwords"])
def test_other_changes_keep_call_settings(users, change, called, act):
    before = settings_of(users)
    changed = getattr(change, act)(called)
    assert settings_of(users) == before
    assert users.find("201", REALM).username == "ann"
    Undo(users).undo(changed.step)
    assert settings_of(users) == before
    assert users.find("201", REALM).username == "ann"


def test_the_aliases_of_deleted_accounts_are_free(users, change, called):
    changed = change.delete(called[:2])
    assert users.find("201", REALM) is None
    assert users.find_group("sales", REALM).members == ("eve",)
    count = "SELECT (SELECT count(*) FROM aliases) + (SELECT count(*) FROM call_settings)"
    assert users.database.read(lambda tables: fetch(tables, count)) == [(0,)]
    change_call_settings(users, "eve", {"aliases": ["201"]})
    Undo(users).undo(changed.step)
    assert users.find("201", REALM).username == "eve"
    assert users.find("ünn", REALM).call_settings.no_answer_seconds == 30


def test_undo_of_a_deletion_restores_call_settings(users, change, called):
    before = settings_of(users)
    step = change.delete(called).step
    phones = DeskPhones(users.database)
    with pytest.raises(PhoneTaken):
        phones.add("001565aabbcc", users.add("new", "secret-1").id)
    assert Undo(users).undo(step).undone == 3
    assert users.find_group("sales", REALM).members == ("ann", "eve")
    users.remove("new")
    assert settings_of(users) == before
    assert users.find("ünn", REALM).username == "ann"
    assert phones.of_user(called[0]) == ["001565aabbcc"]


@pytest.mark.parametrize("name", ["201", "Desk", "ünn"])
@pytest.mark.parametrize("holder", ["user", "old user", "alias", "group"])
def test_a_taken_alias_stays_with_its_holder(users, change, called, name, holder):
    """An old user may have its name in another Unicode form than NFC."""
    step = change.delete(called[:2]).step
    if holder == "alias":
        change_call_settings(users, "eve", {"aliases": [name]})
    elif holder == "group":
        Groups(users).add(name, ["eve"])
    else:
        users.add(name, "secret-2")
    if holder == "old user":
        rename = "UPDATE users SET username = ? WHERE username = ?"
        form = unicodedata.normalize("NFD", name)
        users.database.run(lambda tables: fetch(tables, rename, (form, name)))
        users.reload()
    assert Undo(users).undo(step).undone == 2
    left = {"201", "desk", "ünn"} - {name.lower()}
    assert set(settings_of(users)["ann"].aliases) == left
    assert settings_of(users)["bob"].aliases == ("202",)
    assert (users.find_group(name, REALM) is not None) == (holder == "group")


def test_one_deleted_account_gets_its_call_settings_back(users, change, called):
    before = settings_of(users)
    change.delete(called)
    for number in called:
        users.restore(number)
    assert settings_of(users) == before
