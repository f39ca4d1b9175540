"""Retention: how long deleted accounts and groups, and changes of many, can be restored."""

from sip.store.database import Tables, fetch

# How long a deleted account can be restored, and a change undone, in seconds.
RESTORABLE_SECONDS = 3600

_PURGE_MEMBERS = """
    DELETE FROM call_group_members
    WHERE user_id IN (SELECT id FROM removed_users WHERE removed_at <= ?)
"""
_PURGE_MEMBERS_OF_GROUPS = """
    DELETE FROM call_group_members
    WHERE group_id IN (SELECT id FROM removed_groups WHERE removed_at <= ?)
"""


def purge(tables: Tables, now: int) -> None:
    """Delete what can no longer be restored or undone at Unix time `now`."""
    latest = (now - RESTORABLE_SECONDS,)
    fetch(tables, _PURGE_MEMBERS, latest)
    fetch(tables, "DELETE FROM removed_users WHERE removed_at <= ?", latest)
    fetch(tables, _PURGE_MEMBERS_OF_GROUPS, latest)
    fetch(tables, "DELETE FROM removed_groups WHERE removed_at <= ?", latest)
    if fetch(tables, "DELETE FROM undo_steps WHERE at <= ? RETURNING id", latest):
        fetch(tables, "DELETE FROM undo_rows WHERE step_id NOT IN (SELECT id FROM undo_steps)")
