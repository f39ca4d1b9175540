"""The registrations of all users, or of one, page by page; each has an id, and can be removed.

Problem: 100,000 users may have a phone or more each, and a list of all of them would block the
    server.
Model: a page is read from the database, in its reader thread, along the primary key, from the
    newest account to the oldest.  An id is that of the account and a hash of contact and host, so
    it stays the same when a phone refreshes its registration.
Bounds: the accounts of one page, with the contacts that each may have.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from time import time
from typing import Any, Protocol

from sip.store.contacts import CONTACT_COLUMNS, Contact, contact_of
from sip.store.database import Database, Tables, fetch
from sip.store.users import Users

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Registration:
    """One contact that an account is reached at now; `realm` is also the name of the main realm."""

    user_id: int
    username: str
    realm: str
    contact: Contact

    @property
    def id(self) -> str:
        """The id, for URLs: letters, digits and a hyphen."""
        return f"{self.user_id}-{self.contact.key}"


@dataclass(frozen=True, slots=True)
class RegistrationPage:
    """One page of registrations; `next` is the id that the next page begins after, or None."""

    registrations: tuple[Registration, ...]
    next: str | None


class Phones(Protocol):
    """The part of the location service that removes a contact."""

    def remove_contact(self, aor: str, contact: str, flow: str) -> None:
        """Remove one contact.  Blocks until the database has it."""


class Registrations:
    """Queries of registrations.  Each method blocks the greenlet for some milliseconds."""

    def __init__(
        self,
        database: Database,
        users: Users,
        phones: Phones,
        unix_clock: Callable[[], float] = time,
    ) -> None:
        self._database = database
        self._users = users
        self._phones = phones
        self._unix_clock = unix_clock

    def page(
        self, *, user_id: int | None = None, after: str | None = None, limit: int = PAGE_SIZE
    ) -> RegistrationPage:
        """Return up to `limit` registrations after an id, of one account or of all.

        The registration with that id may have ended meanwhile.  Raises ValueError for a text that
        is no id.
        """
        start = None if after is None else _parsed(after)
        now = int(self._unix_clock())

        def page(tables: Tables) -> list[Registration]:
            last = 2**63 - 1 if start is None else start[0]
            ids = [user_id] if user_id else _users(tables, last, now, limit + 2)
            found = self._of_users(tables, ids, now)
            if start is not None:
                found = [each for each in found if _is_after(each, *start)]
            return found[: limit + 1]

        found = self._database.browse(page)
        more = len(found) > limit
        return RegistrationPage(tuple(found[:limit]), found[limit - 1].id if more else None)

    def find(self, id_: str) -> Registration | None:
        """Return the registration with an id, None without one."""
        try:
            number, key = _parsed(id_)
        except ValueError:
            return None
        now = int(self._unix_clock())
        found = self._database.browse(lambda tables: self._of_users(tables, [number], now))
        return next((each for each in found if each.contact.key == key), None)

    def remove(self, id_: str) -> Registration | None:
        """Remove the registration with an id, and return it; None without one.

        The phone may register again at once.  Blocks until that is stored.  Raises NotSaved.
        """
        found = self.find(id_)
        if found is not None:
            contact = found.contact
            self._phones.remove_contact(contact.aor, contact.contact, contact.flow)
        return found

    def _of_users(self, tables: Tables, ids: Sequence[int], now: int) -> list[Registration]:
        """Read the registrations of accounts, the newest account first, each in order of ids."""
        found: list[Registration] = []
        rows = fetch(tables, _ROWS, (json.dumps(ids), now))
        for number, some in groupby(rows, lambda row: int(row[0])):
            contacts = [self._registration(number, *row[1:]) for row in some]
            found += sorted(contacts, key=lambda each: each.contact.key)
        return found

    def _registration(
        self, number: int, username: str, realm: str | None, *columns: Any
    ) -> Registration:
        return Registration(number, username, realm or self._users.realm, contact_of(columns))


def _parsed(id_: str) -> tuple[int, str]:
    """Return account and key of an id.  Raises ValueError."""
    number, dash, key = id_.partition("-")
    if not (dash and key and number.isascii() and number.isdecimal() and len(number) < 19):
        raise ValueError(f"{id_[:40]!r} is not the id of a registration")
    return int(number), key


def _is_after(registration: Registration, number: int, key: str) -> bool:
    """Return True for a registration that is listed after the one with this account and key."""
    if registration.user_id == number:
        return registration.contact.key > key
    return registration.user_id < number


def _users(tables: Tables, last: int, now: int, limit: int) -> list[int]:
    """Return the accounts with registrations, the newest first, from `last` on."""
    return [number for (number,) in fetch(tables, _USERS, (last, now, limit))]


_USERS = """
    SELECT DISTINCT user_id FROM bindings WHERE user_id <= ? AND expires_at > ?
    ORDER BY user_id DESC LIMIT ?
"""
_ROWS = f"""
    SELECT users.id, username, realm, {CONTACT_COLUMNS}
    FROM bindings CROSS JOIN users ON users.id = user_id
    WHERE user_id IN (SELECT value FROM json_each(?)) AND expires_at > ? ORDER BY user_id DESC
"""  # noqa: S608 -- our own column names
