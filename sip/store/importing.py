"""Import of accounts from CSV, all rows or none, and export as CSV.

A file is first read into a CsvFile.  `check` reports what it would change; `apply` changes it.
"""

import csv
import io
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from time import time
from typing import Any, BinaryIO, TextIO

from sip.memory import long_lived_objects, release_memory
from sip.store.accounts import (
    Account,
    AccountsRemoved,
    CredentialsChanged,
    normalized,
)
from sip.store.call_cells import COLUMNS as CALL_COLUMNS
from sip.store.call_cells import write_cells
from sip.store.call_settings import USUAL, BadSetting, read_settings
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
    read_csv,
)
from sip.store.database import Tables, fetch, stream
from sip.store.import_calls import CallImport
from sip.store.import_changes import changes as _changes
from sip.store.import_changes import fields as _fields
from sip.store.import_changes import values_for as _values_for
from sip.store.import_plan import (
    IN_MEMORY,
    INSERTED,
    UPDATED,
    ImportPlan,
    changes_so_far,
    write_undoable,
)
from sip.store.import_report import MAX_CHANGES, Change, NewPassword, Report
from sip.store.taken_names import name_key
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
    "read_csv",
]

_EXPORTED = ("username", "realm", "display_name", "enabled")
_BLOCK = 500  # rows; keeps the reader thread busy for a few milliseconds only


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
    """Import the accounts of a CSV file: all rows or, if any row is refused, none.

    Refused are: without `update`, rows that would change an existing account; without `generate`,
    new accounts without a password (else a password is generated, see Report.passwords); without
    `skip_unknown`, unknown columns; without `encoding`, a file whose encoding is a guess.
    `progress` is called from time to time with the number of rows read.  Raises BadFile.
    """
    csv_file = read_csv(
        file,
        users.realm,
        update=update,
        generate=generate,
        skip_unknown=skip_unknown,
        encoding=encoding,
        progress=progress,
    )
    return check(users, csv_file) if dry_run else apply(users, csv_file, by="a command")


def check(users: Users, csv_file: CsvFile) -> Report:
    """Report what `apply` would change, without writing."""

    def look(tables: Tables) -> Report:
        plan = decide(tables, csv_file)
        plan.release()
        return plan.report

    return users.database.browse(look)


def apply(
    users: Users,
    csv_file: CsvFile,
    in_thread: Callable[[Callable[[], None]], None] = lambda work: work(),
    *,
    by: str = "",
) -> Report:
    """Write all rows of the file or, if any row is refused, none.  It can be undone, see undo.py.

    `in_thread` runs the generation of passwords, which takes seconds for many accounts, so that
    other greenlets go on.
    """

    def merge(tables: Tables) -> ImportPlan:
        # If an account was changed in between, decide again, now under the write lock.
        final = plan
        if plan.number != changes_so_far(tables):
            plan.release()
            final = decide(tables, csv_file)
        if not final.report.refused:
            # Passwords are missing here only for accounts deleted since the comparison.
            generate(final, csv_file)
            write_undoable(tables, final, by)
            final.report.written = True
        return final

    credentials_changed: list[Account] = []

    def update_memory(final: ImportPlan) -> None:
        if final.report.written:
            credentials_changed.extend(users.update_memory(final.accounts()))
        final.release()

    plan = users.database.browse(lambda tables: decide(tables, csv_file))
    if plan.report.refused or plan.is_empty:
        return plan.report
    if plan.lacking:
        in_thread(lambda: generate(plan, csv_file))
    plan = users.database.run(merge, then=update_memory)
    if plan.disabled:
        users.bus.publish(AccountsRemoved(plan.disabled))
    users.bus.publish(CredentialsChanged(credentials_changed))
    return plan.report


def password_blocks(
    passwords: Sequence[NewPassword], *, for_spreadsheet: bool = False
) -> Iterator[str]:
    """Yield generated passwords as CSV that can be imported again, in blocks of rows."""
    yield ",".join(NewPassword._fields) + "\n"
    quotable = FORMULA if for_spreadsheet else QUOTED_FORMULA
    for start in range(0, len(passwords), _BLOCK):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for *names, password in passwords[start : start + _BLOCK]:
            writer.writerow([*(_quoted(name, quotable) for name in names), password])
        yield text.getvalue()


def exported(
    users: Users,
    *,
    with_hashes: bool = False,
    for_spreadsheet: bool = False,
    chosen: Sequence[int] | None = None,
) -> Iterator[str]:
    """Yield accounts as CSV, in blocks of rows.  With hashes, the CSV can be imported again.

    `chosen` are the ids of the accounts in ascending order; without it, there are all accounts.

    With `for_spreadsheet`, names are quoted so that a spreadsheet does not read them as formulas;
    the import removes these quotes.
    """
    for text, _ in _blocks(users, with_hashes, for_spreadsheet, chosen):
        yield text


def export_accounts(
    users: Users, file: TextIO, *, with_hashes: bool = False, for_spreadsheet: bool = False
) -> int:
    """Write all accounts as CSV to a file (see `exported`), and return their number."""
    written = 0
    for text, rows in _blocks(users, with_hashes, for_spreadsheet):
        file.write(text)
        written += rows
    return written


def _blocks(
    users: Users, with_hashes: bool, for_spreadsheet: bool, chosen: Sequence[int] | None = None
) -> Iterator[tuple[str, int]]:
    """Yield the header, then blocks of rows, each as text and number of rows."""
    stored = _EXPORTED + (HA1S if with_hashes else ())
    columns = (*_EXPORTED, *CALL_COLUMNS, *stored[len(_EXPORTED) :])
    query = (
        f"SELECT id, {', '.join(stored)} FROM users"  # noqa: S608 -- our names
        " WHERE id > ? ORDER BY id LIMIT ?"
    )
    quotable = FORMULA if for_spreadsheet else QUOTED_FORMULA

    def block(tables: Tables) -> tuple[str, int, int]:
        rows = _following(tables, query, last, chosen)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        settings = read_settings(tables, rows[0][0], rows[-1][0]) if rows else {}
        for number, username, realm, display_name, enabled, *hashes in rows:
            names = (username, realm, display_name)
            call = write_cells(settings.get(number, USUAL))
            texts = (*(_quoted(name, quotable) for name in names), enabled)
            writer.writerow([*texts, *(_quoted(cell, quotable) for cell in call), *hashes])
        return text.getvalue(), len(rows), rows[-1][0] if rows else last

    yield ",".join(columns) + "\n", 0
    last = 0
    while True:
        text, count, last = users.database.browse(block)
        if not count:
            return
        yield text, count


def _following(
    tables: Tables, query: str, last: int, chosen: Sequence[int] | None
) -> Sequence[tuple[Any, ...]]:
    """Return the next rows of `query`, only those of the chosen ids."""
    if chosen is None:
        return fetch(tables, query, (last, _BLOCK))
    of_these = query.replace("id > ?", "id IN (SELECT value FROM json_each(?))")
    for start in range(bisect_right(chosen, last), len(chosen), _BLOCK):
        some = json.dumps([*chosen[start : start + _BLOCK]])
        if rows := fetch(tables, of_these, (some, _BLOCK)):  # none if all are deleted by now
            return rows
    return ()


def _quoted(name: str | None, quotable: re.Pattern[str]) -> str | None:
    return f"'{name}" if name and quotable.match(name) else name


def _report_of(csv_file: CsvFile) -> Report:
    """Begin a report with the results of reading the file."""
    return Report(
        same=csv_file.same,
        weak=csv_file.weak,
        encoding=csv_file.encoding.name,
        unknown=csv_file.unknown,
        notes=csv_file.notes,
        has_refused_columns=csv_file.has_refused_columns,
        has_guessed_encoding=csv_file.has_guessed_encoding,
    )


def decide(tables: Tables, csv_file: CsvFile) -> ImportPlan:
    """Compare the rows of the file with the existing accounts, and plan the changes."""
    with long_lived_objects():
        return _compared(tables, csv_file)


def _compared(tables: Tables, csv_file: CsvFile) -> ImportPlan:
    plan = ImportPlan(changes_so_far(tables), _report_of(csv_file))
    existing, by_case = _existing(tables, csv_file)
    calls = plan.calls = CallImport(tables, csv_file, existing)
    report, now = plan.report, int(time())
    refusals = list(csv_file.refused)
    # Names that may be in the file in several Unicode forms, and the first row of each account.
    ambiguous = {normalized(row.name[0]) for row in csv_file.rows if not row.name[0].isascii()}
    first: dict[object, CsvRow] = {}
    remarks = list(csv_file.remarks)
    for row in report.outcomes.watched(csv_file.rows, report, plan.updates):
        username, realm = normalized(row.name[0]), row.name[1]
        known = existing[row.name]
        if username in ambiguous:
            known = known or existing[username, realm]
            account = known["id"] if known else (username, realm)
            before = first.setdefault(account, row)
            if before is not row:
                text = f"{username} is already on line {before.line}, in another Unicode form"
                if before.covers(row):
                    report.same += 1
                    remarks.append(Remark(row.line, text))
                else:
                    refusals.append(Refusal(row.line, f"{text}, with other values"))
                continue
        if known is None:
            like = by_case.get((username.lower(), realm)) or username
            by_case[username.lower(), realm] = like
            if like != username:
                refusals.append(Refusal(row.line, f"{username} differs from {like} only in case"))
            elif reason := calls.plan_new(row, by_case) or _plan_new(plan, csv_file, row, now):
                refusals.append(Refusal(row.line, f"{username} {reason}"))
            continue
        changes = _changes(known, _values_for(row, known, realm or csv_file.realm))
        try:
            fields = (*_fields(changes), *calls.plan_change(row, known, by_case))
        except BadSetting as error:
            refusals.append(Refusal(row.line, f"{username} is refused: {error}"))
            continue
        if not fields:
            report.same += 1
            continue
        if not csv_file.update:
            report.lacks_update = True
            reason = f"{username} already has an account, and this row would change it"
            refusals.append(Refusal(row.line, f"{reason}: {', '.join(fields)}"))
        else:
            report.changed += 1
            if len(report.changes) < MAX_CHANGES:
                report.changes.append(Change(row.line, username, fields))
            _change(plan, known, changes, realm or csv_file.realm, now)
    report.refused = sorted(refusals)[:MAX_REFUSALS]
    report.refused_more = csv_file.refused_more + len(refusals) - len(report.refused)
    report.remarks = sorted(remarks)[:MAX_REFUSALS]
    report.remarks_more = csv_file.remarks_more + len(remarks) - len(report.remarks)
    for done in (existing, by_case, refusals):
        release_memory(done)
    if report.refused:
        plan.release()
    return plan


def _plan_new(plan: ImportPlan, csv_file: CsvFile, row: CsvRow, now: int) -> str:
    """Plan a new account; return the reason if its row is refused, else ""."""
    report = plan.report
    if "ha1_md5" in row.values:
        plan.inserts.append(_new_row(csv_file, row, now))
    elif csv_file.generate:
        report.generated += 1
        plan.lacking.append(row)
    else:
        report.lacks_passwords = True
        return "is a new user without password and ha1"
    report.new += 1
    return ""


def _existing(
    tables: Tables, csv_file: CsvFile
) -> tuple[dict[Name, Row | None], dict[Name, str | None]]:
    """Find the accounts for the rows of a file, and existing names that differ at most in case.

    An account is found by the name as written in the file, and by the same name in NFC.
    """
    existing: dict[Name, Row | None] = {}
    by_case: dict[Name, str | None] = {}
    decomposed: dict[Name, Row] = {}
    for wanted in csv_file.rows:
        username, realm = wanted.name
        existing[wanted.name] = None
        name = normalized(username)
        existing[name, realm] = by_case[name.lower(), realm] = None
        for alias in wanted.call.get("aliases", ()) if wanted.call else ():
            by_case[alias.lower(), realm] = by_case[name_key(alias), realm] = None
    for values in stream(tables, _READ):
        _, username, named, *_ = values
        realm = csv_file.key_realm(named)
        name = normalized(username)
        if (name.lower(), realm) in by_case:
            by_case[name.lower(), realm] = name
        # If two accounts have one name, the one that names the main realm counts.
        if (username, realm) in existing and (named or existing[username, realm] is None):
            existing[username, realm] = dict(zip(_READ_COLUMNS, values, strict=True))
        if name != username and (name, realm) in existing:
            decomposed.setdefault((name, realm), dict(zip(_READ_COLUMNS, values, strict=True)))
    # An account with exactly this name comes before one stored in another Unicode form.
    for key, row in decomposed.items():
        existing[key] = existing[key] or row
    return existing, by_case


def generate(plan: ImportPlan, csv_file: CsvFile) -> None:
    """Generate passwords for new accounts without one, and plan their rows."""
    now = int(time())
    with long_lived_objects():
        for row in plan.lacking:
            password, ha1s = csv_file.generated_password(row)
            username, realm = normalized(row.name[0]), row.name[1]
            display_name = row.values.get("display_name", "")
            plan.report.passwords.append(NewPassword(username, realm or "", display_name, password))
            plan.inserts.append(_new_row(csv_file, row._replace(values=row.values | ha1s), now))
    release_memory(plan.lacking)


def _change(plan: ImportPlan, known: Row, changes: Row, realm: str, now: int) -> None:
    """Plan the change of an existing account."""
    if "ha1_md5" in changes:
        changes["ha1_realm"] = realm
    row = {**known, **changes, "updated_at": now}
    plan.updates.append(tuple(row[column] for column in UPDATED))
    if "display_name" in changes or "enabled" in changes:
        plan.retitled.append(len(plan.updates) - 1)
    if known["enabled"] and not row["enabled"]:
        plan.disabled.append(Account(plan.updates[-1][-1:] + plan.updates[-1][:IN_MEMORY]))


def _new_row(csv_file: CsvFile, row: CsvRow, now: int) -> tuple[Any, ...]:
    username, realm = row.name
    of_realm = realm or csv_file.realm
    title = (row.values.get("display_name", ""), row.values.get("enabled", 1))
    hashes = map(row.values.get, HA1S)
    return (normalized(username), realm, *title, *hashes, of_realm, now, now)


_READ_COLUMNS = ("id", *INSERTED[:-1])
_READ = f"SELECT {', '.join(_READ_COLUMNS)} FROM users"  # noqa: S608 -- our names
