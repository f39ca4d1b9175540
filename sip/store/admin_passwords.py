"""Passwords of administrators: hashes, comparison and weakness.

Only an argon2 hash of each password is stored.  Hashing takes about 25 ms, so a server calls
`hash_password` and `verify` in a separate thread; they do not use the database.
"""

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sip.store.passwords import weakness

MAX_PASSWORD = 1024  # characters; bounds the time for hashing
SHORT_PASSWORD = 8  # characters; a shorter one gives a warning (NIST SP 800-63B-3 §5.1.1.2)

# 19 MiB and two passes are the minimum for argon2id in OWASP's Password Storage Cheat Sheet.
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def _check_password(password: str) -> None:
    """Raise ValueError for a password that cannot be used."""
    if not password:
        raise ValueError("the password is empty")
    if len(password) > MAX_PASSWORD:
        raise ValueError(f"the password is longer than {MAX_PASSWORD:,} characters")
    if not _is_text(password):
        raise ValueError("the password is not UTF-8; use a terminal that is set to UTF-8")


def hash_password(password: str) -> str:
    """Return the argon2 hash of a password, with its parameters.  Raises ValueError."""
    _check_password(password)
    return _hasher.hash(_nfc(password))


def password_weakness(password: str, name: str) -> str:
    """Return why a password of an administrator is weak, as a text after "the password", or ""."""
    return weakness(password, name, shortest=SHORT_PASSWORD, digits_are_weak=False)


def verify(password_hash: str, password: str) -> bool:
    """Return True if `password` has this hash.  Any input is allowed, and gives no error."""
    if len(password) > MAX_PASSWORD or not _is_text(password):
        return False
    try:
        return _hasher.verify(password_hash, _nfc(password))
    except (VerificationError, InvalidHashError):
        return False


def _is_text(password: str) -> bool:
    """Return False if the password has octets that the terminal or form could not decode."""
    return not any("\ud800" <= character <= "\udfff" for character in password)


def _nfc(password: str) -> str:
    """Normalize to NFC, because keyboards compose accents differently (RFC 8265)."""
    return unicodedata.normalize("NFC", password)
