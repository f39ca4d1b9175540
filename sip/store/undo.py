"""Undo of changes of many accounts, for an hour.

A change runs within `recorded`, in its own transaction, and is then one step.  `Undo` lists the
steps and takes one back as a whole, in one transaction.  Accounts that have changed since keep
that later change:

- an account that the step changed gets its former values, if it still is as the step has left it;
- an account that the step added is deleted, if it still is as the step has left it;
- an account that the step deleted is restored, unless it was restored before or its name is taken.

Call settings count as changed by a step, and go back, only if the step has changed them.  Of the
former aliases, an account gets those that belong to no other user or group now.

So two steps of one account are undone in reverse order.  `Undone` has the numbers of both kinds.
"""

# ruff: noqa: S608 -- only our own column names are put into SQL; input is a value

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import time

from sip.memory import long_lived_objects
from sip.phone_numbers import number_of
from sip.store import bulk_write as bulk
from sip.store.accounts import Account
from sip.store.bulk_call_settings import SETTINGS_JSON, add_call_settings, remove_call_settings
from sip.store.database import Tables, fetch, stream
from sip.store.groups import reload_groups
from sip.store.retention import RESTORABLE_SECONDS, purge
from sip.store.taken_names import has_other_spelling, name_holder, spellings
from sip.store.users import Users

# Accounts in all steps together, some 400 bytes each; the oldest steps make room for a new one.
MAX_ROWS = 400_000
_MAX_NAMES = 20  # accounts that an undo names because it leaves them


class NoSuchStep(Exception):
    """The step was undone already, is over an hour old, or had to make room for later ones."""


@dataclass(frozen=True, slots=True)
class UndoStep:
    """A change that can be undone: `act` in the words of the audit, `accounts` their number."""

    id: int
    at: int
    act: str
    about: str
    changed_by: str
    accounts: int


@dataclass(frozen=True, slots=True)
class Undone:
    """The result of an undo: accounts that are as before the step, and those that stay as now.

    `kept_names` are user names of the latter, if they were changed, restored or deleted since.
    """

    step: UndoStep
    undone: int
    kept: int
    kept_names: Sequence[str] = ()


@contextmanager
def recorded(
    tables: Tables, act: str, about: str, by: str, ids: Sequence[int], now: float | None = None
) -> Iterator[int]:
    """Record what is done to accounts within this context as one step; yield its id.

    `ids` are the accounts that may change or be deleted; new ones are found by their ids.  Enter it
    in a function passed to Database.run, around all its statements.
    """
    at = int(time() if now is None else now)
    purge(tables, at)
    values = (at, act, about, by)
    ((step,),) = fetch(tables, _ADD_STEP, values)
    last = bulk.next_id(tables) - 1
    for some in bulk.chunks(ids):
        fetch(tables, _RECORD_BEFORE, (step, some))
    yield step
    fetch(tables, _RECORD_AFTER, {"step": step})
    fetch(tables, "UPDATE undo_rows SET before = NULL WHERE step_id = ? AND after IS NULL", (step,))
    fetch(tables, _RECORD_ADDED, {"step": step, "last": last})
    fetch(tables, _COUNT, {"step": step})
    fetch(tables, _DELETE_OLDEST, (MAX_ROWS,))
    fetch(tables, "DELETE FROM undo_rows WHERE step_id NOT IN (SELECT id FROM undo_steps)")


@dataclass
class _Result:
    """Accounts that were written, deleted and, in `gone`, deleted or disabled."""

    undone: Undone
    written: list[Account]
    removed: list[Account]
    gone: list[Account]


class Undo:
    """The steps that can be undone."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def steps(self, now: float | None = None) -> list[UndoStep]:
        """Return the steps of the last hour, the latest first."""
        latest = int(time() if now is None else now) - RESTORABLE_SECONDS
        rows = self._users.database.browse(lambda tables: fetch(tables, _STEPS, (latest,)))
        return [UndoStep(*row) for row in rows]

    def undo(self, number: int, now: float | None = None) -> Undone:
        """Undo the step with this id.  Raises NoSuchStep."""
        at = int(time() if now is None else now)
        credentials_changed: list[Account] = []

        def update_memory(result: _Result) -> None:
            self._users.remove_from_memory(result.removed)
            credentials_changed.extend(self._users.update_memory(result.written))

        def undo(tables: Tables) -> _Result:
            with long_lived_objects():
                return self._undo(tables, number, at)

        result = self._users.database.run(undo, then=update_memory)
        reload_groups(self._users)
        self._users.publish_many(result.gone, credentials_changed)
        self._users.release(result.written, result.removed)
        return result.undone

    def _undo(self, tables: Tables, number: int, now: int) -> _Result:
        purge(tables, now)
        for row in fetch(tables, f"{_STEP} WHERE id = ?", (number,)):
            step = UndoStep(*row)
            break
        else:
            raise NoSuchStep(
                "this can no longer be undone: it was undone already, or it is over an hour old"
            )
        kept_names = [name for (name,) in fetch(tables, _KEPT, (number, _MAX_NAMES)) if name]
        added, changed, deleted = (_ids(tables, each, number) for each in _KINDS)
        deleted = self._with_free_names(tables, deleted)
        removed = [*bulk.accounts(tables, added)]
        moved = _ids(tables, _MOVED, number)
        with_settings = _ids(tables, _WITH_SETTINGS, number)
        renamed = added + deleted + _ids(tables, _RENAMED, number)
        total = len(added) + len(changed) + len(deleted)
        with bulk.writing(
            tables, len(deleted), total - len(deleted), renamed, moved=len(added) + len(moved)
        ):
            bulk.remove(tables, added, now)
            # Two statements: mostly only HA1s change, and then no index has to be updated.
            for some in bulk.chunks(changed):
                fetch(tables, _SET_SECRETS, (number, some))
            for some in bulk.chunks(moved):
                fetch(tables, _SET_TITLE, (number, some))
            bulk.restore(tables, deleted)
        bulk.finish_restore(tables, deleted)
        remove_call_settings(tables, bulk.chunks(with_settings))
        add_call_settings(tables, bulk.chunks(with_settings), _FORMER_SETTINGS, {"step": number})
        written = [*bulk.accounts(tables, changed + deleted)]
        gone = [each for each in written if not each.enabled]
        bulk.remove_all_bindings(tables, [each.id for each in gone])
        gone += removed
        written += bulk.uncovered(tables, added, self._users.realm)
        fetch(tables, "DELETE FROM undo_rows WHERE step_id = ?", (number,))
        fetch(tables, "DELETE FROM undo_steps WHERE id = ?", (number,))
        undone = Undone(step, total, step.accounts - total, kept_names)
        return _Result(undone, written, removed, gone)

    def _with_free_names(self, tables: Tables, ids: list[int]) -> list[int]:
        """Return the ids of deleted accounts whose names do not belong to others now."""
        numbers = {number_of(each.written) for each in spellings(tables)}
        return [
            number
            for some in bulk.chunks(ids)
            for number, username, realm in stream(tables, _FREE_NAMES, (some,))
            if (username.isascii() and not has_other_spelling(username) and username not in numbers)
            or not (
                self._users.taken_by(tables, username, realm)
                or name_holder(tables, username, realm, for_user=True)
            )
        ]


def _ids(tables: Tables, statement: str, step: int) -> list[int]:
    return [number for (number,) in stream(tables, statement, (step,))]


_RESTORED = (
    *("display_name", "enabled", "ha1_md5", "ha1_sha256", "ha1_sha512_256"),
    *("ha1_realm", "updated_at"),
)
# Without call settings if the step has not changed them.
_AFTER = "json_array(display_name, enabled, ha1_md5)"
_AFTER_SETTINGS = f"json_array(display_name, enabled, ha1_md5, {SETTINGS_JSON})"
_IS_AFTER = f"(after = {_AFTER} OR after = {_AFTER_SETTINGS})"
_ADD_STEP = "INSERT INTO undo_steps (at, act, about, changed_by) VALUES (?, ?, ?, ?) RETURNING id"
_RECORD_BEFORE = f"""
    INSERT INTO undo_rows (step_id, user_id, before)
    SELECT ?, id, json_array({", ".join(_RESTORED)}, {SETTINGS_JSON})
    FROM users
    WHERE id IN (SELECT value FROM json_each(?))
"""
_RECORD_AFTER = f"""
    UPDATE undo_rows SET after = (
        SELECT iif(before ->> {len(_RESTORED)} = {SETTINGS_JSON}, {_AFTER}, {_AFTER_SETTINGS})
        FROM users WHERE users.id = undo_rows.user_id
    )
    WHERE step_id = :step
"""
_RECORD_ADDED = f"""
    INSERT INTO undo_rows (step_id, user_id, after)
    SELECT :step, id, {_AFTER_SETTINGS} FROM users WHERE id > :last
"""
_COUNT = """
    UPDATE undo_steps SET accounts = (SELECT count(*) FROM undo_rows WHERE step_id = :step)
    WHERE id = :step
"""
_DELETE_OLDEST = """
    DELETE FROM undo_steps WHERE id IN (
        SELECT id FROM (SELECT id, sum(accounts) OVER (ORDER BY id DESC) AS total FROM undo_steps)
        WHERE total > ? AND id < (SELECT max(id) FROM undo_steps)
    )
"""
_STEP = "SELECT id, at, act, about, changed_by, accounts FROM undo_steps"
_STEPS = f"{_STEP} WHERE at > ? AND accounts > 0 ORDER BY id DESC"
# Accounts of a step that are as it has left them: added, changed; and deleted ones.
_UNCHANGED = f"""
    SELECT user_id FROM undo_rows JOIN users ON users.id = user_id
    WHERE step_id = ? AND {_IS_AFTER}
"""
# Accounts that were changed, restored or deleted since the step.
_KEPT = f"""
    SELECT coalesce(users.username, (SELECT username FROM removed_users WHERE id = user_id), '')
    FROM undo_rows LEFT JOIN users ON users.id = user_id
    WHERE step_id = ? AND {_IS_AFTER} IS NOT 1 AND (users.id IS NOT NULL OR after IS NOT NULL)
    ORDER BY user_id LIMIT ?
"""
_KINDS = (
    f"{_UNCHANGED} AND before IS NULL",
    f"{_UNCHANGED} AND before IS NOT NULL",
    """
    SELECT user_id FROM undo_rows JOIN removed_users ON removed_users.id = user_id
    WHERE step_id = ? AND after IS NULL
    """,
)
_RENAMED = f"{_UNCHANGED} AND before IS NOT NULL AND display_name <> before ->> 0"
_MOVED = f"""
    {_UNCHANGED} AND before IS NOT NULL
    AND (display_name <> before ->> 0 OR enabled <> before ->> 1)
"""
_WITH_SETTINGS = f"{_UNCHANGED} AND before IS NOT NULL AND json_array_length(after) > 3"
_FORMER_SETTINGS = f"""
    SELECT users.id, users.realm, before ->> {len(_RESTORED)} AS settings
    FROM undo_rows JOIN users ON users.id = user_id
    WHERE step_id = :step AND users.id IN (SELECT value FROM json_each(:ids))
"""


def _setting(columns: Sequence[str]) -> str:
    """Return the statement that gives columns of accounts their former values."""
    former = ", ".join(f"{column} = before ->> {_RESTORED.index(column)}" for column in columns)
    return f"""
        UPDATE users SET {former} FROM undo_rows
        WHERE step_id = ? AND user_id = users.id AND users.id IN (SELECT value FROM json_each(?))
    """


_SET_TITLE, _SET_SECRETS = _setting(_RESTORED[:2]), _setting(_RESTORED[2:])
_FREE_NAMES = """
    SELECT id, username, realm FROM removed_users AS gone
    WHERE id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
        SELECT 1 FROM users
        WHERE username = gone.username COLLATE NOCASE AND users.realm IS gone.realm
    ) AND NOT EXISTS (
        SELECT 1 FROM aliases WHERE aliases.realm = ifnull(gone.realm, '') AND alias = gone.username
    ) AND NOT EXISTS (
        SELECT 1 FROM call_groups
        WHERE call_groups.realm = ifnull(gone.realm, '') AND name = gone.username
    )
"""
