"""Pages of registrations: their order, their ids, and their removal."""

from contextlib import closing

import pytest

from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import fetch
from sip.store.registrations import Registrations
from tests.support.cases import cases

NOW = 1_700_000_000


class Phones:
    """A location service that only notes what is removed."""

    def __init__(self) -> None:
        self.removed: list[tuple[str, str, str]] = []

    def remove_contact(self, aor: str, contact: str, flow: str) -> None:
        self.removed.append((aor, contact, flow))


@pytest.fixture
def phones() -> Phones:
    return Phones()


@pytest.fixture
def registrations(database, users, phones) -> Registrations:
    return Registrations(database, users, phones, lambda: NOW)


def row(number: int, contact: str, port: int = 5060, expires_at: int = NOW + 60) -> BindingRow:
    return BindingRow(
        *(number, f"user{number}@example.com", contact, expires_at),
        user_agent="Desk",
        flow=f"UDP/192.0.2.1:5060/192.0.2.7:{port};nat",
        updated_at=NOW,
    )


@pytest.fixture
def save(database):
    def save(*rows: BindingRow, gone=()) -> None:
        with closing(BindingStore(database)) as store:
            store.save(rows, gone, lambda: None, NOW).wait()

    return save


def all_of(registrations: Registrations, limit: int, **which) -> list[list[str]]:
    """The ids of all pages."""
    pages, after = [], None
    while True:
        page = registrations.page(after=after, limit=limit, **which)
        pages.append([each.id for each in page.registrations])
        after = page.next
        if after is None:
            return pages


@pytest.fixture
def many(users, save):
    """Five users with one to five phones, and one expired phone each."""
    numbers = [users.add(f"user{n}", "secret").id for n in range(1, 6)]
    rows = [row(number, f"sip:a{n}@h") for number in numbers for n in range(number)]
    save(*rows, *(row(number, "sip:old@h", expires_at=NOW) for number in numbers))
    return numbers


@cases("limit", [1, 2, 3, 7, 14, 15, 500])
def test_the_pages_have_each_registration_once(many, registrations, limit):
    pages = all_of(registrations, limit)
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    ids = [each for page in pages for each in page]
    accounts = [int(each.partition("-")[0]) for each in ids]
    assert accounts == [5] * 5 + [4] * 4 + [3] * 3 + [2] * 2 + [1]
    assert len(set(ids)) == 15
    assert pages[-1]


def test_the_pages_of_one_user_have_its_phones_alone(many, registrations):
    assert [len(page) for page in all_of(registrations, 2, user_id=3)] == [2, 1]
    assert all_of(registrations, 2, user_id=77) == [[]]


def test_a_page_begins_after_a_registration_that_has_ended(many, registrations, save):
    first = registrations.page(limit=4)
    last = first.registrations[-1]
    save(gone=[(last.user_id, last.contact.contact, last.contact.flow)])
    rest = registrations.page(after=first.next).registrations
    assert len(rest) == 11
    assert not set(rest) & set(first.registrations)


def test_a_registration_has_the_values_of_its_contact(users, registrations, save):
    alice = users.add("alice", "secret")
    save(row(alice.id, "sip:a@192.168.0.2"))
    (found,) = registrations.page().registrations
    assert (found.user_id, found.username, found.realm) == (alice.id, "alice", "example.com")
    contact = found.contact
    assert (contact.shown, contact.host) == ("sip:a@192.168.0.2", "192.0.2.7")
    assert contact.behind_nat


def test_a_refresh_from_another_port_keeps_the_id(users, registrations, save):
    number = users.add("alice", "secret").id
    before, after = row(number, "sip:a@h"), row(number, "sip:a@h", port=6000)
    save(before)
    (id_,) = (each.id for each in registrations.page().registrations)
    save(after, gone=[before.key])
    assert registrations.find(id_).contact.address == "192.0.2.7:6000"


def test_a_registration_is_removed_by_its_id(many, registrations, phones):
    found = registrations.page(limit=1).registrations[0]
    assert registrations.remove(found.id) == found
    contact = found.contact
    assert phones.removed == [(contact.aor, contact.contact, contact.flow)]


@cases("id_", ["", "1", "-", "1-", "x-a", "1-ab", "9" * 30 + "-a", "\u0661-a", "-1-a"])
def test_an_id_of_no_registration_removes_nothing(many, registrations, phones, id_):
    assert registrations.remove(id_) is None
    assert phones.removed == []


def test_a_page_after_no_id_is_an_error(registrations):
    with pytest.raises(ValueError, match="'x' is not the id of a registration"):
        registrations.page(after="x")


def test_a_page_does_not_read_all_registrations(database, many, registrations):
    """It uses the primary key: nothing is scanned or sorted but the rows of a page."""
    from sip.store import registrations as module

    def plan(statement: str, *values: object) -> list[str]:
        query = f"EXPLAIN QUERY PLAN {statement}"
        return [r[-1] for r in database.browse(lambda tables: fetch(tables, query, values))]

    steps = plan(module._USERS, 9, NOW, 3) + plan(module._ROWS, "[1]", NOW)
    assert [step for step in steps if step.startswith("SCAN") and "json_each" not in step] == []
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan(module._USERS, 9, NOW, 3)
