"""Sessions of the web admin: the browsers in which an administrator is signed in.

Only SHA-256 hashes of the tokens are stored, so the database does not let anyone sign in.  A
session has the present role of its administrator.
"""

import secrets
from dataclasses import dataclass

from sip.store.accounts import printable
from sip.store.database import Database, Tables, fetch
from sip.store.tokens import Role, token_hash

SESSION_SECONDS = 12 * 3600  # from signing in, not extended by use
# Enough for the browsers of one administrator; then the oldest session of the same one ends.
MAX_SESSIONS = 100
MAX_USER_AGENT = 200  # characters
MAX_ADDRESS = 64  # characters; an IPv6 address with its zone is shorter
# Minimum seconds between writes of `seen_at`; else each page would cost a commit.
SEEN_INTERVAL = 60

_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in.  Times are Unix seconds."""

    id: int
    username: str
    role: Role
    has_second_factor: bool
    address: str
    user_agent: str
    created_at: int
    expires_at: int
    seen_at: int
    seen_from: str

    def needs_touch(self, address: str, now: float) -> bool:
        """Return True if the use of the session, from this address, has to be written."""
        return now >= self.seen_at + SEEN_INTERVAL or _address(address) != self.seen_from


class Sessions:
    """The sessions in the database.  Not cached in memory, because other processes end them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        username: str,
        address: str,
        user_agent: str,
        now: float,
        password_hash: str | None = None,
    ) -> str:
        """Open a session, and return the token for the cookie of the browser.

        `password_hash` is the hash that the password was checked with: if the password was replaced
        since, or the administrator was removed, the token is not valid.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        values = {
            "token": token_hash(token),
            "username": username,
            "hash": password_hash,
            "address": _address(address),
            "user_agent": printable(user_agent, MAX_USER_AGENT),
            "now": int(now),
            "expires_at": int(now) + SESSION_SECONDS,
            "kept": MAX_SESSIONS,
        }

        def write(tables: Tables) -> None:
            for statement in (_DELETE_EXPIRED, _OPEN, _DELETE_OLDEST, _ADMIN_SEEN):
                fetch(tables, statement, values)

        self._database.run(write)
        return token

    def find(self, token: str, now: float) -> Session | None:
        """Return the session with this token, or None if there is none or it has ended."""
        # A cookie may contain anything; `token_hash` allows that.
        found = self._read("token_hash = :token", {"token": token_hash(token), "now": now})
        return found[0] if found else None

    def of(self, username: str, now: float) -> list[Session]:
        """Return all open sessions of an administrator, latest first."""
        return self._read("username = :username", {"username": username, "now": now})

    def ids(self, now: float) -> set[int]:
        """Return the ids of all open sessions of all administrators."""
        query = "SELECT id FROM sessions WHERE expires_at > ?"
        return {
            number
            for (number,) in self._database.browse(lambda tables: fetch(tables, query, (now,)))
        }

    def close(self, session_id: int) -> None:
        """End a session; a session that has ended already is ignored."""
        self._write("DELETE FROM sessions WHERE id = ?", session_id)

    def close_others(self, username: str, session_id: int) -> None:
        """End all sessions of an administrator except this one."""
        self._write("DELETE FROM sessions WHERE username = ? AND id <> ?", username, session_id)

    def touch(self, session_id: int, address: str, now: float) -> None:
        """Write time and address of the last use of a session."""
        values = {"id": session_id, "address": _address(address), "now": int(now)}

        def write(tables: Tables) -> None:
            fetch(tables, _TOUCH, values)
            fetch(tables, _TOUCH_ADMIN, values)

        self._database.run(write)

    def _read(self, condition: str, values: dict[str, object]) -> list[Session]:
        query = f"{_SESSIONS} AND {condition} ORDER BY id DESC"
        rows = self._database.browse(lambda tables: fetch(tables, query, values))
        return [
            Session(number, username, Role(role), bool(factor), *rest)
            for number, username, role, factor, *rest in rows
        ]

    def _write(self, statement: str, *values: str | int) -> None:
        self._database.run(lambda tables: fetch(tables, statement, values))


_OPEN = """
    INSERT INTO sessions (
        token_hash, username, address, user_agent, created_at, expires_at, seen_at, seen_from
    )
    SELECT :token, username, :address, :user_agent, :now, :expires_at, :now, :address
    FROM admins
    WHERE username = :username AND (:hash IS NULL OR password_hash = :hash)
"""
_ADMIN_SEEN = """
    UPDATE admins SET seen_at = :now
    WHERE username = (SELECT username FROM sessions WHERE token_hash = :token)
"""
_TOUCH = "UPDATE sessions SET seen_at = :now, seen_from = :address WHERE id = :id"
_TOUCH_ADMIN = """
    UPDATE admins SET seen_at = :now
    WHERE username = (SELECT username FROM sessions WHERE id = :id)
"""
_DELETE_EXPIRED = "DELETE FROM sessions WHERE expires_at <= :now"
_DELETE_OLDEST = """
    DELETE FROM sessions
    WHERE username = :username AND id NOT IN (
        SELECT id FROM sessions WHERE username = :username ORDER BY id DESC LIMIT :kept
    )
"""
_SESSIONS = """
    SELECT sessions.id, username, role, totp_secret IS NOT NULL, address, user_agent,
        sessions.created_at, expires_at, sessions.seen_at, seen_from
    FROM sessions JOIN admins USING (username)
    WHERE expires_at > :now
"""


def _address(text: str) -> str:
    return printable(text, MAX_ADDRESS)
