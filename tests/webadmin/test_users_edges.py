"""The account pages where names, realms and moments meet: the right one, and only that one."""

import re
from urllib.parse import quote

import pytest

from sip.store.accounts import NoSuchUser
from sip.store.database import DatabaseError
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD
from webadmin import context as context_module


def chosen(page: str) -> str:
    """Which of the two ways to a password is marked."""
    return re.search(r'name="how" value="(\w+)" checked', page)[1]


def test_the_form_of_a_new_user_begins_with_what_most_want(browser, context):
    page = browser.get("/users/new")
    assert page.value("realm") == "example.com"
    assert chosen(page.text) == "make"


@pytest.mark.parametrize(
    ("typed", "realm"), [("", "example.com"), ("  ", "example.com"), (" b.test ", "b.test")]
)
def test_blanks_around_a_field_are_ignored(browser, context, typed, realm):
    answer = browser.post(
        "/users/new", username=" alice ", realm=typed, display_name=" Alice ", how="make"
    )
    assert answer.status == 303
    assert context.users.find("alice", realm).display_name == "Alice"


def test_a_user_may_be_named_like_a_mail_address(browser, context):
    """RFC 3261 §19.1.2: the page says how each field of a phone wants it."""
    answer = browser.post("/users/new", username="ann@b.test", how="type", password="x", realm="")
    page = browser.get(answer.location)
    assert "User name ann@b.test User name within a SIP address ann%40b.test" in page.words
    assert "Address for callers sip:ann%40b.test@" in page.words
    assert '"ann@b.test"' in browser.get("/audit").words
    assert "ann@b.test" in browser.get("/users?q=nn%40b").words
    plain = context.users.add("ann", "x", "b.test")
    assert "within a SIP address" not in browser.get(f"/users/{plain.id}").words


def test_a_name_is_taken_and_searched_in_nfc(browser, context):
    """RFC 7616 §4: however a keyboard, or a file name, has composed it."""
    decomposed = "jo\u0308rg"
    for status in (303, 422):
        answer = browser.post("/users/new", username=decomposed, how="type", password="x", realm="")
        assert answer.status == status
    assert context.users.find("j\u00f6rg", "example.com").username == "j\u00f6rg"
    assert "j\u00f6rg" in browser.get(f"/users?q={quote(decomposed)}").words


def test_a_password_keeps_its_blanks(browser, context):
    browser.post("/users/new", username="alice", how="type", password=" a b ", realm="")
    kept = context.users.find("alice", "example.com").ha1_md5
    context.users.set_password("alice", " a b ")
    assert context.users.find("alice", "example.com").ha1_md5 == kept


@pytest.mark.parametrize("typed", ["8842", "x" * 500, "\udcff", " "])
def test_a_generated_password_replaces_the_typed_one(browser, context, typed):
    """For a new user and an existing one, even if the typed password is invalid."""
    octets = typed.encode("utf-8", "surrogateescape")
    new = browser.post("/users/new", username="alice", how="make", password=octets)
    number = context.users.find("alice", "example.com").id
    changed = browser.post(f"/users/{number}/password", how="make", password=octets)
    for answer in (new, changed):
        assert answer.status == 303
    page = browser.get(changed.location)
    password = re.search(r'readonly value="([^"]+)" aria-label="The password', page.text)[1]
    assert re.fullmatch(r"(\w{4}\.){3}\w{4}", password)
    kept = context.users.find("alice", "example.com").ha1_md5
    context.users.set_password("alice", password)
    assert context.users.find("alice", "example.com").ha1_md5 == kept


@pytest.mark.parametrize(
    ("method", "headers"), [("HEAD", {}), ("GET", {"Sec-Purpose": "prefetch;prerender"})]
)
def test_a_password_waits_for_a_page_that_is_read(browser, context, method, headers):
    """A HEAD request or a prefetch does not show it."""
    answer = browser.post("/users/new", username="alice", how="make")
    browser.send(method, answer.location, b"", headers)
    assert "shown only now" in browser.get(answer.location).words


@pytest.mark.parametrize(("typed", "is_made"), [("wonder-4711", False), ("", True)])
def test_a_browser_without_scripts_leaves_it_to_the_field(browser, context, typed, is_made):
    """It cannot mark the other way when something is typed, so it sends a third."""
    page = browser.get("/users/new").text
    assert re.search(r'<noscript>.*name="how" value="either" checked.*</noscript>', page)
    answer = browser.post("/users/new", username="alice", how="either", password=typed)
    assert ("shown only now" in browser.get(answer.location).words) == is_made


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Alice1", "is the user name, or similar"),
        ("8842", "has fewer than 6 characters"),
        ("88428842", "has only digits"),
    ],
)
def test_a_weak_password_is_set_with_a_warning(browser, context, password, why):
    new = browser.post("/users/new", username="alice", how="type", password=password)
    said = f"alice was added. The password is weak: it {why}."
    assert said in browser.get(new.location).words
    number = context.users.find("alice", "example.com").id
    changed = browser.post(f"/users/{number}/password", how="type", password=password)
    said = f"The password of alice was changed. The password is weak: it {why}."
    assert said in browser.get(changed.location).words
    browser.post(f"/users/{number}/password", how="type", password="wonder-4711")
    assert "weak" not in browser.get(changed.location).words


def test_an_error_changes_nothing_else_in_the_form(browser, context):
    answer = browser.post("/users/new", username="a b", password="x", how="type", realm="b.test")
    assert answer.status == 422
    assert chosen(answer.text) == "type"
    assert answer.value("password") == "", "a password never comes back"
    again = browser.post("/users/new", username="a b", how="make", realm="b.test")
    assert chosen(again.text) == "make"
    assert re.search(r'username-error">[^<]*#\.<', again.text), "it is a sentence"


def test_an_error_on_the_page_of_a_user_keeps_what_was_typed(browser, context):
    alice = context.users.add("alice", "secret", display_name="Alice")
    name = browser.post(f"/users/{alice.id}/name", display_name="x" * 129)
    assert name.status == 422
    assert name.value("display_name") == "x" * 129
    password = browser.post(f"/users/{alice.id}/password", how="type", password="")
    assert chosen(password.text) == "type"
    assert password.value("display_name") == "Alice"


@pytest.fixture
def namesakes(context):
    """Two users of one name, in two realms: the second one is changed."""
    return context.users.add("alice", "one"), context.users.add(
        "alice", "two", realm="branch.example"
    )


def test_of_two_of_one_name_the_one_that_was_meant_is_changed(browser, context, namesakes):
    other, meant = namesakes
    where = f"/users/{meant.id}"

    def now():
        return context.users.find("alice", "branch.example")

    browser.post(f"{where}/name", display_name="Alice of the branch")
    assert now().display_name == "Alice of the branch"
    browser.post(f"{where}/password", how="type", password="three")
    assert now().ha1_md5 != meant.ha1_md5
    browser.post(f"{where}/disable")
    assert not now().enabled
    browser.post(f"{where}/enable")
    assert now().enabled
    browser.post(f"{where}/remove")
    assert now() is None
    browser.post(f"{where}/restore")
    assert now().display_name == "Alice of the branch"
    assert context.users.find("alice", "example.com") == other


@pytest.mark.parametrize(
    ("act", "method"),
    [
        ("name", "change"),
        ("password", "set_password"),
        ("enable", "change"),
        ("disable", "change"),
        ("remove", "remove"),
    ],
)
def test_a_user_deleted_meanwhile_is_not_found(browser, context, monkeypatch, act, method):
    alice = context.users.add("alice", "secret")

    def gone(*_, **__):
        raise NoSuchUser("there is no user alice in example.com")

    monkeypatch.setattr(context.users, method, gone)
    answer = browser.post(f"/users/{alice.id}/{act}", display_name="x", how="make")
    assert answer.status == 404
    assert "There is no user alice in example.com." in answer.words
    assert "secret" not in answer.words


def test_a_user_deleted_meanwhile_has_no_digests(browser, context, monkeypatch):
    alice = context.users.add("alice", "secret")
    monkeypatch.setattr(context.directory, "hashes", lambda number: None)
    assert browser.get(f"/users/{alice.id}/hashes").status == 200


def test_each_act_reports_its_result(browser, context):
    alice = context.users.add("alice", "secret")

    def said(act: str, **fields: str) -> str:
        return browser.get(browser.post(f"/users/{alice.id}/{act}", **fields).location).words

    assert "The display name of alice was changed." in said("name", display_name="Alice")
    assert "The password of alice was changed." in said("password", how="type", password="x")
    assert "alice has a new password. It is shown only now:" in said("password", how="make")
    assert "alice is disabled: its phones are refused" in said("disable")
    assert "alice is enabled: its phones can register again." in said("enable")
    assert "The phone is signed off." in said("drop", contact="x")
    assert "alice was deleted." in said("remove")
    assert "alice was restored. Its phones will register again." in said("restore")
    assert "is back" not in browser.get(f"/users/{alice.id}").words, "it is said once"


def test_an_unread_flash_message_is_removed_in_the_end(browser, context, monkeypatch):
    monkeypatch.setattr(context_module, "_MAX_FLASHES", 2)
    others = [Browser(browser.app), Browser(browser.app)]
    for other in others:
        other.post("/login", username="admin", password=PASSWORD)
    alice = context.users.add("alice", "secret")
    for window in (browser, *others):
        window.post(f"/users/{alice.id}/disable")
    told = [
        "is disabled: its phones are refused," in w.get(f"/users/{alice.id}").words
        for w in (browser, *others)
    ]
    assert told == [False, True, True]


def test_searches_take_what_people_type(browser, context):
    context.users.add("alice", "secret", display_name="Tür")
    context.users.add("bob", "secret", realm="büro.example")
    assert ">alice</a>" in browser.get("/users?q=t%C3%BCr").text
    assert ">alice</a>" in browser.get("/users?q=%20%20ALICE%20").text
    only_bob = browser.get("/users?realm=b%C3%BCro.example").text
    assert ">bob</a>" in only_bob
    assert ">alice</a>" not in only_bob
    assert "2 users" in browser.get("/users?q=&status=&realm=").words, "a form sends all its fields"
    assert browser.get(f"/users?q={'y' * 150}").value("q") == "y" * 100


@pytest.mark.parametrize(
    "nonsense",
    [
        "removed=1x",
        "removed=1%0A",
        "removed=99999999999999999999",
        f"page={'9' * 5000}",
        "page=%D9%A1",
        "sort=username%20DESC--",
        "q=%22%22%22",
        "q=NEAR(a%20b)",
        "q=%25_%5C",
        "q=*",
        "status=online&status=offline",
        "realm=%22%3E&q=%22%3E",
    ],
)
def test_invalid_values_in_a_url_do_no_harm(browser, context, nonsense):
    context.users.add("alice", "secret")
    assert browser.get(f"/users?{nonsense}").status == 200


def test_a_number_that_no_user_can_have_is_none(browser):
    for number in ("9" * 18, "9" * 20, "9" * 3000):
        assert browser.get(f"/users/{number}").status == 404
        assert browser.post(f"/users/{number}/remove").status == 404
        assert browser.post(f"/users/{number}/restore").status in (404, 409)


def links(page: str) -> list[str]:
    return [link.replace("&amp;", "&") for link in re.findall(r'href="(/users\?[^"]*)"', page)]


def test_a_column_sorts_in_its_default_order_then_reversed(browser, context):
    context.users.add("alice", "secret")
    heads = browser.get("/users").text.partition("<thead>")[2]
    assert links(heads) == [
        "/users?order=desc",
        "/users?sort=display_name",
        "/users?sort=state",
        "/users?sort=last_seen&order=desc",
    ]
    assert "/users?sort=last_seen" in links(browser.get("/users?sort=last_seen&order=desc").text)
    page = browser.get("/users?order=desc").text
    assert 'aria-sort="descending"' in page
    assert '<a href="/users">User name' in page, "the way back"


def test_links_keep_every_part_of_the_question(browser, context):
    for number in range(60):
        context.users.add(f"a{number}", "secret", realm="b.test")
    asked = "q=a&status=offline&realm=b.test"
    page = browser.get(f"/users?{asked}").text
    assert f"/users?{asked}&page=2" in links(page)
    assert f"/users?{asked}&order=desc" in links(page)
    assert f'hx-get="/users?{asked}&page=1"'.replace("&", "&amp;") in page, "also the refresh"


@pytest.mark.parametrize("text", ['"><i x', "' onfocus=x '", "&quot;", "%22%3E", "a{{7*7}}"])
def test_nothing_in_a_url_gets_out_of_its_attribute(browser, context, text):
    context.users.add("alice", "secret", display_name=text)
    for name in ("q", "realm", "status", "sort", "order", "page", "removed"):
        page = browser.get(f"/users?{name}={quote(text)}").text
        assert "<i x" not in page
        assert "' onfocus" not in page
        assert "49" not in re.sub(r"[0-9a-f]{12}", "", page)
    assert "<i x" not in browser.get(f"/login?next=/{quote(text)}").text
    assert "<i x" not in browser.get(f"/{quote(text)}").text


def test_a_name_is_shown_as_it_is_however_odd(browser, context):
    for name in ("..", "?", "#", "a/b;c,d", "&amp;", "o'neil"):
        account = context.users.add(name, "secret")
        assert name in browser.get(f"/users/{account.id}").words
        answer = browser.post(f"/users/{account.id}/disable")
        assert f"{name} is disabled" in browser.get(answer.location).words


def test_a_failed_database_write_is_reported_on_the_page(browser, context, monkeypatch):
    alice = context.users.add("alice", "secret")

    def fails(*_, **__):
        raise DatabaseError("cannot write to the database sip.db")

    for method in ("change", "set_password", "remove"):
        monkeypatch.setattr(context.users, method, fails)
    for act in ("enable", "password", "remove", "name"):
        answer = browser.post(f"/users/{alice.id}/{act}", how="make", display_name="x")
        assert answer.status == 503
        assert "cannot write to the database" in answer.words
