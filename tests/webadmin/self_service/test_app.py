"""The page /me: own data alone, sign-in limited with the guard, sessions that end."""

import re
from contextlib import closing

import pytest

from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from sip.store.audit import Act
from sip.store.bindings import BindingRow, BindingStore
from sip.store.call_changes import change_call_settings
from sip.store.call_settings import CallSettings
from sip.store.database import fetch
from tests.support.wsgi_browser import Browser
from webadmin.self_service.sessions import MAX_OF_ACCOUNT, SESSION_SECONDS, UserSessions
from webadmin.sign_in_limits import MAX_TRIES

PASSWORD = "k7mq.x2hf"


@pytest.fixture
def alice(context):
    context.users.add("bob", "other password", display_name="Bob")
    return context.users.add("alice", PASSWORD, display_name="Alice")


@pytest.fixture
def own(context, stranger, alice):
    """A browser in which alice is signed in."""
    answer = sign_in(stranger)
    assert (answer.status, answer.location) == (303, "/me")
    return stranger


def sign_in(browser, username="alice", password=PASSWORD, **fields):
    return browser.post("/me/login", username=username, password=password, **fields)


def bind(context, clock, account, host):
    row = BindingRow(
        user_id=account.id,
        aor=f"{account.username}@example.com",
        contact=f"sip:{account.username}@{host}",
        expires_at=int(clock.now) + 600,
        updated_at=int(clock.now),
        user_agent=f"phone of {account.username}",
        flow=f"UDP/192.0.2.1:5060/{host}:61000",
    )
    with closing(BindingStore(context.users.database, window=0)) as store:
        store.save([row], [], lambda: None, int(clock.now)).wait()
    (contact,) = context.directory.entry(account.id).contacts
    return contact


def test_a_user_sees_its_own_phones_alone(context, clock, own, alice):
    bob = context.users.find("bob", "example.com")
    bind(context, clock, alice, "198.51.100.1")
    foreign = bind(context, clock, bob, "198.51.100.2")
    page = own.get("/me")
    assert "phone of alice" in page.words
    assert not {"phone of bob", "198.51.100.2", "Bob"} & set(re.split("[<>]", page.text))
    own.post("/me/phones/drop", contact=foreign.key)
    assert context.phones.dropped == []
    assert "not registered any more" in own.get("/me").words


def test_a_user_signs_a_phone_off(context, clock, own, alice):
    contact = bind(context, clock, alice, "198.51.100.1")
    own.post("/me/phones/drop", contact=contact.key)
    assert context.phones.dropped == [(contact.aor, contact.contact, contact.flow)]
    assert "The phone is signed off" in own.get("/me").words
    entry = context.audit.entries()[0]
    assert (entry.who, entry.act, entry.about) == ("", Act.OWN_PHONE, "alice, on /me")


def test_wrong_unknown_and_disabled_look_alike(context, stranger, alice):
    context.users.disable("bob")
    answers = [
        sign_in(stranger, password="wrong"),
        sign_in(stranger, username="carol"),
        sign_in(stranger, username="bob", password="other password"),
    ]
    pages = {re.sub(r'value="\w*"', "", each.text) for each in answers}
    assert {each.status for each in answers} == {403}
    assert len(pages) == 1
    assert "The user name or the password is wrong." in answers[0].words


def test_guesses_count_with_those_of_phones(context, stranger, alice):
    for _ in range(MAX_FAILURES_OF_USER):
        assert sign_in(stranger, password="wrong").status == 403
    assert sign_in(stranger).status == 429, "the right password, too"
    (login,) = context.guard.blocked_logins()
    assert (login.username, login.address) == ("alice", stranger.address)
    may_try = context.guard.may_try_password
    assert not may_try(stranger.address, "alice", "example.com", nonce_is_ours=True)
    assert sign_in(Browser(stranger.app, address="192.0.2.99")).status == 303


def test_failures_of_phones_block_the_page(context, stranger, alice):
    for _ in range(MAX_FAILURES_OF_USER):
        context.guard.login_failed(stranger.address, "alice", nonce_is_ours=True)
    assert sign_in(stranger).status == 429


def test_a_proxy_on_this_machine_is_limited_and_not_banned(context, stranger, alice):
    proxied = Browser(stranger.app, address="127.0.0.1")
    for number in range(MAX_TRIES):
        assert sign_in(proxied, username=f"user{number}").status == 403
    answer = sign_in(proxied)
    assert (answer.status, "retry-after" in answer.headers) == (429, True)
    assert context.guard.blocked_logins() == []


def test_a_right_password_gives_a_guesser_no_more_tries(stranger, alice):
    proxied = Browser(stranger.app, address="127.0.0.1")
    for _ in range(MAX_TRIES - 1):
        sign_in(proxied, username="bob", password="wrong")
    assert sign_in(proxied).status == 303
    assert sign_in(proxied, username="bob", password="wrong").status == 403
    assert sign_in(proxied).status == 429


@pytest.mark.parametrize("text", ["\udcff", "x" * 5000, "\0", "", "' OR 1=1 --"])
def test_odd_names_and_passwords_are_just_wrong(stranger, alice, text):
    body = f"username={'%ff' if text == chr(0xDCFF) else text}&password=x".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", **stranger.own_site}
    assert stranger.send("POST", "/me/login", body, headers).status in (400, 403)
    if text != "\udcff":
        assert sign_in(stranger, password=text).status == 403


def test_a_user_opens_no_page_of_administrators(own):
    (cookie,) = own.cookies.values()
    assert "Path=/;" in own.cookie_lines[-1], "for /phone, too"
    assert "HttpOnly" in own.cookie_lines[-1]
    for path in ("/", "/users", "/users/1", "/users/1/setup", "/settings", "/audit"):
        assert own.get(path).location.startswith("/login")
    own.cookies["sipserver_session"] = cookie
    assert own.get("/users").status == 303
    assert own.post("/users/1/password", how="make").status in (303, 403)
    assert own.get("/api/v1/users").status == 401


def test_an_administrator_is_no_user(browser, alice):
    assert "Use the user name and the password of your phone." in browser.get("/me").words
    browser.cookies["sipserver_me"] = browser.cookies["sipserver_session"]
    assert "Your session has ended" in browser.get("/me").words


@pytest.mark.parametrize("end", ["disable", "remove", "password"])
def test_a_session_ends_with_the_access(context, own, alice, end):
    users = context.users
    if end == "password":
        users.set_password("alice", "another one")
    else:
        getattr(users, end)("alice")
    assert "Your session has ended. Sign in again." in own.get("/me").words
    assert own.post("/me/phones/drop", contact="1").location == "/me"


def test_a_session_ends_by_time_and_by_signing_out(clock, own, stranger):
    clock.now += SESSION_SECONDS
    assert "Your session has ended" in own.get("/me").words
    sign_in(own)
    kept = dict(own.cookies)
    own.post("/me/logout")
    own.cookies = kept
    assert "Your session has ended" in own.get("/me").words


def test_a_password_is_changed_with_the_old_one(context, own, alice):
    other = Browser(own.app)
    sign_in(other)
    before = context.users.find("alice", "example.com").ha1_md5
    for fields, said in [
        ({"current": "wrong", "password": "n3w.pass", "again": "n3w.pass"}, "password is wrong"),
        ({"current": PASSWORD, "password": "n3w.pass", "again": "n3w"}, "are not the same"),
        ({"current": PASSWORD, "password": "", "again": ""}, "password is empty"),
    ]:
        answer = own.post("/me/password", **fields)
        assert (answer.status, said in answer.words) == (422, True)
    assert context.users.find("alice", "example.com").ha1_md5 == before
    own.post("/me/password", current=PASSWORD, password="alice1", again="alice1")
    page = own.get("/me").words
    assert "The password was changed. Type it into your phones, too." in page
    assert "The password is weak: it is the user name, or similar." in page
    assert "Your session has ended" in other.get("/me").words
    assert context.audit.entries()[0].act == Act.OWN_PASSWORD
    assert sign_in(other, password="alice1").status == 303


def test_a_user_changes_forwarding_and_dnd(context, own, alice):
    change_call_settings(context.users, "alice", {"aliases": ["101"]})
    fields = {"dnd": "on", "busy": " bob ", "offline": "ann@example.org", "aliases": "bob1"}
    assert own.post("/me/calls", **fields, no_answer="carol", no_answer_seconds="30").status == 303
    assert context.users.find("alice", "example.com").call_settings == CallSettings(
        ("101",), True, "", "bob", "carol", 30, "sip:ann@example.org"
    )
    page = own.get("/me")
    said = "Saved. There is no user or group carol: calls that are forwarded there fail."
    assert said in page.words
    assert "You are also called by 101." in page.words
    assert (page.value("busy"), page.value("no_answer_seconds")) == ("bob", "30")
    entry = context.audit.entries()[0]
    changes = "busy bob, no_answer carol, offline sip:ann@example.org, no_answer_seconds 30, dnd on"
    assert (entry.who, entry.act) == ("", Act.USER_CALLS)
    assert entry.about == f"alice, on /me: {changes}"
    own.post("/me/calls", no_answer_seconds="")
    assert context.users.find("alice", "example.com").call_settings == CallSettings(("101",))
    own.post("/me/calls", no_answer_seconds="20")
    assert len([each for each in context.audit.entries() if each.act == Act.USER_CALLS]) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("always", "alice"),
        ("busy", "not one name"),
        ("no_answer", "sip:<b>@h@"),
        ("offline", "x" * 256),
        ("no_answer_seconds", "2"),
        ("no_answer_seconds", "0" * 9 + "9" * 5000),
    ],
)
def test_a_bad_forwarding_is_refused_at_its_field(context, own, alice, field, value):
    answer = own.post("/me/calls", **{"dnd": "on", field: value})
    assert answer.status == 422
    assert f'id="{field}-error"' in answer.text
    assert answer.value(field) == value, "to correct it"
    assert 'name="dnd" value="on" checked' in answer.text
    assert context.users.find("alice", "example.com").call_settings is None
    assert Act.USER_CALLS not in [each.act for each in context.audit.entries()]


def test_an_alias_of_another_user_is_for_the_admins(context, own, alice):
    """Names can collide when the main realm is renamed."""
    change_call_settings(context.users, "alice", {"aliases": ["101"]})
    rename = "UPDATE users SET username = '101' WHERE username = 'bob'"
    context.users.database.run(lambda tables: fetch(tables, rename))
    answer = own.post("/me/calls", dnd="on")
    assert answer.status == 422
    assert "An administrator has to change your aliases first: 101 is the user 101" in answer.words


def test_forms_of_other_sites_are_refused(own):
    own.own_site = {"Sec-Fetch-Site": "cross-site"}
    for path in ("login", "logout", "phones/drop", "password", "calls"):
        assert own.post(f"/me/{path}", username="alice").status == 403
    assert own.post("/me/password", text="x" * 200_000).status in (403, 413)


def test_the_page_has_the_strict_headers(own):
    headers = own.get("/me").headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["cache-control"] == "no-store"
    assert own.get("/me/other").status == 404
    assert own.get("/me/login").status == 405
    assert own.get("/menu").location.startswith("/login"), "no page of /me"


def test_a_realm_is_asked_for_only_if_there_are_several(context, stranger, alice):
    assert 'name="realm"' not in stranger.get("/me").text
    context.users.add("alice", "of another realm", "b.test")
    assert stranger.get("/me").value("realm") == "example.com"
    assert sign_in(stranger, password="of another realm").status == 403
    assert sign_in(stranger, password="of another realm", realm="b.test").status == 303
    assert "alice@b.test" in stranger.get("/me").words


def test_the_sessions_of_an_account_are_bounded(context, clock, alice):
    sessions = UserSessions(context.users, clock)
    tokens = [sessions.open(alice) for _ in range(MAX_OF_ACCOUNT + 1)]
    assert sessions.find(tokens[0]) is None
    assert sessions.find(tokens[1])
    assert len(sessions) == MAX_OF_ACCOUNT
