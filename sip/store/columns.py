"""The columns of a CSV file: the names in its header, mapped to fields of an account.

Besides our names, those in exports of FreePBX, 3CX, Grandstream, Yealink, Asterisk, Kamailio and
LDAP are known.  Case, spaces and punctuation are ignored.  A ColumnChoice replaces this guess.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

FIELDS = (
    *("username", "password", "ha1_md5", "ha1_sha256", "ha1_sha512_256"),
    *("realm", "display_name", "enabled", "aliases", "dnd", "forward_always", "forward_busy"),
    *("forward_no_answer", "forward_no_answer_seconds", "forward_offline"),
)

# Names of one field in order of preference: if several of its columns are filled in a row, the
# first one is used.  FreePBX has both `secret`, for the phone, and `password`, for the voice mail.
_NAMES: Mapping[str, Sequence[str]] = {
    "username": (
        *("username", "user", "userid", "extension", "extensionnumber", "ext", "number"),
        *("sipusername", "sipuser", "sipuserid", "account", "account1username"),
        *("login", "loginname", "uid", "samaccountname"),
    ),
    "password": (
        *("sippassword", "sipsecret", "sipiaxpassword", "secret", "authpassword", "authpass"),
        *("authenticationpassword", "authenticatepassword", "registerpassword"),
        *("account1password", "password", "passwd", "pass", "pwd", "userpassword", "userpass"),
    ),
    "ha1_md5": ("ha1md5", "ha1", "md5secret", "md5cred", "a1hash"),
    "ha1_sha256": ("ha1sha256",),
    "ha1_sha512_256": ("ha1sha512256",),
    "realm": ("realm", "domain", "domainname", "siprealm", "sipdomain"),
    "display_name": (
        *("displayname", "display", "fullname", "realname", "userrealname"),
        *("account1displayname", "calleridname", "cidname", "callername"),
        *("effectivecalleridname", "commonname", "cn"),
    ),
    "enabled": ("enabled", "enable", "isenabled", "active", "isactive"),
    "aliases": ("aliases", "alias"),
    "dnd": ("dnd", "donotdisturb"),
    "forward_always": ("forwardalways", "callforwardalways"),
    "forward_busy": ("forwardbusy", "callforwardbusy"),
    "forward_no_answer": ("forwardnoanswer", "callforwardnoanswer"),
    "forward_no_answer_seconds": ("forwardnoanswerseconds",),
    "forward_offline": ("forwardoffline", "callforwardoffline"),
}
# The user name in some files; in files with another column for the user name, the display name.
_NAME = "name"
# Names of the user name column that are used only if none of the names above is there.
_LAST_USERNAMES = (
    *("authusername", "authuser", "authname", "authid", "authenticateid", "authenticationid"),
    *("sipauthid", "registername", "registerid", "account1authname", "defaultuser"),
    *("phonenumber", "telephonenumber", "ipphone"),
)
# Names of the display name column with the lowest preference, after first name and last name.
_LAST_DISPLAY_NAMES = ("callerid", "accountname", "account1label", "label", "description")
_FIRST_NAMES = ("firstname", "givenname", "forename")
_LAST_NAMES = ("lastname", "surname", "familyname", "sn")
_CALLER = "callerid"  # its value may have the number too: "Ann Lee" <101>

# Two columns that together are the display name.
FIRST_NAME, LAST_NAME = "first_name", "last_name"
# What a column can be taken for; "" leaves it out.
CHOICES = ("", *FIELDS, FIRST_NAME, LAST_NAME)
_PARTS = {**dict.fromkeys(_FIRST_NAMES, FIRST_NAME), **dict.fromkeys(_LAST_NAMES, LAST_NAME)}

# Maximum columns of a file: FreePBX has some 150, and each row costs time for all columns.
MAX_COLUMNS = 500
# Maximum characters of a column name in a report.
_SHOWN = 40


class BadHeader(Exception):
    """The header has no column for the user name, or too many columns.  The text says which."""


class UnknownUsername(BadHeader):
    """No column is known to be the user name."""


class ColumnChoice(NamedTuple):
    """What each column of a file is taken for, one of CHOICES; the others are left out.

    Without `has_header`, the first line is a row.
    """

    fields: tuple[str, ...]
    has_header: bool = True


class Source(NamedTuple):
    """The source of a field: the columns that are joined, and their names in the header."""

    columns: tuple[int, ...]
    title: str
    is_caller_id: bool = False

    def read(self, cells: Sequence[str]) -> str:
        """Return the text of the field in one row."""
        if len(self.columns) > 1:
            return " ".join(filter(None, (cells[number].strip() for number in self.columns)))
        text = cells[self.columns[0]]
        if self.is_caller_id and text.rstrip().endswith(">"):  # "Ann Lee" <101>
            return text.rpartition("<")[0].strip().strip('"')
        return text


class Columns:
    """The header of a file.

    `unknown` are the names of columns that are no field of an account.  `notes` are sentences about
    columns with other names than ours, and about several columns for one field.
    """

    def __init__(self, header: Sequence[str], choice: ColumnChoice | None = None) -> None:
        """Parse the header, or take the columns for what `choice` says.  Raises BadHeader."""
        header = column_names(header, choice)
        if len(header) > MAX_COLUMNS:
            raise BadHeader(
                f"the header has more than {MAX_COLUMNS} columns; remove unused columns"
            )
        self.width = len(header)
        self._nameless = [number for number, name in enumerate(header) if not name.strip()]
        sources = _chosen(header, choice.fields) if choice else _sources(header)
        if choice and "username" not in sources:
            raise UnknownUsername("no column is taken for the user name")
        if "username" not in sources:
            names = ", ".join(title.strip()[:_SHOWN] for title in header if title.strip())
            raise UnknownUsername(
                "there is no header line with a column username; the first line has the columns:"
                f" {names[: 4 * _SHOWN] or 'none'}"
            )
        used = {number for each in sources.values() for source in each for number in source.columns}
        self.unknown = [
            name.strip()[:_SHOWN]
            for number, name in enumerate(header)
            if name.strip() and number not in used and not choice
        ]
        self.notes = [
            note
            for field in FIELDS
            if field in sources and not (choice and len(sources[field]) == 1)
            for note in _notes(field, sources[field])
        ]
        # Most fields have one column with plain text; these are read the quick way.
        self._plain = [
            (field, each[0].columns[0])
            for field, each in sources.items()
            if len(each) == 1 and len(each[0].columns) == 1 and not each[0].is_caller_id
        ]
        plain = {field for field, _ in self._plain}
        self._other = {field: each for field, each in sources.items() if field not in plain}

    def read(self, cells: Sequence[str]) -> dict[str, str]:
        """Return the fields of a row; cells missing at its end are empty.

        Raises ValueError for cells without a column, and for two columns of one name that differ.
        """
        if len(cells) != self.width:
            cells = self._fitted(cells)
        for number in self._nameless:
            if cells[number].strip():
                raise ValueError(f"column {number + 1} has a value, but no name in the header")
        row = {field: cells[number] for field, number in self._plain}
        for field, sources in self._other.items():
            row[field] = _first(sources, cells)
        return row

    def _fitted(self, cells: Sequence[str]) -> Sequence[str]:
        if any(cell.strip() for cell in cells[self.width :]):
            raise ValueError(f"{len(cells)} fields, but the header has {self.width}")
        return [*cells[: self.width], *[""] * (self.width - len(cells))]


def column_names(header: Sequence[str], choice: ColumnChoice | None = None) -> Sequence[str]:
    """Return the names of the columns; with a choice, each has one, "Column 3" if need be."""
    if choice is None:
        return _without_blank_end(header)
    if not choice.has_header:
        return [f"Column {number}" for number, _ in enumerate(header, 1)]
    names = enumerate(_without_blank_end(header), 1)
    return [name if name.strip() else f"Column {number}" for number, name in names]


def guessed(header: Sequence[str]) -> ColumnChoice:
    """Return what the columns of a header are taken for without a choice."""
    header = _without_blank_end(header)
    fields = [""] * len(header)
    for field, sources in _sources(header).items():
        for source in sources:
            for number in source.columns:
                fields[number] = fields[number] or field
            if len(source.columns) > 1 or _plain(source.title) in _PARTS:
                for number in source.columns:
                    fields[number] = _PARTS[_plain(header[number])]
    return ColumnChoice(tuple(fields))


def _chosen(header: Sequence[str], fields: Sequence[str]) -> dict[str, list[Source]]:
    """Return the sources of the chosen columns; those that a guess takes too keep its order."""
    guess = _sources(header)

    def source(number: int) -> Source:
        return Source((number,), header[number].strip()[:_SHOWN], _plain(header[number]) == _CALLER)

    def numbers(wanted: str) -> list[int]:
        preferred = [number for each in guess.get(wanted, ()) for number in each.columns]
        found = [number for number, field in enumerate(fields[: len(header)]) if field == wanted]
        return sorted(found, key=lambda n: preferred.index(n) if n in preferred else len(header))

    sources = {field: [source(number) for number in numbers(field)] for field in FIELDS}
    parts = (*numbers(FIRST_NAME)[:1], *numbers(LAST_NAME)[:1])
    if parts:
        title = " and ".join(source(number).title for number in parts)
        sources["display_name"].append(Source(parts, title))
    return {field: each for field, each in sources.items() if each}


def _without_blank_end(header: Sequence[str]) -> Sequence[str]:
    """Remove the columns without a name that spreadsheets leave at the end of lines."""
    width = max((number for number, name in enumerate(header, 1) if name.strip()), default=0)
    return header[:width]


def known_columns(header: Sequence[str]) -> int:
    """Return the number of known columns; the best delimiter gives the most."""
    sources = _sources(header).values()
    return sum(len(source.columns) for each in sources for source in each)


def _first(sources: Sequence[Source], cells: Sequence[str]) -> str:
    """Return the first value that is not blank.  Raises ValueError for conflicting columns."""
    said, by = "", None
    for source in sources:
        text = source.read(cells)
        if not text.strip():
            continue
        if by is None:
            said, by = text, source
        elif _plain(by.title) == _plain(source.title) and text != said:
            raise ValueError(f"the two columns {source.title} have different values")
    return said


def _plain(name: str) -> str:
    """Return a column name in lower case, without spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _sources(header: Sequence[str]) -> dict[str, list[Source]]:
    """Find the columns of each field, in order of preference."""
    places: dict[str, list[int]] = {}
    for number, name in enumerate(header):
        places.setdefault(_plain(name), []).append(number)

    def find(*names: str) -> list[Source]:
        return [
            Source((number,), header[number].strip()[:_SHOWN], name == _CALLER)
            for name in names
            for number in places.get(name, ())
        ]

    sources = {field: find(*names) for field, names in _NAMES.items()}
    sources["display_name" if sources["username"] else "username"] += find(_NAME)
    sources["username"] += find(*_LAST_USERNAMES)
    parts = [*find(*_FIRST_NAMES)[:1], *find(*_LAST_NAMES)[:1]]
    if parts:
        columns = tuple(number for part in parts for number in part.columns)
        sources["display_name"].append(Source(columns, " and ".join(part.title for part in parts)))
    sources["display_name"] += find(*_LAST_DISPLAY_NAMES)
    return {field: each for field, each in sources.items() if each}


def _notes(field: str, sources: Sequence[Source]) -> list[str]:
    """Return sentences about the columns of a field, if they are not obvious from the header."""
    first, *others = sources
    if others:
        titles = ", ".join(source.title for source in sources)
        return [f"{titles}: all read as {field}; the first one with a value is used"]
    same = _plain(first.title) in (_plain(field), "ha1")
    return [] if same else [f"{first.title} is read as {field}"]
