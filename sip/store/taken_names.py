"""Names that are taken: one rule for users, aliases and groups, and for numbers in any spelling.

Within a realm a name is taken if another user, alias or group has the same name in any case or
Unicode form, or the same telephone number in another spelling (RFC 3966 §4): calls could not
distinguish them.  Only two users may have one number in two spellings, as 10-1 and 101: calls to
exactly such a name come first, and in many offices these are two phones (AccountTable.find).

The database is asked, because memory may lack a change by another process.
"""

# ruff: noqa: S608 -- only our own column names are put into SQL; input is a value

import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from sip.phone_numbers import number_of
from sip.store.accounts import normalized
from sip.store.database import Tables, fetch


def name_key(name: str) -> str:
    """Return what two aliases or groups that are the same name have in common."""
    return number_of(name) or normalized(name).lower()


def name_holder(
    tables: Tables,
    name: str,
    realm: str | None,
    *,
    user_id: int = 0,
    group_id: int = 0,
    for_user: bool = False,
) -> str:
    """Return the holder of a name in a realm, in words; "" if the name is free.

    The user `user_id` and the group `group_id` do not count.  With `for_user` no names of users
    count: Users.taken_by compares these.
    """
    number = number_of(name)
    forms = (name, normalized(name), unicodedata.normalize("NFD", name), number)
    for form in dict.fromkeys(form for form in forms if form):
        values = {"name": form, "realm": realm, "key": realm or "", "user": user_id}
        for (username,) in () if for_user else fetch(tables, _USER_NAMED, values):
            return f"the user {username}"
        for (username,) in fetch(tables, _ALIAS_NAMED, values):
            return f"an alias of {username}"
        for (group,) in fetch(tables, _GROUP_NAMED, {**values, "group": group_id}):
            return f"the group {group}"
    for held in spellings(tables, number) if number else ():
        own = held.id == (group_id if held.kind == "group" else user_id)
        if held.realm == realm and not own and not (for_user and held.kind == "user"):
            return held.words
    return ""


class Spelling(NamedTuple):
    """A telephone number with separators or parameters, which has a holder.

    `kind` is user, alias or group; `id` is that of the user or the group; `written` is the name.
    """

    kind: str
    realm: str | None
    written: str
    id: int
    username: str

    @property
    def words(self) -> str:
        """The holder in words."""
        if self.kind == "alias":
            return f"an alias of {self.username}, written {self.written}"
        return f"the {self.kind} {self.written}, in another spelling"


def spellings(tables: Tables, number: str = "") -> Iterator[Spelling]:
    """Yield the names that are numbers with separators or parameters; only those of one number."""
    for kind, realm, written, id_, username in fetch(tables, _SPELLINGS, {"number": number}):
        if number in ("", number_of(written)):
            yield Spelling(kind, realm or None, written, id_, username)


def has_other_spelling(name: str) -> bool:
    """Return True for a number with separators or parameters."""
    return number_of(name) not in ("", name)


_USER_NAMED = """
    SELECT username FROM users
    WHERE username = :name COLLATE NOCASE AND realm IS :realm AND id <> :user
"""
_ALIAS_NAMED = """
    SELECT users.username FROM aliases JOIN users ON users.id = aliases.user_id
    WHERE aliases.realm = :key AND alias = :name AND user_id <> :user
"""
_GROUP_NAMED = """
    SELECT name FROM call_groups WHERE realm = :key AND name = :name AND id <> :group
"""


def _separated(column: str) -> str:
    """Return the condition of the indexes of schema.py, and that the number is `:number`."""
    number: Any = f"substr({column}, 1, instr({column} || ';', ';') - 1)"
    for separator in "-.()":
        number = f"replace({number}, '{separator}', '')"
    return (
        f"{column} GLOB '[0-9+*#(.-]*' AND {column} GLOB '*[-.();]*'"
        f" AND (:number = '' OR {number} = :number)"
    )


_SPELLINGS = f"""
    SELECT 'user', realm, username, id, username FROM users WHERE {_separated("username")}
    UNION ALL
    SELECT 'alias', aliases.realm, alias, user_id, username
    FROM aliases JOIN users ON users.id = user_id WHERE {_separated("alias")}
    UNION ALL
    SELECT 'group', realm, name, id, name FROM call_groups WHERE {_separated("name")}
"""
