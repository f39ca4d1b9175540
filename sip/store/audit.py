"""The audit: changes to accounts and to the web admin, with time, user and address.

It contains no secrets, and nothing that was typed in a failed sign-in, because people sometimes
type the password as the name.  Its size is bounded, separately for users that are not signed in, so
that password guessing cannot push out the entries of the administrator.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from time import time

from sip.monitor.events import AdminActed
from sip.store.accounts import printable
from sip.store.database import Database, DatabaseError, Tables, fetch

log = logging.getLogger(__name__)

KEPT_SECONDS = 365 * 24 * 3600
# Some 100 bytes each.  With a hundred entries a week, a whole year is kept.
MAX_ENTRIES = 10_000
MAX_ANONYMOUS_ENTRIES = 2_000

PAGE_SIZE = 50
MAX_TEXT = 300  # characters of each text; a name with its realm is shorter

ANONYMOUS = ""  # `who` of a user that is not signed in


class Act(StrEnum):
    """The kinds of audit entries.  The text is stored in databases, so never change it."""

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
    USER_CALLS = "call settings changed"
    GROUP_ADDED = "group added"
    GROUP_CHANGED = "group changed"
    GROUP_REMOVED = "group removed"
    GROUP_RESTORED = "group restored"
    USERS_ENABLED = "users enabled"
    USERS_DISABLED = "users disabled"
    USERS_DELETED = "users deleted"
    USERS_PASSWORDS = "new passwords of users"
    USERS_UNDONE = "change of users undone"
    PHONE_DROPPED = "phone dropped"
    PHONE_CALLED = "phone called"
    PHONE_OPENED = "phone opened in the browser"
    SETUP_LINK = "setup link made"
    DESK_PHONE_ADDED = "desk phone added"
    DESK_PHONE_REMOVED = "desk phone removed"
    DESK_PHONE_OPENED = "desk phone may fetch a password"
    SETTINGS_FETCHED = "settings fetched by a phone"
    OWN_PASSWORD = "own password changed"  # noqa: S105 -- no password
    OWN_PHONE = "own phone signed off"
    HASHES_SHOWN = "HA1s shown"
    IMPORTED = "users imported"
    EXPORTED = "users exported"
    HISTORY_EXPORTED = "history exported"
    BAN_LIFTED = "ban lifted"
    WAIT_LIFTED = "wait lifted"
    NETWORK_TRUSTED = "network trusted"
    NETWORK_DISTRUSTED = "network trusted no more"
    CALL_HUNG_UP = "call hung up"
    CREDENTIALS_SHOWN = "credentials shown"
    TRACE_PINNED = "messages pinned"
    TRACE_UNPINNED = "messages unpinned"
    ADMIN_ADDED = "administrator added"
    ADMIN_REMOVED = "administrator removed"
    ADMIN_ROLE = "administrator role changed"
    FACTOR_ON = "second factor turned on"
    FACTOR_OFF = "second factor turned off"
    FACTOR_RESET = "second factor removed"
    RECOVERY_CODE_USED = "recovery code used"
    RECOVERY_CODES_RENEWED = "recovery codes renewed"
    TOKEN_ADDED = "token added"  # noqa: S105 -- no token
    TOKEN_REMOVED = "token removed"  # noqa: S105 -- no token
    SETTING_CHANGED = "setting changed"
    BACKED_UP = "backup made"
    RESTORED = "backup restored"

    @property
    def text(self) -> str:
        """The action in the words of the pages and the log; the value is that of older files."""
        return _TEXTS.get(self, self.value)


_TEXTS = {
    Act.BAN_LIFTED: "ban removed",
    Act.WAIT_LIFTED: "login unblocked",
    Act.NETWORK_DISTRUSTED: "network no longer trusted",
}


# The filters of the audit page.
KINDS: Mapping[str, tuple[Act, ...]] = {
    "sign-ins": (Act.SIGNED_IN, Act.SIGN_IN_REFUSED, Act.SIGNED_OUT),
    "sessions": (Act.SESSION_ENDED, Act.OTHERS_ENDED),
    "users": (
        *(Act.USER_ADDED, Act.USER_RENAMED, Act.USER_PASSWORD, Act.USER_ENABLED),
        *(Act.USER_DISABLED, Act.USER_DELETED, Act.USER_RESTORED, Act.PHONE_DROPPED),
        *(Act.PHONE_CALLED, Act.PHONE_OPENED, Act.USER_CALLS),
        *(Act.USERS_ENABLED, Act.USERS_DISABLED, Act.USERS_DELETED),
        *(Act.USERS_PASSWORDS, Act.USERS_UNDONE),
        *(Act.GROUP_ADDED, Act.GROUP_CHANGED, Act.GROUP_REMOVED, Act.GROUP_RESTORED),
    ),
    "phones": (
        *(Act.SETUP_LINK, Act.DESK_PHONE_ADDED, Act.DESK_PHONE_REMOVED, Act.DESK_PHONE_OPENED),
        *(Act.SETTINGS_FETCHED, Act.OWN_PASSWORD, Act.OWN_PHONE),
    ),
    "files": (Act.IMPORTED, Act.EXPORTED, Act.HASHES_SHOWN, Act.HISTORY_EXPORTED),
    "messages": (Act.CREDENTIALS_SHOWN, Act.TRACE_PINNED, Act.TRACE_UNPINNED),
    "administrators": (
        *(Act.ADMIN_ADDED, Act.ADMIN_REMOVED, Act.ADMIN_ROLE, Act.PASSWORD_CHANGED),
        *(Act.FACTOR_ON, Act.FACTOR_OFF, Act.FACTOR_RESET),
        *(Act.RECOVERY_CODE_USED, Act.RECOVERY_CODES_RENEWED),
    ),
    "tokens": (Act.TOKEN_ADDED, Act.TOKEN_REMOVED),
    "settings": (Act.SETTING_CHANGED, Act.BACKED_UP, Act.RESTORED),
    "bans": (Act.BAN_LIFTED, Act.WAIT_LIFTED, Act.NETWORK_TRUSTED, Act.NETWORK_DISTRUSTED),
    "calls": (Act.CALL_HUNG_UP,),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.  `at` is in Unix seconds, `who` is "" if not signed in, `about` is the object."""

    id: int
    at: int
    who: str
    address: str
    act: str
    about: str

    @property
    def text(self) -> str:
        """The action in the words of the pages."""
        return Act(self.act).text


class Audit:
    """The audit in the database.  Not cached in memory, because commands write it too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, act: Act, who: str, address: str = "", about: str = "", now: float | None = None
    ) -> None:
        """Add an entry, and delete entries that are too old or too many."""
        at = int(time() if now is None else now)
        entry = (at, *(printable(text, MAX_TEXT) for text in (who, address, act, about)))
        bound = MAX_ANONYMOUS_ENTRIES if who == ANONYMOUS else MAX_ENTRIES

        def write(tables: Tables) -> None:
            fetch(tables, _INSERT, entry)
            fetch(tables, "DELETE FROM audit WHERE at < ?", (at - KEPT_SECONDS,))
            fetch(tables, _DELETE_OLDEST, {"anonymous": who == ANONYMOUS, "bound": bound})

        self._database.run(write)

    def on_admin_acted(self, event: AdminActed) -> None:
        """Listen to AdminActed: add an entry; a failed write is only logged.  May wait."""
        try:
            self.add(Act(event.act), event.name, event.host, event.about, event.at)
        except DatabaseError as error:
            log.error("cannot write audit entry: %s", error)

    def entries(
        self, kind: str = "", before: int | None = None, limit: int = PAGE_SIZE
    ) -> list[Entry]:
        """Return a page of entries, latest first; of one kind, and with an id below `before`.

        There is one more than `limit` if another page follows.
        """
        acts = KINDS.get(kind, tuple(Act))
        # The statement has only `?` for values, so nothing has to be escaped.
        statement = _ENTRIES.format(", ".join("?" * len(acts)))
        values = (*acts, 2**63 - 1 if before is None else before, limit + 1)
        rows = self._database.browse(lambda tables: fetch(tables, statement, values))
        return [Entry(*row) for row in rows]


_INSERT = "INSERT INTO audit (at, who, address, act, about) VALUES (?, ?, ?, ?, ?)"
_DELETE_OLDEST = """
    DELETE FROM audit
    WHERE (who = '') = :anonymous AND id <= (
        SELECT id FROM audit WHERE (who = '') = :anonymous ORDER BY id DESC LIMIT 1 OFFSET :bound
    )
"""
_ENTRIES = """
    SELECT id, at, who, address, act, about FROM audit
    WHERE act IN ({}) AND id < ? ORDER BY id DESC LIMIT ?
"""
