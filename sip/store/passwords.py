"""Passwords: which are weak, and how one is generated."""

import secrets
import string

# A phone with four digits is let in all the same; below this length a warning is due.
SHORTEST = 6  # characters
# What `weakness` looks at, for the counts of a report.
WEAK = f"the user name, fewer than {SHORTEST} characters, or digits alone"

# Small letters and digits, so that no key has to be shifted.  Left out are l, o, 0 and 1, which
# are mistaken for I, O and one another on paper and on a screen.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 4, 4  # 16 of 32 letters: 80 bits
# Every desk phone has a key for the dot, since its own address is typed with it.
_BETWEEN = "."

_AROUND_A_NAME = string.digits + string.punctuation + string.whitespace


def make_password() -> str:
    """Generate a password of 80 bits that is easy to read aloud and to type: `k7mq.x2hf.9trw.c3pv`.

    The dots are part of it: it is the same on a page, in a file and in the output of a command.
    """
    # One call of the system for all letters: an import generates a hundred thousand passwords.
    letters = [_LETTERS[octet % 32] for octet in secrets.token_bytes(_GROUPS * _GROUP)]
    return _BETWEEN.join(
        "".join(letters[start : start + _GROUP]) for start in range(0, len(letters), _GROUP)
    )


def weakness(
    password: str, username: str, *, shortest: int = SHORTEST, digits_are_weak: bool = True
) -> str:
    """Return why a password is guessed soon, to follow "the password"; "" for one that is not.

    An empty password is no password, and not weak.
    """
    if not password:
        return ""
    if _resembles(password, username):
        return "is the user name, or little more"
    if len(password) < shortest:
        return f"has fewer than {shortest} characters"
    if digits_are_weak and password.isdecimal():
        return "is digits alone"
    return ""


def _resembles(password: str, username: str) -> bool:
    """Return True for the name itself, whatever its case and the digits or signs around it."""
    word = password.casefold()
    for name in {username.casefold(), username.casefold().partition("@")[0]}:
        core = name.strip(_AROUND_A_NAME)
        if word == name or (core and word.strip(_AROUND_A_NAME) == core):
            return True
    return False
