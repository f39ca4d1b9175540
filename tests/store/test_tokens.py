"""Tokens in the database."""

import sqlite3

import pytest

from sip.store.database import Database
from sip.store.tokens import (
    MAX_NAME,
    MAX_TOKENS,
    PREFIX,
    Role,
    Token,
    TokenError,
    Tokens,
    token_hash,
)


@pytest.fixture
def tokens(database: Database) -> Tokens:
    return Tokens(database)


def test_only_the_hash_of_a_token_is_stored(tokens: Tokens, path: str):
    token = tokens.add("prometheus", Role.VIEWER)
    assert token.startswith(PREFIX)
    assert len(token) > 50
    rows = sqlite3.connect(path).execute("SELECT * FROM tokens").fetchall()
    assert token not in str(rows)
    assert token_hash(token) in str(rows)


def test_a_token_is_found_by_its_hash_until_it_is_removed(tokens: Tokens):
    text = tokens.add("grafana", Role.ADMIN, now=1000)
    assert tokens.find(token_hash(text)) == Token("grafana", Role.ADMIN, 1000, None)
    assert tokens.find(token_hash(text + "x")) is None
    assert tokens.find(text) is None
    tokens.remove("grafana")
    assert tokens.find(token_hash(text)) is None
    with pytest.raises(TokenError, match="there is no token grafana"):
        tokens.remove("grafana")


def test_two_tokens_differ_and_are_sorted_by_name(tokens: Tokens):
    assert tokens.add("b", Role.VIEWER) != tokens.add("a", Role.VIEWER)
    assert [token.name for token in tokens.list()] == ["a", "b"]


def test_a_use_is_written_once_a_minute(tokens: Tokens):
    text = tokens.add("a", Role.VIEWER)
    assert tokens.list()[0].needs_touch(2000.0)
    tokens.touch("a", 2000.5)
    token = tokens.find(token_hash(text))
    assert token is not None
    assert token.used_at == 2000
    assert not token.needs_touch(2059.9)
    assert token.needs_touch(2060.0)


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME + 1), "two\nlines", "\x00", "tab\t"])
def test_a_name_that_cannot_be_shown_is_refused(tokens: Tokens, name: str):
    with pytest.raises(TokenError, match="printable"):
        tokens.add(name, Role.VIEWER)
    assert not tokens.list()


def test_a_name_is_used_once(tokens: Tokens):
    tokens.add("a", Role.VIEWER)
    with pytest.raises(TokenError, match="there is a token a already"):
        tokens.add("a", Role.ADMIN)
    assert [token.role for token in tokens.list()] == [Role.VIEWER]


def test_the_number_of_tokens_is_bounded(tokens: Tokens, monkeypatch):
    monkeypatch.setattr("sip.store.tokens.MAX_TOKENS", 2)
    assert MAX_TOKENS == 100
    tokens.add("a", Role.VIEWER)
    tokens.add("b", Role.VIEWER)
    with pytest.raises(TokenError, match="remove an unused one"):
        tokens.add("c", Role.VIEWER)
