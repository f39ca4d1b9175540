"""Undo of changes of many accounts, for an hour.

A change is one step, see undo_steps.py.  `Undo` lists the steps and takes one back as a whole, in
pieces (pieces.py).  Accounts that have changed since keep that later change:

- an account that the step changed gets its former values, if it still is as the step has left it;
- an account that the step added is deleted, if it still is as the step has left it;
- an account that the step deleted is restored, unless it was restored before or its name is taken.

Call settings count as changed by a step, and go back, only if the step has changed them.  Of the
former aliases, an account gets those that belong to no other user or group now.

So two steps of one account are undone in reverse order.  `Undone` has the numbers of both kinds.

A step whose change or undo was broken off by the end of the process stays open.  The next start
undoes the rest of it.
"""

# ruff: noqa: S608 -- only our own column names are put into SQL; input is a value

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import time

from sip.memory import long_lived_objects
from sip.phone_numbers import number_of
from sip.store import bulk_write as bulk
from sip.store.accounts import Account
from sip.store.bulk_call_settings import add_call_settings, remove_call_settings
from sip.store.database import Tables, fetch, stream
from sip.store.groups import reload_groups
from sip.store.pieces import in_pieces
from sip.store.retention import RESTORABLE_SECONDS, purge
from sip.store.taken_names import has_other_spelling, name_holder, spellings
from sip.store.undo_steps import IS_AFTER, RESTORED, record_after, recorded
from sip.store.users import Users

__all__ = ["NoSuchStep", "Undo", "UndoStep", "Undone", "recorded"]

log = logging.getLogger(__name__)

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


@dataclass
class _Result:
    """Accounts that were written, deleted and, in `gone`, deleted or disabled, by one piece."""

    written: list[Account]
    removed: list[Account]
    gone: list[Account]
    undone: int
    kept_names: list[str]


class Undo:
    """The steps that can be undone."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._database = users.database

    def steps(self, now: float | None = None) -> list[UndoStep]:
        """Return the steps of the last hour, the latest first.

        An open step is not listed while a change goes on, because it may be that change.
        """
        latest = int(time() if now is None else now) - RESTORABLE_SECONDS
        most_open = 0 if self._database.long_change.locked() else 1
        rows = self._database.browse(lambda tables: fetch(tables, _STEPS, (latest, most_open)))
        return [UndoStep(*row) for row in rows]

    def undo(self, number: int, now: float | None = None) -> Undone:
        """Undo the step with this id, after a change that goes on.  Raises NoSuchStep."""
        at = int(time() if now is None else now)
        with self._database.long_change:
            return self.take_back(number, at, at - RESTORABLE_SECONDS)

    def undo_open(self) -> list[Undone]:
        """Undo the steps that a former process has left open."""
        with self._database.long_change:
            rows = self._database.browse(lambda tables: fetch(tables, f"{_STEP} WHERE is_open = 1"))
            undone = []
            for number, _, act, about, by, accounts in rows:
                undone.append(self.take_back(number))
                log.warning(
                    "undone, because the server ended before it was finished: %s (%s) by %s,"
                    " %d accounts so far",
                    *(act, about, by or "a command", accounts),
                )
            return undone

    def take_back(self, number: int, now: int | None = None, latest: int = -1) -> Undone:
        """Undo a step that is later than `latest`, within Database.long_change."""
        at = int(time()) if now is None else now
        step = self._database.run(lambda tables: _open(tables, number, at, latest), synced=False)
        total, kept_names = 0, list[str]()
        try:
            self._free_aliases(number)
            for result in self._in_pieces(number, at):
                total += result.undone
                kept_names += result.kept_names
        finally:
            reload_groups(self._users)
        return Undone(step, total, step.accounts - total, sorted(kept_names)[:_MAX_NAMES])

    def take_back_failed(self, number: int) -> None:
        """Undo a step whose change has failed, within Database.long_change; does not raise."""
        try:
            self.take_back(number)
        except Exception as error:  # noqa: BLE001 -- the error of the change is raised instead
            log.error(
                "cannot undo a change that has failed, the next start will undo it: %s", error
            )

    def _free_aliases(self, number: int) -> None:
        """Remove the changed call settings: an alias may have gone to an account further behind."""

        def free(tables: Tables, some: Sequence[int], is_last: bool) -> None:
            ids = json.dumps(some)
            changed = _ids(tables, _WITH_SETTINGS, number, ids)
            remove_call_settings(tables, bulk.chunks(changed))
            record_after(tables, number, json.dumps(changed))

        for _ in in_pieces(self._database, self._all_ids(_WITH_SETTINGS_FIRST, number), free):
            pass

    def _in_pieces(self, number: int, now: int) -> Iterator[_Result]:
        def update_memory(result: _Result) -> None:
            self._users.remove_from_memory(result.removed)
            credentials_changed.extend(self._users.update_memory(result.written))

        def piece(tables: Tables, some: Sequence[int], is_last: bool) -> _Result:
            with long_lived_objects():
                result = self._undo_piece(tables, number, json.dumps(some), now)
            if is_last:
                fetch(tables, "DELETE FROM undo_steps WHERE id = ?", (number,))
            return result

        credentials_changed: list[Account] = []
        # Added accounts first: their aliases may be the former ones of others.
        ids = self._all_ids(_IN_ORDER, number)
        if not ids:
            delete = "DELETE FROM undo_steps WHERE id = ?"
            self._database.run(lambda tables: fetch(tables, delete, (number,)))
        for result in in_pieces(self._database, ids, piece, update_memory):
            self._users.publish_many(result.gone, credentials_changed)
            credentials_changed = []
            yield result

    def _all_ids(self, statement: str, number: int) -> list[int]:
        return self._database.browse(
            lambda tables: [user_id for (user_id,) in stream(tables, statement, (number,))]
        )

    def _undo_piece(self, tables: Tables, number: int, ids: str, now: int) -> _Result:
        kept = fetch(tables, _KEPT, {"step": number, "ids": ids})
        added, changed, deleted = (_ids(tables, each, number, ids) for each in _KINDS)
        deleted = self._with_free_names(tables, deleted)
        removed = [*bulk.accounts(tables, added)]
        moved = _ids(tables, _MOVED, number, ids)
        with_settings = _ids(tables, _WITH_SETTINGS, number, ids)
        renamed = added + deleted + _ids(tables, _RENAMED, number, ids)
        with bulk.without_triggers(tables, renamed):
            bulk.remove(tables, added, now)
            # Two statements: mostly only HA1s change, and then no index has to be updated.
            for some in bulk.chunks(changed):
                fetch(tables, _SET_SECRETS, (number, some))
            for some in bulk.chunks(moved):
                fetch(tables, _SET_TITLE, (number, some))
            bulk.restore(tables, deleted)
        bulk.finish_restore(tables, deleted)
        add_call_settings(tables, bulk.chunks(with_settings), _FORMER_SETTINGS, {"step": number})
        written = [*bulk.accounts(tables, changed + deleted)]
        gone = [each for each in written if not each.enabled]
        bulk.remove_all_bindings(tables, [each.id for each in gone])
        gone += removed
        written += bulk.uncovered(tables, added, self._users.realm)
        fetch(tables, f"DELETE FROM undo_rows WHERE {_OF_PIECE}", {"step": number, "ids": ids})
        total = len(added) + len(changed) + len(deleted)
        return _Result(written, removed, gone, total, [name for (name,) in kept if name])

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


def _open(tables: Tables, number: int, now: int, latest: int) -> UndoStep:
    """Open a step, so that its undo is finished in any case.  Raises NoSuchStep."""
    purge(tables, now)
    for row in fetch(tables, f"{_STEP} WHERE id = ? AND at > ?", (number, latest)):
        fetch(tables, "UPDATE undo_steps SET is_open = 1 WHERE id = ?", (number,))
        return UndoStep(*row)
    raise NoSuchStep(
        "this can no longer be undone: it was undone already, or it is over an hour old"
    )


def _ids(tables: Tables, statement: str, step: int, ids: str) -> list[int]:
    return [number for (number,) in fetch(tables, statement, {"step": step, "ids": ids})]


_STEP = "SELECT id, at, act, about, changed_by, accounts FROM undo_steps"
_STEPS = f"{_STEP} WHERE at > ? AND accounts > 0 AND is_open <= ? ORDER BY id DESC"
_IN_ORDER = "SELECT user_id FROM undo_rows WHERE step_id = ? ORDER BY before IS NOT NULL, user_id"
_WITH_SETTINGS_FIRST = """
    SELECT user_id FROM undo_rows
    WHERE step_id = ? AND before IS NOT NULL AND json_array_length(after) > 3
"""
_OF_PIECE = "step_id = :step AND user_id IN (SELECT value FROM json_each(:ids))"
# Accounts of a step that are as it has left them: added, changed; and deleted ones.
_UNCHANGED = f"""
    SELECT user_id FROM undo_rows JOIN users ON users.id = user_id
    WHERE {_OF_PIECE} AND {IS_AFTER}
"""
# Accounts that were changed, restored or deleted since the step.
_KEPT = f"""
    SELECT coalesce(users.username, (SELECT username FROM removed_users WHERE id = user_id), '')
    FROM undo_rows LEFT JOIN users ON users.id = user_id
    WHERE {_OF_PIECE} AND {IS_AFTER} IS NOT 1 AND (users.id IS NOT NULL OR after IS NOT NULL)
    ORDER BY user_id LIMIT {_MAX_NAMES}
"""
_KINDS = (
    f"{_UNCHANGED} AND before IS NULL",
    f"{_UNCHANGED} AND before IS NOT NULL",
    f"""
    SELECT user_id FROM undo_rows JOIN removed_users ON removed_users.id = user_id
    WHERE {_OF_PIECE} AND after IS NULL
    """,
)
_RENAMED = f"{_UNCHANGED} AND before IS NOT NULL AND display_name <> before ->> 0"
_MOVED = f"""
    {_UNCHANGED} AND before IS NOT NULL
    AND (display_name <> before ->> 0 OR enabled <> before ->> 1)
"""
_WITH_SETTINGS = f"{_UNCHANGED} AND before IS NOT NULL AND json_array_length(after) > 3"
_FORMER_SETTINGS = f"""
    SELECT users.id, users.realm, before ->> {len(RESTORED)} AS settings
    FROM undo_rows JOIN users ON users.id = user_id
    WHERE step_id = :step AND users.id IN (SELECT value FROM json_each(:ids))
"""


def _setting(columns: Sequence[str]) -> str:
    """Return the statement that gives columns of accounts their former values."""
    former = ", ".join(f"{column} = before ->> {RESTORED.index(column)}" for column in columns)
    return f"""
        UPDATE users SET {former} FROM undo_rows
        WHERE step_id = ? AND user_id = users.id AND users.id IN (SELECT value FROM json_each(?))
    """


_SET_TITLE, _SET_SECRETS = _setting(RESTORED[:2]), _setting(RESTORED[2:])
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
