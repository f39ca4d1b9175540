"""The secrets by which a phone is set up: shown once, fetched once, and only in memory.

The problem: a phone needs a password, and a password must not be in a log, in a database or in a
second answer.
The model: a link is known by the hash of its token.  It stands for an account, and the answer is
made of what the database has at that moment, so a link that is never opened changes nothing.  A
desk phone is known by its MAC address, which is no secret; so an administrator opens a window, in
which its next request gets a password.
The bounds: SECONDS for both, MAX_OPEN of each; the oldest ends for a new one.  A restart ends all.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

# Seconds that a link or a window is open.
SECONDS = 600
MAX_OPEN = 1000
# Passwords that wait for their page, each of another session.
MAX_SHOWN = 200

K = TypeVar("K")


class Grant(NamedTuple):
    """A permission to fetch the settings of an account once.

    `by` is the administrator that gave it; `until` is monotonic.
    """

    user_id: int
    by: str
    until: float


class Shown(NamedTuple):
    """What the page of a user shows once: a sentence, and a password or ""."""

    user_id: int
    text: str
    password: str


class Grants(Generic[K]):
    """Open permissions by their key."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[K, Grant] = {}  # the oldest first

    def add(self, key: K, user_id: int, by: str) -> None:
        """Add a permission; it replaces another one of this key."""
        self._open.pop(key, None)
        while len(self._open) >= MAX_OPEN:
            del self._open[next(iter(self._open))]
        self._open[key] = Grant(user_id, by, self._clock() + SECONDS)

    def take(self, key: K) -> Grant | None:
        """Remove and return a permission, None if there is none, or if it has expired."""
        grant = self._open.pop(key, None)
        return grant if grant and self._clock() < grant.until else None

    def put_back(self, key: K, grant: Grant) -> None:
        """Undo `take`: the settings could not be read."""
        self._open[key] = grant

    def seconds_left(self, key: K) -> float:
        """Return for how many seconds a permission stays open, 0 if there is none."""
        grant = self._open.get(key)
        return max(0.0, grant.until - self._clock()) if grant else 0.0

    def remove_user(self, user_id: int) -> None:
        """Remove the permissions of an account."""
        for key in [key for key, grant in self._open.items() if grant.user_id == user_id]:
            del self._open[key]


class PhoneSetups:
    """Links by the hash of their token, windows by MAC address, and passwords to show once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._links: Grants[str] = Grants(clock)
        self.windows: Grants[str] = Grants(clock)
        self._shown: dict[int, Shown] = {}

    def make_link(self, user_id: int, by: str) -> str:
        """Return the token of a new link; it ends the former links of the account."""
        self._links.remove_user(user_id)
        token = secrets.token_urlsafe(24)
        self._links.add(_hash(token), user_id, by)
        return token

    def take_link(self, token: str) -> Grant | None:
        """Remove and return the permission of a link, None if it is not valid."""
        return self._links.take(_hash(token))

    def put_link_back(self, token: str, grant: Grant) -> None:
        """Undo `take_link`."""
        self._links.put_back(_hash(token), grant)

    def show_once(self, session: int, shown: Shown) -> None:
        """Keep what the page of an account shows next to a session."""
        self._shown.pop(session, None)
        while len(self._shown) >= MAX_SHOWN:
            del self._shown[next(iter(self._shown))]
        self._shown[session] = shown

    def take_shown(self, session: int, user_id: int) -> Shown | None:
        """Remove and return what the page of an account is to show, None for nothing."""
        shown = self._shown.get(session)
        return self._shown.pop(session) if shown and shown.user_id == user_id else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
