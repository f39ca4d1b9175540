"""Signing in, edge cases: values of the form, the limiter, and replaced sessions."""

import re

import pytest

from sip.store.admin_passwords import hash_password
from sip.store.sessions import SESSION_SECONDS
from tests.support.cheap_hashes import REAL
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD
from webadmin import login as session
from webadmin.sign_in_limits import (
    MAX_ADDRESSES,
    MAX_TRIES,
    TRIES_SECONDS,
    SignInLimiter,
    source_of,
)


def test_what_was_typed_stays_in_the_form_but_for_the_password(stranger):
    for password in ["guess-7"] * (MAX_TRIES + 1):
        answer = stranger.post("/login", username="adm<in", password=password, next="/users?q=a")
        assert answer.value("username") == "adm<in"
        assert answer.value("next") == "/users?q=a"
        assert "guess-7" not in answer.text
    assert answer.status == 429


def test_the_sign_in_page_redirects_with_a_session(browser):
    answer = browser.get("/login?next=/users")
    assert (answer.status, answer.location) == (303, "/")


def test_blanks_around_the_name_do_no_harm(stranger):
    assert stranger.post("/login", username=" admin ", password=PASSWORD).status == 303


def test_the_cookie_outlives_the_session(browser):
    """A browser that showed nothing any more could not be told that its session has ended."""
    (line,) = browser.cookie_lines
    assert f"Max-Age={10 * SESSION_SECONDS};" in line


def test_the_cookie_of_a_browser_without_tls_says_nothing_of_it(stranger):
    stranger.own_site = {"Origin": "http://pbx.example.com:8080"}
    stranger.post("/login", username="admin", password=PASSWORD)
    assert "Secure" not in stranger.cookie_lines[0]


def test_each_sign_in_has_a_token_of_its_own(stranger):
    """A token that was planted in the browser is not used (session fixation)."""
    stranger.cookies = {"sipserver_session": "put-there-by-somebody"}
    stranger.post("/login", username="admin", password=PASSWORD)
    first = stranger.cookies["sipserver_session"]
    assert first != "put-there-by-somebody"
    other = Browser(stranger.app)
    other.post("/login", username="admin", password=PASSWORD)
    assert other.cookies["sipserver_session"] != first
    assert stranger.get("/").status == other.get("/").status == 200


def test_one_browser_signs_out_and_the_others_stay(browser):
    other = Browser(browser.app)
    other.post("/login", username="admin", password=PASSWORD)
    browser.post("/logout")
    assert other.get("/").status == 200


def test_what_is_known_of_a_session_is_where_it_came_from(stranger, context, clock):
    stranger.send(
        "POST",
        "/login",
        b"username=admin&password=" + PASSWORD.replace(" ", "+").encode(),
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Firefox",
            "X-Forwarded-For": "203.0.113.1",
            **stranger.own_site,
        },
    )
    (opened,) = context.sessions.of("admin", clock.now)
    assert (opened.address, opened.user_agent) == ("192.0.2.7", "Firefox")


def test_an_unknown_name_takes_the_time_of_a_wrong_password(stranger, context, monkeypatch):
    """Measured times must not show which names exist."""
    context.admins.set_password_hash(REAL.hash(PASSWORD))
    checked = []

    def counting(password_hash: str, password: str) -> bool:
        checked.append(password_hash.split("$")[1:4])
        return verify(password_hash, password)

    verify = session.verify
    monkeypatch.setattr(session, "verify", counting)
    for name in ("admin", "root", ""):
        assert stranger.post("/login", username=name, password="guess").status == 403
    assert len(checked) == 3
    assert checked[1:] == checked[:1] * 2, "the same algorithm with the same costs"


def test_a_password_replaced_during_the_sign_in_is_refused(stranger, context, monkeypatch):
    another = hash_password("another one")
    run = context.imports.run

    def replaced_meanwhile(function):
        right = run(function)
        context.admins.set_password_hash(another)
        return right

    monkeypatch.setattr(context.sign_ins, "run", replaced_meanwhile)
    stranger.post("/login", username="admin", password=PASSWORD)
    assert stranger.get("/").status == 303
    assert context.sessions.of("admin", context.clock()) == []
    assert context.audit.entries() == [], "a refused sign-in is not an entry"


def test_the_block_is_shown_in_minutes_rounded_up(stranger, clock):
    for _ in range(MAX_TRIES):
        stranger.post("/login", username="admin", password="guess")
    clock.now += 30
    answer = stranger.post("/login", username="admin", password="guess")
    assert "Try again in 15 min." in answer.words
    assert answer.headers["retry-after"] == str(TRIES_SECONDS - 30)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Client-IP"])
def test_a_forged_address_header_gives_no_more_attempts(stranger, name):
    form = b"username=admin&password=guess"
    for number in range(MAX_TRIES + 1):
        answer = stranger.send(
            "POST",
            "/login",
            form,
            {
                "Content-Type": "application/x-www-form-urlencoded",
                name: f"198.51.100.{number}",
                **stranger.own_site,
            },
        )
    assert answer.status == 429


def test_after_the_wait_an_address_starts_anew(clock):
    limiter = SignInLimiter(clock)
    for _ in range(MAX_TRIES):
        limiter.count_attempt("192.0.2.1")
    clock.now += TRIES_SECONDS
    assert not limiter.seconds_blocked("192.0.2.1")
    for _ in range(MAX_TRIES):
        assert not limiter.seconds_blocked("192.0.2.1")
        limiter.count_attempt("192.0.2.1")
    assert limiter.seconds_blocked("192.0.2.1") == TRIES_SECONDS


def test_slow_guesses_are_counted_together(clock):
    limiter = SignInLimiter(clock)
    for _ in range(MAX_TRIES):
        limiter.count_attempt("192.0.2.1")
        clock.now += 60
    assert limiter.seconds_blocked("192.0.2.1") == TRIES_SECONDS - 60 * MAX_TRIES


def test_the_address_with_the_oldest_attempt_is_removed_first(clock):
    limiter = SignInLimiter(clock)
    busy, quiet = "192.0.2.1", "192.0.2.2"
    for _ in range(MAX_TRIES - 1):
        limiter.count_attempt(busy)
    for _ in range(MAX_TRIES):
        limiter.count_attempt(quiet)
    for number in range(MAX_ADDRESSES - 3):
        limiter.count_attempt(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    limiter.count_attempt(busy)
    late = "192.0.2.3"
    for _ in range(MAX_TRIES):
        limiter.count_attempt(late)
    assert limiter.seconds_blocked(quiet)
    limiter.count_attempt("192.0.2.4")
    assert not limiter.seconds_blocked(quiet)
    assert limiter.seconds_blocked(busy)
    assert limiter.seconds_blocked(late)


def test_a_peer_without_an_address_is_one_as_well():
    """A server in front may speak to us through a socket that has none."""
    assert source_of("") == ""
    assert source_of("unix:") == "unix:"


def test_the_sign_in_cannot_inject_headers(stranger):
    answer = stranger.post(
        "/login", username="admin", password=PASSWORD, next="/users?q=\r\nSet-Cookie: a=b"
    )
    assert answer.location == "/"
    assert not re.search("a=b", " ".join(stranger.cookie_lines))
