"""Search in the names and aliases of accounts.

Three or more characters are searched anywhere in a name, fewer at its start.  Names have a
full-text index.  Aliases have none: it would cost each import, and to compare 100,000 of them takes
some 10 ms.
"""

# ruff: noqa: S608 -- only our own column and index names are put into SQL; input is a value

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from sip.store.accounts import normalized

# Minimum characters for the full-text index; a shorter text is searched at the start of names.
TRIGRAM = 3
# No name is longer, so a longer text is in no name.
_LONGEST_NAME = 255


class Sql(NamedTuple):
    """A part of a statement, and its named values."""

    text: str
    values: dict[str, object]


def search_query(text: str) -> Sql | None:
    """Return the query for the ids of accounts with matching names; None if none can match."""
    if len(text) > _LONGEST_NAME or "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        return None
    # In NFC, and in NFD, as an earlier version may have stored it.
    text = normalized(text)
    forms = dict.fromkeys((text, unicodedata.normalize("NFD", text)))
    if len(text) >= TRIGRAM:
        # In a quoted string, FTS5 has no special characters.
        phrases = " OR ".join('"' + form.replace('"', '""') + '"' for form in forms)
        return Sql(
            "SELECT rowid FROM user_names WHERE user_names MATCH :phrase", {"phrase": phrases}
        )
    values = {f"prefix{n}": like(spelling) for n, spelling in enumerate(_in_all_cases(forms))}
    return Sql(
        " UNION ALL ".join(
            f"SELECT id FROM users INDEXED BY {index} WHERE {column} LIKE :{name} ESCAPE '\\'"
            for column, index in _INDEXES.items()
            for name in values
        ),
        {**values},
    )


def matching_aliases(text: str) -> Sql:
    """Return the query for the ids of accounts with matching aliases, which are stored in NFC."""
    text = normalized(text)
    is_short = len(text) < TRIGRAM
    spellings = enumerate(_in_all_cases([text]))
    values = {f"alias{n}": ("" if is_short else "%") + like(each) for n, each in spellings}
    # The realm comes first in the index: each realm is a range of it.
    start = f"realm IN ({_REALMS}) AND" if is_short else ""
    return Sql(
        " UNION ALL ".join(
            f"SELECT user_id FROM aliases WHERE {start} alias LIKE :{name} ESCAPE '\\'"
            for name in values
        ),
        {**values},
    )


def like(prefix: str) -> str:
    """Return the LIKE pattern for texts that begin with `prefix`; its escape character is \\."""
    for special in "\\%_":
        prefix = prefix.replace(special, "\\" + special)
    return prefix + "%"


def _in_all_cases(forms: Iterable[str]) -> Iterable[str]:
    """Return the spellings to search, because LIKE ignores case for ASCII letters only."""
    return dict.fromkeys(
        spelling
        for form in forms
        for spelling in (
            (form,) if form.isascii() else (form, form.lower(), form.upper(), form.title())
        )
    )


_INDEXES = {"username": "users_by_name", "display_name": "users_by_display_name"}
# All realms of aliases, each found by one step along the index.
_REALMS = """
    WITH RECURSIVE realms (name) AS (
        SELECT min(realm) FROM aliases
        UNION ALL
        SELECT (SELECT min(realm) FROM aliases WHERE realm > name) FROM realms
        WHERE name IS NOT NULL
    ) SELECT name FROM realms
"""
