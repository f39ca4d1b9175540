"""The MAC addresses of desk phones, which fetch their settings from this server."""

import re

from sip.store.database import Database, Tables, fetch

# Phones of one user.
MAX_PHONES = 10

_BETWEEN = re.compile(r"[-:. ]")
_MAC = re.compile(r"[0-9a-f]{12}")


class PhoneTaken(ValueError):
    """The MAC address belongs to another user.  The text names it."""


def parse_mac(text: str) -> str:
    """Return a MAC address as 12 hexadecimal digits in lower case.  Raises ValueError."""
    mac = _BETWEEN.sub("", text.strip()[:40]).lower()
    if not _MAC.fullmatch(mac):
        raise ValueError("a MAC address has 12 digits from 0 to 9 and A to F")
    return mac


def shown_mac(mac: str) -> str:
    """Return a MAC address as it is printed on phones: `00:15:65:AA:BB:CC`."""
    return ":".join(mac[at : at + 2] for at in range(0, 12, 2)).upper()


class DeskPhones:
    """The MAC addresses of users in the database; each belongs to one user.

    They stay while a deleted user can be restored.  Each method blocks for some milliseconds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_user(self, user_id: int) -> list[str]:
        """Return the MAC addresses of a user, in their order."""
        query = "SELECT mac FROM desk_phones WHERE user_id = ? ORDER BY mac"
        return self._database.browse(
            lambda tables: [str(mac) for (mac,) in fetch(tables, query, (user_id,))]
        )

    def user_of(self, mac: str) -> int | None:
        """Return the id of the user of a phone, None for an unknown phone or a deleted user."""
        query = """
            SELECT user_id FROM desk_phones JOIN users ON users.id = user_id WHERE mac = ?
        """
        rows = self._database.browse(lambda tables: list(fetch(tables, query, (mac,))))
        return int(rows[0][0]) if rows else None

    def add(self, mac: str, user_id: int) -> None:
        """Give a phone to a user.  Raises PhoneTaken; ValueError for too many phones."""

        def add(tables: Tables) -> None:
            fetch(tables, _DELETE_STALE)
            for holder, username in fetch(tables, _HOLDER, (mac,)):
                if holder != user_id:
                    of = f"of {username or 'a deleted user'}"
                    raise PhoneTaken(f"{shown_mac(mac)} is a phone {of}; remove it there first")
            query = "SELECT count(*) FROM desk_phones WHERE user_id = ? AND mac <> ?"
            ((count,),) = fetch(tables, query, (user_id, mac))
            if count >= MAX_PHONES:
                raise ValueError(f"a user has at most {MAX_PHONES} desk phones")
            fetch(
                tables,
                "INSERT OR IGNORE INTO desk_phones (mac, user_id) VALUES (?, ?)",
                (mac, user_id),
            )

        self._database.run(add)

    def remove(self, mac: str, user_id: int) -> bool:
        """Take a phone from a user; return False if the user has no such phone."""

        def remove(tables: Tables) -> bool:
            query = "DELETE FROM desk_phones WHERE mac = ? AND user_id = ? RETURNING mac"
            return bool(list(fetch(tables, query, (mac, user_id))))

        return self._database.run(remove)


_HOLDER = """
    SELECT user_id, username FROM desk_phones LEFT JOIN users ON users.id = user_id WHERE mac = ?
"""
# Of users that can no longer be restored.  The id of a user is never used again.
_DELETE_STALE = """
    DELETE FROM desk_phones
    WHERE user_id NOT IN (SELECT id FROM users) AND user_id NOT IN (SELECT id FROM removed_users)
"""
