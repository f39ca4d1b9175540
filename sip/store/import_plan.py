"""The plan of an import: the rows to write, and how they are written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sip.memory import release_memory
from sip.store import bulk_write as bulk
from sip.store.accounts import Account
from sip.store.audit import Act
from sip.store.bindings import remove_bindings
from sip.store.csv_file import HA1S, CsvRow
from sip.store.database import Tables, fetch, write_many
from sip.store.import_calls import CallImport
from sip.store.import_report import Report
from sip.store.undo_steps import MAX_ROWS, recorded

# An Account is made of the id and the first seven of these columns.
INSERTED = (
    *("username", "realm", "display_name", "enabled", *HA1S),
    *("ha1_realm", "updated_at", "created_at"),
)
IN_MEMORY = 7
UPDATED = (*INSERTED[:-1], "id")
_INSERT = (
    f"INSERT INTO users ({', '.join(INSERTED)})"  # noqa: S608 -- our names
    f" VALUES ({', '.join('?' * len(INSERTED))})"
)
# Two statements: mostly only HA1s change, and then no index has to be updated.
_SECRETS = UPDATED[UPDATED.index("ha1_md5") : -1]
_SET_SECRETS = f"UPDATE users SET {' = ?, '.join(_SECRETS)} = ? WHERE id = ?"  # noqa: S608 -- our names
_SET_TITLE = "UPDATE users SET display_name = ?, enabled = ? WHERE id = ?"


@dataclass
class ImportPlan:
    """The rows to write, and the value of account_changes when they were decided.

    The columns of `inserts` are INSERTED, those of `updates` are UPDATED.
    """

    number: int
    report: Report
    inserts: list[tuple[Any, ...]] = field(default_factory=list)
    updates: list[tuple[Any, ...]] = field(default_factory=list)
    lacking: list[CsvRow] = field(default_factory=list)  # new accounts without a password
    retitled: list[int] = field(default_factory=list)  # indexes of updates with new name or state
    disabled: list[Account] = field(default_factory=list)
    first_id: int = 0  # id of the first inserted account
    calls: CallImport | None = None

    @property
    def is_empty(self) -> bool:
        """True if nothing is to be written."""
        return not (self.inserts or self.updates or self.lacking)

    def accounts(self) -> Iterator[Account]:
        """Yield the accounts that were written."""
        return self.accounts_of(self.first_id, self.inserts, self.updates)

    def accounts_of(
        self,
        first_id: int,
        inserts: Sequence[tuple[Any, ...]],
        updates: Sequence[tuple[Any, ...]],
    ) -> Iterator[Account]:
        """Yield the accounts of some rows; the inserted ones have consecutive ids."""
        for number, row in enumerate(inserts, first_id):
            settings = self.calls.new.get((row[0], row[1])) if self.calls else None
            yield Account((number, *row[:IN_MEMORY]), settings and settings.stored())
        for row in updates:
            settings = self.calls.settings_of(row[-1]) if self.calls else None
            yield Account((row[-1], *row[:IN_MEMORY]), settings)

    def release(self) -> None:
        """Free the memory of the rows."""
        release_memory(self.inserts)
        release_memory(self.updates)
        release_memory(self.lacking)


def changes_so_far(tables: Tables) -> int:
    """Return the number of changes of accounts, by this process and others."""
    ((number,),) = fetch(tables, "SELECT number FROM account_changes")
    return int(number)


def write_undoable(tables: Tables, plan: ImportPlan, by: str) -> None:
    """Write a plan in the present transaction, as one step, unless that would be too large."""
    ids = [row[-1] for row in plan.updates]
    if len(plan.inserts) + len(ids) > MAX_ROWS:
        return _write(tables, plan)
    with recorded(tables, Act.IMPORTED, plan.report.summary, by, ids) as plan.report.undo_step:
        _write(tables, plan)
    return None


def _write(tables: Tables, plan: ImportPlan) -> None:
    retitled = [plan.updates[at] for at in plan.retitled]
    plan.first_id = bulk.next_id(tables)
    added, changed = len(plan.inserts), len(plan.updates)
    with bulk.writing(tables, added, changed, renamed=[row[-1] for row in retitled]):
        write_rows(tables, plan.inserts, plan.updates, retitled)
    write_calls(tables, plan.calls, plan.first_id, plan.inserts, plan.updates)
    remove_bindings(tables, [account.id for account in plan.disabled])


def write_rows(
    tables: Tables,
    inserts: list[tuple[Any, ...]],
    updates: list[tuple[Any, ...]],
    retitled: list[tuple[Any, ...]],
) -> None:
    """Write accounts; `retitled` are those of `updates` with another display name or state."""
    write_many(tables, _INSERT, inserts)
    write_many(tables, _SET_SECRETS, [row[-len(_SECRETS) - 1 :] for row in updates])
    write_many(tables, _SET_TITLE, [(*row[2:4], row[-1]) for row in retitled])


def write_calls(
    tables: Tables,
    calls: CallImport | None,
    first_id: int,
    inserts: Sequence[tuple[Any, ...]],
    updates: Sequence[tuple[Any, ...]],
) -> None:
    """Write the call settings of accounts that were just written."""
    if calls is None:
        return
    numbered = enumerate(inserts, first_id) if calls.new else ()
    new = {row[:2]: number for number, row in numbered if row[:2] in calls.new}
    changed = [row[-1] for row in updates if row[-1] in calls.changed] if calls.changed else []
    calls.write(tables, changed, new)
