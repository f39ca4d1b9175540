"""Shapes of the API that several operations share.

A time is a text in UTC by RFC 3339, a duration is in seconds.
"""

from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

Item = TypeVar("Item")

# The number of items in one part of a list, and the cursor of the part before.
Limit = Annotated[int, Meta(ge=1, le=500)]
Cursor = Annotated[str, Meta(min_length=1, max_length=4000)]
DEFAULT_LIMIT = 50


class Part(Struct, Generic[Item], frozen=True):
    """A part of a list; `next` is the cursor of the part after it, null at the end."""

    items: list[Item]
    next: str | None = None
