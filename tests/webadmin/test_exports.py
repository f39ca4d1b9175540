"""The export has what the list shows: by its search, state and realm."""

import csv
import io

import pytest

from sip.store.audit import Act
from tests.support.cases import cases


@pytest.fixture
def filled(context):
    """Four users, in two realms."""
    context.users.add("alice", "secret-1", display_name="Alice Liddell")
    context.users.add("albert", "secret-1", "branch.example")
    context.users.add("bob", "secret-1", display_name="Alice's rabbit")
    context.users.add("carl", "secret-1", enabled=False)
    return context


def names(answer) -> list[str]:
    return [row["username"] for row in csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig")))]


@cases(
    ("query", "expected"),
    [
        ("", ["alice", "albert", "bob", "carl"]),
        ("q=alice", ["alice", "bob"]),
        ("q=al", ["alice", "albert", "bob"]),
        ("status=disabled", ["carl"]),
        ("state=offline,disabled&realm=example.com", ["alice", "bob", "carl"]),
        ("status=never&q=alb&realm=branch.example", ["albert"]),
        ("realm=branch.example&sort=last_seen&order=desc&page=7", ["albert"]),
        ("q=nobody", []),
        ("status=trouble", []),
    ],
)
def test_the_filters_of_the_list_choose_the_rows(browser, filled, query, expected):
    answer = browser.get(f"/users/export.csv?{query}")
    assert answer.status == 200
    assert names(answer) == expected


def test_an_unknown_state_exports_nothing(browser, filled):
    assert browser.get("/users/export.csv?status=nonsense").status == 400


def test_the_list_links_to_its_own_export(browser, filled):
    page = browser.get("/users?q=alice&status=offline").text
    assert 'href="/users/export.csv?q=alice&amp;status=offline"' in page
    assert 'href="/users/export.csv?q=alice&amp;status=offline&amp;hashes=yes"' in page
    assert 'href="/users/export.csv?hashes=yes"' in browser.get("/users").text


def test_the_audit_has_the_filters(browser, filled):
    answer = browser.get("/users/export.csv?q=alice&hashes=yes")
    assert "no-transform" in answer.headers["cache-control"]
    entry = filled.audit.entries()[0]
    assert (entry.act, entry.about) == (Act.EXPORTED, "with HA1s, 2 found by alice")
