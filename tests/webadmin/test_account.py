"""The administrator's own page: the password, and the browsers that are signed in."""

import re

import pytest

from sip.store.admin import SEEN_INTERVAL, SESSION_SECONDS, hash_password, verify
from sip.store.audit import Act
from sip.store.database import DatabaseError
from tests.support.udp_client import until
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD
from webadmin.login import MAX_TRIES
from webadmin.templates import browser_of

NEW = "another long password"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def signs_in(app, address: str = "198.51.100.9", user_agent: str = FIREFOX) -> Browser:
    """Another browser, from another place, signed in."""
    other = Browser(app, address=address)
    form = f"username=admin&password={PASSWORD.replace(' ', '+')}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": user_agent}
    assert other.send("POST", "/login", form, headers | other.own_site).status == 303
    return other


def rows(browser: Browser) -> list[str]:
    """The rows of the table of sessions."""
    body = browser.get("/account").text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        " ".join(re.sub("<[^>]*>", " ", row).split())
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def change(browser: Browser, current: str = PASSWORD, password: str = NEW, again: str = NEW):
    return browser.post("/account/password", current=current, password=password, again=again)


def test_the_page_shows_time_address_and_browser_of_sessions(browser, clock):
    signs_in(browser.app)
    clock.now += 3600
    own, other = sorted(rows(browser), key=lambda row: "this browser" not in row)
    assert "192.0.2.7" in own
    assert other == "Firefox 128 on Linux 1 h ago 198.51.100.9 1 h ago 11 h End"


def test_a_session_that_is_used_from_elsewhere_shows_it(browser, context, clock):
    """A cookie that was stolen is used from another address than it was given to."""
    other = signs_in(browser.app)
    other.address = "203.0.113.5"
    other.get("/")
    until(lambda: any(s.seen_from == other.address for s in context.admin.sessions(clock.now)))
    shown = next(row for row in rows(browser) if "Firefox" in row)
    assert "198.51.100.9" in shown
    assert "just now , from 203.0.113.5" in shown


def test_each_minute_a_use_is_written_down_and_no_more(browser, context, clock, monkeypatch):
    saw, seen = context.admin.touch_session, []
    monkeypatch.setattr(
        context.admin, "touch_session", lambda *call: (seen.append(call), saw(*call))
    )
    for _ in range(5):
        browser.get("/users")
    assert seen == []
    clock.now += SEEN_INTERVAL
    browser.get("/users")
    until(lambda: context.admin.sessions(clock.now)[0].seen_at == clock.now)
    for _ in range(5):
        browser.get("/users")
    assert len(seen) == 1


def test_pages_work_while_the_file_cannot_be_written(browser, context, clock, monkeypatch):
    def fails(*_):
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(context.admin, "touch_session", fails)
    clock.now += SEEN_INTERVAL
    assert browser.get("/users").status == 200
    assert browser.get("/users").status == 200


def test_one_session_is_ended_and_the_others_stay(browser, context):
    other, third = signs_in(browser.app), signs_in(browser.app)
    number = context.admin.session(other.cookies["sipserver_session"], context.clock()).id
    answer = browser.post(f"/account/sessions/{number}/end")
    assert "Firefox 128 on Linux is signed out." in browser.get(answer.location).words
    assert other.get("/users").status == 303
    assert third.get("/users").status == browser.get("/users").status == 200
    assert browser.post(f"/account/sessions/{number}/end").status == 404


def test_all_other_sessions_are_ended_at_once(browser):
    others = [signs_in(browser.app) for _ in range(3)]
    assert "End all others" in browser.get("/account").words
    browser.post("/account/sessions/end")
    assert [other.get("/").status for other in others] == [303] * 3
    assert browser.get("/").status == 200
    assert "End all others" not in browser.get("/account").words


def test_without_a_session_no_session_can_be_ended(browser, context):
    stranger = Browser(browser.app)
    (session,) = context.admin.sessions(context.clock())
    for path in (f"/account/sessions/{session.id}/end", "/account/sessions/end"):
        assert stranger.post(path).location == "/login"
    assert change(stranger).location == "/login"
    assert browser.get("/").status == 200


def test_a_new_password_ends_all_other_sessions_at_once(browser, context):
    other = signs_in(browser.app)
    answer = change(browser)
    assert (answer.status, answer.location) == (303, "/account")
    assert "The password was changed." in browser.get("/account").words
    assert other.get("/").status == 303
    assert verify(context.admin.password_hash(), NEW)
    assert Browser(browser.app).post("/login", username="admin", password=PASSWORD).status == 403


def test_changing_the_password_replaces_the_own_token(browser, context):
    """A thief of its old token is signed out as well."""
    thief = Browser(browser.app, cookies=dict(browser.cookies))
    assert thief.get("/users").status == 200
    change(browser)
    assert thief.get("/users").status == 303
    assert browser.get("/users").status == 200
    assert len(context.admin.sessions(context.clock())) == 1


def test_the_admin_password_command_ends_all_sessions(browser, context):
    """`admin password` is another process, which writes the same file."""
    context.admin.set_password_hash(hash_password(NEW))
    assert browser.get("/users").status == 303


@pytest.mark.parametrize(
    ("current", "password", "again", "said"),
    [
        ("wrong", NEW, NEW, "This password is wrong."),
        (PASSWORD, NEW, NEW + "x", "The two passwords are not the same."),
        (PASSWORD, "", "", "The password is empty."),
        (PASSWORD, "x" * 1025, "x" * 1025, "The password is longer than 1,024 characters."),
    ],
)
def test_a_refused_password_changes_nothing(browser, context, current, password, again, said):
    answer = change(browser, current, password, again)
    assert answer.status == 422
    assert said in answer.words
    assert NEW not in answer.text
    assert verify(context.admin.password_hash(), PASSWORD)
    assert browser.get("/").status == 200


def test_a_short_password_is_taken_with_a_warning(browser):
    change(browser, password="short", again="short")
    assert "fewer than 8 characters" in browser.get("/account").words


def test_an_open_browser_does_not_allow_guessing_the_password(browser, context):
    """The tries of the sign-in are the same ones."""
    for _ in range(MAX_TRIES):
        assert change(browser, current="guess").status == 422
    answer = change(browser)
    assert answer.status == 429
    assert answer.headers["retry-after"]
    assert Browser(browser.app).post("/login", username="admin", password=PASSWORD).status == 429
    assert verify(context.admin.password_hash(), PASSWORD)


def test_the_page_names_the_environment_password(browser, context):
    assert "SIPSERVER_ADMIN_PASSWORD" not in browser.get("/account").words
    context.environment_password = True
    assert "SIPSERVER_ADMIN_PASSWORD" in browser.get("/account").words


def test_signing_in_ends_the_session_that_the_browser_had(browser, context):
    before = Browser(browser.app, cookies=dict(browser.cookies))
    browser.post("/login", username="admin", password=PASSWORD)
    assert before.get("/users").status == 303
    assert len(context.admin.sessions(context.clock())) == 1


def test_a_session_lives_twelve_hours_and_the_page_counts_them(browser, clock):
    assert "12 h" in rows(browser)[0]
    clock.now += SESSION_SECONDS - 60
    assert "1 min" in rows(browser)[0]
    clock.now += 60
    assert browser.get("/account").status == 303


def test_a_user_agent_is_shown_as_text(browser):
    signs_in(browser.app, user_agent='<script>alert(1)</script>"><img src=x>')
    for path in ("/account", "/audit"):
        text = browser.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox 128 on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Edge 126 on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari 17 on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome 126 on Android",
        ),
        ("curl/7.88.1", "curl 7"),
        ("something else", "something else"),
        ("x" * 200, "x" * 60),
        ("", "unknown browser"),
    ],
)
def test_a_browser_is_called_by_its_name(user_agent, name):
    assert browser_of(user_agent) == name


def test_the_audit_has_no_password_in_it(browser, context):
    change(browser, current="mistyped-password")
    change(browser)
    acts = [entry.act for entry in context.audit.entries()]
    assert acts == [Act.PASSWORD_CHANGED, Act.SIGN_IN_REFUSED, Act.SIGNED_IN]
    words = browser.get("/audit").text
    assert not any(secret in words for secret in (PASSWORD, NEW, "mistyped-password"))
