"""MAC addresses of desk phones: spelling, owners, bounds."""

import pytest

from sip.store.database import Database
from sip.store.desk_phones import MAX_PHONES, DeskPhones, PhoneTaken, parse_mac, shown_mac
from sip.store.users import Users

MAC = "001565aabbcc"


@pytest.fixture
def users(tmp_path):
    with Database(str(tmp_path / "sip.db")) as database:
        yield Users(database, "example.com")


@pytest.mark.parametrize("text", ["00:15:65:AA:BB:CC", "00-15-65-aa-bb-cc", " 0015.65aa.bbcc "])
def test_spellings_of_a_mac_address_are_one(text):
    assert parse_mac(text) == MAC
    assert parse_mac(shown_mac(MAC)) == MAC


@pytest.mark.parametrize("text", ["", "00:15:65:aa:bb", MAC + "0", "00156five5", "é" * 12])
def test_other_texts_are_no_mac_address(text):
    with pytest.raises(ValueError, match="12 digits"):
        parse_mac(text)


def test_a_phone_belongs_to_one_user(users):
    alice, bob = users.add("alice", "secret"), users.add("bob", "secret")
    phones = DeskPhones(users.database)
    phones.add(MAC, alice.id)
    phones.add(MAC, alice.id)
    with pytest.raises(PhoneTaken, match="a phone of alice; remove it there first"):
        phones.add(MAC, bob.id)
    assert not phones.remove(MAC, bob.id)
    assert phones.user_of(MAC) == alice.id
    assert phones.remove(MAC, alice.id)
    assert phones.of_user(alice.id) == []


def test_a_phone_stays_while_its_user_can_be_restored(users):
    alice, bob = users.add("alice", "secret"), users.add("bob", "secret")
    phones = DeskPhones(users.database)
    phones.add(MAC, alice.id)
    users.remove("alice")
    assert phones.user_of(MAC) is None
    with pytest.raises(PhoneTaken, match="a deleted user"):
        phones.add(MAC, bob.id)
    users.restore(alice.id)
    assert phones.user_of(MAC) == alice.id
    users.remove("alice")
    users.purge_removed(now=2e10)
    phones.add(MAC, bob.id)
    assert phones.user_of(MAC) == bob.id


def test_the_phones_of_a_user_are_bounded(users):
    alice, phones = users.add("alice", "secret"), DeskPhones(users.database)
    for number in range(MAX_PHONES):
        phones.add(f"{number:012x}", alice.id)
    with pytest.raises(ValueError, match="at most"):
        phones.add(MAC, alice.id)
