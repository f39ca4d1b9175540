"""A CSV file of accounts, read, checked and hashed: pure Python, for any thread."""

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
from sip.store.columns import BadHeader, Columns, known_columns
from sip.store.encodings import BadText, Encoding
from sip.store.passwords import make_password, weakness

_HEXADECIMAL = {"ha1_md5": 32, "ha1_sha256": 64, "ha1_sha512_256": 64}  # digits of each
HA1S = tuple(_HEXADECIMAL)
# Characters of a line; the longest row of accounts has about 2,000.
_MAX_LINE = 64 * 1024
# Refusals, and warnings, that are told one by one; a file of another kind has one in each row.
MAX_REFUSALS = 10_000
# A spreadsheet takes a cell that begins so for a formula; a ' before it says that it is text.
# The import takes one ' away, so a name that has its own is given one more in every export.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r]")

_DELIMITERS = ",;\t"  # of two that are as likely the first
# The first line of a file that a spreadsheet has written for another country: `sep=;`.
_SEPARATOR_LINE = re.compile(r'\s*"?sep=([^\w\s"]|\t)"?[\s,;]*', re.IGNORECASE)
# A line that holds no more than this says nothing.
_BLANKS = ' \t\r\n,;"\ufeff'
# A cell that a program has written as a formula, so that a spreadsheet keeps its zeros: ="0101".
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
# What other systems write for `enabled`, beside on and off.
_STATES = {
    **dict.fromkeys(("enabled", "active", "y"), "on"),
    **dict.fromkeys(("disabled", "inactive", "n"), "off"),
}
# How LDAP writes a hash in the place of a password: {SSHA}.
_LDAP_HASH = re.compile(r"\{(S?SHA\d*|S?MD5|CRYPT|PBKDF2\S*|ARGON2)\}.", re.IGNORECASE)
# Names shown as they read in an encoding that is a guess.
_SAMPLES = 3

Progress = Callable[[int], object]
Name = tuple[str, str | None]  # username and realm, None for the main one
Row = dict[str, Any]


class BadFile(Exception):
    """The file as a whole cannot be read as accounts.  Says why."""


class TooManyRows(BadFile):
    """The file has more rows than the caller takes."""


class Refusal(NamedTuple):
    """A row that cannot be taken; `line` counts from 1, as an editor does, the header included."""

    line: int
    reason: str


class Remark(NamedTuple):
    """A warning about a row that is taken all the same."""

    line: int
    text: str


class CsvRow(NamedTuple):
    """What one line asks for.  A column that is absent or empty is not in `values`.

    `name` is as written.  `password` is set only where another Unicode form of it, or of the name,
    may be what an earlier version has made HA1s of.
    """

    line: int
    name: Name
    values: Row
    password: str = ""

    def says_all_of(self, other: "CsvRow") -> bool:
        """Return True where another row for the same account asks for nothing else."""
        return all(self.values.get(column) == value for column, value in other.values.items())

    def __repr__(self) -> str:  # the password stays out of logs and tracebacks
        return f"<CsvRow {self.name!r} of line {self.line}>"


class Made(NamedTuple):
    """A generated password, and the HA1s of it by their columns."""

    password: str
    ha1s: Row


@dataclass
class CsvFile:
    """The rows of a file, checked and hashed, for the accounts of one main realm.

    `update` lets rows change accounts that exist, `generate` gives a password to each new account
    whose row has none; both may be changed until the sheet is applied.  `unknown` are columns that
    are left out, `notes` tell how the others are understood.  `samples` show how names read, where
    the encoding is a guess.  `same` counts rows that repeat an earlier one.
    """

    realm: str
    update: bool = False
    generate: bool = False
    encoding: Encoding = encodings.UTF_8
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    wanted: list[CsvRow] = field(default_factory=list)
    same: int = 0
    weak: int = 0
    refused: list[Refusal] = field(default_factory=list)
    refused_more: int = 0
    remarks: list[Remark] = field(default_factory=list)
    remarks_more: int = 0
    has_refused_columns: bool = False
    has_guessed_encoding: bool = False  # which is refused
    _made: dict[Name, Made] = field(default_factory=dict, repr=False)

    def key_realm(self, realm: str) -> str | None:
        """Give the realm as the file has it: None for the main one."""
        return None if realm == self.realm else realm

    def refuse(self, line: int, reason: str) -> None:
        """Keep the reason for a refusal, unless there are too many already."""
        if len(self.refused) < MAX_REFUSALS:
            self.refused.append(Refusal(line, reason))
        else:
            self.refused_more += 1

    def warn(self, line: int, text: str) -> None:
        """Keep a warning, unless there are too many already."""
        if len(self.remarks) < MAX_REFUSALS:
            self.remarks.append(Remark(line, text))
        else:
            self.remarks_more += 1

    def made(self, row: CsvRow) -> Made:
        """Give the generated password of a row: a new one at the first call, later the same."""
        made = self._made.get(row.name)
        if made is None:
            username, realm = accounts.normalized(row.name[0]), row.name[1]
            password = make_password()
            made = Made(password, accounts.ha1s(username, realm or self.realm, password))
            self._made[row.name] = made
        return made

    def release(self) -> None:
        """Let go of the rows; of many, not in a greenlet that others wait for."""
        release_memory(self.wanted)
        release_memory(self._made)


def read_sheet(
    file: BinaryIO,
    realm: str,
    *,
    update: bool = False,
    generate: bool = False,
    skip_unknown: bool = False,
    encoding: str | None = None,
    accept_guess: bool = False,
    max_rows: int | None = None,
    progress: Progress = lambda rows: None,
) -> CsvFile:
    """Read and hash every row; what can be said without the accounts is said here.

    `realm` is the main one.  Without `skip_unknown` each column that is not known is a refusal.
    Without `encoding` a byte order mark and the octets tell it; where they leave a guess, that is
    a refusal without `accept_guess`.  Raises BadFile.
    """
    try:
        if encoding is None:
            file, found = encodings.detect(file)
        else:
            found = encodings.named(encoding)
    except BadText as error:
        raise BadFile(str(error)) from None
    sheet = CsvFile(realm, update, generate, found)
    with long_lived_objects():
        _read(sheet, file, skip_unknown, max_rows, progress)
    if not (found.is_certain or accept_guess):
        sample = f": {sheet.samples[0]!r}" if sheet.samples else ""
        sheet.has_guessed_encoding = True
        sheet.refuse(1, f"this is no UTF-8; it may be {found.name}, and would read so{sample}")
    return sheet


def _read(
    sheet: CsvFile, file: BinaryIO, skip_unknown: bool, max_rows: int | None, progress: Progress
) -> None:
    seen: dict[Name, CsvRow] = {}
    with closing(_rows(file, sheet.encoding)) as rows:
        header_line, header = next(rows, (1, []))
        columns = _columns(header)
        sheet.unknown, sheet.notes = columns.unknown, columns.notes
        if not skip_unknown:
            sheet.has_refused_columns = bool(columns.unknown)
            for name in columns.unknown:
                sheet.refuse(header_line, f"the column {name!r} is not known")
        for number, (line, cells) in enumerate(rows, 1):
            if max_rows is not None and number > max_rows:
                raise TooManyRows(f"there are more than {max_rows:,} rows; split the file")
            if cells == header:
                continue  # one file was put behind another
            try:
                texts = columns.read(cells)
                row = _read_row(sheet, line, texts)
                is_repeated = _repeats(seen, row)
            except ValueError as error:
                sheet.refuse(line, str(error))
            else:
                if is_repeated:
                    sheet.same += 1
                else:
                    sheet.wanted.append(row)
                    _remark(sheet, row, texts)
            if number % 1000 == 0:
                progress(number)
    release_memory(seen)


def _repeats(seen: dict[Name, CsvRow], row: CsvRow) -> bool:
    """Tell whether an earlier row says all of this one.  Raises ValueError where they differ."""
    before = seen.setdefault(row.name, row)
    if before is row:
        return False
    if before.says_all_of(row):
        return True
    raise ValueError(f"{row.name[0]} stands on line {before.line} already, with other values")


def _remark(sheet: CsvFile, row: CsvRow, texts: Mapping[str, str]) -> None:
    """Note what the admin should look at in a row that is taken."""
    password = texts.get("password", "")
    if bare := password.strip():
        sheet.weak += bool(weakness(password, row.name[0]))
    if password != bare != "":
        sheet.warn(row.line, "the password has blanks around it, and they are taken as part of it")
    if _LDAP_HASH.match(bare):
        sheet.warn(row.line, "the password looks like a hash; phones need the password itself")
    if not sheet.encoding.is_certain and len(sheet.samples) < _SAMPLES:
        names = (texts.get("display_name", "").strip(), texts["username"].strip())
        sheet.samples += [name for name in names if not name.isascii()][:1]


def _unquoted(cell: str) -> str:
    return cell[1:] if QUOTED_FORMULA.match(cell) else cell


def _rows(file: BinaryIO, encoding: Encoding) -> Generator[tuple[int, list[str]], None, None]:
    """Give the line and the cells of the header, then of each row that isn't blank."""
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
            # A field may span lines; the row goes by its first one.
            line, ended = before + ended + 1, reader.line_num
            if not any(map(str.strip, cells)):
                continue
            if "\0" in "".join(cells):
                raise BadFile(
                    f"line {line} holds a NUL, so this is no text; save it as CSV in UTF-8"
                )
            yield line, cells
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else error
        raise BadFile(
            f"this is no {encoding.name} text ({reason}); save it as CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise BadFile(f"this is no CSV file: {error}") from None
    finally:
        text.detach()  # the file is the caller's to close


def _find_header(lines: Iterator[str]) -> tuple[int, str, str]:
    """Give the number of lines before the header, the header, and what separates its columns."""
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
    """Tell how well a delimiter splits the header: by the columns known, then by their number."""

    def fitness(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader([line], delimiter=delimiter), [])
        return known_columns(cells), len(cells)

    return fitness


def _lines(text: TextIO) -> Iterator[str]:
    """Give the lines; one that never ends would be read, and hold every other thread, in one go."""
    while line := text.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise BadFile(f"a line is longer than {_MAX_LINE:,} characters; is this a CSV file?")
        yield line


def _columns(header: list[str]) -> Columns:
    try:
        return Columns(header)
    except BadHeader as error:
        raise BadFile(str(error)) from None


def _read_row(sheet: CsvFile, line: int, cells: Mapping[str, str]) -> CsvRow:
    """Check one row.  Raises ValueError with the reason for a refusal."""
    username = _unquoted(cells["username"].strip())
    if found := _TEXT_FORMULA.fullmatch(username):
        username = found[1]
    if not username:
        raise ValueError("the user name is empty")
    accounts.check_username(accounts.normalized(username))
    realm = _unquoted(cells.get("realm", "").strip()) or sheet.realm
    accounts.check_realm(realm)
    values: Row = {}
    for column in HA1S:
        if digest := cells.get(column, "").strip().lower():
            if not re.fullmatch(rf"[0-9a-f]{{{_HEXADECIMAL[column]}}}", digest):
                raise ValueError(f"{column} must be {_HEXADECIMAL[column]} hexadecimal digits")
            values[column] = digest
    password = cells.get("password", "")
    if password.strip():  # blanks alone are a cell that somebody has emptied
        accounts.check_password(password)
        # Of the form in which they are kept; digests may be of the form in which they are written.
        kept = accounts.ha1s(accounts.normalized(username), realm, accounts.normalized(password))
        for made in (kept, accounts.ha1s(username, realm, password)) if values else (kept,):
            if all(made[column] == digest for column, digest in values.items()):
                values = dict(made)
                break
        else:
            raise ValueError("both a password and an HA1; only one of them can be meant")
    elif values and "ha1_md5" not in values:
        raise ValueError("an HA1 for SHA, but none for MD5, which every account has")
    if name := accounts.normalized(_unquoted(cells.get("display_name", "").strip())):
        accounts.check_display_name(name)
        values["display_name"] = name
    if enabled := cells.get("enabled", "").strip():
        values["enabled"] = int(parse_switch(_STATES.get(enabled.lower(), enabled)))
    depends_on_form = not (username.isascii() and password.isascii())
    secret = password if depends_on_form else ""
    return CsvRow(line, (username, sheet.key_realm(realm)), values, secret)
