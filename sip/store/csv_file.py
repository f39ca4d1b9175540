"""CSV files of accounts: reading, checking and hashing of rows, for any thread."""

import csv
import io
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO, NamedTuple, TextIO

from sip.memory import long_lived_objects, release_memory
from sip.operator_values import parse_switch
from sip.store import accounts, encodings
from sip.store.call_cells import COLUMNS as CALL_COLUMNS
from sip.store.call_cells import read_cells
from sip.store.columns import BadHeader, ColumnChoice, Columns, UnknownUsername, known_columns
from sip.store.encodings import BadText, Encoding
from sip.store.passwords import make_password, weakness

_HEXADECIMAL = {"ha1_md5": 32, "ha1_sha256": 64, "ha1_sha512_256": 64}  # number of digits
HA1S = tuple(_HEXADECIMAL)
# Maximum characters of a line; the longest row of an account has about 2,000.
_MAX_LINE = 64 * 1024
# Maximum refusals, and warnings, that are listed; a wrong file can have one in each row.
MAX_REFUSALS = 10_000
# A spreadsheet reads a cell that begins like this as a formula; a ' before it makes it text.
# The import removes one ', so each export adds one ' to a name that begins with ' already.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r]")

_DELIMITERS = ",;\t"  # if two are equally likely, the first is used
# A first line that some spreadsheets write to name the separator: `sep=;`.
_SEPARATOR_LINE = re.compile(r'\s*"?sep=([^\w\s"]|\t)"?[\s,;]*', re.IGNORECASE)
# A line with only these characters is blank.
_BLANKS = ' \t\r\n,;"\ufeff'
# A cell written as a formula, so that a spreadsheet keeps leading zeros: ="0101".
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
# Values of `enabled` in files of other systems, besides on and off.
_STATES = {
    **dict.fromkeys(("enabled", "active", "y"), "on"),
    **dict.fromkeys(("disabled", "inactive", "n"), "off"),
}
# The prefix of a password hash in LDAP, for example {SSHA}.
_LDAP_HASH = re.compile(r"\{(S?SHA\d*|S?MD5|CRYPT|PBKDF2\S*|ARGON2)\}.", re.IGNORECASE)
# Number of names shown as samples if the encoding is a guess.
_SAMPLES = 3

Progress = Callable[[int], object]
Name = tuple[str, str | None]  # username and realm, None for the main one
Row = dict[str, Any]


class BadFile(Exception):
    """The whole file cannot be read as accounts.  The text says why."""


class UnknownColumns(BadFile):
    """No column is known to be the user name.  A ColumnChoice can say which one is."""


class TooManyRows(BadFile):
    """The file has more rows than the caller allows."""


class Refusal(NamedTuple):
    """A row that is refused; `line` is counted from 1 including the header, as in an editor."""

    line: int
    reason: str


class Remark(NamedTuple):
    """A warning about a row that is accepted."""

    line: int
    text: str


class CsvRow(NamedTuple):
    """One row of the file.  A missing or empty column is not in `values`.

    `name` is as written in the file.  `password` is set only if name or password are not ASCII: an
    earlier version may have computed the stored HA1s from another Unicode form of them.  `call` are
    the call settings of the row by field of CallSettings, None without any.
    """

    line: int
    name: Name
    values: Row
    password: str = ""
    call: Row | None = None

    def covers(self, other: "CsvRow") -> bool:
        """Return True if this row has all values of another row for the same account."""
        mine, others = self.values | (self.call or {}), other.values | (other.call or {})
        return all(mine.get(column) == value for column, value in others.items())

    def __repr__(self) -> str:  # keeps the password out of logs and tracebacks
        return f"<CsvRow {self.name!r} of line {self.line}>"


class GeneratedPassword(NamedTuple):
    """A generated password and its HA1s, by column name."""

    password: str
    ha1s: Row


@dataclass
class CsvFile:
    """The rows of a file, checked and hashed.  `realm` is the name of the main realm.

    With `update`, rows may change existing accounts; with `generate`, new accounts without a
    password get a generated one; both may be changed until the file is applied.  `unknown` are the
    ignored columns, `notes` explain how the other columns are read.  `samples` are some names as
    they are decoded, if the encoding is a guess.  `same` counts rows that repeat an earlier row.
    """

    realm: str
    update: bool = False
    generate: bool = False
    encoding: Encoding = encodings.UTF_8
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    rows: list[CsvRow] = field(default_factory=list)
    same: int = 0
    weak: int = 0
    refused: list[Refusal] = field(default_factory=list)
    refused_more: int = 0
    remarks: list[Remark] = field(default_factory=list)
    remarks_more: int = 0
    has_refused_columns: bool = False
    has_guessed_encoding: bool = False  # and the file is refused because of it
    _generated: dict[Name, GeneratedPassword] = field(default_factory=dict, repr=False)

    def key_realm(self, realm: str) -> str | None:
        """Return the realm as stored in the database: None for the main realm."""
        return None if realm == self.realm else realm

    def refuse(self, line: int, reason: str) -> None:
        """Add a refused row; above MAX_REFUSALS, only count it."""
        if len(self.refused) < MAX_REFUSALS:
            self.refused.append(Refusal(line, reason))
        else:
            self.refused_more += 1

    def warn(self, line: int, text: str) -> None:
        """Add a warning; above MAX_REFUSALS, only count it."""
        if len(self.remarks) < MAX_REFUSALS:
            self.remarks.append(Remark(line, text))
        else:
            self.remarks_more += 1

    def generated_password(self, row: CsvRow) -> GeneratedPassword:
        """Return the generated password of a row; later calls return the same password."""
        made = self._generated.get(row.name)
        if made is None:
            username, realm = accounts.normalized(row.name[0]), row.name[1]
            password = make_password()
            made = GeneratedPassword(
                password, accounts.ha1s(username, realm or self.realm, password)
            )
            self._generated[row.name] = made
        return made

    def release(self) -> None:
        """Free the memory of the rows; with many rows, not in a greenlet that others wait for."""
        release_memory(self.rows)
        release_memory(self._generated)


def read_csv(
    file: BinaryIO,
    realm: str,
    *,
    update: bool = False,
    generate: bool = False,
    skip_unknown: bool = False,
    encoding: str | None = None,
    accept_guess: bool = False,
    max_rows: int | None = None,
    choice: ColumnChoice | None = None,
    progress: Progress = lambda rows: None,
) -> CsvFile:
    """Read, check and hash all rows, without looking at the existing accounts.

    `realm` is the main realm.  Without `skip_unknown`, each unknown column is a refusal.  Without
    `encoding`, it is detected from a byte order mark or the content; if the result is a guess, that
    is a refusal unless `accept_guess`.  Without `choice`, the header says what the columns are.
    `progress` is called with the number of rows read.  Raises BadFile.
    """
    file, found = _decoded(file, encoding)
    csv_file = CsvFile(realm, update, generate, found)
    with long_lived_objects():
        _read(csv_file, file, skip_unknown, max_rows, choice, progress)
    if not (found.is_certain or accept_guess):
        sample = f", with names like {csv_file.samples[0]!r}" if csv_file.samples else ""
        csv_file.has_guessed_encoding = True
        csv_file.refuse(1, f"the file is not UTF-8; it may be {found.name}{sample}")
    return csv_file


def first_rows(file: BinaryIO, most: int) -> list[list[str]]:
    """Return the header, or the first row, and at most `most` further rows.  Raises BadFile."""
    file, encoding = _decoded(file, None)
    with closing(_rows(file, encoding)) as rows:
        return [cells for _, (_, cells) in zip(range(most + 1), rows, strict=False)]


def _decoded(file: BinaryIO, encoding: str | None) -> tuple[BinaryIO, Encoding]:
    """Return the file to read, and its encoding.  Raises BadFile."""
    try:
        return encodings.detect(file) if encoding is None else (file, encodings.named(encoding))
    except BadText as error:
        raise BadFile(str(error)) from None


def _read(
    csv_file: CsvFile,
    file: BinaryIO,
    skip_unknown: bool,
    max_rows: int | None,
    choice: ColumnChoice | None,
    progress: Progress,
) -> None:
    seen: dict[Name, CsvRow] = {}
    with closing(_rows(file, csv_file.encoding)) as all_rows:
        header_line, header = next(all_rows, (1, []))
        columns = _columns(header, choice)
        is_row = choice is not None and not choice.has_header
        rows = chain([(header_line, header)], all_rows) if is_row else all_rows
        csv_file.unknown, csv_file.notes = columns.unknown, columns.notes
        if not skip_unknown:
            csv_file.has_refused_columns = bool(columns.unknown)
            for name in columns.unknown:
                csv_file.refuse(header_line, f"unknown column {name!r}")
        for number, (line, cells) in enumerate(rows, 1):
            if max_rows is not None and number > max_rows:
                raise TooManyRows(f"there are more than {max_rows:,} rows; split the file")
            if cells == header and not is_row:
                continue  # several files were concatenated
            try:
                texts = columns.read(cells)
                row = _read_row(csv_file, line, texts)
                is_repeated = _repeats(seen, row)
            except ValueError as error:
                csv_file.refuse(line, str(error))
            else:
                if is_repeated:
                    csv_file.same += 1
                else:
                    csv_file.rows.append(row)
                    _remark(csv_file, row, texts)
            if number % 1000 == 0:
                progress(number)
    release_memory(seen)


def _repeats(seen: dict[Name, CsvRow], row: CsvRow) -> bool:
    """Return True if an earlier row has all values of this row.  Raises ValueError if not."""
    before = seen.setdefault(row.name, row)
    if before is row:
        return False
    if before.covers(row):
        return True
    raise ValueError(f"{row.name[0]} is already on line {before.line}, with other values")


def _remark(csv_file: CsvFile, row: CsvRow, texts: Mapping[str, str]) -> None:
    """Count weak passwords, and add warnings and samples for an accepted row."""
    password = texts.get("password", "")
    if bare := password.strip():
        csv_file.weak += bool(weakness(password, row.name[0]))
    if password != bare != "":
        csv_file.warn(row.line, "the password begins or ends with a space, which is part of it")
    if _LDAP_HASH.match(bare):
        csv_file.warn(row.line, "the password looks like a hash; phones need the password itself")
    if not csv_file.encoding.is_certain and len(csv_file.samples) < _SAMPLES:
        names = (texts.get("display_name", "").strip(), texts["username"].strip())
        csv_file.samples += [name for name in names if not name.isascii()][:1]


def _plain_text(cell: str) -> str:
    """Return the text of a cell without the signs that keep a spreadsheet from changing it."""
    text = _unquoted(cell.strip())
    found = _TEXT_FORMULA.fullmatch(text)
    return found[1] if found else text


def _unquoted(cell: str) -> str:
    return cell[1:] if QUOTED_FORMULA.match(cell) else cell


def _rows(file: BinaryIO, encoding: Encoding) -> Generator[tuple[int, list[str]], None, None]:
    """Yield line number and cells of the header, then of each row that is not blank."""
    text = io.TextIOWrapper(file, encoding=encoding.codec, newline="")
    lines = _lines(text)
    try:
        before, header, delimiter = _find_header(lines)
        spaced = re.search(rf"{re.escape(delimiter)} +\"", header) is not None  # as in `"a", "b"`
        reader = csv.reader(
            chain([header], lines), delimiter=delimiter, strict=True, skipinitialspace=spaced
        )
        ended = 0
        for cells in reader:
            # A field may span lines; the number of the row is that of its first line.
            line, ended = before + ended + 1, reader.line_num
            if not any(map(str.strip, cells)):
                continue
            if "\0" in "".join(cells):
                raise BadFile(
                    f"line {line} contains a NUL character; save the file as CSV in UTF-8"
                )
            yield line, cells
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else error
        raise BadFile(
            f"the file is not {encoding.name} text ({reason}); save it as CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise BadFile(f"the file is not CSV: {error}") from None
    finally:
        text.detach()  # the caller closes the file


def _find_header(lines: Iterator[str]) -> tuple[int, str, str]:
    """Return the number of lines before the header, the header, and its delimiter."""
    delimiter = ""
    for before, line in enumerate(lines):
        line = line.lstrip("\ufeff")
        if not line.strip(_BLANKS):
            continue
        if not delimiter and (found := _SEPARATOR_LINE.fullmatch(line)):
            delimiter = found[1]
            continue
        return before, line, delimiter or max(_DELIMITERS, key=_fitness(line))
    return 0, "\n", ","


def _fitness(line: str) -> Callable[[str], tuple[int, int]]:
    """Return a sort key for delimiters: number of known columns, then number of columns."""

    def fitness(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader([line], delimiter=delimiter), [])
        return known_columns(cells), len(cells)

    return fitness


def _lines(text: TextIO) -> Iterator[str]:
    """Yield the lines.  Raises BadFile for an overlong line, which would block other threads."""
    while line := text.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise BadFile(f"a line is longer than {_MAX_LINE:,} characters; is this a CSV file?")
        yield line


def _columns(header: list[str], choice: ColumnChoice | None) -> Columns:
    try:
        return Columns(header, choice)
    except UnknownUsername as error:
        raise UnknownColumns(str(error)) from None
    except BadHeader as error:
        raise BadFile(str(error)) from None


def _read_row(csv_file: CsvFile, line: int, cells: Mapping[str, str]) -> CsvRow:
    """Check and hash one row.  Raises ValueError with the reason for a refusal."""
    username = _plain_text(cells["username"])
    if not username:
        raise ValueError("the user name is empty")
    accounts.check_username(accounts.normalized(username))
    realm = _unquoted(cells.get("realm", "").strip()) or csv_file.realm
    accounts.check_realm(realm)
    values: Row = {}
    for column in HA1S:
        if digest := cells.get(column, "").strip().lower():
            if not re.fullmatch(rf"[0-9a-f]{{{_HEXADECIMAL[column]}}}", digest):
                raise ValueError(f"{column} must be {_HEXADECIMAL[column]} hexadecimal digits")
            values[column] = digest
    password = cells.get("password", "")
    if password.strip():  # a cell with only spaces is empty
        accounts.check_password(password)
        # HA1s are stored for the NFC form; digests in the file may be for the form as written.
        kept = accounts.ha1s(accounts.normalized(username), realm, accounts.normalized(password))
        for made in (kept, accounts.ha1s(username, realm, password)) if values else (kept,):
            if all(made[column] == digest for column, digest in values.items()):
                values = dict(made)
                break
        else:
            raise ValueError("password and HA1 do not match; keep only one of them")
    elif values and "ha1_md5" not in values:
        raise ValueError("there is an HA1 for SHA but none for MD5; every account needs ha1_md5")
    if name := accounts.normalized(_unquoted(cells.get("display_name", "").strip())):
        accounts.check_display_name(name)
        values["display_name"] = name
    if enabled := cells.get("enabled", "").strip():
        values["enabled"] = int(parse_switch(_STATES.get(enabled.lower(), enabled)))
    call = None
    if not CALL_COLUMNS.keys().isdisjoint(cells):
        call = read_cells({name: _plain_text(cells.get(name, "")) for name in CALL_COLUMNS})
    depends_on_form = not (username.isascii() and password.isascii())
    secret = password if depends_on_form else ""
    return CsvRow(line, (username, csv_file.key_realm(realm)), values, secret, call or None)
