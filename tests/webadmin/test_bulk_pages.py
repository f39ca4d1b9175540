"""Changes of many chosen users: ticks over pages, the confirmation, the result, the undo."""

import csv
import io
import logging
import re

import gevent
import pytest

from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD
from webadmin import bulk_jobs, bulk_pages, user_selection
from webadmin.app import build

REALM = "example.com"


@pytest.fixture
def ids(context) -> list[int]:
    """Users of three pages."""
    return [context.users.add(f"phone{n:03}", "secret-1").id for n in range(120)]


def tick(browser, path: str, chosen: list[int], /, **more: str):
    """Send the form of a page with these ticks, as a browser without scripts does."""
    page = browser.get(path)
    return browser.post_pairs(
        more.pop("to", "/users/choose"),
        [("shown", page.value("shown")), *(("id", str(n)) for n in chosen), *more.items()],
    )


def ticked(page) -> list[int]:
    return [int(n) for n in re.findall(r'name="id" value="(\d+)"[^>]* checked', page.text)]


def apply(browser, answer):
    """Press the button of the page that asks for a confirmation."""
    assert answer.status == 303, answer.words
    page = browser.get(answer.location)
    return browser.post(answer.location, number=page.value("number"))


def settled(browser):
    """The page of the change, when it is done."""
    while "<progress" in (page := browser.get("/users/act")).text:
        gevent.sleep(0.01)
    return page


def enabled(context) -> int:
    return sum(account.enabled for account in context.users.list())


def test_ticks_are_kept_over_pages(browser, ids):
    assert tick(browser, "/users", [ids[0], ids[1]]).location == "/users"
    tick(browser, "/users?page=2", [ids[50]])
    page = browser.get("/users")
    assert "3 users chosen" in page.words
    assert ticked(page) == [ids[0], ids[1]]
    assert ticked(browser.get("/users?page=2")) == [ids[50]]
    tick(browser, "/users", [ids[1]])
    assert "2 users chosen" in browser.get("/users?page=3").words
    browser.post("/users/choose", none="yes")
    assert "No user chosen" in browser.get("/users").words


def test_a_tick_by_script_is_answered_with_the_bar_alone(browser, ids):
    answer = browser.send(
        "POST",
        "/users/choose?q=phone",
        f"shown={ids[0]}&id={ids[0]}&total=120".encode(),
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "HX-Request": "true",
            **browser.own_site,
        },
    )
    assert answer.status == 200
    assert answer.text.startswith('<div id="chosen"')
    assert "1 user chosen" in answer.words
    assert "Choose all 120" in answer.words


def test_all_that_match_are_chosen(browser, context, ids):
    context.users.disable("phone001")
    browser.post("/users/choose?status=disabled", all="yes")
    assert "1 user chosen" in browser.get("/users").words
    browser.post("/users/choose?q=phone", all="yes")
    assert "120 users chosen" in browser.get("/users").words


def test_each_session_has_its_own_choice(browser, context, ids):
    tick(browser, "/users", ids[:1])
    other = Browser(build(context))
    other.post("/login", username="admin", password=PASSWORD)
    assert "No user chosen" in other.get("/users").words


def test_a_choice_is_forgotten_after_a_while(browser, clock, ids):
    tick(browser, "/users", ids[:1])
    clock.now += user_selection.MAX_AGE + 1
    assert "No user chosen" in browser.get("/users").words


def test_the_confirmation_names_the_number(browser, context, ids):
    answer = tick(browser, "/users", ids[:12], to="/users/act", act="disable")
    assert answer.location == "/users/act/disable"
    words = browser.get(answer.location).words
    assert "Disable 12 users?" in words
    assert "phone000, phone001" in words
    assert "and 2 more" in words
    assert enabled(context) == 120
    back = apply(browser, answer)
    assert enabled(context) == 108
    page = browser.get(back.location)
    assert "12 users were disabled. Undo" in page.words
    assert "No user chosen" in page.words


def test_a_change_is_undone(browser, context, ids):
    browser.post("/users/choose?q=phone00", all="yes")
    back = apply(browser, browser.post("/users/act?q=phone00", act="delete"))
    assert back.location.startswith("/users?q=phone00&undo=")
    assert len(context.users) == 110
    assert "Recent changes" in browser.get("/users").words
    page = browser.get("/users/undo")
    assert "10 users were deleted. 10 users: phone000, phone001" in page.words
    path = re.search(r'action="(/users/undo/\d+)"', page.text)[1]
    context.users.add("phone009", "other")
    assert browser.post(path).status == 303
    assert len(context.users) == 120
    words = browser.get("/users").words
    assert "Undone: 9 users as before. 1 user stays as it is, because" in words
    assert browser.post(path).status == 409
    assert "There is no change to undo." in browser.get("/users/undo").words


def test_new_passwords_are_shown_once(browser, context, ids, caplog):
    with caplog.at_level(logging.DEBUG):
        apply(browser, tick(browser, "/users", ids[:2], to="/users/act", act="passwords"))
        page = settled(browser)
        text = re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)[1]
        (one, *_, password), (two, *_, other) = list(csv.reader(io.StringIO(text)))[1:]
        assert (one, two) == ("phone000", "phone001")
        assert page.headers["cache-control"] == "no-store, no-transform"
        again = [browser.get(path) for path in ("/users/act", "/audit", "/users", "/users/undo")]
    assert "The new passwords were shown." in again[0].words
    assert "new passwords of users" in again[1].words
    for secret in (password, other):
        assert not any(secret in each.text for each in again)
        assert secret not in caplog.text
    phone = context.users.find("phone000", REALM)
    context.users.set_password("phone000", password)
    assert context.users.find("phone000", REALM).ha1_md5 == phone.ha1_md5


def test_many_new_passwords_are_saved_once_as_a_file(browser, ids, monkeypatch):
    monkeypatch.setattr(bulk_pages, "MAX_SHOWN_PASSWORDS", 2)
    answer = tick(browser, "/users", ids[:3], to="/users/act", act="passwords")
    apply(browser, answer)
    page = settled(browser)
    assert "Save 3 passwords as CSV" in page.words
    assert "After 15 minutes they are removed." in page.words
    refused = tick(browser, "/users", ids[:3], to="/users/act", act="passwords")
    assert "were not shown yet" in apply(browser, refused).words
    number = page.value("number")
    file = browser.post("/users/act/passwords.csv", number=number)
    assert file.text.count("\n") == 4
    assert "attachment" in file.headers["content-disposition"]
    assert browser.post("/users/act/passwords.csv", number=number).status == 409


def test_passwords_that_were_not_shown_are_removed(browser, context, ids, monkeypatch):
    monkeypatch.setattr(bulk_jobs, "MAX_AGE", 0)
    apply(browser, tick(browser, "/users", ids[:1], to="/users/act", act="passwords"))
    gevent.sleep(0.01)
    assert browser.get("/users/act").status == 303


def test_a_choice_that_has_changed_is_not_used(browser, context, ids):
    answer = tick(browser, "/users", ids[:2], to="/users/act", act="delete")
    number = browser.get(answer.location).value("number")
    tick(browser, "/users", ids[:3])
    assert browser.post("/users/act/delete", number=number).status == 409
    assert browser.post("/users/act/delete").status == 409
    assert len(context.users) == 120


def test_odd_forms_change_nothing(browser, context, ids):
    answer = browser.post("/users/act", act="delete")
    assert answer.location == "/users"
    assert "No user is chosen." in browser.get("/users").words
    assert tick(browser, "/users", ids[:1], to="/users/act", act="drop").status == 422
    assert browser.get("/users/act/drop").status == 404
    assert browser.post("/users/act/drop").status == 404
    assert browser.post("/users/undo/99").status == 409
    for nonsense in ("x", "-1", "9" * 5000, "1,2,,x"):
        assert browser.post("/users/choose", shown=nonsense, id=nonsense).status == 303
        assert browser.get(f"/users?undo={nonsense}").status == 200
    assert len(context.users) == 120


def test_a_change_is_one_entry_of_the_audit(browser, context, ids):
    apply(browser, tick(browser, "/users", ids[:2], to="/users/act", act="disable"))
    settled(browser)
    browser.post("/users/undo/1")
    undone, disabled, *_ = context.audit.entries()
    assert (disabled.act, disabled.about) == ("users disabled", "2 users: phone000, phone001")
    assert (undone.act, undone.who) == ("change of users undone", "admin")
    assert undone.about == "users disabled, 2 users: phone000, phone001"


def test_a_change_that_changes_nothing_says_so(browser, ids):
    apply(browser, tick(browser, "/users", ids[:1], to="/users/act", act="enable"))
    assert "No user was changed" in settled(browser).words


def test_a_failed_write_is_told(browser, context, ids):
    answer = tick(browser, "/users", ids[:1], to="/users/act", act="delete")
    number = browser.get(answer.location).value("number")

    def fails(*_: object, **__: object) -> None:
        raise bulk_jobs.DatabaseError("the disk is full")

    context.users.database.run = fails
    browser.post("/users/act/delete", number=number)
    assert "No user was changed: the disk is full." in browser.get("/users/act").words
    del context.users.database.run


def test_chips_show_the_numbers_of_users(browser, context, ids):
    context.users.disable("phone001")
    words = browser.get("/users").words
    assert "All 120 Online 0 Offline 119 Trouble 0 Never 120 Disabled 1" in words
    assert "119 users" in browser.get("/users?status=offline").words
    assert "No user matches." in browser.get("/users?status=trouble").words


def test_columns_are_chosen(browser, ids):
    assert "HA1" in browser.get("/users").words
    answer = browser.post("/users/columns?q=phone", column="state")
    assert answer.location == "/users?q=phone"
    page = browser.get("/users")
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page.text, re.DOTALL)
    assert [re.sub("<.*?>", "", head).split()[0] for head in heads] == ["Choose", "User", "State"]
    browser.post("/users/columns")
    assert '<th scope="col" class="">State' not in browser.get("/users").text
    assert "phone000" in browser.get("/users").words
