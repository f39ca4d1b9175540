"""Bulk writes: many accounts in one transaction, quickly, because REGISTERs wait for it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sip.store.database import Tables, fetch

# Accounts; for fewer, triggers and indexes do their work row by row.
_FEW = 500


def next_id(tables: Tables) -> int:
    """Return the id of the next account; within a transaction the following ids are consecutive."""
    ((number,),) = fetch(tables, _LAST_ID)
    return int(number) + 1


@contextmanager
def writing(tables: Tables, added: int, changed: int, renamed: Sequence[int]) -> Iterator[None]:
    """Context in which `added` new accounts and `changed` changes are written.

    `renamed` are the ids of accounts whose display name may change.  For many rows, the triggers
    are dropped, their work is done for all rows at once, and they are created again; if most
    accounts are new, the same is done with the indexes.
    """
    if added + changed < _FEW:
        yield
        return
    ((before,),) = fetch(tables, "SELECT count(*) FROM users")
    dropped = fetch(tables, _TRIGGERS)
    if added > before:
        dropped += fetch(tables, _INDEXES)
    for kind, name, _ in dropped:
        fetch(tables, f"DROP {kind} {name}")
    last, ids = next_id(tables) - 1, json.dumps(renamed)
    fetch(tables, _DELETE_NAMES, (ids,))
    yield
    fetch(tables, _INSERT_NAMES, (last, ids))
    fetch(tables, "UPDATE account_changes SET number = number + 1")
    for _, _, statement in dropped:
        fetch(tables, statement)


_LAST_ID = """
    SELECT max(
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0),
        coalesce((SELECT max(id) FROM users), 0)
    )
"""
_TRIGGERS = """
    SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = 'users' AND type = 'trigger'
"""
# The unique indexes stay: they keep names from being stored twice.
_INDEXES = """
    SELECT type, name, sql FROM sqlite_schema
    WHERE tbl_name = 'users' AND type = 'index' AND sql NOT LIKE '%UNIQUE%'
"""
_DELETE_NAMES = """
    INSERT INTO user_names (user_names, rowid, username, display_name)
    SELECT 'delete', id, username, display_name FROM users
    WHERE id IN (SELECT value FROM json_each(?))
"""
_INSERT_NAMES = """
    INSERT INTO user_names (rowid, username, display_name)
    SELECT id, username, display_name FROM users
    WHERE id > ? OR id IN (SELECT value FROM json_each(?))
"""
