"""Changes of many accounts, written in pieces, so that REGISTERs need not wait for all of it.

Problem: to change 100,000 accounts takes seconds.  In one transaction, the 200 to each REGISTER
    would wait as long, because its bindings are written by the same thread.
Model: a piece is a transaction with some hundreds of accounts.  Database runs functions in their
    order, so a group commit that waits is written after the present piece.  A change is one step of
    undo.py, which is open until its last piece; each piece is written together with what undoes it.
Invariant: a change is whole in the end, or none of it is left.  If a piece fails, the pieces before
    it are undone; if the process ends, its next start undoes them (Undo.undo_open).  Only the last
    piece is synced to disk: after a power failure the earlier ones may be lost, but only from the
    end, and never a piece without its part of the step.
Bounds: one change at a time (Database.long_change); a piece takes PIECE_SECONDS of CPU on average,
    and has at most MAX_ROWS accounts.
"""

from collections.abc import Callable, Iterator, Sequence
from time import monotonic, thread_time
from typing import TypeVar

from sip.store.database import Database, Tables

Item = TypeVar("Item")
Result = TypeVar("Result")

# CPU time of one piece.  A REGISTER waits for it and for one commit of its own; a phone without an
# answer sends it again after 500 ms (RFC 3261 §17.1.2.2, timer E).
PIECE_SECONDS = 0.025
# Time of one piece, as a multiple of that, where the disk is slow or the processor is busy: smaller
# pieces would only add to the load.
PATIENCE = 4
FIRST_ROWS = 100
MIN_ROWS = 50
MAX_ROWS = 400


def in_pieces(
    database: Database,
    items: Sequence[Item],
    write: Callable[[Tables, Sequence[Item], bool], Result],
    then: Callable[[Result], object] | None = None,
) -> Iterator[Result]:
    """Write items in pieces, and yield the result of each.

    `write` gets the items of a piece, and True for the last piece; `then` is that of Database.run.
    """
    start, rows = 0, FIRST_ROWS
    some, is_last = items[:0], False
    began_at = cpu_began_at = spent = 0.0

    def piece(tables: Tables) -> Result:
        nonlocal began_at, cpu_began_at
        began_at, cpu_began_at = monotonic(), thread_time()
        return write(tables, some, is_last)

    def after(result: Result) -> None:
        nonlocal spent
        if then is not None:
            then(result)
        spent = max(thread_time() - cpu_began_at, (monotonic() - began_at) / PATIENCE)

    while start < len(items):
        some = items[start : start + rows]
        start += len(some)
        is_last = start >= len(items)
        yield database.run(piece, after, synced=is_last)
        rows = next_rows(len(some), spent)


def next_rows(rows: int, seconds: float) -> int:
    """Return the size of the next piece, after one of `rows` has taken `seconds`."""
    wanted = int(rows * PIECE_SECONDS / max(seconds, 1e-6))
    return max(MIN_ROWS, min(wanted, 2 * rows, MAX_ROWS))
