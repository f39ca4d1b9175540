"""Bounded caches of pure functions, which can all be cleared after a load peak."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_caches: list[Any] = []


def cached_parse(maxsize: int) -> Callable[[Function], Function]:
    """Cache the results of a pure function for its `maxsize` latest arguments."""

    def decorate(function: Function) -> Function:
        cached: Any = lru_cache(maxsize)(function)
        _caches.append(cached)
        return cached  # type: ignore[no-any-return]  # it is called like the function

    return decorate


def clear_parse_caches() -> None:
    """Empty all caches.

    Cached objects are scattered in memory between the messages of a peak: a few megabytes of them
    could keep a hundred from being returned to the system.
    """
    for cached in _caches:
        cached.cache_clear()
