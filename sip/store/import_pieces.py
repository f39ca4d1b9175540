"""An import written in pieces (pieces.py), so that REGISTERs need not wait for all of it."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sip.memory import long_lived_objects
from sip.store import bulk_write as bulk
from sip.store.accounts import Account
from sip.store.audit import Act
from sip.store.bindings import remove_bindings
from sip.store.bulk_call_settings import remove_call_settings
from sip.store.csv_file import CsvFile, Progress
from sip.store.database import Tables
from sip.store.import_plan import ImportPlan, changes_so_far, write_calls, write_rows
from sip.store.import_report import Report
from sip.store.importing import apply, decide, generate
from sip.store.pieces import in_pieces
from sip.store.undo import Undo
from sip.store.undo_steps import begin_step, finish_step, recorded_piece
from sip.store.users import Users

# How often an import is written in pieces: if others change accounts meanwhile, it begins again,
# and after so many times it is written in one transaction.
_TRIES = 2
_Rows = list[tuple[Any, ...]]


class _ChangedMeanwhile(Exception):
    """Others have changed accounts since the plan was made, so that it may be wrong."""


def apply_in_pieces(
    users: Users,
    csv_file: CsvFile,
    in_thread: Callable[[Callable[[], None]], None] = lambda work: work(),
    *,
    by: str = "",
    progress: Progress = lambda rows: None,
) -> Report:
    """Write all rows of the file or, if any row is refused, none; see importing.apply.

    `progress` is called with the number of rows that are written.
    """
    for _ in range(_TRIES):
        plan = users.database.browse(lambda tables: decide(tables, csv_file))
        if plan.report.refused or plan.is_empty:
            return plan.report
        if plan.lacking:
            in_thread(lambda plan=plan: generate(plan, csv_file))  # type: ignore[misc]
        try:
            with users.database.long_change:
                return _Writer(users, plan, by, progress).write()
        except _ChangedMeanwhile:
            progress(0)
        finally:
            users.database.browse(lambda tables, plan=plan: plan.release())  # type: ignore[misc]
    return apply(users, csv_file, in_thread, by=by)


@dataclass
class _Written:
    """The accounts that a piece has written, and those that it has disabled."""

    step: int
    accounts: list[Account]
    disabled: list[Account]


class _Writer:
    """Writes a plan in pieces.  The rows are numbered: first the changed call settings, which are
    removed because an alias may go to another user, then the inserts, then the updates.
    """

    def __init__(self, users: Users, plan: ImportPlan, by: str, progress: Progress) -> None:
        self._users = users
        self._plan = plan
        self._by = by
        self._progress = progress
        self._number = plan.number  # the changes of accounts after the last piece
        self._freed = [*plan.calls.changed] if plan.calls else []
        self._next_disabled = 0  # index into plan.disabled

    def write(self) -> Report:
        """Write all pieces, or none.  Raises _ChangedMeanwhile."""
        plan, users = self._plan, self._users
        rows = range(len(self._freed) + len(plan.inserts) + len(plan.updates))
        credentials_changed: list[Account] = []
        step = done = 0

        def update_memory(written: _Written) -> None:
            credentials_changed.extend(users.update_memory(written.accounts))

        def piece(tables: Tables, some: Sequence[int], is_last: bool) -> _Written:
            return self._piece(tables, step, some, is_last)

        try:
            for written in in_pieces(users.database, rows, piece, update_memory):
                step = written.step
                users.publish_many(written.disabled, credentials_changed)
                credentials_changed = []
                done += len(written.accounts)
                self._progress(done)
        except BaseException:
            if step:
                Undo(users).take_back_failed(step)
            raise
        plan.report.undo_step, plan.report.written = step, True
        return plan.report

    def _piece(self, tables: Tables, step: int, some: Sequence[int], is_last: bool) -> _Written:
        if changes_so_far(tables) != self._number:
            raise _ChangedMeanwhile
        plan = self._plan
        step = step or begin_step(tables, Act.IMPORTED, plan.report.summary, self._by)
        freed, inserts, updates, retitled = self._rows(some[0], some[-1] + 1)
        ids = [row[-1] for row in updates]
        disabled = self._disabled_in(retitled)
        first_id = bulk.next_id(tables)
        with recorded_piece(tables, step, freed + ids):
            remove_call_settings(tables, bulk.chunks(freed))
            with bulk.without_triggers(tables, [row[-1] for row in retitled]):
                write_rows(tables, inserts, updates, retitled)
            write_calls(tables, plan.calls, first_id, inserts, updates)
            remove_bindings(tables, [account.id for account in disabled])
        if is_last:
            finish_step(tables, step)
        self._number = changes_so_far(tables)
        with long_lived_objects():
            accounts = [*plan.accounts_of(first_id, inserts, updates)]
        return _Written(step, accounts, disabled)

    def _rows(self, start: int, end: int) -> tuple[list[int], _Rows, _Rows, _Rows]:
        """Return the ids and rows with these numbers, and the updates with another title."""
        plan = self._plan
        freed = self._freed[start:end]
        start, end = (max(0, at - len(self._freed)) for at in (start, end))
        inserts = plan.inserts[start:end]
        start, end = (max(0, at - len(plan.inserts)) for at in (start, end))
        first, last = (bisect_left(plan.retitled, at) for at in (start, end))
        retitled = [plan.updates[at] for at in plan.retitled[first:last]]
        return freed, inserts, plan.updates[start:end], retitled

    def _disabled_in(self, retitled: _Rows) -> list[Account]:
        """Return the accounts that these rows disable; they have the same order."""
        disabled, start = self._plan.disabled, self._next_disabled
        ids = {row[-1] for row in retitled}
        while self._next_disabled < len(disabled) and disabled[self._next_disabled].id in ids:
            self._next_disabled += 1
        return disabled[start : self._next_disabled]
