"""The account `admin` of the web admin, and its sessions.

Only an argon2 hash of the password and SHA-256 hashes of session tokens are stored, so the database
does not let anyone sign in.  Hashing a password takes about 25 ms, so a server calls
`hash_password` and `verify` in a separate thread; they do not use the database.
"""

import hashlib
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sip.store.accounts import printable
from sip.store.database import Database, Tables
from sip.store.passwords import make_password, weakness

USERNAME = "admin"
SESSION_SECONDS = 12 * 3600  # from signing in, not extended by use
MAX_SESSIONS = 100  # enough for the browsers of one administrator; then the oldest session ends
MAX_PASSWORD = 1024  # characters; bounds the time for hashing
SHORT_PASSWORD = 8  # characters; a shorter one gives a warning (NIST SP 800-63B-3 §5.1.1.2)
MAX_USER_AGENT = 200  # characters
MAX_ADDRESS = 64  # characters; an IPv6 address with its zone is shorter
# Minimum seconds between writes of `seen_at`; else each page would cost a commit.
SEEN_INTERVAL = 60

_TOKEN_BYTES = 32

# 19 MiB and two passes are the minimum for argon2id in OWASP's Password Storage Cheat Sheet.
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in.  Times are Unix seconds."""

    id: int
    address: str
    user_agent: str
    created_at: int
    expires_at: int
    seen_at: int
    seen_from: str

    def needs_touch(self, address: str, now: float) -> bool:
        """Return True if the use of the session, from this address, has to be written."""
        return now >= self.seen_at + SEEN_INTERVAL or _address(address) != self.seen_from


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


def password_weakness(password: str) -> str:
    """Return why a password of the administrator is weak, as a text after "the password", or ""."""
    return weakness(password, USERNAME, shortest=SHORT_PASSWORD, digits_are_weak=False)


def verify(password_hash: str, password: str) -> bool:
    """Return True if `password` has this hash.  Any input is allowed, and gives no error."""
    if len(password) > MAX_PASSWORD or not _is_text(password):
        return False
    try:
        return _hasher.verify(password_hash, _nfc(password))
    except (VerificationError, InvalidHashError):
        return False


@dataclass(frozen=True, slots=True)
class FirstPassword:
    """The password that the server sets at its start.

    `generated` is its text if the server generated it; it is shown once.
    """

    password_hash: str
    generated: str = ""


class Admin:
    """The account and its sessions.  Not cached in memory, because other processes write them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def password_hash(self) -> str | None:
        """Return the hash of the password, or None if no password is set."""

        def find(tables: Tables) -> str | None:
            row = next(iter(tables.query(_HASH, username=USERNAME)), None)
            return None if row is None else str(row["password_hash"])

        return self._database.browse(find)

    def set_password_hash(self, password_hash: str) -> None:
        """Replace the password, and end all sessions."""
        self._write(_UPSERT_ADMIN, _DELETE_SESSIONS, hash=password_hash, now=int(time()))

    def restore_password_hash(self, password_hash: str | None) -> None:
        """Restore the former result of `password_hash`; None deletes the password."""
        if password_hash is not None:
            self.set_password_hash(password_hash)
        else:
            self._write(_DELETE_ADMIN, _DELETE_SESSIONS)

    def first_password(self, environment_password: str | None) -> FirstPassword | None:
        """Return the password that the server must set at its start, or None.

        A password from the environment is returned, unless it is set already; then sessions stay.
        Without one, a password is generated if none is set.  Writes nothing.  Raises ValueError
        for a password that cannot be used.  Hashing takes time: call it before sockets are open.
        """
        kept = self.password_hash()
        if environment_password:
            if kept is None or not verify(kept, environment_password):
                return FirstPassword(hash_password(environment_password))
        elif kept is None:
            generated = make_password()
            return FirstPassword(hash_password(generated), generated)
        return None

    def set_first_password(self, first: FirstPassword, show: Callable[[str], object]) -> bool:
        """Set the password, and `show` it if it was generated; return True if it was set.

        A generated password that cannot be shown is deleted, because no one would know it.  Raises
        the errors of `show`.
        """
        if not first.generated:
            self.set_password_hash(first.password_hash)
            return True
        self._write(_INSERT_ADMIN, hash=first.password_hash, now=int(time()))
        if self.password_hash() != first.password_hash:
            return False  # `admin password` has set a password since `first_password`
        try:
            show(first.generated)
        except BaseException:
            self.restore_password_hash(None)
            raise
        return True

    def open_session(
        self, address: str, user_agent: str, now: float, password_hash: str | None = None
    ) -> str:
        """Open a session, and return the token for the cookie of the browser.

        `password_hash` is the hash that the password was checked with: if the password was replaced
        since, no session is opened, and the token is not valid.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._write(
            _DELETE_EXPIRED,
            _OPEN_SESSION,
            _DELETE_OLDEST,
            token=_token_hash(token),
            hash=password_hash,
            address=_address(address),
            user_agent=printable(user_agent, MAX_USER_AGENT),
            now=int(now),
            expires_at=int(now) + SESSION_SECONDS,
            kept=MAX_SESSIONS,
        )
        return token

    def session(self, token: str, now: float) -> Session | None:
        """Return the session with this token, or None if there is none or it has ended."""
        hashed = _token_hash(token)

        def find(tables: Tables) -> Session | None:
            query = f"{_SESSIONS} AND token_hash = :token"
            row = next(iter(tables.query(query, username=USERNAME, now=now, token=hashed)), None)
            return None if row is None else Session(**row)

        return self._database.browse(find)

    def sessions(self, now: float) -> list[Session]:
        """Return all open sessions, latest first."""
        query = f"{_SESSIONS} ORDER BY id DESC"

        def find(tables: Tables) -> list[Session]:
            return [Session(**row) for row in tables.query(query, username=USERNAME, now=now)]

        return self._database.browse(find)

    def close_session(self, session_id: int) -> None:
        """End a session; a session that has ended already is ignored."""
        self._write("DELETE FROM sessions WHERE id = :id", id=session_id)

    def close_others(self, session_id: int) -> None:
        """End all sessions except this one."""
        self._write("DELETE FROM sessions WHERE id <> :id", id=session_id)

    def touch_session(self, session_id: int, address: str, now: float) -> None:
        """Write time and address of the last use of a session."""
        self._write(_TOUCH, id=session_id, address=_address(address), now=int(now))

    def _write(self, *statements: str, **values: str | int | None) -> None:
        """Execute statements in one transaction; each uses the values that it names."""

        def execute(tables: Tables) -> None:
            for statement in statements:
                tables.query(statement, username=USERNAME, **values)

        self._database.run(execute)


_HASH = "SELECT password_hash FROM admins WHERE username = :username"
_INSERT_ADMIN = """
    INSERT INTO admins (username, password_hash, updated_at) VALUES (:username, :hash, :now)
    ON CONFLICT (username) DO NOTHING
"""
_UPSERT_ADMIN = """
    INSERT INTO admins (username, password_hash, updated_at) VALUES (:username, :hash, :now)
    ON CONFLICT (username) DO UPDATE
    SET password_hash = excluded.password_hash, updated_at = excluded.updated_at
"""
_OPEN_SESSION = """
    INSERT INTO sessions (
        token_hash, username, address, user_agent, created_at, expires_at, seen_at, seen_from
    )
    SELECT :token, :username, :address, :user_agent, :now, :expires_at, :now, :address
    WHERE :hash IS NULL
    OR EXISTS (SELECT 1 FROM admins WHERE username = :username AND password_hash = :hash)
"""
_DELETE_ADMIN = "DELETE FROM admins WHERE username = :username"
_TOUCH = "UPDATE sessions SET seen_at = :now, seen_from = :address WHERE id = :id"
_DELETE_SESSIONS = "DELETE FROM sessions"
_DELETE_EXPIRED = "DELETE FROM sessions WHERE expires_at <= :now"
_DELETE_OLDEST = """
    DELETE FROM sessions
    WHERE id NOT IN (SELECT id FROM sessions ORDER BY id DESC LIMIT :kept)
"""
_SESSIONS = """
    SELECT id, address, user_agent, created_at, expires_at, seen_at, seen_from FROM sessions
    WHERE username = :username AND expires_at > :now
"""


def _is_text(password: str) -> bool:
    """Return False if the password has octets that the terminal or form could not decode."""
    return not any("\ud800" <= character <= "\udfff" for character in password)


def _nfc(password: str) -> str:
    """Normalize to NFC, because keyboards compose accents differently (RFC 8265)."""
    return unicodedata.normalize("NFC", password)


def _token_hash(token: str) -> str:
    # A cookie may contain anything; "replace" gives a `?`, which is in none of our tokens.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _address(text: str) -> str:
    return printable(text, MAX_ADDRESS)
