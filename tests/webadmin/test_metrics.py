"""The page /metrics, and the token that opens it."""

from dataclasses import replace

import gevent
import pytest

from sip.store.database import DatabaseError
from sip.store.tokens import Role
from tests.support.wsgi_browser import Browser
from webadmin.app import build
from webadmin.sign_in_limits import MAX_TRIES, TRIES_SECONDS


@pytest.fixture
def context(context):
    context.metrics = lambda: b"one_metric 1\n"
    return context


@pytest.fixture
def token(context) -> str:
    return context.tokens.add("prometheus", Role.VIEWER)


def scrape(browser: Browser, authorization: str = "", method: str = "GET"):
    headers = {"Authorization": authorization} if authorization else {}
    return browser.send(method, "/metrics", b"", headers)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_token_of_either_role_opens_the_metrics(stranger, context, role, scheme):
    token = context.tokens.add("any", role)
    answer = scrape(stranger, f"{scheme} {token}")
    assert (answer.status, answer.text) == (200, "one_metric 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert scrape(stranger, f"Bearer {token}", "HEAD").status == 200


@pytest.mark.parametrize(
    "form", ["", "Bearer", "Bearer ", "Bearer {}x", "Basic {}", "{}", "Bearer ü"]
)
def test_without_a_right_token_it_is_401(stranger, token, form):
    answer = scrape(stranger, form.format(token))
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "metric" not in answer.text


def test_a_login_of_the_web_admin_does_not_open_it(browser):
    assert browser.get("/").status == 200
    assert scrape(browser).status == 401


def test_a_token_opens_no_page(stranger, token):
    answer = stranger.send("GET", "/users", b"", {"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.location) == (303, "/login?next=/users")


def test_a_removed_token_is_refused_at_once(stranger, context, token):
    assert scrape(stranger, f"Bearer {token}").status == 200
    context.tokens.remove("prometheus")
    assert scrape(stranger, f"Bearer {token}").status == 401


def test_open_metrics_need_no_token(stranger, context):
    context.config = replace(context.config, web_metrics_open=True)
    assert scrape(stranger).text == "one_metric 1\n"
    assert scrape(stranger, "Bearer wrong").status == 200


def test_guesses_of_an_address_are_limited(stranger, context, token, clock):
    """Even the right token, unless it was used before: or guessing would go on."""
    for _ in range(MAX_TRIES):
        assert scrape(stranger, "Bearer wrong").status == 401
    answer = scrape(stranger, f"Bearer {token}")
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= TRIES_SECONDS + 1
    other = Browser(stranger.app, address="192.0.2.8")
    assert scrape(other, f"Bearer {token}").status == 200
    clock.now += TRIES_SECONDS + 1
    assert scrape(stranger, f"Bearer {token}").status == 200


def test_a_broken_database_is_no_guess(stranger, context, token, monkeypatch):
    def fails(hashed):
        raise DatabaseError("the disk is broken")

    with monkeypatch.context() as patch:
        patch.setattr(context.tokens, "find", fails)
        for _ in range(MAX_TRIES + 1):
            assert scrape(stranger, f"Bearer {token}").status == 503
    assert scrape(stranger, f"Bearer {token}").status == 200


def test_guesses_do_not_stop_a_token_that_was_used(stranger, token):
    assert scrape(stranger, f"Bearer {token}").status == 200
    for _ in range(MAX_TRIES + 1):
        answer = scrape(stranger, "Bearer wrong")
    assert answer.status == 429
    assert scrape(stranger, f"Bearer {token}").status == 200


def test_wrong_tokens_do_not_block_the_sign_in(stranger):
    for _ in range(MAX_TRIES + 1):
        scrape(stranger, "Bearer wrong")
    assert stranger.post("/login", username="admin", password="wrong").status == 403


def test_the_last_use_of_a_token_is_written(stranger, context, token, clock):
    scrape(stranger, f"Bearer {token}")
    gevent.sleep(0.05)
    (listed,) = context.tokens.list()
    assert listed.used_at == int(clock.now)


def test_metrics_of_a_context_without_a_server_are_empty(context, token):
    context.metrics = bytes
    assert scrape(Browser(build(context)), f"Bearer {token}").body == b""
