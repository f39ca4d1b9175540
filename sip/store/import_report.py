"""The report of an import: counts, refused rows, changes and warnings."""

from dataclasses import dataclass, field
from typing import NamedTuple

from sip.store.csv_file import MAX_REFUSALS, Refusal, Remark
from sip.store.import_outcomes import Outcomes

# Maximum changes that are listed, the same as for refusals.
MAX_CHANGES = MAX_REFUSALS


class Change(NamedTuple):
    """A row that changes an account; `fields` are the names of the changed fields."""

    line: int
    username: str
    fields: tuple[str, ...]


class NewPassword(NamedTuple):
    """A generated password.  A `realm` of "" is the main realm."""

    username: str
    realm: str
    display_name: str
    password: str

    def __repr__(self) -> str:  # keeps the password out of logs and tracebacks
        return f"<NewPassword of {self.username!r}>"


@dataclass
class Report:
    """The result of an import or of a check.

    Only the first refusals, changes and remarks are listed; `…_more` counts the others.
    `generated` is the number of new accounts with a generated password; `passwords` are these
    passwords, after they are written.  `encoding` is the encoding of the file, `unknown` are the
    ignored columns, `notes` explain how the other columns are read.  `outcomes` are those of the
    rows that are not refused.
    """

    new: int = 0
    changed: int = 0
    same: int = 0
    weak: int = 0
    refused: list[Refusal] = field(default_factory=list)
    refused_more: int = 0
    changes: list[Change] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    remarks_more: int = 0
    generated: int = 0
    passwords: list[NewPassword] = field(default_factory=list)
    encoding: str = "UTF-8"
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lacks_passwords: bool = False  # rows are refused that `generate` would accept
    lacks_update: bool = False  # rows are refused that `update` would accept
    has_refused_columns: bool = False  # columns are refused that `skip_unknown` would ignore
    has_guessed_encoding: bool = False
    written: bool = False
    undo_step: int = 0  # 0 if it cannot be undone
    outcomes: Outcomes = field(default_factory=Outcomes, repr=False)

    @property
    def refusals(self) -> int:
        """Number of refused rows."""
        return len(self.refused) + self.refused_more

    @property
    def summary(self) -> str:
        """Short text about the written changes, for the audit."""
        text = f"{self.new:,} new, {self.changed:,} changed"
        if self.generated:
            text += f", {self.generated:,} password{'s' * (self.generated > 1)} generated"
        return text
