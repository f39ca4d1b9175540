"""Tokens of programs that use the API or read /metrics: `Authorization: Bearer TOKEN`.

A token has 256 random bits, so its SHA-256 is enough to recognize it, and the database does not
reveal it.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import time

from sip.store.accounts import printable
from sip.store.database import Database, Tables, fetch

# Secret scanners and people recognize a token by its beginning.
PREFIX = "sipserver_"
MAX_TOKENS = 100
MAX_NAME = 60  # characters
# Minimum seconds between writes of `used_at`; else each reading of the metrics would cost a commit.
USED_INTERVAL = 60

_TOKEN_BYTES = 32


class Role(StrEnum):
    """The role of a token; only an admin changes things.  The text is stored in databases."""

    ADMIN = "admin"
    VIEWER = "viewer"


class TokenError(Exception):
    """The token cannot be added or removed.  The text says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token.  Times are Unix seconds, `used_at` None before the first use."""

    name: str
    role: Role
    created_at: int
    used_at: int | None

    def needs_touch(self, now: float) -> bool:
        """Return True if a use at `now` has to be written."""
        return self.used_at is None or now >= self.used_at + USED_INTERVAL


class Tokens:
    """The tokens in the database.  Not cached in memory, because commands write them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, role: Role, now: float | None = None) -> str:
        """Add a token, and return its text, which is stored nowhere.  Raises TokenError."""
        if not name or len(name) > MAX_NAME or printable(name, MAX_NAME) != name:
            raise TokenError(f"the name of a token has 1 to {MAX_NAME} printable characters")
        token = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        at = int(time() if now is None else now)

        def write(tables: Tables) -> None:
            if fetch(tables, f"{_TOKENS} WHERE name = ?", (name,)):
                raise TokenError(f"there is a token {name} already; remove it first")
            ((count,),) = fetch(tables, "SELECT count(*) FROM tokens")
            if count >= MAX_TOKENS:
                raise TokenError(f"there are {MAX_TOKENS} tokens already; remove an unused one")
            row = (name, token_hash(token), str(role), at, None)
            fetch(tables, "INSERT INTO tokens VALUES (?, ?, ?, ?, ?)", row)

        self._database.run(write)
        return token

    def list(self) -> Sequence[Token]:
        """Return all tokens, sorted by name."""
        return self._read(f"{_TOKENS} ORDER BY name")

    def remove(self, name: str) -> None:
        """Remove a token; it is refused from now on.  Raises TokenError."""
        statement = "DELETE FROM tokens WHERE name = ? RETURNING name"
        if not self._database.run(lambda tables: fetch(tables, statement, (name,))):
            raise TokenError(f"there is no token {name}; `tokens list` shows all tokens")

    def find(self, hashed: str) -> Token | None:
        """Return the token with this `token_hash`, or None."""
        return next(iter(self._read(f"{_TOKENS} WHERE token_hash = ?", hashed)), None)

    def touch(self, name: str, now: float) -> None:
        """Write the time of the last use of a token."""
        statement = "UPDATE tokens SET used_at = ? WHERE name = ?"
        self._database.run(lambda tables: fetch(tables, statement, (int(now), name)))

    def _read(self, query: str, *values: str) -> Sequence[Token]:
        rows = self._database.browse(lambda tables: fetch(tables, query, values))
        return [Token(name, Role(role), *times) for name, role, *times in rows]


_TOKENS = "SELECT name, role, created_at, used_at FROM tokens"


def token_hash(token: str) -> str:
    """Return the SHA-256 of a token, in hexadecimal digits; any text is allowed."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
