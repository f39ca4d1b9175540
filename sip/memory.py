"""Memory: garbage collection paused for a bulk load, and free memory returned after a peak."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Peak number of transactions above which memory is trimmed afterwards: some megabytes.
PEAK_TRANSACTIONS = 1000


class PeakDetector:
    """Notices the end of a load peak, by the number of transactions."""

    def __init__(self) -> None:
        self._peak = 0  # transactions, since the last peak ended

    def is_over(self, transactions: int) -> bool:
        """Return True once when the number has fallen to a quarter of a peak."""
        self._peak = max(self._peak, transactions)
        if self._peak <= PEAK_TRANSACTIONS or transactions >= self._peak // 4:
            return False
        self._peak = transactions
        return True


def trim_heap() -> None:
    """Return free memory to the system, which the C library keeps otherwise.

    Takes milliseconds, without the GIL.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def release_memory(container: dict[Any, Any] | list[Any]) -> None:
    """Empty a large container object by object, in Python.

    Freeing 100,000 objects in one call would hold the interpreter, and with it every other thread,
    for tens of milliseconds.
    """
    take = container.popitem if isinstance(container, dict) else container.pop
    while container:
        take()


def shrink(table: dict[Any, Any]) -> None:
    """Rebuild a dictionary, which keeps the memory of its largest size until it is filled again."""
    entries = dict(table)
    table.clear()
    table.update(entries)


@contextmanager
def long_lived_objects() -> Iterator[None]:
    """Create many objects that live long, with the garbage collector paused.

    100,000 new objects would make it examine all that exist, for 170 ms of silence.  Objects that
    exist at the end are frozen: the collector never examines them again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
