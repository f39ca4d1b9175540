"""The index from Contacts to addresses-of-record: look-ups and bounds."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.registrar import contact_index as module
from sip.core.registrar.contact_index import ContactIndex, contact_key, key_of_text
from sip.message.grammar import BadMessage
from sip.message.uri import is_same_contact, parse_uri
from tests.support.strategies import nearly_valid

CONTACTS = [f"sip:{user}192.0.2.{n}:5060" for user in ("", "x@", "bob@") for n in range(3)]
changes = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from(CONTACTS), max_size=3, unique=True)),
    max_size=20,
)


def at(index: ContactIndex, contact: str) -> tuple[str, ...]:
    return index.at(contact_key(parse_uri(contact)))


@given(changes, st.sampled_from([1, 2, 1 << 16]))
def test_every_bound_contact_is_found(changes: list[tuple[str, list[str]]], slots: int):
    """With any number of Contacts in a slot, added and removed in any order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLOTS", slots)
        index, known = ContactIndex(), defaultdict[str, list[str]](list)
        for aor, contacts in changes:
            index.update(aor, known[aor], contacts)
            known[aor] = contacts
        for contact in CONTACTS:
            found = at(index, contact)
            assert {aor for aor in known if contact in known[aor]} <= set(found)
            assert len(set(found)) == len(found)
        for aor in known:
            index.update(aor, known[aor], [])
        assert not any(index._slots)


def test_the_latest_comes_first():
    """A refresh of the same Contact changes nothing."""
    index = ContactIndex()
    for aor in ("first", "second", "third"):
        index.update(aor, [], ["sip:x@h"])
    index.update("first", ["sip:x@h"], ["sip:x@h;a=b"])
    assert at(index, "sip:x@h") == ("third", "second", "first")
    index.update("second", ["sip:x@h"], ["sip:y@h"])
    assert at(index, "sip:x@h") == ("third", "first")


def test_a_slot_has_a_bound(monkeypatch: pytest.MonkeyPatch):
    """The latest stay; removing one that was pushed out is no error."""
    monkeypatch.setattr(module, "MAX_AT_SLOT", 3)
    index = ContactIndex()
    for number in range(10):
        index.update(f"user{number}", [], ["sip:192.168.1.20"])
    assert at(index, "sip:192.168.1.20") == ("user9", "user8", "user7")
    for number in range(10):
        index.update(f"user{number}", ["sip:192.168.1.20"], [])
    assert at(index, "sip:192.168.1.20") == ()


ONE_CONTACT = (
    "sip:bob@192.0.2.7:5060",
    "SIP:%62ob@192.0.2.7:05060;transport=UDP",
    "sip:bob@192.0.2.7:5060;ob;a=b",
    "sip:h",
    "sip:H;transport=udp",
    "sip:bob@[2001:DB8::7]",
    "sip:b%6Fb@[2001:db8:0::7];x",
    "sip:1.2.3.4@h",
    "sip:bob@1.2.3.4.example",
    "sip:bob:pw@192.0.2.7?a=b",
    "tel:+1-555",
    "mailto:bob@h",
)
contacts = nearly_valid(ONE_CONTACT)


@given(contacts, contacts)
def test_equal_contacts_have_one_key(one: str, other: str):
    """§19.1.4: else the one would not be found by the other.  At a glance it is the same key."""
    try:
        first, second = parse_uri(one), parse_uri(other)
    except BadMessage:
        return
    assert key_of_text(one) == contact_key(first)
    if is_same_contact(first, second):
        assert contact_key(first) == contact_key(second)
        assert is_same_contact(second, first)
