"""Passwords of administrators: what is accepted, and comparison with hashes."""

import pytest

from sip.store import admin_passwords as passwords
from sip.store.admin_passwords import MAX_PASSWORD, hash_password, verify
from tests.support.cheap_hashes import REAL


def test_a_password_is_known_again_and_no_other(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", REAL)
    hashed = hash_password("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hash_password("correct horse") != hashed  # a salt for each
    assert verify(hashed, "correct horse")
    for other in ("", "Correct horse", "correct horse ", "correct horse\0", "x" * 5000):
        assert not verify(hashed, other)


def test_an_accent_is_the_same_however_a_keyboard_composes_it():
    """RFC 8265 §4.2.2: passwords are compared in normalization form C."""
    assert verify(hash_password("caf\u00e9"), "cafe\u0301")


@pytest.mark.parametrize("password", ["", "x" * (MAX_PASSWORD + 1), "caf\udce9", "\ud83d"])
def test_what_cannot_be_a_password_is_refused_with_a_sentence(password):
    with pytest.raises(ValueError, match="the password is") as refusal:
        hash_password(password)
    assert type(refusal.value) is ValueError
    assert not verify(hash_password("x"), password)


def test_the_longest_password_is_taken():
    longest = "\N{PILE OF POO}" * MAX_PASSWORD
    assert verify(hash_password(longest), longest)


def test_a_longer_one_is_not_even_hashed():
    """A stranger's megabytes would cost seconds."""
    longer = "x" * (MAX_PASSWORD + 1)
    assert not verify(passwords._hasher.hash(longer), longer)


@pytest.mark.parametrize("damaged", ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA", "\0"])
def test_a_damaged_hash_accepts_no_password(damaged):
    assert not verify(damaged, "")
    assert not verify(damaged, "x")
