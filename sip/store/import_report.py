"""The report of an import: what it does, or would do, row by row as far as an admin can read."""

from dataclasses import dataclass, field
from typing import NamedTuple

from sip.store.csv_file import MAX_REFUSALS, Refusal, Remark

# Changes that are told one by one, as many as refusals.
MAX_CHANGES = MAX_REFUSALS


class Change(NamedTuple):
    """What a row changes of an account: the names of the fields."""

    line: int
    username: str
    fields: tuple[str, ...]


class NewPassword(NamedTuple):
    """A password that was generated.  A `realm` of "" is the main realm."""

    username: str
    realm: str
    display_name: str
    password: str

    def __repr__(self) -> str:  # the password stays out of logs and tracebacks
        return f"<NewPassword of {self.username!r}>"


@dataclass
class Report:
    """What an import does, or would do.

    Of refusals, changes and remarks the first ones are told one by one.  `generated` is how many
    new accounts get a generated password; `passwords` has them once they are written.  `encoding`
    is the one that the file was read in, `unknown` are the columns that are left out, `notes`
    sentences on how the others are understood.
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
    lacks_passwords: bool = False  # rows are refused that `generate` would give a password
    lacks_update: bool = False  # rows are refused that `update` would let change an account
    has_refused_columns: bool = False  # and they are no more with `skip_unknown`
    has_guessed_encoding: bool = False
    written: bool = False

    @property
    def refusals(self) -> int:
        """How many rows are refused."""
        return len(self.refused) + self.refused_more

    @property
    def summary(self) -> str:
        """Say in a few words what was written."""
        text = f"{self.new:,} new, {self.changed:,} changed"
        if self.generated:
            text += f", {self.generated:,} password{'s' * (self.generated > 1)} generated"
        return text
