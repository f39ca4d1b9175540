"""The rows of an import as its page shows them before it is applied: by outcome, page by page."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bottle import request

from sip.store.csv_file import FORMULA, CsvFile
from sip.store.import_outcomes import FieldChange, RowOutcome
from sip.store.import_report import Report
from sip.store.users import Users
from webadmin.language import N_, _
from webadmin.numbers import thousands
from webadmin.pager import PageLink, by_number, page_number
from webadmin.templates import link

PAGE_SIZE = 50
# Outcomes in the order in which the first one with rows is shown without a choice.
KINDS = ("refused", "changed", "new", "same")
_BLOCK = 1000  # lines

KIND_NAMES = {
    "refused": N_("Refused"),
    "changed": N_("Changed"),
    "new": N_("New"),
    "same": N_("Same"),
}
_CAPTIONS = {
    "refused": N_("Refused rows"),
    "changed": N_("Changed rows"),
    "new": N_("New rows"),
    "same": N_("Same rows"),
}
_FIELDS = {
    "display_name": N_("display name"),
    "enabled": N_("state"),
    "generated": N_("generated password"),
}
_STATES = (N_("off"), N_("on"))


@dataclass(frozen=True)
class Preview:
    """One page of the rows with one outcome; `total` is their number, from `first` on."""

    kind: str
    rows: Sequence[RowOutcome]
    first: int
    total: int
    listed: int
    pager: Sequence[PageLink]

    @property
    def caption(self) -> str:
        """The text above the rows."""
        text = _(_CAPTIONS[self.kind])
        if self.total <= PAGE_SIZE:
            return text
        return _("{rows}, {first} to {last} of {total}").format(
            rows=text,
            first=thousands(self.first + 1),
            last=thousands(self.first + len(self.rows)),
            total=thousands(self.total),
        )

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """The outcomes and the URLs of their rows."""
        return [(kind, _url(kind)) for kind in KINDS]

    @property
    def changes(self) -> list[str]:
        """The changes of each row in words."""
        return ["; ".join(map(describe, row.changes)) for row in self.rows]

    @property
    def unlisted(self) -> int:
        """The number of rows that no page has."""
        return self.total - self.listed


def preview(users: Users, csv_file: CsvFile, report: Report) -> Preview:
    """Return the page of rows that the query asks for."""
    totals = {
        "refused": report.refusals,
        "changed": report.changed,
        "new": report.new,
        "same": report.same,
    }
    kind = request.query.get("show", "")
    if kind not in KINDS:
        kind = next((each for each in KINDS if totals[each]), "new")
    outcomes = report.outcomes
    listed = {
        "refused": len(report.refused),
        "changed": len(outcomes.changed),
        "new": len(outcomes.new),
        "same": len(outcomes.same),
    }[kind]
    pages = max(1, -(-listed // PAGE_SIZE))
    page = min(page_number(), pages)
    first = (page - 1) * PAGE_SIZE
    readers: dict[str, Callable[[], list[RowOutcome]]] = {
        "refused": lambda: _refused(report, first),
        "changed": lambda: outcomes.changed_rows(
            users, csv_file, first, PAGE_SIZE,
            [change.fields for change in report.changes[first : first + PAGE_SIZE]],
        ),
        "new": lambda: outcomes.new_rows(csv_file, first, PAGE_SIZE),
        "same": lambda: outcomes.same_rows(csv_file, first, PAGE_SIZE),
    }  # fmt: skip
    pager = by_number(page, pages, lambda number: _url(kind, number))
    return Preview(kind, readers[kind](), first, totals[kind], listed, pager)


def _url(kind: str, page: int = 1) -> str:
    """Return the URL of a page of rows."""
    parameters = [("show", kind), ("page", page if page > 1 else "")]
    return link("/users/import", parameters) + "#rows"


def describe(change: FieldChange) -> str:
    """Return a change in words: `display name: Ann → Ann Lee`; of a password only that it is."""
    name = _(_FIELDS.get(change.field, change.field.replace("_", " ")))
    if change.new is None:
        return name
    if change.old is None:
        return f"{name}: {_shown(change, change.new)}"
    return f"{name}: {_shown(change, change.old)} → {_shown(change, change.new)}"


def _shown(change: FieldChange, value: str | int) -> str:
    return _(_STATES[int(value)]) if change.field == "enabled" else str(value) or _("none")


def _refused(report: Report, first: int) -> list[RowOutcome]:
    rows = report.refused[first : first + PAGE_SIZE]
    return [RowOutcome(row.line, "", None, text=row.reason) for row in rows]


def refusals_as_csv(report: Report) -> Iterator[str]:
    """Yield the refused rows with their reasons as CSV, in blocks of lines."""
    rows = report.refused
    yield "line,reason\n"
    for start in range(0, len(rows), _BLOCK):
        yield _csv_text([(row.line, row.reason) for row in rows[start : start + _BLOCK]])
    if report.refused_more:
        yield _csv_text([("", f"{report.refused_more:,} more rows are refused")])


def _csv_text(rows: Sequence[tuple[int | str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for line, reason in rows:
        # A spreadsheet would read it as a formula otherwise.
        writer.writerow([line, f"'{reason}" if FORMULA.match(reason) else reason])
    return text.getvalue()
