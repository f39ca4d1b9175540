"""Many accounts written in one transaction, quickly, for every REGISTER waits meanwhile."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sip.store.database import Tables, fetch

# Accounts; fewer are written as they come, by the triggers.
_FEW = 500


def next_id(tables: Tables) -> int:
    """Give the id that the next account gets; those that follow in one transaction go on by one."""
    ((number,),) = fetch(tables, _LAST_ID)
    return int(number) + 1


@contextmanager
def writing(tables: Tables, added: int, changed: int, renamed: Sequence[int]) -> Iterator[None]:
    """Write accounts inside this: so many new ones, and changes of so many.

    `renamed` are the ids of those whose display name may change.  Where rows are many, the
    triggers stand aside, and their work is done for all of them at once; where most accounts are
    new, so do the indexes.
    """
    if added + changed < _FEW:
        yield
        return
    ((before,),) = fetch(tables, "SELECT count(*) FROM users")
    aside = fetch(tables, _TRIGGERS)
    if added > before:
        aside += fetch(tables, _INDEXES)
    for kind, name, _ in aside:
        fetch(tables, f"DROP {kind} {name}")
    last, ids = next_id(tables) - 1, json.dumps(renamed)
    fetch(tables, _TAKE_NAMES_OUT, (ids,))
    yield
    fetch(tables, _PUT_NAMES_IN, (last, ids))
    fetch(tables, "UPDATE account_changes SET number = number + 1")
    for _, _, statement in aside:
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
# Those that find a name must stay: they hold that none is there twice.
_INDEXES = """
    SELECT type, name, sql FROM sqlite_schema
    WHERE tbl_name = 'users' AND type = 'index' AND sql NOT LIKE '%UNIQUE%'
"""
_TAKE_NAMES_OUT = """
    INSERT INTO user_names (user_names, rowid, username, display_name)
    SELECT 'delete', id, username, display_name FROM users
    WHERE id IN (SELECT value FROM json_each(?))
"""
_PUT_NAMES_IN = """
    INSERT INTO user_names (rowid, username, display_name)
    SELECT id, username, display_name FROM users
    WHERE id > ? OR id IN (SELECT value FROM json_each(?))
"""
