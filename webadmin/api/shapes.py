"""Shapes of the API that several operations share.

A time is a text in UTC by RFC 3339, a duration is in seconds.
"""

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from sip.store.accounts import MAX_REALM

Item = TypeVar("Item")

# The filters of the list of users, and of its export.
Search = Annotated[str, Meta(max_length=100)]
State = Literal["online", "offline", "disabled", "never", "trouble"]
Realm = Annotated[str, Meta(min_length=1, max_length=MAX_REALM)]

# The number of items in one part of a list, and the cursor of the part before.
Limit = Annotated[int, Meta(ge=1, le=500)]
Cursor = Annotated[str, Meta(min_length=1, max_length=4000)]
DEFAULT_LIMIT = 50


class Part(Struct, Generic[Item], frozen=True):
    """A part of a list; `next` is the cursor of the part after it, null at the end."""

    items: list[Item]
    next: str | None = None
