"""The page of the tokens, and its forms."""

import re

import pytest

from sip.store.audit import Act
from sip.store.tokens import PREFIX, Role


def test_a_token_is_shown_once_and_opens_metrics(browser, stranger, context):
    context.metrics = lambda: b"up 1\n"
    answer = browser.post("/tokens/add", name="prometheus", role="viewer")
    assert answer.location == "/tokens"
    page = browser.get("/tokens")
    token = re.search(rf'value="({PREFIX}[^"]*)" aria-label="The token, shown only now"', page.text)
    assert page.headers["cache-control"] == "no-store, no-transform"
    assert PREFIX not in browser.get("/tokens").text
    stranger.cookies.clear()
    bearer = {"Authorization": f"Bearer {token[1]}"}
    assert stranger.get("/metrics", **bearer).body == b"up 1\n"
    (entry,) = context.audit.entries("tokens")
    assert (entry.who, entry.act, entry.about) == ("admin", Act.TOKEN_ADDED, "prometheus, viewer")


def test_the_list_has_role_and_last_use(browser, context, clock):
    context.tokens.add("prometheus", Role.VIEWER, clock.now)
    assert "prometheus viewer just now never Remove" in browser.get("/tokens").words
    context.tokens.touch("prometheus", clock.now)
    clock.now += 3600
    assert "prometheus viewer 1 h ago 1 h ago Remove" in browser.get("/tokens").words


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "The name of a token has 1 to 60 printable characters."),
        ("<b>", "There is a token <b> already; remove it first."),
    ],
)
def test_what_cannot_be_added_is_a_sentence(browser, context, name, sentence):
    context.tokens.add("<b>", Role.VIEWER)
    answer = browser.post("/tokens/add", name=name, role="admin")
    assert answer.status == 422
    assert sentence in answer.words
    assert "<b>" not in answer.text
    assert len(context.tokens.list()) == 1
    assert browser.post("/tokens/add", name="x", role="root").status == 422


def test_a_removed_token_is_gone(browser, context):
    context.tokens.add("prometheus", Role.VIEWER)
    assert browser.post("/tokens/remove", name="prometheus").location == "/tokens"
    assert context.tokens.list() == []
    assert context.audit.entries("tokens")[0].act == Act.TOKEN_REMOVED
    assert browser.post("/tokens/remove", name="prometheus").status == 409
