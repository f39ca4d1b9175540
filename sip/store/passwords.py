"""Passwords: generation of strong ones, and detection of weak ones."""

import secrets
import string

# Shorter passwords are accepted with a warning.
SHORTEST = 6  # characters
# The reasons of `weakness`, for the counts of a report.
WEAK = f"the user name, fewer than {SHORTEST} characters, or only digits"

# Lower-case letters and digits are easy to type.  Without l, o, 0 and 1, which look like other
# characters on paper and on a screen.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 4, 4  # 16 of 32 letters: 80 bits
# Every desk phone has a key for the dot, because IP addresses need it.
_BETWEEN = "."

_AROUND_A_NAME = string.digits + string.punctuation + string.whitespace


def make_password() -> str:
    """Generate a password of 80 bits that is easy to read and type: `k7mq.x2hf.9trw.c3pv`.

    The dots are part of the password.
    """
    # One system call for all letters: an import generates a hundred thousand passwords.
    letters = [_LETTERS[octet % 32] for octet in secrets.token_bytes(_GROUPS * _GROUP)]
    return _BETWEEN.join(
        "".join(letters[start : start + _GROUP]) for start in range(0, len(letters), _GROUP)
    )


def weakness(
    password: str, username: str, *, shortest: int = SHORTEST, digits_are_weak: bool = True
) -> str:
    """Return why a password is weak, as a text after "the password"; "" if it is not.

    An empty password means no password, and is not weak.
    """
    if not password:
        return ""
    if _resembles(password, username):
        return "is the user name, or similar"
    if len(password) < shortest:
        return f"has fewer than {shortest} characters"
    if digits_are_weak and password.isdecimal():
        return "has only digits"
    return ""


def _resembles(password: str, username: str) -> bool:
    """Return True for the name itself, in any case, with any digits or punctuation around it."""
    word = password.casefold()
    for name in {username.casefold(), username.casefold().partition("@")[0]}:
        core = name.strip(_AROUND_A_NAME)
        if word == name or (core and word.strip(_AROUND_A_NAME) == core):
            return True
    return False
