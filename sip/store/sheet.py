"""A CSV file of accounts, read, checked and hashed: pure Python, for any thread."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple, TextIO

from sip.config import parse_switch
from sip.store import accounts
from sip.store.accounts import objects_that_stay, release
from sip.store.passwords import weakness

_HEXADECIMAL = {"ha1_md5": 32, "ha1_sha256": 64, "ha1_sha512_256": 64}  # digits of each
HA1S = tuple(_HEXADECIMAL)
_COLUMNS = ("username", "password", *HA1S, "realm", "display_name", "enabled")
_ALIASES = {"ha1": "ha1_md5"}
# Characters of a line; the longest row of accounts has about 2,000.
_MAX_LINE = 64 * 1024
# Refusals that are told one by one; a file of another kind has one in each row.
MAX_REFUSALS = 10_000
# A spreadsheet takes a cell that begins so for a formula; a ' before it says that it is text.
# The import takes one ' away, so a name that has its own is given one more in every export.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r]")


Progress = Callable[[int], object]
Name = tuple[str, str | None]  # username and realm, None for the main one
Row = dict[str, Any]


class BadFile(Exception):
    """The file as a whole cannot be read as accounts.  Says why."""


class Refusal(NamedTuple):
    """A row that cannot be taken; `line` counts from 1, the header included."""

    line: int
    reason: str


class Wanted(NamedTuple):
    """What one line asks for.  A column that is absent or empty is not in `values`."""

    line: int
    name: Name
    values: Row


@dataclass
class Sheet:
    """The rows of a file, checked and hashed, for the accounts of one main realm."""

    realm: str
    update: bool
    wanted: list[Wanted] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    refused_more: int = 0
    weak: int = 0

    def key_realm(self, realm: str) -> str | None:
        """Give the realm as the file has it: None for the main one."""
        return None if realm == self.realm else realm

    def refuse(self, line: int, reason: str) -> None:
        """Keep the reason for a refusal, unless there are too many already."""
        if len(self.refused) < MAX_REFUSALS:
            self.refused.append(Refusal(line, reason))
        else:
            self.refused_more += 1

    def release(self) -> None:
        """Let go of the rows; of many, not in a greenlet that others wait for."""
        release(self.wanted)


def read_sheet(
    file: BinaryIO,
    realm: str,
    *,
    update: bool = False,
    max_rows: int | None = None,
    progress: Progress = lambda rows: None,
) -> Sheet:
    """Read and hash every row; what can be said without the accounts is said here.

    `realm` is the main one.  Raises BadFile.
    """
    with objects_that_stay():
        return _read(Sheet(realm, update), file, max_rows, progress)


def _read(sheet: Sheet, file: BinaryIO, max_rows: int | None, progress: Progress) -> Sheet:
    lines: dict[Name, int] = {}
    for number, (line, cells) in enumerate(_rows(file, sheet.update)):
        if max_rows is not None and number >= max_rows:
            raise BadFile(f"there are more than {max_rows:,} rows; split the file")
        try:
            row = _read_row(sheet, line, cells)
            if (before := lines.setdefault(row.name, line)) != line:
                raise ValueError(f"{row.name[0]} stands on line {before} already")
        except ValueError as error:
            sheet.refuse(line, str(error))
        else:
            sheet.wanted.append(row)
            sheet.weak += bool(weakness(cells.get("password", ""), row.name[0]))
        if line % 1000 == 0:
            progress(line)
    release(lines)
    return sheet


def _unquoted(cell: str) -> str:
    return cell[1:] if QUOTED_FORMULA.match(cell) else cell


def _rows(file: BinaryIO, update: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the line number and the cells of each row, by column."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        header = next(_lines(text), "")
        delimiter = ";" if header.count(";") > header.count(",") else ","
        columns = _columns(next(csv.reader([header], delimiter=delimiter), []), update)
        reader = csv.reader(_lines(text), delimiter=delimiter, strict=True)
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


def _lines(text: TextIO) -> Iterator[str]:
    """Give the lines; one that never ends would be read, and hold every other thread, in one go."""
    while line := text.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise BadFile(f"a line is longer than {_MAX_LINE:,} characters; is this a CSV file?")
        yield line


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
        raise BadFile(
            "the header has neither password nor ha1, so it can only change users who exist"
        )
    return columns


def _read_row(sheet: Sheet, line: int, cells: Mapping[str, str]) -> Wanted:
    """Check one row.  Raises ValueError with the reason for a refusal."""
    if "" in cells:
        raise ValueError(cells[""])
    username = _unquoted(cells["username"].strip())
    accounts.check_username(username)
    realm = _unquoted(cells.get("realm", "").strip()) or sheet.realm
    accounts.check_realm(realm)
    values: Row = {}
    for column in HA1S:
        if digest := cells.get(column, "").strip().lower():
            if not re.fullmatch(rf"[0-9a-f]{{{_HEXADECIMAL[column]}}}", digest):
                raise ValueError(f"{column} must be {_HEXADECIMAL[column]} hexadecimal digits")
            values[column] = digest
    if password := cells.get("password", ""):
        if values:
            raise ValueError("both a password and an HA1; only one of them can be meant")
        accounts.check_password(password)
        values.update(accounts.ha1s(username, realm, password))
    elif values and "ha1_md5" not in values:
        raise ValueError("an HA1 for SHA, but none for MD5, which every account has")
    if name := _unquoted(cells.get("display_name", "").strip()):
        accounts.check_display_name(name)
        values["display_name"] = name
    if enabled := cells.get("enabled", "").strip():
        values["enabled"] = int(parse_switch(enabled))
    return Wanted(line, (username, sheet.key_realm(realm)), values)
