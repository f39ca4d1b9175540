"""Passwords: those that are generated, and those that are weak."""

import logging
import math
import re

from sip.store.database import Database
from sip.store.passwords import _LETTERS, make_password, weakness
from sip.store.users import Users
from tests.support.cases import cases


def test_a_generated_password_is_easy_to_type():
    """Small letters and digits in groups, none of which is mistaken for another."""
    made = [make_password() for _ in range(500)]
    assert len(set(made)) == 500
    assert all(re.fullmatch(r"(?:[a-z2-9]{4}\.){3}[a-z2-9]{4}", each) for each in made)
    assert not set("".join(made)) & set("-_lIoO01")
    assert {c for each in made for c in each} == {*_LETTERS, "."}, "every letter is drawn"


def test_a_generated_password_has_80_bits():
    letters = make_password().replace(".", "")
    assert len(letters) * math.log2(len(set(_LETTERS))) >= 80


@cases(
    ("username", "password", "why"),
    [
        ("alice", "alice", "is the user name"),
        ("alice", "ALICE", "is the user name"),
        ("Alice", "alice1", "is the user name"),
        ("alice7", "Alice123!", "is the user name"),
        ("ann@example.org", "ann", "is the user name"),
        ("ann@example.org", "ann@example.org", "is the user name"),
        ("Straße", "STRASSE", "is the user name"),
        ("1001", "1001", "is the user name"),
        ("1001", "8842", "fewer than 6"),
        ("alice", "x", "fewer than 6"),
        ("alice", "five5", "fewer than 6"),
        ("alice", "é" * 5, "fewer than 6"),
        ("alice", "12345678901", "only digits"),
        ("1001", "9999999", "only digits"),
    ],
)
def test_a_weak_password_is_reported_with_its_reason(username, password, why):
    assert why in weakness(password, username)


@cases(
    ("username", "password"),
    [
        ("alice", ""),
        ("alice", "secret"),
        ("alice", "malice"),
        ("alice", "alicexyz"),
        ("1001", "x1001x"),
        ("1001", "......"),
        ("+49", "wonder-4711"),
        ("alice", "k7mq.x2hf.9trw.c3pv"),
    ],
)
def test_other_passwords_are_not_reported(username, password):
    assert not weakness(password, username)


def test_a_weak_password_is_taken_and_logged(tmp_path, caplog):
    """From Python as from everywhere; the line names the account, never the password."""
    with Database(str(tmp_path / "sip.db")) as database, caplog.at_level(logging.WARNING):
        users = Users(database, "example.com")
        users.add("alice", "8842")
        users.add("bob", "wonder-4711")
        users.set_password("bob", "Bob99")
        assert len(users) == 2
    assert caplog.messages == [
        "weak password of alice: it has fewer than 6 characters",
        "weak password of bob: it is the user name, or similar",
    ]


def test_a_password_is_put_back(tmp_path):
    with Database(str(tmp_path / "sip.db")) as database:
        users = Users(database, "example.com")
        users.add("alice", "the former one", "b.example")
        former = users.secrets("alice", "b.example")
        before = users.find("alice", "b.example").ha1_sha256
        users.set_password("alice", "another one", "b.example")
        assert users.find("alice", "b.example").ha1_sha256 != before
        users.restore_secrets("alice", "b.example", former)
        assert users.find("alice", "b.example").ha1_sha256 == before
        assert users.secrets("alice", "b.example") == former
