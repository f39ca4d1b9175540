"""The button "Call this phone"."""

import pytest

from sip.store.audit import Act
from tests.support.wsgi_browser import Browser
from webadmin.context import AppContext


@pytest.fixture
def called(context: AppContext) -> list[tuple[str, str]]:
    """The users whose phones were called."""
    calls: list[tuple[str, str]] = []

    def call(username: str, realm: str) -> str:
        calls.append((username, realm))
        return "The phone refused the call: 486 <Busy>."

    context.call_phone = call
    return calls


def test_the_page_shows_the_outcome(context: AppContext, browser: Browser, called):
    """It is in the audit, and the way back to the list stays."""
    user = context.users.add("alice", "a long password")
    answer = browser.post(f"/users/{user.id}/call?q=al")
    assert answer.status == 303
    assert called == [("alice", "example.com")]
    page = browser.get(f"/users/{user.id}?q=al")
    assert "The phone refused the call: 486 <Busy>." in page.words
    assert context.audit.entries()[0].act == Act.PHONE_CALLED


def test_a_stranger_calls_no_phone(context: AppContext, stranger: Browser, called):
    user = context.users.add("alice", "a long password")
    stranger.post(f"/users/{user.id}/call")
    assert called == []


def test_a_user_that_was_deleted_is_not_called(browser: Browser, called):
    assert browser.post("/users/77/call").status == 404
    assert called == []
