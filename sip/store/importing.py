"""Many accounts at once: CSV in, all rows or none, and CSV out."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import time
from typing import Any, BinaryIO, NamedTuple, TextIO

from sip.config import parse_switch
from sip.store import accounts
from sip.store.database import Tables, write_many
from sip.store.users import Users

_HEXADECIMAL = {"ha1_md5": 32, "ha1_sha256": 64, "ha1_sha512_256": 64}  # digits of each
_HA1S = tuple(_HEXADECIMAL)
_COLUMNS = ("username", "password", *_HA1S, "realm", "display_name", "enabled")
_ALIASES = {"ha1": "ha1_md5"}
_EXPORTED = ("username", "realm", "display_name", "enabled")
_BLOCK = 500  # rows; so an export never holds the reader for more than some milliseconds

Progress = Callable[[int], object]
Name = tuple[str, str | None]  # username and realm, None for the main one
_Row = dict[str, Any]


class BadFile(Exception):
    """The file as a whole cannot be read as accounts.  Says why."""


class Refusal(NamedTuple):
    """A row that cannot be taken; `line` counts from 1, the header included."""

    line: int
    reason: str


@dataclass
class Report:
    """What an import does, or would do."""

    new: int = 0
    changed: int = 0
    same: int = 0
    weak: int = 0
    refused: list[Refusal] = field(default_factory=list)
    written: bool = False


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one line asks for.  A column that is absent or empty is not in `values`."""

    line: int
    name: Name
    values: _Row


@dataclass
class _Plan:
    """What to write, and the state of the file (Database.stamp) that this was decided on."""

    stamp: tuple[int, int]
    report: Report
    inserts: list[_Row]
    updates: list[_Row]


def import_accounts(
    users: Users,
    file: BinaryIO,
    *,
    update: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda rows: None,
) -> Report:
    """Take the accounts of a CSV file over, all or, when any row is refused, none.

    Without `update` a row that would change an existing account is refused.  `progress` is told
    from time to time how many rows are read.  Raises BadFile.
    """
    wanted, refused, weak = _read(users, file, update, progress)

    def decide(tables: Tables) -> _Plan:
        return _decide(tables, users, wanted, update)

    def merge(tables: Tables) -> Report:
        # Decided once more, now under the write lock, if anybody has written in between.
        final = plan if plan.stamp == users.database.stamp() else decide(tables)
        if not final.report.refused:
            _write(tables, final)
            final.report.written = True
        return final.report

    plan = users.database.read(decide)
    report = plan.report
    if not (dry_run or refused or report.refused) and (plan.inserts or plan.updates):
        report = users.database.run(merge)
        users.reload()
    report.refused = sorted(refused + report.refused)
    report.weak = weak
    return report


def export_accounts(users: Users, file: TextIO, *, with_hashes: bool = False) -> int:
    """Write all accounts as CSV, and return how many.  With hashes it can be imported again."""
    columns = _EXPORTED + (_HA1S if with_hashes else ())
    query = (
        f"SELECT id, {', '.join(columns)} FROM users"  # noqa: S608 -- our names
        " WHERE id > :last ORDER BY id LIMIT :block"
    )
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    last = written = 0

    def block(tables: Tables) -> list[Mapping[str, Any]]:
        return list(tables.query(query, last=last, block=_BLOCK))

    while rows := users.database.read(block):
        writer.writerows([row[column] for column in columns] for row in rows)
        last = rows[-1]["id"]
        written += len(rows)
    return written


def _read(
    users: Users, file: BinaryIO, update: bool, progress: Progress
) -> tuple[list[_Wanted], list[Refusal], int]:
    """Read and hash every row; what can be said without the database is said here."""
    wanted: list[_Wanted] = []
    refused: list[Refusal] = []
    weak = 0
    lines: dict[Name, int] = {}
    for line, cells in _rows(file, update):
        try:
            row = _wanted(users, line, cells)
            if (before := lines.setdefault(row.name, line)) != line:
                raise ValueError(f"{row.name[0]} stands on line {before} already")
        except ValueError as error:
            refused.append(Refusal(line, str(error)))
        else:
            wanted.append(row)
            weak += is_weak(cells.get("password", ""))
        if line % 1000 == 0:
            progress(line)
    return wanted, refused, weak


def is_weak(password: str) -> bool:
    """Tell whether somebody with a word list would soon have a password; none at all isn't weak."""
    return password != "" and (len(password) <= 6 or password.isdecimal())


def _rows(file: BinaryIO, update: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the line number and the cells of each row, by column."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        header = text.readline()
        delimiter = ";" if header.count(";") > header.count(",") else ","
        columns = _columns(next(csv.reader([header], delimiter=delimiter), []), update)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        for cells in reader:
            if not cells:
                continue
            # A field may span lines; the row then goes by its last one.
            line = reader.line_num + 1
            if "\0" in "".join(cells):
                raise BadFile(
                    f"line {line} holds a NUL, so this is no text; save it as CSV in UTF-8"
                )
            if len(cells) != len(columns):
                yield line, {"": f"{len(cells)} fields where the header has {len(columns)}"}
            else:
                yield line, dict(zip(columns, cells, strict=True))
    except UnicodeDecodeError as error:
        raise BadFile(f"this is no UTF-8 text ({error.reason}); save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise BadFile(f"this is no CSV file: {error}") from None
    finally:
        text.detach()  # the file is the caller's to close


def _columns(header: list[str], update: bool) -> list[str]:
    columns = [name.strip().lower() for name in header]
    columns = [_ALIASES.get(name, name) for name in columns]
    for name in columns:
        if name not in _COLUMNS:
            known = ", ".join(_COLUMNS)
            raise BadFile(f"the header names a column {name[:40]!r}; known are {known} and ha1")
    if len(set(columns)) < len(columns):
        raise BadFile("the header names a column twice")
    if "username" not in columns:
        raise BadFile("the first line must name the columns, username among them")
    if not (update or {"password", "ha1_md5"} & set(columns)):
        raise BadFile("the header has neither password nor ha1; without them only --update can do")
    return columns


def _wanted(users: Users, line: int, cells: Mapping[str, str]) -> _Wanted:
    """Check one row.  Raises ValueError with the reason for a refusal."""
    if "" in cells:
        raise ValueError(cells[""])
    username = cells["username"].strip()
    accounts.check_username(username)
    realm = cells.get("realm", "").strip() or users.realm
    accounts.check_realm(realm)
    values: _Row = {}
    for column in _HA1S:
        if digest := cells.get(column, "").strip().lower():
            if not re.fullmatch(rf"[0-9a-f]{{{_HEXADECIMAL[column]}}}", digest):
                raise ValueError(f"{column} must be {_HEXADECIMAL[column]} hexadecimal digits")
            values[column] = digest
    if password := cells.get("password", ""):
        if values:
            raise ValueError("both a password and an HA1; only one of them can be meant")
        values.update(accounts.ha1s(username, realm, password))
    elif values and "ha1_md5" not in values:
        raise ValueError("an HA1 for SHA, but none for MD5, which every account has")
    if name := cells.get("display_name", "").strip():
        accounts.check_display_name(name)
        values["display_name"] = name
    if enabled := cells.get("enabled", "").strip():
        values["enabled"] = int(parse_switch(enabled))
    return _Wanted(line, (username, users.key_realm(realm)), values)


def _decide(tables: Tables, users: Users, wanted: list[_Wanted], update: bool) -> _Plan:
    """Compare what is wanted with what there is."""
    existing: dict[Name, Mapping[str, Any]] = {}
    by_case: dict[Name, str] = {}
    for old in tables.query("SELECT * FROM users"):
        realm = users.key_realm(old["realm"])
        existing[old["username"], realm] = old
        by_case[old["username"].lower(), realm] = old["username"]
    plan = _Plan(users.database.stamp(), Report(), [], [])
    report, now = plan.report, int(time())
    for row in wanted:
        username, realm = row.name
        known = existing.get(row.name)
        if known is None:
            like = by_case.setdefault((username.lower(), realm), username)
            if like != username:
                reason = f"{username} differs from {like} by case alone"
            elif "ha1_md5" not in row.values:
                reason = f"{username} would be new, but has neither password nor ha1"
            else:
                report.new += 1
                plan.inserts.append(_new_row(users, row, now))
                continue
            report.refused.append(Refusal(row.line, reason))
            continue
        changes = _changes(known, row.values)
        if not changes:
            report.same += 1
        elif not update:
            reason = f"{username} has an account already, and differs; --update would change it"
            report.refused.append(Refusal(row.line, reason))
        else:
            report.changed += 1
            if "ha1_md5" in changes:
                changes["ha1_realm"] = realm or users.realm
            plan.updates.append({**known, **changes, "updated_at": now})
    return plan


def _changes(old: Mapping[str, Any], values: _Row) -> _Row:
    """Say which columns of an account change.  What isn't said stays, with one exception."""
    changes = {column: value for column, value in values.items() if old[column] != value}
    if "ha1_md5" in changes:
        # Another password: HA1s that were made of the former one are no longer true.
        for column in _HA1S:
            if column not in values and old[column] is not None:
                changes[column] = None
    return changes


def _new_row(users: Users, row: _Wanted, now: int) -> _Row:
    username, realm = row.name
    return {
        "username": username,
        "realm": realm,
        "display_name": "",
        "enabled": 1,
        **dict.fromkeys(_HA1S),
        "ha1_realm": realm or users.realm,
        "created_at": now,
        "updated_at": now,
        **row.values,
    }


_WRITTEN = ("display_name", "enabled", *_HA1S, "ha1_realm", "updated_at")
_INSERTED = ("username", "realm", "created_at", *_WRITTEN)
_INSERT = (
    f"INSERT INTO users ({', '.join(_INSERTED)})"  # noqa: S608 -- our names
    f" VALUES ({', '.join('?' * len(_INSERTED))})"
)
_UPDATE = f"UPDATE users SET {', '.join(f'{name} = ?' for name in _WRITTEN)} WHERE id = ?"  # noqa: S608


def _write(tables: Tables, plan: _Plan) -> None:
    write_many(tables, _INSERT, [tuple(row[c] for c in _INSERTED) for row in plan.inserts])
    write_many(tables, _UPDATE, [tuple(row[c] for c in (*_WRITTEN, "id")) for row in plan.updates])
