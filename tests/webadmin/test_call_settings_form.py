"""The card "Calls" on the page of a user."""

import pytest

from sip.store.call_settings import USUAL, CallSettings
from sip.store.groups import Groups

FORM = {
    "aliases": "101, +49 89",
    "dnd": "on",
    "always": "",
    "busy": "bob",
    "no_answer": "bob@example.org",
    "no_answer_seconds": "30",
    "offline": "",
}
FIELDS = ("aliases", "always", "busy", "no_answer", "no_answer_seconds", "offline")


@pytest.fixture
def page(context) -> str:
    context.users.add("bob", "secret-1")
    return f"/users/{context.users.add('alice', 'secret-1').id}"


def settings_of(context, page: str) -> CallSettings:
    return context.directory.entry(int(page.rpartition("/")[2])).call_settings


def test_call_settings_are_saved_and_shown(browser, context, page):
    assert browser.post(f"{page}/calls", **FORM).location == page
    stored = CallSettings(
        ("+49", "101", "89"),
        True,
        busy="bob",
        no_answer="sip:bob@example.org",
        no_answer_seconds=30,
    )
    assert settings_of(context, page) == stored
    shown = browser.get(page)
    assert "The settings for calls to alice were changed." in shown.words
    assert "Attention" not in shown.words
    values = [shown.value(name) for name in FIELDS]
    assert values == ["+49 101 89", "", "bob", "sip:bob@example.org", "30", ""]
    assert 'name="dnd" value="on" checked' in shown.text
    entry, *_ = context.audit.entries()
    assert entry.text == "call settings changed"
    assert entry.about.startswith("alice: aliases +49 101 89, dnd on, always off, busy bob")
    browser.post(f"{page}/calls")
    assert settings_of(context, page) == CallSettings(no_answer_seconds=30), "empty seconds stay"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("aliases", "bob", "bob is the user bob; choose another alias."),
        ("aliases", "alice", "alice is the user name itself."),
        ("busy", "a b", "is not a name, a number or a SIP address."),
        ("always", "Alice", "alice cannot forward to itself."),
        ("no_answer_seconds", "1", "The seconds of ringing are a number from 3 to 120."),
    ],
)
def test_a_fault_is_said_at_its_field(browser, context, page, field, value, sentence):
    answer = browser.post(f"{page}/calls", **{**FORM, field: value})
    assert answer.status == 422
    error = answer.text.partition(f'id="{field}-error">')[2].partition("</p>")[0]
    assert sentence in error
    kept = [answer.value(name) for name in FIELDS]
    assert kept == [{**FORM, field: value}[name] for name in FIELDS]
    assert settings_of(context, page) == USUAL


def test_a_target_that_nobody_has_is_kept_with_a_warning(browser, context, page):
    """A number may belong to a trunk, so it gets none."""
    browser.post(f"{page}/calls", always="zoe", busy="+4989123")
    words = browser.get(page).words
    warning = "Attention: there is no user, alias or group zoe; calls cannot be forwarded there."
    assert warning in words
    assert words.count("Attention") == 1
    assert settings_of(context, page).always == "zoe"


def test_the_groups_of_a_user_are_on_its_page(browser, context, page):
    assert "Member of" not in browser.get(page).words
    groups = Groups(context.users)
    sales = groups.add("sales", ["alice", "bob"])
    assert "Member of the group sales ." in browser.get(page).words
    groups.add("600", ["alice"])
    groups.add("700", ["bob"])
    shown = browser.get(page)
    assert "Member of the groups 600 , sales ." in shown.words
    assert f'href="/groups/{sales.id}"' in shown.text


def test_call_settings_of_a_user_that_is_gone_are_404(browser, page):
    assert browser.post("/users/999/calls", **FORM).status == 404
