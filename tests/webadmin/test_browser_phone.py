"""The page /phone: its login, for a user and for an admin; refusals; headers."""

import json
import re
from dataclasses import replace

import pytest

from sip.store.audit import Act
from tests.support.udp_client import until
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import REALM

OWN_PASSWORD = "k7mq.x2hf"


@pytest.fixture
def alice(context):
    return context.users.add("alice", OWN_PASSWORD)


@pytest.fixture
def own(stranger, alice):
    """A browser in which alice is signed in."""
    answer = stranger.post("/phone/login", username="alice", password=OWN_PASSWORD)
    assert (answer.status, answer.location) == (303, "/phone")
    return stranger


def phone_of(answer) -> dict:
    """Return what the script of the page gets."""
    (text,) = re.findall(r'data-phone="([^"]*)"', answer.text)
    return json.loads(text.replace("&quot;", '"').replace("&amp;", "&").replace("&#039;", "'"))


def stands_for(context, answer):
    """Return the account that the login of a page stands for, None if it has ended."""
    found = context.phone_logins.find(phone_of(answer)["authorizationUser"], REALM)
    return found[0] if found else None


def test_a_user_gets_a_login_and_no_password(context, own, alice):
    page = own.get("/phone")
    assert stands_for(context, page).id == alice.id
    assert phone_of(page)["uri"] == f"sip:alice@{REALM}"
    assert OWN_PASSWORD not in page.text
    assert alice.ha1_md5 not in page.text
    assert "no-transform" in page.headers["cache-control"], "compressed, it could be guessed"
    assert phone_of(own.get("/phone")) == phone_of(page), "one login for a session"


def test_only_the_phone_may_use_the_microphone(own, alice):
    assert "microphone=(self)" in own.get("/phone").headers["permissions-policy"]
    for path in ("/me", "/login"):
        assert "microphone=()" in own.get(path).headers["permissions-policy"]
    own.post("/phone/logout")
    assert "microphone=()" in own.get("/phone").headers["permissions-policy"]


@pytest.mark.parametrize(
    ("host", "sockets"),
    [
        ("pbx.example.com:8443", " ws://pbx.example.com:8443 wss://pbx.example.com:8443"),
        ("[2001:db8::1]:8080", " ws://[2001:db8::1]:8080 wss://[2001:db8::1]:8080"),
        ("x; script-src *", ""),
        ("x *", ""),
        ("x,default-src *", ""),
    ],
)
def test_a_hostile_host_adds_nothing_to_the_policy(own, host: str, sockets: str):
    """Content-Security-Policy: a browser takes a name that is not "self" for its WebSocket."""
    policy = own.get("/phone", Host=host).headers["content-security-policy"]
    assert f"connect-src 'self'{sockets}; form-action" in policy


def test_a_name_is_escaped_in_its_uri(context, stranger):
    """RFC 3261 §25.1: else the page could not read it."""
    context.users.add("jö@x", OWN_PASSWORD)
    stranger.post("/phone/login", username="jö@x", password=OWN_PASSWORD)
    assert phone_of(stranger.get("/phone"))["uri"] == f"sip:j%C3%B6%40x@{REALM}"


def test_signing_out_ends_the_login_and_its_contacts(context, own, alice, bound):
    page = own.get("/phone")
    login = phone_of(page)["authorizationUser"]
    bound(alice, f"sip:{login}@1.invalid;transport=ws")
    bound(alice, "sip:alice@198.51.100.20")
    assert own.post("/phone/logout").location == "/phone"
    assert stands_for(context, page) is None
    assert [contact for _, contact, _ in context.phones.dropped] == [
        f"sip:{login}@1.invalid;transport=ws"
    ]
    assert "data-phone" not in own.get("/phone").text


def test_a_new_password_ends_the_login(context, own, alice):
    page = own.get("/phone")
    context.users.set_password("alice", "another one 7")
    assert stands_for(context, page) is None


def test_an_admin_opens_the_phone_of_a_user(context, browser, alice):
    """The audit names it once for each session; a link is on the page of the user."""
    link = re.search(r'href="(/phone\?[^"]*)"', browser.get(f"/users/{alice.id}").text)[1]
    page = browser.get(link.replace("&amp;", "&"))
    assert stands_for(context, page).id == alice.id
    browser.get("/phone?user=alice")
    entries = [(each.who, each.about) for each in context.audit.entries()]
    assert entries.count(("admin", "alice")) == 1
    assert context.audit.entries()[0].act == Act.PHONE_OPENED
    cookie = browser.cookies["sipserver_session"]
    browser.post("/logout")
    until(lambda: stands_for(context, page) is None)
    browser.cookies["sipserver_session"] = cookie
    assert browser.get("/phone?user=alice").location == "/login?next=/phone%3Fuser%3Dalice"


@pytest.mark.parametrize(
    ("user", "status"), [("nobody", 404), ("off", 409), ("%ff", 200), ("", 200)]
)
def test_there_is_no_phone_of_other_names(context, browser, alice, user: str, status: int):
    context.users.add("off", OWN_PASSWORD, enabled=False)
    answer = browser.get(f"/phone?user={user}")
    assert (answer.status, "data-phone" in answer.text) == (status, False)


def test_a_viewer_and_a_stranger_get_no_phone(context, viewer, alice):
    """A phone would call as the user; so the first page of a stranger asks for the password."""
    answer = viewer.get("/phone?user=alice")
    assert (answer.status, "data-phone" in answer.text) == (403, False)
    assert "Your role is viewer" in answer.words
    stranger = Browser(viewer.app).get("/phone?user=alice")
    assert stranger.value("username") == "alice"
    assert "data-phone" not in stranger.text
    assert len(context.phone_logins) == 0


def test_an_admin_without_second_factor_is_sent_to_it(context, browser, alice):
    context.config = replace(context.config, web_second_factor=True)
    assert browser.get("/phone?user=alice").location == "/account"
    assert len(context.phone_logins) == 0


def test_guesses_on_the_page_count_with_those_of_phones(context, stranger, alice):
    answer = stranger.post("/phone/login", username="alice", password="wrong")
    assert answer.status == 403
    assert 'action="/phone/login"' in answer.text
    other_site = {"Sec-Fetch-Site": "cross-site"}
    headers = {"Content-Type": "application/x-www-form-urlencoded", **other_site}
    body = f"username=alice&password={OWN_PASSWORD}".encode()
    assert stranger.send("POST", "/phone/login", body, headers).status == 403
    assert stranger.cookies == {}
