"""What an import does with each row of its file, to be shown page by page before it is applied.

The outcomes are kept as numbers of rows.  What a row changes is compared again for one page at a
time: the changes of 100,000 rows would take a hundred times the memory.
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from sip.store import import_changes
from sip.store.csv_file import HA1S, CsvFile, CsvRow, Row
from sip.store.database import Tables, fetch
from sip.store.users import Users

# The columns of an account whose values are shown: no password, and no digest of one.
_SHOWN = ("display_name", "enabled")


class Counts(Protocol):
    """The counts of a report."""

    new: int
    changed: int
    same: int


class FieldChange(NamedTuple):
    """A changed field; both values are None for a password, `old` is None for a new account."""

    field: str
    old: str | int | None
    new: str | int | None


class RowOutcome(NamedTuple):
    """What an import does with a row.  `text` is the reason of a refusal."""

    line: int
    username: str
    realm: str | None
    changes: Sequence[FieldChange] = ()
    text: str = ""


def _numbers() -> "array[int]":
    return array("q")


@dataclass
class Outcomes:
    """Indexes of the rows of a file, by outcome; `ids` are the accounts of the changed rows."""

    new: "array[int]" = field(default_factory=_numbers)
    changed: "array[int]" = field(default_factory=_numbers)
    same: "array[int]" = field(default_factory=_numbers)
    ids: "array[int]" = field(default_factory=_numbers)

    def watched(
        self, rows: Sequence[CsvRow], counts: Counts, updates: Sequence[tuple[Any, ...]]
    ) -> Iterator[CsvRow]:
        """Yield the rows, and note the count that has grown when the next one is asked for.

        The id of a changed account is the last value of the last update.
        """
        for index, row in enumerate(rows):
            new, changed, same = counts.new, counts.changed, counts.same
            yield row
            if counts.new > new:
                self.new.append(index)
            elif counts.changed > changed:
                self.changed.append(index)
                self.ids.append(updates[-1][-1])
            elif counts.same > same:
                self.same.append(index)

    def new_rows(self, csv_file: CsvFile, start: int, most: int) -> list[RowOutcome]:
        """Return at most `most` rows that add an account, from the one with index `start`."""
        rows = [csv_file.rows[index] for index in self.new[start : start + most]]
        return [_outcome(row, _values_of(row)) for row in rows]

    def same_rows(self, csv_file: CsvFile, start: int, most: int) -> list[RowOutcome]:
        """Return at most `most` rows that change nothing."""
        return [_outcome(csv_file.rows[at], ()) for at in self.same[start : start + most]]

    def changed_rows(
        self,
        users: Users,
        csv_file: CsvFile,
        start: int,
        most: int,
        fields: Sequence[Sequence[str]] = (),
    ) -> list[RowOutcome]:
        """Return at most `most` rows that change an account, with the values before and after.

        `fields` are the names of all changed fields of these rows, where they are known.
        """
        ids = self.ids[start : start + most].tolist()
        rows = [csv_file.rows[at] for at in self.changed[start : start + most]]

        def read(tables: Tables) -> dict[int, Row]:
            found = fetch(tables, _READ, (json.dumps(ids),))
            return {row[0]: dict(zip(_COLUMNS, row, strict=True)) for row in found}

        known = users.database.browse(read)
        return [
            _outcome(row, _changes(csv_file, row, known.get(number), names))
            for row, number, names in zip(
                rows, ids, [*fields, *[()] * (len(rows) - len(fields))], strict=True
            )
        ]


def _outcome(row: CsvRow, changes: Sequence[FieldChange]) -> RowOutcome:
    return RowOutcome(row.line, row.name[0], row.name[1], changes)


def _values_of(row: CsvRow) -> list[FieldChange]:
    values = [FieldChange(name, None, row.values[name]) for name in _SHOWN if name in row.values]
    return values if "ha1_md5" in row.values else [FieldChange("generated", None, None), *values]


def _changes(
    csv_file: CsvFile, row: CsvRow, known: Row | None, names: Sequence[str]
) -> list[FieldChange]:
    """Return what the row changes; an account that is deleted by now has no values before."""
    if known is None:
        return [FieldChange(name, None, None) for name in names]
    realm = row.name[1] or csv_file.realm
    new = import_changes.changes(known, import_changes.values_for(row, known, realm))
    shown = {name: FieldChange(name, known[name], new[name]) for name in _SHOWN if name in new}
    changed = dict.fromkeys((*import_changes.fields(new), *names))
    return [shown.get(name, FieldChange(name, None, None)) for name in changed]


_COLUMNS = ("id", "username", *_SHOWN, *HA1S)
_READ = f"""
    SELECT {", ".join(_COLUMNS)} FROM users WHERE id IN (SELECT value FROM json_each(?))
"""  # noqa: S608 -- our names
