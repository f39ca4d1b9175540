"""Return links from a user to the list before: its search, filter, order and page."""

import html
import re

import pytest

ASKED = "q=a%26b&status=offline&realm=b.test&sort=last_seen&order=desc&page=2"


@pytest.fixture
def many(context):
    """More users than one page of that list has."""
    for number in range(60):
        context.users.add(f"a&b{number}", "secret", realm="b.test")


def paths(page: str, attribute: str) -> set[str]:
    """Where links, or forms, of a page lead."""
    return {html.unescape(each) for each in re.findall(rf' {attribute}="([^"]*)"', page)}


def test_a_user_is_shown_with_the_way_back(browser, many):
    page = browser.get(f"/users?{ASKED}").text
    (link,) = [each for each in paths(page, "href") if re.match(r"/users/1\?", each)]
    assert link == f"/users/1?{ASKED}"
    page = browser.get(link).text
    assert f"/users?{ASKED}" in paths(page, "href")
    assert "Back to the list" in page
    assert f"/users/1?{ASKED}" in paths(page, "hx-get"), "the refresh keeps it too"


def test_forms_of_a_user_keep_the_link_back_to_the_list(browser, many):
    page = browser.get(f"/users/1?{ASKED}").text
    acts = {each for each in paths(page, "action") if each.startswith("/users/1/")}
    names = ("name", "calls", "password", "disable", "remove")
    assert acts == {f"/users/1/{act}?{ASKED}" for act in names}
    said_by = {"name": "was changed", "calls": "were changed", "password": "shown only now"}
    for act, said in [*said_by.items(), ("disable", "is")]:
        answer = browser.post(f"/users/1/{act}?{ASKED}", display_name="Ann", how="make")
        if act == "password":  # its page shows how to set up the phone
            assert answer.location.startswith(f"/users/1/setup?{ASKED}&since=")
        else:
            assert answer.location == f"/users/1?{ASKED}"
        page = browser.get(answer.location)
        assert said in page.words
        back = f"/users/1?{ASKED}" if act == "password" else f"/users?{ASKED}"
        assert back in paths(page.text, "href")
    refused = browser.post(f"/users/1/password?{ASKED}", how="type", password="")
    assert f"/users?{ASKED}" in paths(refused.text, "href")


def test_a_deletion_and_its_undo_keep_the_way_back(browser, many):
    answer = browser.post(f"/users/1/remove?{ASKED}")
    assert answer.location == f"/users?{ASKED}&removed=1"
    page = browser.get(answer.location).text
    assert "page 2 of 2" in page
    assert f"/users/1/restore?{ASKED}" in paths(page, "action")
    answer = browser.post(f"/users/1/restore?{ASKED}")
    assert answer.location == f"/users/1?{ASKED}"


def test_a_new_user_and_the_hashes_keep_the_way_back(browser, many):
    page = browser.get(f"/users?{ASKED}").text
    assert f"/users/new?{ASKED}" in paths(page, "href")
    page = browser.get(f"/users/new?{ASKED}").text
    assert f"/users?{ASKED}" in paths(page, "href")
    assert f"/users/new?{ASKED}" in paths(page, "action")
    answer = browser.post(f"/users/new?{ASKED}", username="new", how="make")
    assert re.fullmatch(rf"/users/\d+/setup\?{re.escape(ASKED)}&since=\d+", answer.location)
    back = re.sub("/setup|&since=.*", "", answer.location)
    assert back in paths(browser.get(answer.location).text, "href")
    assert f"/users/1/hashes?{ASKED}" in paths(browser.get(f"/users?{ASKED}").text, "href")
    assert f"/users/1?{ASKED}" in paths(browser.get(f"/users/1/hashes?{ASKED}").text, "href")


def test_a_user_that_is_gone_leaves_the_way_back(browser, many):
    browser.post("/users/1/remove")
    for answer in (browser.get(f"/users/1?{ASKED}"), browser.post(f"/users/1/name?{ASKED}")):
        assert answer.status == 404
        assert f"/users?{ASKED}" in paths(answer.text, "href")


def test_a_whole_list_needs_no_query(browser, many):
    page = browser.get("/users/1").text
    assert "/users" in paths(page, "href")
    assert "Back to all users" in page
    assert "/users/1/name" in paths(page, "action")
    assert browser.post("/users/1/remove").location == "/users?removed=1"


@pytest.mark.parametrize(
    "trap", ["q=%22%3E%3Cscript%3E", "next=//evil.example", "page=x&status=x&sort=x", "q=%ff"]
)
def test_no_query_leads_anywhere_else(browser, many, trap):
    """Only known parameters come back, and escaped."""
    page = browser.get(f"/users/1?{trap}").text
    assert "<script>" not in page
    assert "evil" not in page
    back = [each for each in paths(page, "href") if re.fullmatch(r"/users(\?.*)?", each)]
    assert set(back) <= {"/users", "/users?q=%22%3E%3Cscript%3E", "/users?q=%EF%BF%BD"}
