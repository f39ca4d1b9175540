"""Cursors of lists that are sorted by a key: the next part begins after the key of the last item.

So an item that is removed meanwhile does not matter.  A cursor is the key in JSON, in base64.
"""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from webadmin.api.problems import invalid

Item = TypeVar("Item")
Key = tuple[Any, ...]  # of integers and texts

_LARGEST = 2**63 - 1


def part(
    items: Iterable[Item], key: Callable[[Item], Key], after: Key | None, limit: int
) -> tuple[list[Item], str | None]:
    """Return up to `limit` items with a key above `after`, and the cursor of the next part."""
    found = sorted((item for item in items if after is None or key(item) > after), key=key)
    return found[:limit], encoded(key(found[limit - 1])) if len(found) > limit else None


def encoded(key: Key) -> str:
    """Return a key as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decoded(cursor: str | None, *kinds: type) -> Key | None:
    """Return the key of a cursor, None for None.  Raises Problem (422)."""
    if cursor is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        raise wrong_cursor()
    if not all(_is_storable(value) for value in values):
        raise wrong_cursor()
    return tuple(values)


def number(cursor: str | None) -> int | None:
    """Return the number that a cursor is, None for None.  Raises Problem (422)."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        raise wrong_cursor()
    return int(cursor)


def wrong_cursor() -> Exception:
    """Return the problem of a text that is no cursor of the list."""
    return invalid("after", "this is no cursor of this list; begin without one")


def _is_storable(value: int | str) -> bool:
    """Return True if SQLite can take a value."""
    if isinstance(value, int):
        return abs(value) <= _LARGEST
    return not any("\ud800" <= character <= "\udfff" for character in value)
