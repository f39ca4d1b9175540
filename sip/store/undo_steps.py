"""The steps that can be undone: what changes of many accounts have done to each account.

A change in one transaction runs within `recorded`.  A change in pieces (pieces.py) begins a step,
runs each piece within `recorded_piece`, and finishes the step together with the last one.
"""

# ruff: noqa: S608 -- only our own column names are put into SQL; input is a value

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import time

from sip.store import bulk_write as bulk
from sip.store.bulk_call_settings import SETTINGS_JSON
from sip.store.database import Tables, fetch
from sip.store.retention import purge

# Accounts in all steps together, some 400 bytes each; the oldest steps make room for a new one.
MAX_ROWS = 400_000

# The columns that get their former values; behind them, a row has the former call settings.
RESTORED = (
    *("display_name", "enabled", "ha1_md5", "ha1_sha256", "ha1_sha512_256"),
    *("ha1_realm", "updated_at"),
)
# Without call settings if the step has not changed them.
_AFTER = "json_array(display_name, enabled, ha1_md5)"
_AFTER_SETTINGS = f"json_array(display_name, enabled, ha1_md5, {SETTINGS_JSON})"
# Condition: an account is as the step has left it.
IS_AFTER = f"(after = {_AFTER} OR after = {_AFTER_SETTINGS})"


@contextmanager
def recorded(
    tables: Tables, act: str, about: str, by: str, ids: Sequence[int], now: float | None = None
) -> Iterator[int]:
    """Record what is done to accounts within this context as one step; yield its id.

    `ids` are the accounts that may change or be deleted; new ones are found by their ids.  Enter it
    in a function passed to Database.run, around all its statements.
    """
    step = begin_step(tables, act, about, by, now)
    with recorded_piece(tables, step, ids):
        yield step
    finish_step(tables, step)


def begin_step(tables: Tables, act: str, about: str, by: str, now: float | None = None) -> int:
    """Begin a step, and return its id.  It is open until `finish_step`."""
    at = int(time() if now is None else now)
    purge(tables, at)
    ((step,),) = fetch(tables, _ADD_STEP, (at, act, about, by))
    return int(step)


@contextmanager
def recorded_piece(tables: Tables, step: int, ids: Sequence[int]) -> Iterator[None]:
    """Record what is done to accounts within this context, as a part of an open step.

    An account may be changed by several pieces: its first values count as those before the step.
    """
    last = bulk.next_id(tables) - 1
    added = 0
    for some in bulk.chunks(ids):
        added += len(fetch(tables, _RECORD_BEFORE, (step, some)))
    yield
    for some in bulk.chunks(ids):
        record_after(tables, step, some)
    added += len(fetch(tables, _RECORD_ADDED, {"step": step, "last": last}))
    fetch(tables, "UPDATE undo_steps SET accounts = accounts + ? WHERE id = ?", (added, step))


def record_after(tables: Tables, step: int, ids: str) -> None:
    """Record how a step has left accounts; `ids` is a JSON array."""
    fetch(tables, _RECORD_AFTER, {"step": step, "ids": ids})
    fetch(tables, _FORGET_BEFORE, {"step": step, "ids": ids})


def finish_step(tables: Tables, step: int) -> None:
    """Finish a step; older ones make room for it, their rows are deleted by `purge`."""
    fetch(tables, "UPDATE undo_steps SET is_open = 0 WHERE id = ?", (step,))
    fetch(tables, _DELETE_OLDEST, (MAX_ROWS,))


_ADD_STEP = """
    INSERT INTO undo_steps (at, act, about, changed_by, is_open) VALUES (?, ?, ?, ?, 1)
    RETURNING id
"""
_RECORD_BEFORE = f"""
    INSERT OR IGNORE INTO undo_rows (step_id, user_id, before)
    SELECT ?, id, json_array({", ".join(RESTORED)}, {SETTINGS_JSON})
    FROM users WHERE id IN (SELECT value FROM json_each(?))
    RETURNING 1
"""
_OF_PIECE = "step_id = :step AND user_id IN (SELECT value FROM json_each(:ids))"
_RECORD_AFTER = f"""
    UPDATE undo_rows SET after = (
        SELECT iif(before ->> {len(RESTORED)} = {SETTINGS_JSON}, {_AFTER}, {_AFTER_SETTINGS})
        FROM users WHERE users.id = undo_rows.user_id
    )
    WHERE {_OF_PIECE}
"""
_FORGET_BEFORE = f"UPDATE undo_rows SET before = NULL WHERE {_OF_PIECE} AND after IS NULL"
_RECORD_ADDED = f"""
    INSERT INTO undo_rows (step_id, user_id, after)
    SELECT :step, id, {_AFTER_SETTINGS} FROM users WHERE id > :last
    RETURNING 1
"""
_DELETE_OLDEST = """
    DELETE FROM undo_steps WHERE is_open = 0 AND id IN (
        SELECT id FROM (SELECT id, sum(accounts) OVER (ORDER BY id DESC) AS total FROM undo_steps)
        WHERE total > ? AND id < (SELECT max(id) FROM undo_steps)
    )
"""
