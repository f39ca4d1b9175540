"""Bulk writes: many accounts in a transaction, quickly, because REGISTERs wait for it."""

# ruff: noqa: S608 -- only our own column names are put into SQL; input is a value

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sip.store.accounts import Account
from sip.store.bindings import remove_bindings
from sip.store.bulk_call_settings import (
    SETTINGS_JSON,
    add_call_settings,
    remove_call_settings,
)
from sip.store.call_settings import read_settings, read_settings_of
from sip.store.database import Tables, fetch, stream

# Accounts; for fewer, triggers and indexes do their work row by row.
_FEW = 500
# Ids in one statement: to encode more of them would hold up the other threads for a millisecond.
CHUNK = 5_000


def chunks(ids: Sequence[int]) -> Iterator[str]:
    """Yield the ids as JSON arrays, for `IN (SELECT value FROM json_each(?))`."""
    for start in range(0, len(ids), CHUNK):
        yield json.dumps(ids[start : start + CHUNK])


def next_id(tables: Tables) -> int:
    """Return the id of the next account; within a transaction the following ids are consecutive."""
    ((number,),) = fetch(tables, _LAST_ID)
    return int(number) + 1


@contextmanager
def writing(
    tables: Tables, added: int, changed: int, renamed: Sequence[int], moved: int = 0
) -> Iterator[None]:
    """Context in which `added` new accounts and `changed` changes are written.

    `renamed` are the ids of accounts whose display name may change, or that are deleted or
    restored; `moved` is the number of accounts that get another place in the sort indexes.  For
    many rows, the work of the triggers is done for all rows at once; if most accounts are new or
    moved, the indexes are dropped, and created again.
    """
    if added + changed < _FEW:
        yield
        return
    ((before,),) = fetch(tables, "SELECT count(*) FROM users")
    dropped = fetch(tables, _INDEXES) if added > before or 4 * moved > before else []
    for kind, name, _ in dropped:
        fetch(tables, f"DROP {kind} {name}")
    with without_triggers(tables, renamed):
        yield
    for _, _, statement in dropped:
        fetch(tables, statement)


@contextmanager
def without_triggers(tables: Tables, renamed: Sequence[int]) -> Iterator[None]:
    """Context in which the triggers do nothing; their work is done for all rows at once.

    `renamed` are those of `writing`.  The table has the flag only within the transaction.
    """
    last = next_id(tables) - 1
    for ids in chunks(renamed):
        fetch(tables, _DELETE_NAMES, (ids,))
    fetch(tables, "UPDATE account_changes SET without_triggers = 1")
    yield
    fetch(tables, f"{_INSERT_NAMES} WHERE id > ?", (last,))
    for ids in chunks(renamed):
        fetch(tables, f"{_INSERT_NAMES} WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    fetch(tables, "UPDATE account_changes SET number = number + 1, without_triggers = 0")


def accounts(tables: Tables, ids: Sequence[int]) -> Iterator[Account]:
    """Yield the accounts with these ids that there are, with their call settings."""
    for some in chunks(ids):
        settings = read_settings_of(tables, some)
        for row in stream(tables, _ACCOUNTS, (some,)):
            yield Account(row, settings.get(row[0]))


def remove(tables: Tables, ids: Sequence[int], now: int) -> None:
    """Delete accounts and their bindings; they can be restored for an hour.  Within `writing`.

    Their aliases are free then.  Their places in groups and their desk phones stay in the database.
    """
    remove_all_bindings(tables, ids)
    for some in chunks(ids):
        fetch(tables, _COPY_TO_REMOVED, (now, some))
        fetch(tables, f"DELETE FROM users WHERE {_CHOSEN}", (some,))
    remove_call_settings(tables, chunks(ids))


def restore(tables: Tables, ids: Sequence[int]) -> None:
    """Restore deleted accounts, whose names must be free.  Within `writing`."""
    for some in chunks(ids):
        fetch(tables, _RESTORE, (some,))


def finish_restore(tables: Tables, ids: Sequence[int]) -> None:
    """Restore the call settings of restored accounts.  After `writing`: it needs the indexes."""
    add_call_settings(tables, chunks(ids), _REMOVED_SETTINGS)
    for some in chunks(ids):
        fetch(tables, f"DELETE FROM removed_users WHERE {_CHOSEN}", (some,))


def uncovered(tables: Tables, removed: Sequence[int], main_realm: str) -> Iterator[Account]:
    """Yield the accounts that have the name of a deleted one, which came before them.

    Accounts of the main realm without its name in their row, see AccountTable.put.
    """
    for some in chunks(removed):
        for row in fetch(tables, _UNCOVERED, (some, main_realm)):
            yield Account(row, read_settings(tables, row[0]).get(row[0]))


def remove_all_bindings(tables: Tables, ids: Sequence[int]) -> None:
    """Remove the bindings of those accounts that have some."""
    for some in chunks(ids):
        remove_bindings(tables, [number for (number,) in fetch(tables, _BOUND, (some,))])


_CHOSEN = "id IN (SELECT value FROM json_each(?))"
_LAST_ID = """
    SELECT max(
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0),
        coalesce((SELECT max(id) FROM users), 0)
    )
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
"""
_ACCOUNTS = f"""
    SELECT {Account.COLUMNS} FROM users WHERE id IN (SELECT value FROM json_each(?))
"""
_COPIED_COLUMNS = (
    "id, username, realm, display_name, enabled, ha1_md5, ha1_sha256, ha1_sha512_256,"
    " ha1_realm, created_at, updated_at, last_seen"
)
_COPY_TO_REMOVED = f"""
    INSERT OR REPLACE INTO removed_users ({_COPIED_COLUMNS}, removed_at, call_settings)
    SELECT {_COPIED_COLUMNS}, ?, {SETTINGS_JSON}
    FROM users WHERE id IN (SELECT value FROM json_each(?))
"""
_RESTORE = f"""
    INSERT INTO users ({_COPIED_COLUMNS})
    SELECT {_COPIED_COLUMNS} FROM removed_users WHERE id IN (SELECT value FROM json_each(?))
"""
_REMOVED_SETTINGS = """
    SELECT id, realm, call_settings AS settings FROM removed_users
    WHERE id IN (SELECT value FROM json_each(:ids))
"""
_BOUND = """
    SELECT DISTINCT user_id FROM bindings WHERE user_id IN (SELECT value FROM json_each(?))
"""
_UNCOVERED = f"""
    SELECT {Account.COLUMNS} FROM users WHERE realm IS NULL AND username IN (
        SELECT username FROM removed_users
        WHERE id IN (SELECT value FROM json_each(?)) AND realm = ?
    )
"""
