"""Retention: how long deleted accounts and groups, and changes of many, can be restored."""

import json

from sip.store.database import Tables, fetch

# How long a deleted account can be restored, and a change undone, in seconds.
RESTORABLE_SECONDS = 3600
# Rows that are deleted at a time: REGISTERs wait for it.
PURGED_AT_ONCE = 500


def purge(tables: Tables, now: int) -> bool:
    """Delete some of what can no longer be restored or undone at Unix time `now`.

    Return True if there may be more: call it again, in another transaction.
    """
    latest = now - RESTORABLE_SECONDS
    ids = [number for (number,) in fetch(tables, _EXPIRED, (latest, PURGED_AT_ONCE))]
    if ids:
        for statement in _PURGE:
            fetch(tables, statement, (json.dumps(ids),))
    fetch(tables, _PURGE_MEMBERS_OF_GROUPS, (latest,))
    fetch(tables, "DELETE FROM removed_groups WHERE removed_at <= ?", (latest,))
    fetch(tables, "DELETE FROM undo_steps WHERE at <= ? AND is_open = 0", (latest,))
    rows = fetch(tables, _PURGE_ROWS, (PURGED_AT_ONCE,))
    return max(len(ids), len(rows)) >= PURGED_AT_ONCE


_EXPIRED = "SELECT id FROM removed_users WHERE removed_at <= ? LIMIT ?"
_PURGE = (
    "DELETE FROM call_group_members WHERE user_id IN (SELECT value FROM json_each(?))",
    "DELETE FROM removed_users WHERE id IN (SELECT value FROM json_each(?))",
)
# Rows of steps that are gone: these are older than all others.
_PURGE_ROWS = """
    DELETE FROM undo_rows WHERE (step_id, user_id) IN (
        SELECT step_id, user_id FROM undo_rows
        WHERE step_id < coalesce((SELECT min(id) FROM undo_steps), 9e18) LIMIT ?
    ) RETURNING 1
"""
_PURGE_MEMBERS_OF_GROUPS = """
    DELETE FROM call_group_members
    WHERE group_id IN (SELECT id FROM removed_groups WHERE removed_at <= ?)
"""
