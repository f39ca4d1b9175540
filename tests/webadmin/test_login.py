"""Signing in, staying in, being put out, and guessing."""

import pytest

from sip.store.admin_passwords import hash_password
from sip.store.sessions import SESSION_SECONDS
from sip.store.tokens import Role
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD
from webadmin.sign_in_limits import (
    MAX_ADDRESSES,
    MAX_TRIES,
    TRIES_SECONDS,
    SignInLimiter,
    source_of,
)


def test_a_page_sends_a_stranger_to_the_sign_in_and_back(stranger):
    answer = stranger.get("/users?status=online&q=a%26b")
    assert (answer.status, answer.location) == (
        303,
        "/login?next=/users%3Fstatus%3Donline%26q%3Da%2526b",
    )
    form = stranger.get(answer.location)
    back = stranger.post("/login", username="admin", password=PASSWORD, next=form.value("next"))
    assert (back.status, back.location) == (303, "/users?status=online&q=a%26b")
    assert stranger.get(back.location).status == 200


@pytest.mark.parametrize(
    "trap", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\r\nb: c"]
)
def test_a_sign_in_leads_nowhere_else(stranger, trap):
    """An address handed in by a link would make a trap look like this server."""
    answer = stranger.post("/login", username="admin", password=PASSWORD, next=trap)
    assert (answer.status, answer.location) == (303, "/")


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("admin", "guess-7"),
        ("admin", ""),
        ("root", PASSWORD),
        ("", ""),
        ("Admin", PASSWORD),
        ("admin", "\udcff" * 3),
    ],
)
def test_a_wrong_name_and_a_wrong_password_look_alike(stranger, username, password):
    answer = stranger.post(
        "/login", username=username, password=password.encode("utf-8", "surrogateescape")
    )
    assert answer.status == 403
    assert "The user name or the password is wrong." in answer.words
    assert not stranger.cookies
    assert "guess-7" not in answer.text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser):
    (line,) = browser.cookie_lines
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in line.split(";")}
    assert "Secure" not in line  # the browser came without TLS, it would never send it back


def test_the_cookie_is_secure_if_the_browser_used_https(stranger):
    """A proxy may terminate TLS; the Origin shows the scheme that the browser used."""
    stranger.own_site = {"Origin": "https://pbx.example.com:8080"}
    stranger.post("/login", username="admin", password=PASSWORD)
    assert "Secure" in stranger.cookie_lines[0]


def test_signing_out_ends_the_session_for_copies_of_the_cookie(browser):
    copied = Browser(browser.app, cookies=dict(browser.cookies))
    assert copied.get("/").status == 200
    assert browser.post("/logout").location == "/login"
    assert not browser.cookies
    assert copied.get("/").status == 303


def test_a_session_ends_in_time(browser, clock):
    clock.now += SESSION_SECONDS - 1
    assert browser.get("/").status == 200
    clock.now += 1
    assert browser.get("/").status == 303


def test_a_new_password_signs_out_all_sessions(browser, context):
    context.admins.set_password_hash(hash_password("another one"))
    assert browser.get("/").status == 303
    assert browser.post("/login", username="admin", password=PASSWORD).status == 403
    assert browser.post("/login", username="admin", password="another one").status == 303


def test_a_made_up_cookie_opens_nothing(stranger):
    for token in ("", "x", "é", "0" * 5000):
        stranger.cookies = {"sipserver_session": token}
        assert stranger.get("/").status == 303


def test_a_part_of_a_page_is_not_replaced_by_the_sign_in(stranger):
    """The script that asked for a part is told to take the whole window there."""
    answer = stranger.get("/users", HX_Request="true")
    assert (answer.status, answer.headers["hx-redirect"]) == (401, "/login")


def test_guessing_ends_after_ten_tries_from_one_address(stranger, clock, context):
    for _ in range(MAX_TRIES):
        assert stranger.post("/login", username="admin", password="guess").status == 403
    answer = stranger.post("/login", username="admin", password=PASSWORD)
    assert answer.status == 429
    assert answer.headers["retry-after"] == str(TRIES_SECONDS)
    assert "Try again in 15 min." in answer.words

    # Another client may sign in: the account is not locked.
    other = Browser(stranger.app, address="198.51.100.9")
    assert other.post("/login", username="admin", password=PASSWORD).status == 303

    clock.now += TRIES_SECONDS
    assert stranger.post("/login", username="admin", password=PASSWORD).status == 303


def test_the_right_password_forgives_the_wrong_ones(stranger):
    for _ in range(3):
        for _ in range(MAX_TRIES - 1):
            stranger.post("/login", username="admin", password="mistyped")
        assert stranger.post("/login", username="admin", password=PASSWORD).status == 303
        stranger.post("/logout")


def test_the_right_password_forgives_no_guesses_at_others(stranger, context):
    """A viewer could else try the passwords of an administrator without a limit."""
    context.admins.add("vera", Role.VIEWER, hash_password("vera-likes-tea"), 0)
    for _ in range(MAX_TRIES - 1):
        assert stranger.post("/login", username="admin", password="guess").status == 403
        own = stranger.post("/login", username="vera", password="vera-likes-tea")
        assert own.status == 303
        stranger.post("/logout")
    assert stranger.post("/login", username="admin", password="guess").status == 403
    assert stranger.post("/login", username="admin", password=PASSWORD).status == 429


def test_tries_at_the_same_time_count_all(clock):
    """Twenty at once would else all be let in before the first has failed."""
    limiter = SignInLimiter(clock)
    for _ in range(MAX_TRIES):
        assert not limiter.seconds_blocked("192.0.2.1")
        limiter.count_attempt("192.0.2.1")
    assert limiter.seconds_blocked("192.0.2.1") == TRIES_SECONDS


def test_addresses_that_tried_are_not_remembered_without_bound(clock):
    limiter = SignInLimiter(clock)
    for number in range(MAX_ADDRESSES + 1):
        limiter.count_attempt(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limiter._failures) == MAX_ADDRESSES


def test_an_ipv6_network_counts_as_one_address(clock):
    """A home has 2**64 of them."""
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1")
    assert source_of("2001:db8::1") != source_of("2001:db8:0:1::1")
    assert source_of("192.0.2.1") != source_of("192.0.2.2")
