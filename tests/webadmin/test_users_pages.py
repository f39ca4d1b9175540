"""The pages of users: contents, forms and errors."""

import re
from dataclasses import replace
from hashlib import md5

import pytest

from sip.store.bindings import NotSaved
from sip.store.users import Users
from tests.support.cases import cases
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import FLOW

EVIL = "<script>alert('x')</script>\"'&"


def ha1(username: str, password: str) -> str:
    return md5(f"{username}:example.com:{password}".encode()).hexdigest()


def row_of(page: str, username: str) -> str:
    """The words of the table row of one user."""
    for row in re.findall(r"<tr id=.*?</tr>", page, re.DOTALL):
        if f">{username}</a>" in row:
            return " ".join(re.sub(r"<[^>]*>", " ", row).split())
    raise AssertionError(f"no row for {username}")


def test_a_server_without_users_says_how_to_get_some(browser):
    words = browser.get("/users").words
    assert "There are no users yet." in words
    assert "Add the first one" in words


def test_the_list_shows_names_devices_and_addresses(browser, context, bound, clock):
    alice = context.users.add("alice", "secret", display_name="Alice Liddell")
    context.users.add("bob", "secret", realm="branch.example")
    context.users.add("carol", "secret")
    context.users.disable("carol")
    bound(alice)
    clock.now += 120
    page = browser.get("/users").text
    assert row_of(page, "alice") == (
        "alice Alice Liddell online Yealink SIP-T46U 198.51.100.20:61000 example.com 2 min ago"
        " •••• show"
    )
    assert row_of(page, "bob") == "bob offline branch.example never •••• show"
    assert row_of(page, "carol") == "carol disabled example.com never •••• show"


def test_a_phone_can_be_called_while_it_is_registered(browser, context, bound, clock):
    alice, bob = (context.users.add(name, "secret") for name in ("alice", "bob"))
    bound(alice)
    assert f'action="/users/{alice.id}/call"' in browser.get(f"/users/{alice.id}").text
    assert f'action="/users/{bob.id}/call"' not in browser.get(f"/users/{bob.id}").text


def test_a_new_phone_is_told_to_call_the_echo(browser, context):
    """On the first page too; not without the robot."""
    alice = context.users.add("alice", "secret")
    paths = ("/", f"/users/{alice.id}")
    for path in paths:
        assert "Registered? Call echo" in browser.get(path).words
    context.config = replace(context.config, robot=False)
    for path in paths:
        assert "Call echo" not in browser.get(path).words


def test_an_ha1_is_on_no_page_that_did_not_ask_for_it(browser, context):
    alice = context.users.add("alice", "secret")
    for path in ("/", "/users", f"/users/{alice.id}", "/users/export.csv"):
        assert alice.ha1_md5 not in browser.get(path).text
    shown = browser.get(f"/users/{alice.id}/hashes").text
    assert alice.ha1_md5 in shown
    assert alice.ha1_sha256 in shown
    assert alice.ha1_sha512_256 in shown


def test_the_url_holds_what_was_asked(browser, context):
    for number in range(120):
        context.users.add(f"phone{number:03}", "secret", display_name="Hall" if number % 2 else "")
    context.users.disable("phone001")
    first = browser.get("/users").text
    assert "120 users, page 1 of 3" in browser.get("/users").words
    assert ">phone000</a>" in first
    assert ">phone050</a>" not in first
    assert ">phone119</a>" in browser.get("/users?page=3").text
    assert ">phone119</a>" in browser.get("/users?page=99999").text, "past the end is the end"
    assert ">phone119</a>" in browser.get("/users?order=desc").text
    assert "1 user" in browser.get("/users?status=disabled").words
    assert "60 users, page 2 of 2" in browser.get("/users?q=hall&page=2").words
    assert "No user matches." in browser.get("/users?q=hall&realm=elsewhere").words
    for nonsense in (
        "page=0",
        "page=-1",
        "page=x",
        "page=9999999999999",
        "sort=ha1_md5",
        "status=x",
        "order=x",
        "q=%00",
        "q=%ff",
        "realm=%ff",
        "removed=x",
        "removed=²",
    ):
        assert browser.get(f"/users?{nonsense}").status == 200, nonsense


def test_links_keep_the_question(browser, context):
    for number in range(60):
        context.users.add(f"a&b{number}", "secret")
    page = browser.get("/users?q=a%26b&sort=last_seen&order=desc").text
    following = re.search(r'href="([^"]*)" rel="next"', page)[1].replace("&amp;", "&")
    assert following == "/users?q=a%26b&sort=last_seen&order=desc&page=2"
    assert "page 2 of 2" in browser.get(following).words


def test_a_user_is_added_with_a_password_that_is_shown_once(browser, context):
    answer = browser.post(
        "/users/new", username=" alice ", display_name="Alice", realm="example.com", how="make"
    )
    assert answer.status == 303
    page = browser.get(answer.location)
    assert "alice was added. This password is shown only now:" in page.words
    password = re.search(r'readonly value="([^"]+)" aria-label="The password', page.text)[1]
    assert len(password) >= 16
    assert context.users.find("alice", "example.com").ha1_md5 == ha1("alice", password)
    assert password not in browser.get(answer.location).text


def test_a_user_is_added_with_a_password_of_choice(browser, context):
    answer = browser.post(
        "/users/new", username="tür", password="8842", realm="branch.example", how="type",
        display_name="Tür & Tor",
    )  # fmt: skip
    assert answer.status == 303
    account = context.users.find("tür", "branch.example")
    assert account.display_name == "Tür & Tor"
    assert "tür was added." in browser.get(answer.location).words


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("username", "", "cannot be the user name of a SIP URI"),
        ("username", "a b", "cannot be the user name of a SIP URI"),
        ("username", EVIL, "cannot be the user name of a SIP URI"),
        ("username", "x" * 129, "128"),
        ("username", "taken", "already has an account"),
        ("username", "Taken", "only in case"),
        ("password", "", "he password is empty"),
        ("password", "x" * 257, "256"),
        ("realm", 'a"b', "is not a realm"),
        ("display_name", "a\x07b", "is not a display name"),
        ("display_name", "x" * 129, "128"),
    ],
)
def test_an_error_is_beside_its_field_and_the_values_stay(browser, context, field, value, reason):
    context.users.add("taken", "secret")
    typed = {"username": "alice", "password": "secret", "display_name": "Alice", "how": "type",
             "realm": "example.com", field: value}  # fmt: skip
    answer = browser.post("/users/new", **typed)
    assert answer.status == 422
    error = re.search(rf'id="{field}-error">(.*?)</p>', answer.text)[1]
    assert reason in error
    assert re.search(f'aria-describedby="[^"]*{field}-error"', answer.text)
    for other in {"username", "display_name", "realm"} - {field}:
        assert answer.value(other) == typed[other]
    if field not in ("password", "display_name"):
        assert answer.value(field) == value.strip()
    assert "<script>alert" not in answer.text
    assert len(context.users) == 1


def test_the_page_of_a_user_shows_its_phones(browser, context, bound):
    alice = context.users.add("alice", "secret")
    bound(alice)
    bound(alice, "sip:alice@10.0.0.5:5060", 125, flow=FLOW + ";nat", user_agent="")
    bound(alice, "sip:alice@10.0.0.5:5060", 65, flow=FLOW + ";nat;ob=2", user_agent="")
    words = browser.get(f"/users/{alice.id}").words
    first = "Yealink SIP-T46U sip:alice@198.51.100.20:5060 198.51.100.20:61000 UDP 1 h Sign off"
    assert first in words
    second = "unknown sip:alice@10.0.0.5:5060 198.51.100.20:61000 UDP, behind NAT 2 min 5 s"
    second += " Sign off"
    assert second in words
    assert "198.51.100.20:61000 UDP, behind NAT, flow 2 1 min 5 s" in words


def test_one_phone_is_dropped(browser, context, bound):
    alice = context.users.add("alice", "secret")
    bound(alice)
    bound(alice, "sip:alice@10.0.0.5:5060")
    page = browser.get(f"/users/{alice.id}").text
    keys = re.findall(r'name="contact" value="([^"]+)"', page)
    assert len(keys) == 2
    assert browser.post(f"/users/{alice.id}/drop", contact=keys[0]).status == 303
    ((aor, contact, flow),) = context.phones.dropped
    assert aor == "alice@example.com"
    assert contact in ("sip:alice@198.51.100.20:5060", "sip:alice@10.0.0.5:5060")
    assert flow == FLOW
    browser.post(f"/users/{alice.id}/drop", contact="no such contact")
    assert len(context.phones.dropped) == 1


def test_a_failed_drop_of_a_phone_is_reported(browser, context, bound, monkeypatch):
    def fails(*_):
        raise NotSaved("cannot use the database sip.db (disk full): make room and try again")

    alice = context.users.add("alice", "secret")
    bound(alice)
    page = browser.get(f"/users/{alice.id}").text
    (key,) = re.findall(r'name="contact" value="([^"]+)"', page)
    monkeypatch.setattr(context.phones, "remove_contact", fails)
    answer = browser.post(f"/users/{alice.id}/drop", contact=key)
    assert answer.status == 503
    assert "make room and try again" in answer.words


def test_text_from_a_phone_is_shown_as_text(browser, context, bound):
    """A User-Agent and a Contact come from strangers, octets and all."""
    alice = context.users.add("alice", "secret", display_name="Alice <b>")
    bound(alice, contact=f"sip:{EVIL}@h", user_agent=EVIL + "\udcff\x00")
    for path in ("/users", f"/users/{alice.id}", f"/users?q={'<script>'}"):
        answer = browser.get(path)
        assert answer.status == 200
        assert "<script>alert" not in answer.text
        assert "<b>" not in answer.text


def test_a_password_is_changed(browser, context):
    alice = context.users.add("alice", "secret")
    answer = browser.post(f"/users/{alice.id}/password", how="type", password="another")
    assert answer.status == 303
    assert context.users.find("alice", "example.com").ha1_md5 == ha1("alice", "another")
    refused = browser.post(f"/users/{alice.id}/password", how="type", password="")
    assert (refused.status, "he password is empty" in refused.words) == (422, True)
    made = browser.get(browser.post(f"/users/{alice.id}/password", how="make").location)
    password = re.search(r'readonly value="([^"]+)" aria-label="The password', made.text)[1]
    assert context.users.find("alice", "example.com").ha1_md5 == ha1("alice", password)


def test_a_display_name_is_changed(browser, context):
    alice = context.users.add("alice", "secret")
    assert browser.post(f"/users/{alice.id}/name", display_name=" Alice L. ").status == 303
    assert context.users.find("alice", "example.com").display_name == "Alice L."
    refused = browser.post(f"/users/{alice.id}/name", display_name="a\x07b")
    assert (refused.status, "is not a display name" in refused.words) == (422, True)


def test_a_user_is_disabled_and_enabled(browser, context):
    alice = context.users.add("alice", "secret", realm="branch.example")
    answer = browser.post(f"/users/{alice.id}/disable")
    assert "alice is disabled" in browser.get(answer.location).words
    assert not context.users.find("alice", "branch.example").enabled
    browser.post(f"/users/{alice.id}/enable")
    assert context.users.find("alice", "branch.example").enabled


def test_a_deletion_can_be_undone(browser, context):
    alice = context.users.add("alice", "secret", display_name="Alice")
    answer = browser.post(f"/users/{alice.id}/remove")
    assert context.users.find("alice", "example.com") is None
    page = browser.get(answer.location)
    assert "alice was deleted." in page.words
    assert browser.get(f"/users/{alice.id}").status == 404

    back = browser.post(f"/users/{alice.id}/restore")
    assert back.location == f"/users/{alice.id}"
    restored = context.users.find("alice", "example.com")
    assert (restored.id, restored.ha1_md5, restored.display_name) == (
        alice.id, alice.ha1_md5, "Alice",
    )  # fmt: skip
    assert "alice was deleted." not in browser.get(answer.location).words


def test_an_undo_that_comes_too_late_says_so(browser, context):
    alice = context.users.add("alice", "secret")
    browser.post(f"/users/{alice.id}/remove")
    context.users.add("alice", "another")
    answer = browser.post(f"/users/{alice.id}/restore")
    assert answer.status == 409
    assert "alice" in answer.words
    assert browser.post("/users/999/restore").status == 409


@pytest.mark.parametrize("path", ["", "/hashes"])
def test_a_user_that_is_not_there_is_not_there(browser, path):
    for number in ("7", "99999999999999999999", "0"):
        assert browser.get(f"/users/{number}{path}").status == 404
    assert browser.get(f"/users/-1{path}").status == 404


@cases("act", ["name", "password", "enable", "disable", "drop", "remove"])
def test_nothing_can_be_done_to_a_user_that_is_not_there(browser, act):
    answer = browser.post(f"/users/7/{act}", display_name="x", how="make", contact="x")
    assert answer.status == 404


def test_a_change_made_elsewhere_meanwhile_is_no_fault(browser, context):
    """Another process has removed the account; memory is a moment behind."""
    alice = context.users.add("alice", "secret")
    Users(context.users.database, "example.com").remove("alice")
    assert browser.post(f"/users/{alice.id}/disable").status == 404


def test_flash_messages_belong_to_their_session(browser, context, stranger):
    other = Browser(browser.app, address="192.0.2.8")
    other.post("/login", username="admin", password="correct horse battery staple")
    answer = browser.post("/users/new", username="alice", realm="example.com", how="make")
    assert "shown only now" not in other.get(answer.location).words
    assert "shown only now" in browser.get(answer.location).words
