"""Sessions of users on /me: in memory, so a restart ends them all.

A session is known by the hash of its token, and it belongs to an account with the HA1s that it had
at the sign-in.  So it ends when the account is deleted, disabled, or gets another password, by
any process, without an event: `find` compares.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sip.store.accounts import Account
from sip.store.users import Users

# Seconds of a session, from the sign-in.
SESSION_SECONDS = 12 * 3600
# Sessions in all, some 500 bytes each, and of one account; the oldest ends for a new one.
MAX_SESSIONS = 20_000
MAX_OF_ACCOUNT = 10


@dataclass(slots=True)
class UserSession:
    """A browser in which a user is signed in; `realm` is the name of its realm.

    `message` is a sentence that the next page shows.
    """

    user_id: int
    username: str
    realm: str
    mark: str
    until: float
    message: str = ""


class UserSessions:
    """All sessions; `clock` is monotonic."""

    def __init__(self, users: Users, clock: Callable[[], float]) -> None:
        self._users = users
        self._clock = clock
        self._sessions: dict[str, UserSession] = {}  # by hash of the token, the oldest first

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, account: Account) -> str:
        """Return the token of a new session."""
        own = [key for key, each in self._sessions.items() if each.user_id == account.id]
        for key in own[: max(0, len(own) - MAX_OF_ACCOUNT + 1)]:
            del self._sessions[key]
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        token = secrets.token_urlsafe(32)
        self._sessions[_hash(token)] = UserSession(
            account.id,
            account.username,
            account.realm or self._users.realm,
            _mark(account),
            self._clock() + SESSION_SECONDS,
        )
        return token

    def find(self, token: str) -> UserSession | None:
        """Return the session of a token, None if there is none or if it has ended."""
        key = _hash(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        account = self._users.find(session.username, session.realm)
        if (
            account is None
            or account.id != session.user_id
            or not account.enabled
            or not hmac.compare_digest(_mark(account), session.mark)
            or self._clock() >= session.until
        ):
            del self._sessions[key]
            return None
        return session

    def close(self, token: str) -> None:
        """End a session."""
        self._sessions.pop(_hash(token), None)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _mark(account: Account) -> str:
    """Return a hash of the HA1s of an account: another password gives another one."""
    ha1s = (account.ha1_md5, account.ha1_sha256, account.ha1_sha512_256)
    return hashlib.sha256(":".join(each or "" for each in ha1s).encode()).hexdigest()
