"""The columns of an import file as the page shows them, and the choice in its form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from bottle import HTTPError

from sip.store.column_choices import ColumnChoices
from sip.store.columns import CHOICES, MAX_COLUMNS, ColumnChoice, column_names, guessed
from sip.store.csv_file import HA1S, first_rows
from webadmin.context import form_value
from webadmin.language import N_, ngettext

# Rows that samples are taken from, samples of a column, and characters of each.
_FIRST_ROWS = 20
_MAX_SAMPLES = 3
_LONGEST = 40

# Columns of a page: to render more takes over five milliseconds.
_MAX_SHOWN = 100

# Fields whose values are not shown.
_SECRETS = frozenset(("password", *HA1S))
_LABELS = {
    "": N_("(leave out)"),
    "username": N_("User name"),
    "password": N_("Password"),
    "ha1_md5": N_("HA1 (MD5)"),
    "ha1_sha256": N_("HA1 (SHA-256)"),
    "ha1_sha512_256": N_("HA1 (SHA-512-256)"),
    "realm": N_("Realm"),
    "display_name": N_("Display name"),
    "enabled": N_("State (on or off)"),
    "first_name": N_("First name"),
    "last_name": N_("Last name"),
}
# The values of the select boxes, and their labels.
OPTIONS = [(name, _LABELS.get(name, name.replace("_", " ").capitalize())) for name in CHOICES]


class Column(NamedTuple):
    """One column: its name in the form, title, some values, and the field it is taken for."""

    key: str
    title: str
    samples: Sequence[str]
    field: str


@dataclass
class FileColumns:
    """The file of an import, its first rows, and what its columns are taken for.

    `choice` is None while the names in the header decide.  `is_kept` is True if it was made for an
    earlier file.
    """

    file: BinaryIO
    first_rows: list[list[str]]
    choice: ColumnChoice | None = None
    is_kept: bool = False

    @classmethod
    def known(cls, file: BinaryIO, rows: list[list[str]], choices: ColumnChoices) -> "FileColumns":
        """Return the columns with the choice for an earlier file, if there is one."""
        columns = cls(file, rows)
        if not 0 < len(columns.header) <= MAX_COLUMNS:
            return columns
        kept = choices.find(columns.header)
        if kept and (kept.has_header or "username" not in guessed(columns.header).fields):
            columns.choice, columns.is_kept = kept, True
        return columns

    def keep(self, choices: ColumnChoices) -> None:
        """Keep the choice for the next file, and go back to the start of this one."""
        if self.choice:
            choices.keep(self.header, self.choice)
        self.file.seek(0)

    @property
    def header(self) -> list[str]:
        """The cells of the first line."""
        return self.first_rows[0] if self.first_rows else []

    @property
    def has_header(self) -> bool:
        """Return True if the first line has the names of the columns."""
        return self.choice is None or self.choice.has_header

    @property
    def columns(self) -> list[Column]:
        """All columns, in the order of the file."""
        used = self.choice or guessed(self.header)
        names = column_names(self.header, ColumnChoice(used.fields, self.has_header))
        rows = self.first_rows[self.has_header :]
        fields = [*used.fields, *[""] * len(names)]
        return [
            Column(_key(number), name.strip()[:_LONGEST], _samples(rows, number, field), field)
            for number, (name, field) in enumerate(zip(names, fields, strict=False))
        ]

    @property
    def shown(self) -> list[Column]:
        """The columns that the page has: if there are too many, those in use, then filled ones."""
        columns = self.columns
        first = sorted(columns, key=lambda column: (not column.field, not column.samples))
        shown = {column.key for column in first[:_MAX_SHOWN]}
        return [column for column in columns if column.key in shown]

    @property
    def used(self) -> int:
        """The number of columns that are not left out."""
        return sum(bool(column.field) for column in self.columns)


def peek(file: BinaryIO) -> list[list[str]]:
    """Return the first rows of a file, and go back to its start.  Raises BadFile."""
    rows = first_rows(file, _FIRST_ROWS)
    file.seek(0)
    return rows


def chosen(width: int) -> ColumnChoice:
    """Return the choice in the form for a file with `width` columns.  Raises HTTPError(400)."""
    fields = tuple(form_value(_key(number)) for number in range(width))
    if not set(fields) <= set(CHOICES):
        raise HTTPError(400, "The form cannot be read.")
    return ColumnChoice(fields, form_value("header") != "no")


def _key(number: int) -> str:
    return f"column{number}"


def _samples(rows: Sequence[Sequence[str]], number: int, field: str) -> Sequence[str]:
    """Return the first different values of a column; of secrets only the length."""
    values = [cells[number].strip() for cells in rows if len(cells) > number]
    if field in _SECRETS:
        values = [_characters(len(value)) for value in values if value]
    shown = [value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…" for value in values]
    return [*dict.fromkeys(filter(None, shown))][:_MAX_SAMPLES]


def _characters(count: int) -> str:
    return ngettext("{count} character", "{count} characters", count).format(count=count)
