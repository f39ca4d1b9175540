"""What has been read is kept for the next message that says the same, until a rush is over."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

Read = TypeVar("Read", bound=Callable[..., Any])

_stores: list[Any] = []


def kept(maxsize: int) -> Callable[[Read], Read]:
    """Keep what a pure function has made of its `maxsize` latest arguments."""

    def keep(read: Read) -> Read:
        store: Any = lru_cache(maxsize)(read)
        _stores.append(store)
        return store  # type: ignore[no-any-return]  # it is called like what it keeps

    return keep


def forget_what_is_kept() -> None:
    """Empty all stores.

    What is kept lies scattered between all that came with it: some megabytes would keep a hundred
    from going back to the system.
    """
    for store in _stores:
        store.cache_clear()
