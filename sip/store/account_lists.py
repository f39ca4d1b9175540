"""Lists of accounts read by cursor: each part begins after the last account of the former part.

So no account is missing or listed twice while others are added or removed, and a late part costs
what the first one costs.
"""

# ruff: noqa: S608 -- only our own column, index and order names are put into SQL; input is a value

import base64
import binascii
import json
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sip.store.database import Tables, fetch, stream
from sip.store.directory import Directory, Entry
from sip.store.name_search import Sql, search_query

# Sort orders: the columns of the sort index, and the columns that a cursor has.
SORTS = {
    "username": ("users_by_name", "username", "ifnull(realm, '')"),
    "display_name": ("users_by_display_name", "display_name"),
    "last_seen": ("users_by_last_seen", "ifnull(last_seen, 0)"),
}
# The conditions of the states; an account may have several.
_STATES = {
    "online": "online = 1",
    "offline": "online = 0 AND enabled = 1",
    "disabled": "enabled = 0",
    "never": "last_seen IS NULL",
    "trouble": "id IN (SELECT value FROM json_each(:trouble))",
}
STATES = tuple(_STATES)


class BadCursor(ValueError):
    """The text is no cursor of this list."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What to list: texts to search, states of which one must hold, a realm, order and number.

    `realm` None means all realms, `trouble` holds the ids of the accounts in the state trouble.
    """

    search: str = ""
    states: tuple[str, ...] = ()
    realm: str | None = None
    sort: str = "username"
    descending: bool = False
    limit: int = 50
    trouble: Collection[int] = ()


def list_part(
    directory: Directory, listing: Listing, cursor: str | None
) -> tuple[Sequence[Entry], str | None]:
    """Return the accounts after `cursor`, and the cursor of the next part, None at the end.

    Raises BadCursor.
    """
    after = None if cursor is None else _decoded(cursor, listing)
    if listing.search and search_query(listing.search) is None:
        return (), None

    def read(tables: Tables) -> tuple[Sequence[int], str | None]:
        search = directory.search_query(tables, listing.search) if listing.search else None
        rows = fetch(tables, *_statement(directory, listing, after, search))
        ids = [row[0] for row in rows[: listing.limit]]
        more = len(rows) > listing.limit
        return ids, _encoded(listing, rows[listing.limit - 1]) if more else None

    ids, following = directory.browse(read)
    return directory.entries(ids), following


def list_ids(directory: Directory, listing: Listing) -> Sequence[int]:
    """Return the ids of all accounts of a list in ascending order; sort and limit do not matter."""
    if listing.search and search_query(listing.search) is None:
        return ()

    def read(tables: Tables) -> Sequence[int]:
        search = directory.search_query(tables, listing.search) if listing.search else None
        conditions, values = _conditions(directory, listing, search)
        statement = f"SELECT id FROM users WHERE {_all(conditions)} ORDER BY id"
        return array("q", (number for (number,) in stream(tables, statement, values)))

    return directory.browse(read)


def _conditions(
    directory: Directory, listing: Listing, search: Sql | None
) -> tuple[list[str], dict[str, Any]]:
    """Return the conditions for the accounts of a list, and their values."""
    conditions = ["1"]
    values: dict[str, Any] = {}
    if listing.states:
        conditions.append(" OR ".join(f"({_STATES[state]})" for state in listing.states))
        values["trouble"] = json.dumps(list(listing.trouble))
    if listing.realm is not None:
        condition, more = directory.realm_condition(listing.realm)
        conditions.append(condition)
        values |= more
    if search:
        conditions.append(f"id IN ({search.text})")
        values |= search.values
    return conditions, values


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({each})" for each in conditions)


def _statement(
    directory: Directory, listing: Listing, after: Sequence[Any] | None, search: Sql | None
) -> tuple[str, dict[str, Any]]:
    index, *columns = SORTS[listing.sort]
    conditions, values = _conditions(directory, listing, search)
    values["limit"] = listing.limit + 1
    down = listing.descending
    if after is not None:
        condition, more = _after(columns, after, down=down)
        conditions.append(condition)
        values |= more
    collate = "" if listing.sort == "last_seen" else " COLLATE NOCASE"
    step = " DESC" if down else ""
    order = ", ".join(f"{column}{collate}{step}" for column in _indexed(columns))
    statement = (
        f"SELECT id, {', '.join(columns)} FROM users INDEXED BY {index}"
        f" WHERE {_all(conditions)}"
        f" ORDER BY {order}, id{step} LIMIT :limit"
    )
    return statement, values


def _indexed(columns: Sequence[str]) -> list[str]:
    """Return the columns as the index has them, so that it gives their order."""
    return [column.removeprefix("ifnull(").partition(",")[0] for column in columns]


def _after(
    columns: Sequence[str], after: Sequence[Any], *, down: bool
) -> tuple[str, dict[str, Any]]:
    """Return the condition for the rows that follow the row with these values and this id."""
    sign = "<" if down else ">"
    values = {f"after{number}": value for number, value in enumerate(after)}
    condition = f"id {sign} :after{len(columns)}"
    for number, column in reversed(list(enumerate(columns))):
        name = f":after{number}"
        collate = " COLLATE NOCASE" if isinstance(after[number], str) else ""
        condition = (
            f"{column} {sign} {name}{collate} OR ({column} = {name}{collate} AND ({condition}))"
        )
    # This lets the index begin at the row; the rest of the condition skips those before it.
    first = _indexed(columns)[0]
    if first == columns[0]:
        condition = f"{first} {sign}= :after0 COLLATE NOCASE AND ({condition})"
    elif not down and after[0]:
        condition = f"{first} >= :after0 AND ({condition})"
    return condition, values


def _encoded(listing: Listing, row: tuple[Any, ...]) -> str:
    number, *values = row
    text = json.dumps([listing.sort, int(listing.descending), *values, number])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(cursor: str, listing: Listing) -> Sequence[Any]:
    """Return the values and the id of the last row.  Raises BadCursor."""
    wanted = [str] * (len(SORTS[listing.sort]) - 1)
    kinds = [*(wanted if listing.sort != "last_seen" else [int]), int]
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        sort, down, *values = json.loads(text)
        is_right = (sort, down) == (listing.sort, int(listing.descending))
        is_right = is_right and [type(value) for value in values] == kinds
    except (ValueError, TypeError, binascii.Error, RecursionError):
        is_right = False
    if not is_right or not all(_fits(value) for value in values):
        raise BadCursor("this is no cursor of this list; begin without one")
    return list(values)


def _fits(value: object) -> bool:
    """Return True if SQLite can take a value."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)
