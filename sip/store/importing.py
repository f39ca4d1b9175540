"""Many accounts at once: CSV in, all rows or none, and CSV out.

A file is first read into a CsvFile.  What it would do is found out by `check`, and done by `apply`.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any, BinaryIO, TextIO

from sip.memory import long_lived_objects, release_memory
from sip.store import bulk_write as bulk
from sip.store.accounts import (
    Account,
    AccountsRemoved,
    CredentialsChanged,
    ha1s,
    normalized,
)
from sip.store.bindings import let_go
from sip.store.csv_file import (
    FORMULA,
    HA1S,
    MAX_REFUSALS,
    QUOTED_FORMULA,
    BadFile,
    CsvFile,
    CsvRow,
    Name,
    Progress,
    Refusal,
    Remark,
    Row,
    TooManyRows,
    read_sheet,
)
from sip.store.database import Tables, fetch, stream, write_many
from sip.store.import_report import MAX_CHANGES, Change, NewPassword, Report
from sip.store.users import Users

__all__ = [
    "BadFile",
    "Change",
    "CsvFile",
    "NewPassword",
    "Refusal",
    "Remark",
    "Report",
    "TooManyRows",
    "apply",
    "check",
    "export_accounts",
    "exported",
    "import_accounts",
    "password_blocks",
    "read_sheet",
]

_EXPORTED = ("username", "realm", "display_name", "enabled")
_BLOCK = 500  # rows; so an export never holds the reader for more than some milliseconds


@dataclass
class _Plan:
    """What to write, and the number of changes (account_changes) that this was decided on.

    Its rows are those of `_INSERT` and `_UPDATED`.
    """

    number: int
    report: Report
    inserts: list[tuple[Any, ...]] = field(default_factory=list)
    updates: list[tuple[Any, ...]] = field(default_factory=list)
    lacking: list[CsvRow] = field(default_factory=list)  # new ones that need a generated password
    retitled: list[int] = field(default_factory=list)  # ids whose name or state is another
    disabled: list[Account] = field(default_factory=list)
    first_id: int = 0  # of the inserted

    def accounts(self) -> Iterator[Account]:
        """Give what was written as it stands in memory."""
        for number, row in enumerate(self.inserts, self.first_id):
            yield Account((number, *row[:_IN_MEMORY]))
        for row in self.updates:
            yield Account((row[-1], *row[:_IN_MEMORY]))

    def release(self) -> None:
        """Let go of the rows."""
        release_memory(self.inserts)
        release_memory(self.updates)
        release_memory(self.lacking)


def import_accounts(
    users: Users,
    file: BinaryIO,
    *,
    update: bool = False,
    generate: bool = False,
    skip_unknown: bool = False,
    encoding: str | None = None,
    dry_run: bool = False,
    progress: Progress = lambda rows: None,
) -> Report:
    """Import the accounts of a CSV file: all rows or, when any row is refused, none.

    Without `update` a row that would change an existing account is refused; without `generate`
    a new account without a password, else it gets one, see Report.passwords; without
    `skip_unknown` each column that is not known; without `encoding` a file whose encoding can only
    be guessed.  `progress` is told from time to time how many rows are read.  Raises BadFile.
    """
    sheet = read_sheet(
        file,
        users.realm,
        update=update,
        generate=generate,
        skip_unknown=skip_unknown,
        encoding=encoding,
        progress=progress,
    )
    return check(users, sheet) if dry_run else apply(users, sheet)


def check(users: Users, sheet: CsvFile) -> Report:
    """Say what applying the sheet would do, and write nothing."""

    def look(tables: Tables) -> Report:
        plan = _decide(tables, sheet)
        plan.release()
        return plan.report

    return users.database.browse(look)


def apply(
    users: Users,
    sheet: CsvFile,
    in_thread: Callable[[Callable[[], None]], None] = lambda work: work(),
) -> Report:
    """Write what the sheet asks for, all of it or, when any row is refused, nothing.

    `in_thread` runs the generating of passwords, which takes seconds for many, where it holds
    nothing up.
    """

    def merge(tables: Tables) -> _Plan:
        # Decided once more, now under the write lock, if any account was changed in between.
        final = plan
        if plan.number != _changes_so_far(tables):
            plan.release()
            final = _decide(tables, sheet)
        if not final.report.refused:
            # Here only for accounts that were deleted since the comparison.
            _generate(final, sheet)
            _write(tables, final)
            final.report.written = True
        return final

    let_in: list[Account] = []

    def remember(final: _Plan) -> None:
        if final.report.written:
            let_in.extend(users.take_over(final.accounts()))
        final.release()

    plan = users.database.browse(lambda tables: _decide(tables, sheet))
    if plan.report.refused or not (plan.inserts or plan.updates or plan.lacking):
        return plan.report
    if plan.lacking:
        in_thread(lambda: _generate(plan, sheet))
    plan = users.database.run(merge, then=remember)
    if plan.disabled:
        users.bus.publish(AccountsRemoved(plan.disabled))
    users.bus.publish(CredentialsChanged(let_in))
    return plan.report


def password_blocks(
    passwords: Sequence[NewPassword], *, for_spreadsheet: bool = False
) -> Iterator[str]:
    """Give generated passwords as CSV that can be imported again, a block of rows at a time."""
    yield ",".join(NewPassword._fields) + "\n"
    quotable = FORMULA if for_spreadsheet else QUOTED_FORMULA
    for start in range(0, len(passwords), _BLOCK):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for *names, password in passwords[start : start + _BLOCK]:
            writer.writerow([*(_quoted(name, quotable) for name in names), password])
        yield text.getvalue()


def exported(
    users: Users, *, with_hashes: bool = False, for_spreadsheet: bool = False
) -> Iterator[str]:
    """Give all accounts as CSV, a block of rows at a time.  With hashes it can be imported again.

    `for_spreadsheet` keeps a spreadsheet from taking a name for a formula.  The import undoes it.
    """
    for text, _ in _blocks(users, with_hashes, for_spreadsheet):
        yield text


def export_accounts(
    users: Users, file: TextIO, *, with_hashes: bool = False, for_spreadsheet: bool = False
) -> int:
    """Write what `exported` gives to a file, and return how many accounts that are."""
    written = 0
    for text, rows in _blocks(users, with_hashes, for_spreadsheet):
        file.write(text)
        written += rows
    return written


def _blocks(users: Users, with_hashes: bool, for_spreadsheet: bool) -> Iterator[tuple[str, int]]:
    """Give the header, then some rows at a time, as text and how many they are."""
    columns = _EXPORTED + (HA1S if with_hashes else ())
    query = (
        f"SELECT id, {', '.join(columns)} FROM users"  # noqa: S608 -- our names
        " WHERE id > ? ORDER BY id LIMIT ?"
    )
    quotable = FORMULA if for_spreadsheet else QUOTED_FORMULA

    def block(tables: Tables) -> tuple[str, int, int]:
        rows = fetch(tables, query, (last, _BLOCK))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for _, *names, enabled_and_hashes in ((row[0], *row[1:4], row[4:]) for row in rows):
            writer.writerow([*(_quoted(name, quotable) for name in names), *enabled_and_hashes])
        return text.getvalue(), len(rows), rows[-1][0] if rows else last

    yield ",".join(columns) + "\n", 0
    last = 0
    while True:
        text, count, last = users.database.browse(block)
        if not count:
            return
        yield text, count


def _quoted(name: str | None, quotable: re.Pattern[str]) -> str | None:
    return f"'{name}" if name and quotable.match(name) else name


def _changes_so_far(tables: Tables) -> int:
    ((number,),) = fetch(tables, "SELECT number FROM account_changes")
    return int(number)


def _report_of(sheet: CsvFile) -> Report:
    """Begin a report with what the file alone says."""
    return Report(
        same=sheet.same,
        weak=sheet.weak,
        encoding=sheet.encoding.name,
        unknown=sheet.unknown,
        notes=sheet.notes,
        has_refused_columns=sheet.has_refused_columns,
        has_guessed_encoding=sheet.has_guessed_encoding,
    )


def _decide(tables: Tables, sheet: CsvFile) -> _Plan:
    """Compare what is wanted with what there is."""
    with long_lived_objects():
        return _compared(tables, sheet)


def _compared(tables: Tables, sheet: CsvFile) -> _Plan:
    plan = _Plan(_changes_so_far(tables), _report_of(sheet))
    existing, by_case = _existing(tables, sheet)
    report, now = plan.report, int(time())
    refusals = list(sheet.refused)
    # Names that may stand in a sheet in several forms, and the first row of each account.
    ambiguous = {normalized(row.name[0]) for row in sheet.wanted if not row.name[0].isascii()}
    first: dict[object, CsvRow] = {}
    remarks = list(sheet.remarks)
    for row in sheet.wanted:
        username, realm = normalized(row.name[0]), row.name[1]
        known = existing[row.name]
        if username in ambiguous:
            known = known or existing[username, realm]
            account = known["id"] if known else (username, realm)
            before = first.setdefault(account, row)
            if before is not row:
                said = f"{username} stands on line {before.line} already, in another Unicode form"
                if before.says_all_of(row):
                    report.same += 1
                    remarks.append(Remark(row.line, said))
                else:
                    refusals.append(Refusal(row.line, f"{said} and with other values"))
                continue
        if known is None:
            like = by_case.get((username.lower(), realm)) or username
            by_case[username.lower(), realm] = like
            if like != username:
                refusals.append(Refusal(row.line, f"{username} differs from {like} by case alone"))
            elif "ha1_md5" not in row.values:
                if sheet.generate:
                    report.new += 1
                    report.generated += 1
                    plan.lacking.append(row)
                    continue
                report.lacks_passwords = True
                reason = f"{username} would be new, but has neither password nor ha1"
                refusals.append(Refusal(row.line, reason))
            else:
                report.new += 1
                plan.inserts.append(_new_row(sheet, row, now))
            continue
        changes = _changes(known, _values_for(row, known, realm or sheet.realm))
        if not changes:
            report.same += 1
            continue
        fields = _fields(changes)
        if not sheet.update:
            report.lacks_update = True
            reason = f"{username} has an account already, and this row would change it"
            refusals.append(Refusal(row.line, f"{reason}: {', '.join(fields)}"))
        else:
            report.changed += 1
            if len(report.changes) < MAX_CHANGES:
                report.changes.append(Change(row.line, username, fields))
            _change(plan, known, changes, realm or sheet.realm, now)
    report.refused = sorted(refusals)[:MAX_REFUSALS]
    report.refused_more = sheet.refused_more + len(refusals) - len(report.refused)
    report.remarks = sorted(remarks)[:MAX_REFUSALS]
    report.remarks_more = sheet.remarks_more + len(remarks) - len(report.remarks)
    for done in (existing, by_case, refusals):
        release_memory(done)
    if report.refused:
        plan.release()
    return plan


def _existing(
    tables: Tables, sheet: CsvFile
) -> tuple[dict[Name, Row | None], dict[Name, str | None]]:
    """Find the accounts that a sheet names, and the names that differ from its by case at most.

    An account is found by the name as it is written in the sheet, and by the same name in NFC.
    """
    existing: dict[Name, Row | None] = {}
    by_case: dict[Name, str | None] = {}
    decomposed: dict[Name, Row] = {}
    for wanted in sheet.wanted:
        username, realm = wanted.name
        existing[wanted.name] = None
        name = normalized(username)
        existing[name, realm] = by_case[name.lower(), realm] = None
    for values in stream(tables, _READ):
        _, username, named, *_ = values
        realm = sheet.key_realm(named)
        name = normalized(username)
        if (name.lower(), realm) in by_case:
            by_case[name.lower(), realm] = name
        # Of two that claim one name, the one that names the main realm has it.
        if (username, realm) in existing and (named or existing[username, realm] is None):
            existing[username, realm] = dict(zip(_READ_COLUMNS, values, strict=True))
        if name != username and (name, realm) in existing:
            decomposed.setdefault((name, realm), dict(zip(_READ_COLUMNS, values, strict=True)))
    # The account of exactly this name stands before one that an earlier version stored otherwise.
    for key, row in decomposed.items():
        existing[key] = existing[key] or row
    return existing, by_case


def _values_for(row: CsvRow, known: Row, realm: str) -> Row:
    """Return what a row asks of an existing account.

    HA1s are made of the name as it is stored, and those of the password as it is written stay.
    """
    if not row.password:
        return row.values
    made = ha1s(known["username"], realm, row.password)
    if made["ha1_md5"] != known["ha1_md5"]:
        made = ha1s(known["username"], realm, normalized(row.password))
    return {**row.values, **made}


def _changes(old: Mapping[str, Any], values: Row) -> Row:
    """Say which columns of an account change.  What isn't said stays, with one exception."""
    changes = {column: value for column, value in values.items() if old[column] != value}
    if "display_name" in changes and changes["display_name"] == normalized(old["display_name"]):
        del changes["display_name"]
    if "ha1_md5" in changes:
        # Another password: HA1s that were made of the former one are no longer true.
        for column in HA1S:
            if column not in values and old[column] is not None:
                changes[column] = None
    return changes


def _fields(changes: Row) -> tuple[str, ...]:
    """Name the fields of a change as an admin knows them: another MD5 is another password."""
    names = (column for column in changes if column not in HA1S)
    if "ha1_md5" in changes:
        return ("password", *names)
    return (*(column for column in HA1S if column in changes), *names)


def _generate(plan: _Plan, sheet: CsvFile) -> None:
    """Plan the new accounts that still lack a password: each gets a generated one."""
    now = int(time())
    with long_lived_objects():
        for row in plan.lacking:
            password, ha1s = sheet.made(row)
            username, realm = normalized(row.name[0]), row.name[1]
            display_name = row.values.get("display_name", "")
            plan.report.passwords.append(NewPassword(username, realm or "", display_name, password))
            plan.inserts.append(_new_row(sheet, row._replace(values=row.values | ha1s), now))
    release_memory(plan.lacking)


def _change(plan: _Plan, known: Row, changes: Row, realm: str, now: int) -> None:
    """Plan the change of one account."""
    if "ha1_md5" in changes:
        changes["ha1_realm"] = realm
    row = {**known, **changes, "updated_at": now}
    plan.updates.append(tuple(row[column] for column in _UPDATED))
    if "display_name" in changes or "enabled" in changes:
        plan.retitled.append(len(plan.updates) - 1)
    if known["enabled"] and not row["enabled"]:
        plan.disabled.append(Account(plan.updates[-1][-1:] + plan.updates[-1][:_IN_MEMORY]))


def _new_row(sheet: CsvFile, row: CsvRow, now: int) -> tuple[Any, ...]:
    username, realm = row.name
    of_realm = realm or sheet.realm
    title = (row.values.get("display_name", ""), row.values.get("enabled", 1))
    hashes = map(row.values.get, HA1S)
    return (normalized(username), realm, *title, *hashes, of_realm, now, now)


# The first seven, with the id before them, are what an Account is made of.
_INSERTED = (
    *("username", "realm", "display_name", "enabled", *HA1S),
    *("ha1_realm", "updated_at", "created_at"),
)
_IN_MEMORY = 7
_UPDATED = (*_INSERTED[:-1], "id")
_READ_COLUMNS = ("id", *_INSERTED[:-1])
_READ = f"SELECT {', '.join(_READ_COLUMNS)} FROM users"  # noqa: S608 -- our names
_INSERT = (
    f"INSERT INTO users ({', '.join(_INSERTED)})"  # noqa: S608 -- our names
    f" VALUES ({', '.join('?' * len(_INSERTED))})"
)
# Two, for the indexes hold what the second one changes, and mostly HA1s change alone.
_SECRETS = _UPDATED[_UPDATED.index("ha1_md5") : -1]
_SET_SECRETS = f"UPDATE users SET {' = ?, '.join(_SECRETS)} = ? WHERE id = ?"  # noqa: S608 -- our names
_SET_TITLE = "UPDATE users SET display_name = ?, enabled = ? WHERE id = ?"


def _write(tables: Tables, plan: _Plan) -> None:
    retitled = [plan.updates[at] for at in plan.retitled]
    plan.first_id = bulk.next_id(tables)
    added, changed = len(plan.inserts), len(plan.updates)
    with bulk.writing(tables, added, changed, renamed=[row[-1] for row in retitled]):
        write_many(tables, _INSERT, plan.inserts)
        write_many(tables, _SET_SECRETS, [row[-len(_SECRETS) - 1 :] for row in plan.updates])
        write_many(tables, _SET_TITLE, [(*row[2:4], row[-1]) for row in retitled])
    let_go(tables, [account.id for account in plan.disabled])
