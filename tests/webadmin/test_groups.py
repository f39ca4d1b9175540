"""The pages of groups."""

import pytest

from sip.store.groups import Groups
from tests.webadmin.conftest import REALM
from webadmin.groups import PAGE_SIZE

SALES = {
    "name": "sales",
    "members": "alice\r\nbob",
    "strategy": "in_turn",
    "seconds": "15",
    "then": "carol",
    "realm": REALM,
}


@pytest.fixture(autouse=True)
def people(context):
    for name in ("alice", "bob", "carol"):
        context.users.add(name, "secret-1")


def test_a_group_is_added_shown_changed_and_deleted(browser, context):
    assert "There are no groups yet." in browser.get("/groups").words
    page = browser.post("/groups/new", **SALES).location
    shown = browser.get(page)
    assert "The group sales was added." in shown.words
    assert "Attention" not in shown.words
    assert "alice\nbob</textarea>" in shown.text
    assert 'value="in_turn" checked' in shown.text
    assert [shown.value(name) for name in ("name", "seconds", "then")] == ["sales", "15", "carol"]
    assert context.users.find_group("sales", REALM).members == ("alice", "bob")
    row = "sales alice, bob in turn, 15 s each carol"
    assert row in browser.get("/groups").words
    changed = browser.post(page, **{**SALES, "name": "600", "strategy": "all", "members": "bob"})
    assert (changed.status, changed.location) == (303, page)
    assert "600 bob all at once, 15 s carol" in browser.get("/groups").words
    answer = browser.post(f"{page}/remove")
    assert "The group 600 was deleted. Undo" in browser.get(answer.location).words
    assert context.users.find_group("600", REALM) is None
    said = [(entry.text, entry.about) for entry in reversed(context.audit.entries())]
    assert said[1:] == [
        ("group added", "sales: alice, bob; in_turn, 15 s; then carol"),
        ("group changed", "600: bob; all, 15 s; then carol"),
        ("group removed", "600: bob; all, 15 s; then carol"),
    ]


def test_a_deleted_group_can_be_restored(browser, viewer, context):
    page = browser.post("/groups/new", **SALES).location
    after = browser.post(f"{page}/remove").location
    assert "Undo" not in viewer.get(after).words
    assert viewer.post(f"{page}/restore").status == 403
    restored = browser.post(f"{page}/restore")
    assert restored.location == page
    assert "The group sales was restored." in browser.get(page).words
    assert context.users.find_group("sales", REALM).members == ("alice", "bob")
    assert browser.post(f"{page}/restore").status == 409
    assert "Undo" not in browser.get(after).words
    assert browser.get("/groups?removed=%ff").status == 200


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "alice", "alice is the user alice; choose another name."),
        ("name", "a b", "name"),
        ("members", "alice, nobody", "There is no user nobody."),
        ("members", "", "A group needs at least one member."),
        ("strategy", "random", "The strategy is one of all, in_turn."),
        ("seconds", "two", "The seconds of ringing are a number from 3 to 120."),
        ("then", "a b", "is not a name, a number or a SIP address."),
        ("then", "sales", "A group cannot forward to itself."),
        ("realm", 'a"b', "realm"),
    ],
)
def test_a_fault_is_said_at_its_field(browser, context, field, value, sentence):
    """In the form of a new group and, but for the realm, in that of a group which is there."""
    pages = ["/groups/new"]
    if field != "realm":
        pages.append(f"/groups/{Groups(context.users).add('first', ['bob']).id}")
    before = Groups(context.users).list()
    for page in pages:
        answer = browser.post(page, **{**SALES, field: value})
        assert answer.status == 422
        error = answer.text.partition(f'id="{field}-error">')[2].partition("</p>")[0]
        assert sentence.lower() in error.lower()
        assert f"{field}-error" in answer.text.partition(f'id="{field}-error"')[0]
        assert "alice" in answer.text or field == "members", "what was typed stays"
        assert Groups(context.users).list() == before


def test_a_then_that_nobody_has_is_kept_with_a_warning(browser):
    page = browser.post("/groups/new", **{**SALES, "then": "zoe"}).location
    warning = "Attention: there is no user, alias or group zoe; calls cannot be forwarded there."
    assert warning in browser.get(page).words


def test_a_group_that_is_gone_is_404(browser):
    for answer in (
        browser.get("/groups/9"),
        browser.post("/groups/9", **SALES),
        browser.post("/groups/9/remove"),
    ):
        assert answer.status == 404
        assert "There is no such group" in answer.words


def test_a_long_list_has_pages_and_realms(browser, context):
    groups = Groups(context.users)
    for number in range(PAGE_SIZE + 1):
        groups.add(f"{1000 + number}", ["bob"])
    context.users.add("dora", "secret-1", realm="branch.example")
    groups.add("999", ["dora"], "branch.example")
    first, last = (browser.get(f"/groups?page={page}").words for page in (1, 9))
    assert f"{PAGE_SIZE + 2} groups" in first
    assert "Realm" in first
    assert "1000 example.com bob" in first
    assert "999 branch.example dora all at once, 20 s the call ends" in last


def test_a_long_group_is_cut_in_the_list(browser, context):
    names = [f"user{number}" for number in range(9)]
    for name in names:
        context.users.add(name, "secret-1")
    Groups(context.users).add("all", names)
    assert "user0, user1, user2, user3, user4 and 4 more" in browser.get("/groups").words
