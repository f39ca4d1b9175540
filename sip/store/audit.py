"""The audit: who did what to the accounts and to the web admin, when, and from where.

It holds no secret, and nothing that was typed by somebody who didn't get in: people type their
password where the name belongs.  What it may grow to is bounded, and apart for strangers: whoever
guesses passwords all day cannot push out what the administrator has done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from time import time

from sip.store.accounts import printable
from sip.store.database import Database, Tables, fetch

KEPT_SECONDS = 365 * 24 * 3600
# Some 100 bytes each.  A hundred acts a week leave the year above whole.
MAX_ENTRIES = 10_000
MAX_ANONYMOUS_ENTRIES = 2_000

PAGE_SIZE = 50
MAX_TEXT = 300  # characters of each text; a user name has up to 255

ANONYMOUS = ""  # who is nobody yet


class Act(StrEnum):
    """What can be done.  The text is what is kept and shown, so it is never changed."""

    SIGNED_IN = "signed in"
    SIGN_IN_REFUSED = "sign-in refused"
    SIGNED_OUT = "signed out"
    SESSION_ENDED = "session ended"
    OTHERS_ENDED = "all other sessions ended"
    PASSWORD_CHANGED = "admin password changed"  # noqa: S105 -- no password
    USER_ADDED = "user added"
    USER_RENAMED = "display name changed"
    USER_PASSWORD = "user password changed"  # noqa: S105 -- no password
    USER_ENABLED = "user enabled"
    USER_DISABLED = "user disabled"
    USER_DELETED = "user deleted"
    USER_RESTORED = "user restored"
    PHONE_DROPPED = "phone dropped"
    HASHES_SHOWN = "HA1s shown"
    IMPORTED = "users imported"
    EXPORTED = "users exported"
    BAN_LIFTED = "ban lifted"
    WAIT_LIFTED = "wait lifted"
    NETWORK_TRUSTED = "network trusted"
    NETWORK_DISTRUSTED = "network trusted no more"


# What a reader may want to see alone.
KINDS: Mapping[str, tuple[Act, ...]] = {
    "sign-ins": (Act.SIGNED_IN, Act.SIGN_IN_REFUSED, Act.SIGNED_OUT),
    "sessions": (Act.SESSION_ENDED, Act.OTHERS_ENDED, Act.PASSWORD_CHANGED),
    "users": (
        *(Act.USER_ADDED, Act.USER_RENAMED, Act.USER_PASSWORD, Act.USER_ENABLED),
        *(Act.USER_DISABLED, Act.USER_DELETED, Act.USER_RESTORED, Act.PHONE_DROPPED),
    ),
    "files": (Act.IMPORTED, Act.EXPORTED, Act.HASHES_SHOWN),
    "bans": (Act.BAN_LIFTED, Act.WAIT_LIFTED, Act.NETWORK_TRUSTED, Act.NETWORK_DISTRUSTED),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One act.  `at` is in Unix seconds, `who` is empty for a stranger, `about` whom or what."""

    id: int
    at: int
    who: str
    address: str
    act: str
    about: str


class Audit:
    """The list of acts, in the database.  Nothing is held in memory: commands write it too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, act: Act, who: str, address: str = "", about: str = "", now: float | None = None
    ) -> None:
        """Enter an act, and let go of what is too old or too much."""
        at = int(time() if now is None else now)
        entry = (at, *(printable(text, MAX_TEXT) for text in (who, address, act, about)))
        bound = MAX_ANONYMOUS_ENTRIES if who == ANONYMOUS else MAX_ENTRIES

        def write(tables: Tables) -> None:
            fetch(tables, _NOTE, entry)
            fetch(tables, "DELETE FROM audit WHERE at < ?", (at - KEPT_SECONDS,))
            fetch(tables, _DROP_OLDEST, {"stranger": who == ANONYMOUS, "bound": bound})

        self._database.run(write)

    def entries(self, kind: str = "", before: int | None = None) -> list[Entry]:
        """Give a page of them, the latest first: those of a kind, and older than one."""
        acts = KINDS.get(kind, tuple(Act))
        # Names of ours all: the values are what `?` stands for.
        statement = _ENTRIES.format(", ".join("?" * len(acts)))
        values = (*acts, 2**63 - 1 if before is None else before, PAGE_SIZE + 1)
        rows = self._database.browse(lambda tables: fetch(tables, statement, values))
        return [Entry(*row) for row in rows]


_NOTE = "INSERT INTO audit (at, who, address, act, about) VALUES (?, ?, ?, ?, ?)"
_DROP_OLDEST = """
    DELETE FROM audit
    WHERE (who = '') = :stranger AND id <= (
        SELECT id FROM audit WHERE (who = '') = :stranger ORDER BY id DESC LIMIT 1 OFFSET :bound
    )
"""
_ENTRIES = """
    SELECT id, at, who, address, act, about FROM audit
    WHERE act IN ({}) AND id < ? ORDER BY id DESC LIMIT ?
"""
