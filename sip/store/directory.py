"""Queries of the pages about accounts: sorted, filtered and searched lists, and single accounts.

All queries run in `Database.browse`.  A list of 100,000 accounts is never read or sorted as a
whole: its page is found by skipping along an index with all sort and filter columns.
"""

# ruff: noqa: S608 -- only our own column, index and order names are put into SQL; input is a value

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from time import time
from typing import Any, TypeVar

from sip.store.accounts import ALGORITHMS
from sip.store.call_settings import USUAL, CallSettings
from sip.store.contacts import CONTACT_COLUMNS, Contact, contact_of
from sip.store.database import Database, Tables, fetch, stream
from sip.store.device_search import DeviceTable, has_matching_device, matching_devices
from sip.store.name_search import TRIGRAM, Sql, like, matching_aliases, search_query
from sip.store.retention import RESTORABLE_SECONDS
from sip.store.users import Users

T = TypeVar("T")

PAGE_SIZE = 50
# Maximum results of a search; to find one account, people type more letters.
MAX_FOUND = 1_000
# Up to this number of matching names, it is quicker to look up and sort them (1.5 µs each) than to
# scan the sorted index until enough of them are found (some 10 ms in all).
_FEW = 4_000
# With more matches, this number of first names of the list is compared one by one (0.7 µs each): if
# nearly all match, these are enough, and the ids of all matches (0.25 µs each) are not needed.
_PROBED = 4_000


@dataclass(frozen=True, slots=True)
class Question:
    """Search text, filters, sort order and page of a list of accounts.

    `status` is one of "", "online", "offline", "disabled", "enabled", "never" (no phone has ever
    registered) and "trouble"; offline accounts are enabled.  `trouble` are the ids of the accounts
    in trouble.  `realm` is the name of a realm, also of the main realm; None means all realms.
    `sort` is one of "username", "display_name", "state" (online first) and "last_seen".
    """

    search: str = ""
    status: str = ""
    realm: str | None = None
    sort: str = "username"
    descending: bool = False
    page: int = 1
    trouble: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One account, without its HA1s.  `realm` is the name of its realm, also of the main realm.

    Times are Unix seconds; `last_seen` is when a phone last registered or unregistered, None if no
    phone ever did.  A list sorted by it may be up to a minute out of date.  `contacts` are sorted
    by `updated_at`, latest first.
    """

    id: int
    username: str
    realm: str
    display_name: str
    enabled: bool
    online: bool
    last_seen: int | None
    created_at: int
    updated_at: int
    contacts: tuple[Contact, ...] = ()
    call_settings: CallSettings = USUAL


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.  The list has `total` accounts, or, with `more`, at least `total`."""

    entries: tuple[Entry, ...]
    total: int
    more: bool
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of accounts by state; a disabled account is not offline."""

    total: int
    online: int
    offline: int
    never: int
    disabled: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A deleted account that can still be restored."""

    id: int
    username: str
    realm: str
    removed_at: int


class Directory:
    """Queries about accounts.  Each method blocks the greenlet for some milliseconds."""

    def __init__(self, database: Database, users: Users) -> None:
        self._database = database
        self._users = users
        self._devices = DeviceTable()

    def page(self, question: Question) -> Page:
        """Return one page of a list; a page after the end gives the last page."""
        return self._database.browse(lambda tables: self._page(tables, question))

    def counts(self) -> Counts:
        """Return the numbers of accounts by state; each is counted along an index."""

        def count(tables: Tables) -> Counts:
            ((total, online, never, disabled),) = fetch(tables, _COUNTS)
            return Counts(total, online, total - online - disabled, never, disabled)

        return self._database.browse(count)

    def matching(self, question: Question, most: int) -> set[int]:
        """Return the ids of all accounts of a list, or of `most` of them."""

        def read(tables: Tables) -> set[int]:
            filtered = self._filter(question)
            conditions, values = [filtered.text], filtered.values | {"most": most}
            if question.search:
                search = self.search_query(tables, question.search)
                if search is None:
                    return set()
                conditions.append(f"id IN ({search.text})")
                values |= search.values
            where = " AND ".join(conditions)
            # One by one: a set that is built in one call would hold up the other threads.
            found = set()
            for (number,) in stream(
                tables, f"SELECT id FROM users WHERE {where} LIMIT :most", values
            ):
                found.add(number)
            return found

        return self._database.browse(read)

    def search_query(self, tables: Tables, text: str) -> Sql | None:
        """Return the query for the ids of matching accounts; None if none can match.

        Searched are names, aliases, and the devices and addresses of registered phones.
        """
        query = search_query(text)
        if query is None:
            return None
        # A further place to search in is one more SELECT here and in `_search_first_names`.
        aliases = matching_aliases(text)
        query = Sql(f"{query.text} UNION ALL {aliases.text}", query.values | aliases.values)
        if len(text) < TRIGRAM:
            return query
        self._devices.prepare(tables)
        return Sql(
            f"{query.text} UNION ALL {matching_devices(text)}",
            query.values | {"device": f"%{like(text)}"},
        )

    def entry(self, number: int) -> Entry | None:
        """Return the account with this id and all its contacts, or None."""
        return self._database.browse(lambda tables: self._entry(tables, number))

    def entries(self, numbers: Sequence[int]) -> tuple[Entry, ...]:
        """Return the accounts with these ids that there are, in this order, with their contacts."""
        return self._database.browse(lambda tables: self._entries(tables, numbers))

    def first(self) -> Entry | None:
        """Return the oldest account, or None."""

        def first(tables: Tables) -> Entry | None:
            ((number,),) = fetch(tables, "SELECT min(id) FROM users")
            return None if number is None else self._entry(tables, number)

        return self._database.browse(first)

    def hashes(self, number: int) -> dict[str, str] | None:
        """Return the HA1s of an account by algorithm, or None.  They are as secret as passwords."""
        columns = ", ".join(column for column, _ in ALGORITHMS.values())
        statement = f"SELECT {columns} FROM users WHERE id = ?"
        rows = self._database.browse(lambda tables: fetch(tables, statement, (number,)))
        for row in rows:
            return {name: ha1 for name, ha1 in zip(ALGORITHMS, row, strict=True) if ha1}
        return None

    def removed(self, number: int) -> Removed | None:
        """Return the deleted account that Users.restore would restore for this id, or None."""
        latest = int(time()) - RESTORABLE_SECONDS
        rows = self._database.browse(lambda tables: fetch(tables, _REMOVED, (number, latest)))
        for found, username, realm, removed_at in rows:
            return Removed(found, username, realm or self._users.realm, removed_at)
        return None

    def realms(self) -> list[str]:
        """Return the realms that have accounts, the main realm first."""
        main = self._users.realm
        return [main, *sorted(self._users.realms() - {main})]

    def count(self) -> int:
        """Return the number of accounts."""
        return len(self._users)

    def realm_condition(self, realm: str) -> Sql:
        """Return the condition for the accounts of a realm."""
        if realm == self._users.realm:
            return Sql("(realm IS NULL OR realm = :realm)", {"realm": realm})
        return Sql("realm = :realm", {"realm": realm})

    def browse(self, read: Callable[[Tables], T]) -> T:
        """Run `read`, which only reads, on the database of the accounts."""
        return self._database.browse(read)

    def _page(self, tables: Tables, question: Question) -> Page:
        filtered = self._filter(question)
        if question.search:
            search = self.search_query(tables, question.search)
            ids, total, more, page = _search_page(tables, question, filtered, search)
        else:
            ids, total, more, page = _list_page(tables, question, filtered)
        return Page(self._entries(tables, ids), total, more, page, _pages(total))

    def _filter(self, question: Question) -> Sql:
        conditions = [_STATUS[question.status]]
        values: dict[str, object] = {}
        if question.status == "trouble":
            values["trouble"] = json.dumps([*question.trouble])
        if question.realm is not None:
            condition, more = self.realm_condition(question.realm)
            values |= more
            conditions.append(condition)
        return Sql(" AND ".join(filter(None, conditions)) or "1", values)

    def _entry(self, tables: Tables, number: int) -> Entry | None:
        for entry in self._entries(tables, [number]):
            return entry
        return None

    def _entries(self, tables: Tables, ids: Sequence[int]) -> tuple[Entry, ...]:
        """Read the accounts with these ids, in this order, with their contacts."""
        some = (json.dumps(ids),)
        contacts = {
            number: tuple(map(contact_of, rows))
            for number, rows in groupby(fetch(tables, _CONTACTS, some), lambda row: row[0])
        }
        found = {row[0]: row for row in fetch(tables, _ACCOUNTS, some)}
        return tuple(
            self._as_entry(found[number], contacts.get(number, ()))
            for number in ids
            if number in found
        )

    def _as_entry(self, row: tuple[Any, ...], contacts: tuple[Contact, ...]) -> Entry:
        number, username, realm, display_name, enabled, online, seen, created, updated = row
        account = self._users.find(username, realm or self._users.realm)
        return Entry(
            id=number,
            username=username,
            realm=realm or self._users.realm,
            display_name=display_name,
            enabled=bool(enabled),
            online=bool(online),
            # The column may be older than the bindings, see bindings.SEEN_LAG.
            last_seen=max((seen or 0, *(each.updated_at for each in contacts))) or None,
            created_at=created,
            updated_at=updated,
            contacts=contacts,
            call_settings=(account and account.call_settings) or USUAL,
        )


@dataclass(frozen=True, slots=True)
class _Order:
    """An index, and the ORDER BY clauses that it supports."""

    index: str
    upwards: str
    downwards: str
    never: str = "users_by_last_seen"  # the index for accounts that have never registered

    def access(self, status: str) -> str:
        """Return how to find the accounts of a state in this order."""
        if status == "trouble":
            return "NOT INDEXED"  # few, by their ids
        return f"INDEXED BY {self.never if status == 'never' else self.index}"


_ORDERS = {
    "username": _Order(
        "users_by_name",
        "username COLLATE NOCASE, realm COLLATE NOCASE",
        "username COLLATE NOCASE DESC, realm COLLATE NOCASE DESC",
        "users_never_by_name",
    ),
    "state": _Order(
        "users_by_state",
        "online DESC, enabled DESC, username COLLATE NOCASE, realm COLLATE NOCASE",
        "online, enabled, username COLLATE NOCASE DESC, realm COLLATE NOCASE DESC",
        "users_by_state",
    ),
    "display_name": _Order(
        "users_by_display_name",
        "display_name COLLATE NOCASE, id",
        "display_name COLLATE NOCASE DESC, id DESC",
        "users_never_by_display_name",
    ),
    "last_seen": _Order("users_by_last_seen", "last_seen, id", "last_seen DESC, id DESC"),
}
_STATUS = {
    "": "",
    "online": "online = 1",
    "offline": "online = 0 AND enabled = 1",
    "disabled": "enabled = 0",
    "enabled": "enabled = 1",
    "never": "last_seen IS NULL",
    "trouble": "id IN (SELECT value FROM json_each(:trouble))",
}
_COUNTS = """
    SELECT
        (SELECT count(*) FROM users INDEXED BY users_by_state),
        (SELECT count(*) FROM users INDEXED BY users_by_state WHERE online = 1),
        (SELECT count(*) FROM users INDEXED BY users_never_by_name WHERE last_seen IS NULL),
        (SELECT count(*) FROM users INDEXED BY users_by_state WHERE online = 0 AND enabled = 0)
"""
_Found = tuple[Sequence[int], int, bool, int]  # ids, total, whether there are more, page


def _pages(total: int) -> int:
    return max(1, -(-total // PAGE_SIZE))


def _list_page(tables: Tables, question: Question, filtered: Sql) -> _Found:
    """Find a page by skipping along the index, from the nearer end."""
    counted = _ORDERS["username" if question.status == "never" else "state"]
    count = f"SELECT count(*) FROM users {counted.access(question.status)} WHERE {filtered.text}"
    ((total,),) = fetch(tables, count, filtered.values)
    page = min(max(1, question.page), _pages(total))
    offset = (page - 1) * PAGE_SIZE
    size = min(PAGE_SIZE, total - offset)
    backwards = offset > total // 2
    if backwards:
        offset = total - offset - size
    order = _ORDERS[question.sort]
    sequence = order.upwards if backwards == question.descending else order.downwards
    rows = fetch(
        tables,
        f"SELECT id FROM users {order.access(question.status)} WHERE {filtered.text}"
        f" ORDER BY {sequence} LIMIT :size OFFSET :offset",
        filtered.values | {"size": size, "offset": offset},
    )
    ids = [number for (number,) in rows]
    return ids[::-1] if backwards else ids, total, False, page


def _search_page(tables: Tables, question: Question, filtered: Sql, search: Sql | None) -> _Found:
    """Find a page of accounts with a name, alias or device that has the text."""
    if search is None:
        return [], 0, False, 1
    # The ids themselves, so that few matches are not searched again: devices have no text index.
    ((matching, matches),) = fetch(
        tables,
        "SELECT count(*), json_group_array(id)"
        f" FROM (SELECT NULL AS id WHERE 0 UNION ALL {search.text} LIMIT {_FEW + 1})",
        search.values,
    )
    has_few = matching <= _FEW
    order = _ORDERS[question.sort]
    sequence = order.downwards if question.descending else order.upwards
    found = None if has_few else _search_first_names(tables, question, filtered, order, sequence)
    if found is None:
        access = "NOT INDEXED" if has_few else order.access(question.status)
        if has_few:
            search = Sql("SELECT value FROM json_each(:matches)", {"matches": matches})
        rows = fetch(
            tables,
            f"SELECT id FROM users {access}"
            f" WHERE {filtered.text} AND id IN ({search.text})"
            f" ORDER BY {sequence} LIMIT {MAX_FOUND + 1}",
            filtered.values | search.values,
        )
        found = [number for (number,) in rows]
    ids = found[:MAX_FOUND]
    page = min(max(1, question.page), _pages(len(ids)))
    start = (page - 1) * PAGE_SIZE
    return ids[start : start + PAGE_SIZE], len(ids), len(found) > MAX_FOUND, page


def _search_first_names(
    tables: Tables, question: Question, filtered: Sql, order: _Order, sequence: str
) -> list[int] | None:
    """Search a text in the first names of the list; return None if there are too few matches."""
    text = question.search
    if not text.isascii():
        return None  # LIKE ignores case for ASCII letters only
    is_short = len(text) < TRIGRAM
    pattern = like(text) if is_short else f"%{like(text)}"
    aliases = matching_aliases(text)
    devices = "" if is_short else f" OR {has_matching_device(text)}"
    rows = fetch(
        tables,
        "SELECT id, CASE WHEN username LIKE :pattern ESCAPE '\\'"
        " OR display_name LIKE :pattern ESCAPE '\\' THEN 1"
        f" ELSE id IN ({aliases.text}){devices} END"
        f" FROM users {order.access(question.status)} WHERE {filtered.text}"
        f" ORDER BY {sequence} LIMIT {_PROBED}",
        filtered.values | aliases.values | {"pattern": pattern, "device": pattern},
    )
    found = [number for number, matches in rows if matches]
    return found if len(found) > MAX_FOUND or len(rows) < _PROBED else None


_ACCOUNTS = """
    SELECT id, username, realm, display_name, enabled, online, last_seen, created_at, updated_at
    FROM users WHERE id IN (SELECT value FROM json_each(?))
"""
_REMOVED = """
    SELECT id, username, realm, removed_at FROM removed_users WHERE id = ? AND removed_at > ?
"""
_CONTACTS = f"""
    SELECT {CONTACT_COLUMNS} FROM bindings WHERE user_id IN (SELECT value FROM json_each(?))
    ORDER BY user_id, updated_at DESC, contact
"""
