"""The web admin's one account, `admin`, and who is signed in to it.

Of the password an argon2 hash is kept, of a session's token a SHA-256: what stands in the file
opens no page.  Hashing takes about 25 ms, so a server that answers phones calls `hash_password`
and `verify` in a thread of their own; they touch no database.
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
SESSION_SECONDS = 12 * 3600  # from signing in, however much is clicked meanwhile
MAX_SESSIONS = 100  # more than one administrator's browsers; the oldest goes for one more
MAX_PASSWORD = 1024  # characters; nobody types more, and all of it would be hashed
SHORT_PASSWORD = 8  # characters; below it a warning is due (NIST SP 800-63B-3 §5.1.1.2)
MAX_USER_AGENT = 200  # characters
MAX_ADDRESS = 64  # characters; an IPv6 address with its zone is shorter
# That a session is used is written down so rarely, in seconds: each page would else cost a commit.
SEEN_INTERVAL = 60

_TOKEN_BYTES = 32

# 19 MiB and two passes are what OWASP's Password Storage Cheat CsvFile asks of argon2id at least.
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in.  Moments are Unix seconds."""

    id: int
    address: str
    user_agent: str
    created_at: int
    expires_at: int
    seen_at: int
    seen_from: str

    def is_news(self, address: str, now: float) -> bool:
        """Tell whether its use, from this address, is something that the file doesn't know yet."""
        return now >= self.seen_at + SEEN_INTERVAL or _address(address) != self.seen_from


def _check_password(password: str) -> None:
    """Raise ValueError for what cannot be the administrator's password."""
    if not password:
        raise ValueError("the password is empty")
    if len(password) > MAX_PASSWORD:
        raise ValueError(f"the password is longer than {MAX_PASSWORD:,} characters")
    if not _is_text(password):
        raise ValueError("the password is not UTF-8; type it in a terminal that is set to UTF-8")


def hash_password(password: str) -> str:
    """Hash a password, parameters included.  Raises ValueError for one that cannot be taken."""
    _check_password(password)
    return _hasher.hash(_normal(password))


def password_weakness(password: str) -> str:
    """Return why a password is weak for the administrator, to follow "the password", else ""."""
    return weakness(password, USERNAME, shortest=SHORT_PASSWORD, digits_are_weak=False)


def verify(password_hash: str, password: str) -> bool:
    """Tell whether it is the password that was hashed; whatever a stranger may have typed."""
    if len(password) > MAX_PASSWORD or not _is_text(password):
        return False
    try:
        return _hasher.verify(password_hash, _normal(password))
    except (VerificationError, InvalidHashError):
        return False


@dataclass(frozen=True, slots=True)
class FirstPassword:
    """The password that a start of the server sets.

    `generated` is its text where the server has made it up, to be shown once.
    """

    password_hash: str
    generated: str = ""


class Admin:
    """The account and its sessions.  Nothing is held in memory: other processes write them too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def password_hash(self) -> str | None:
        """Give what is kept of the password, or None before there is one."""

        def find(tables: Tables) -> str | None:
            row = next(iter(tables.query(_HASH, username=USERNAME)), None)
            return None if row is None else str(row["password_hash"])

        return self._database.browse(find)

    def set_password_hash(self, password_hash: str) -> None:
        """Replace the password, and end every session that was opened with the former one."""
        self._write(_KEEP, _DROP_ALL, hash=password_hash, now=int(time()))

    def restore_password_hash(self, password_hash: str | None) -> None:
        """Restore what `password_hash` gave before; None deletes the password."""
        if password_hash is not None:
            self.set_password_hash(password_hash)
        else:
            self._write(_DROP_ADMIN, _DROP_ALL)

    def first_password(self, environment_password: str | None) -> FirstPassword | None:
        """Return the password that a start of the server has to set, None where one is set.

        One from the environment is set, unless it is the password already; sessions then stay.
        Without one, and with none set before, a password is generated.  Writes nothing.  Raises
        ValueError for one that cannot be taken.  Hashes, so it belongs before the first socket
        is open.
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
        """Set it, then `show` it where it was generated; return whether it was set.

        A password that cannot be shown is deleted again, or nobody could sign in.  Raises what
        `show` raises.
        """
        if not first.generated:
            self.set_password_hash(first.password_hash)
            return True
        self._write(_KEEP_FIRST, hash=first.password_hash, now=int(time()))
        if self.password_hash() != first.password_hash:
            return False  # `admin password` has set one since `first_password` looked
        try:
            show(first.generated)
        except BaseException:
            self.restore_password_hash(None)
            raise
        return True

    def open_session(
        self, address: str, user_agent: str, now: float, password_hash: str | None = None
    ) -> str:
        """Sign a browser in, and return the token that it shows from now on.

        Give the `password_hash` that its password was checked against: should the password have
        been replaced since, the token opens nothing.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._write(
            _DROP_EXPIRED,
            _OPEN,
            _DROP_OLDEST,
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
        """Find the session of a token, None where it has ended or never was.  Only reads."""
        hashed = _token_hash(token)

        def find(tables: Tables) -> Session | None:
            query = f"{_SESSIONS} AND token_hash = :token"
            row = next(iter(tables.query(query, username=USERNAME, now=now, token=hashed)), None)
            return None if row is None else Session(**row)

        return self._database.browse(find)

    def sessions(self, now: float) -> list[Session]:
        """Give all that are signed in, the latest first."""
        query = f"{_SESSIONS} ORDER BY id DESC"

        def find(tables: Tables) -> list[Session]:
            return [Session(**row) for row in tables.query(query, username=USERNAME, now=now)]

        return self._database.browse(find)

    def close_session(self, session_id: int) -> None:
        """Sign one browser out; one that is out already is no error."""
        self._write("DELETE FROM sessions WHERE id = :id", id=session_id)

    def close_others(self, session_id: int) -> None:
        """Sign every browser out but this one."""
        self._write("DELETE FROM sessions WHERE id <> :id", id=session_id)

    def saw(self, session_id: int, address: str, now: float) -> None:
        """Note that a session was used."""
        self._write(_SAW, id=session_id, address=_address(address), now=int(now))

    def _write(self, *statements: str, **values: str | int | None) -> None:
        """Execute them in one transaction; each takes those of the values that it names."""

        def execute(tables: Tables) -> None:
            for statement in statements:
                tables.query(statement, username=USERNAME, **values)

        self._database.run(execute)


_HASH = "SELECT password_hash FROM admins WHERE username = :username"
_KEEP_FIRST = """
    INSERT INTO admins (username, password_hash, updated_at) VALUES (:username, :hash, :now)
    ON CONFLICT (username) DO NOTHING
"""
_KEEP = """
    INSERT INTO admins (username, password_hash, updated_at) VALUES (:username, :hash, :now)
    ON CONFLICT (username) DO UPDATE
    SET password_hash = excluded.password_hash, updated_at = excluded.updated_at
"""
_OPEN = """
    INSERT INTO sessions (
        token_hash, username, address, user_agent, created_at, expires_at, seen_at, seen_from
    )
    SELECT :token, :username, :address, :user_agent, :now, :expires_at, :now, :address
    WHERE :hash IS NULL
    OR EXISTS (SELECT 1 FROM admins WHERE username = :username AND password_hash = :hash)
"""
_DROP_ADMIN = "DELETE FROM admins WHERE username = :username"
_SAW = "UPDATE sessions SET seen_at = :now, seen_from = :address WHERE id = :id"
_DROP_ALL = "DELETE FROM sessions"
_DROP_EXPIRED = "DELETE FROM sessions WHERE expires_at <= :now"
_DROP_OLDEST = """
    DELETE FROM sessions
    WHERE id NOT IN (SELECT id FROM sessions ORDER BY id DESC LIMIT :kept)
"""
_SESSIONS = """
    SELECT id, address, user_agent, created_at, expires_at, seen_at, seen_from FROM sessions
    WHERE username = :username AND expires_at > :now
"""


def _is_text(password: str) -> bool:
    """Tell it from one with octets that a terminal, or a form, could not decode."""
    return not any("\ud800" <= character <= "\udfff" for character in password)


def _normal(password: str) -> str:
    """Write it the one way, as keyboards and systems compose an accent differently (RFC 8265)."""
    return unicodedata.normalize("NFC", password)


def _token_hash(token: str) -> str:
    # A cookie may hold anything; a `?` in its place is in no token of ours.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _address(text: str) -> str:
    return printable(text, MAX_ADDRESS)
