"""Call settings of a user: aliases, forwarding and do not disturb; their checks and their tables.

Most users have the usual settings, which take no row and no memory.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sip.store.accounts import check_username, normalized
from sip.store.database import Tables, fetch
from sip.store.taken_names import name_holder, name_key

# Aliases of one user; each of them is a key in memory.
MAX_ALIASES = 20
# Longest target of a forwarding, in characters.
MAX_TARGET = 255
# Seconds that phones ring before a call goes on.  More than two minutes would come near the three
# after which a proxy may end any call (RFC 3261 §16.6, timer C).
DEFAULT_SECONDS, MIN_SECONDS, MAX_SECONDS = 20, 3, 120

# A target that is no name or number: an address.  It is parsed when a call is forwarded.
_ADDRESS = re.compile(r"sip:[^\s<>\"@]+@[^\s<>\"@]+|tel:[^\s<>\"@]+", re.IGNORECASE)
# Field of a call setting, by its name in messages to the user.
_TITLES = {
    "always": "forwarding of all calls",
    "busy": "forwarding when busy",
    "no_answer": "forwarding without an answer",
    "offline": "forwarding while not registered",
}
TARGETS = tuple(_TITLES)
_FORWARD = ("always", "busy", "no_answer", "no_answer_seconds", "offline")


class BadSetting(ValueError):
    """A value that is not valid.  The text says why; `field` is the name of the setting."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True)
class CallSettings:
    """The call settings of one user.

    `aliases` are further names and numbers, in the order of their letters.  With `dnd` the phones
    do not ring.  The other texts are the targets of forwarding, "" for none: a name, a number or a
    group of the same realm, a telephone number of a trunk, or a SIP address.
    """

    aliases: tuple[str, ...] = ()
    dnd: bool = False
    always: str = ""
    busy: str = ""
    no_answer: str = ""
    no_answer_seconds: int = DEFAULT_SECONDS
    offline: str = ""

    def changed(self, changes: Mapping[str, Any]) -> "CallSettings":
        """Return these settings with some of them changed.  Raises BadSetting."""
        values = {name: _checked(name, value) for name, value in changes.items()}
        return replace(self, **values)

    def stored(self) -> "CallSettings | None":
        """Return None for the usual settings, as an account in memory has them."""
        return None if self == USUAL else self

    @property
    def has_rules(self) -> bool:
        """Return True if calls to the user do not simply ring at all phones."""
        targets = self.always or self.busy or self.no_answer or self.offline
        return self.dnd or targets != ""

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON values, as `changes_of_json` takes them."""
        forward = {name: getattr(self, name) for name in _FORWARD}
        return {"aliases": list(self.aliases), "dnd": self.dnd, "forward": forward}

    def text_of(self, names: Iterable[str]) -> str:
        """Return some of these settings as text, for the audit."""
        return ", ".join(f"{name} {_as_text(getattr(self, name))}" for name in names)


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(value) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) or "off"


USUAL = CallSettings()
_FIELDS = frozenset(field.name for field in fields(CallSettings))


def changes_of_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `aliases`, `dnd` and `forward` of a JSON object as changes.  Raises BadSetting.

    Values of another JSON type than that of `as_json` are refused here.
    """
    changes: dict[str, Any] = {}
    for name in ("aliases", "dnd"):
        if name in values:
            changes[name] = values[name]
    aliases, forward = changes.get("aliases", []), values.get("forward", {})
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise BadSetting("aliases", "the aliases are not a list of texts")
    if not isinstance(changes.get("dnd", False), bool):
        raise BadSetting("dnd", "do not disturb is either true or false")
    if not isinstance(forward, dict):
        raise BadSetting("forward", "the forwarding is not an object")
    for name, value in forward.items():
        wanted = int if name == "no_answer_seconds" else str
        if name not in _FORWARD:
            raise BadSetting(f"forward.{name}", f"there is no forwarding {name}")
        if not isinstance(value, wanted) or isinstance(value, bool):
            kind = "a whole number" if wanted is int else 'a text; "" is none'
            raise BadSetting(f"forward.{name}", f"the value is not {kind}")
    return changes | forward


def _checked(name: str, value: Any) -> Any:
    if name not in _FIELDS:
        raise BadSetting(name, f"there is no call setting {name}")
    if name == "aliases":
        return checked_aliases(value)
    if name == "dnd":
        if value not in (False, True):
            raise BadSetting(name, "do not disturb is either on or off")
        return bool(value)
    if name == "no_answer_seconds":
        return checked_seconds(name, value)
    return checked_target(name, value)


def checked_aliases(values: Iterable[str]) -> tuple[str, ...]:
    """Return aliases sorted, in NFC and each once.  Raises BadSetting."""
    if isinstance(values, str):
        raise BadSetting("aliases", "the aliases are not a list")
    aliases: dict[str, str] = {}
    for value in values:
        alias = normalized(str(value).strip())
        if not alias:
            continue
        try:
            check_username(alias)
        except ValueError as error:
            text = str(error).replace("user name", "alias")
            raise BadSetting("aliases", text) from None
        aliases.setdefault(name_key(alias), alias)
    if len(aliases) > MAX_ALIASES:
        raise BadSetting("aliases", f"a user has at most {MAX_ALIASES} aliases")
    return tuple(sorted(aliases.values()))


def checked_seconds(name: str, value: Any) -> int:
    """Return the seconds that phones ring, a whole number.  Raises BadSetting."""
    text = str(value).strip()
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    if not is_number or not MIN_SECONDS <= int(text) <= MAX_SECONDS:
        raise BadSetting(
            name, f"the seconds of ringing are a number from {MIN_SECONDS} to {MAX_SECONDS}"
        )
    return int(text)


def checked_target(name: str, value: Any) -> str:
    """Return the target of a forwarding, in NFC; "" for none.  Raises BadSetting.

    A target with an @ is a SIP address, with or without `sip:` before it.
    """
    target = normalized(str(value).strip())
    what = _TITLES.get(name, "the target")
    if not target:
        return ""
    if len(target) > MAX_TARGET:
        raise BadSetting(name, f"{what}: the target has more than {MAX_TARGET} characters")
    if "@" in target and ":" not in target:
        target = f"sip:{target}"
    if ":" in target:
        if not _ADDRESS.fullmatch(target) or not target.isascii() or not target.isprintable():
            raise BadSetting(
                name, f"{what}: {target!r} is not a SIP address like sip:bob@example.org"
            )
        return target
    try:
        check_username(target)
    except ValueError:
        text = f"{what}: {target!r} is not a name, a number or a SIP address"
        raise BadSetting(name, text) from None
    return target


# In the database

_COLUMNS = (
    "dnd, forward_always, forward_busy, forward_no_answer, no_answer_seconds, forward_offline"
)


def read_settings(
    tables: Tables, user_id: int | None = None, last_id: int | None = None
) -> dict[int, CallSettings]:
    """Return the unusual settings by the id of the user: of one user, of a range, or of all."""
    if user_id is None:
        return _read(tables, "", ())
    ids = (user_id, user_id if last_id is None else last_id)
    return _read(tables, " WHERE user_id BETWEEN ? AND ?", ids)


def read_settings_of(tables: Tables, ids: str) -> dict[int, CallSettings]:
    """Return the unusual settings of users, whose ids are a JSON array."""
    return _read(tables, " WHERE user_id IN (SELECT value FROM json_each(?))", (ids,))


def _read(tables: Tables, of_users: str, values: tuple[Any, ...]) -> dict[int, CallSettings]:
    found: dict[int, CallSettings] = {}
    query = f"SELECT user_id, {_COLUMNS} FROM call_settings{of_users}"  # noqa: S608 -- our names
    for number, dnd, *rest in fetch(tables, query, values):
        found[number] = CallSettings((), bool(dnd), *rest)
    aliases: dict[int, list[str]] = {}
    query = f"SELECT user_id, alias FROM aliases{of_users}"  # noqa: S608 -- our names
    for number, alias in fetch(tables, query, values):
        aliases.setdefault(number, []).append(alias)
    for number, names in aliases.items():
        found[number] = replace(found.get(number, USUAL), aliases=tuple(sorted(names)))
    return found


def write_settings(
    tables: Tables, settings: Iterable[tuple[int, str | None, CallSettings]]
) -> None:
    """Replace the settings of users, each with its id and realm (None: the main realm).

    All former aliases are removed first: an alias may go from one user to another.
    """
    rows = list(settings)
    for number, _, _ in rows:
        fetch(tables, "DELETE FROM aliases WHERE user_id = ?", (number,))
        fetch(tables, "DELETE FROM call_settings WHERE user_id = ?", (number,))
    for number, realm, each in rows:
        for alias in each.aliases:
            fetch(tables, "INSERT INTO aliases VALUES (?, ?, ?)", (realm or "", alias, number))
        if replace(each, aliases=()) != USUAL:
            values = (each.always, each.busy, each.no_answer, each.no_answer_seconds, each.offline)
            fetch(tables, _INSERT, (number, int(each.dnd), *values))
    note_change(tables)


_INSERT = f"INSERT INTO call_settings (user_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- our names


def note_change(tables: Tables) -> None:
    """Count a change of names, so that an import decides again (see `account_changes`)."""
    fetch(tables, "UPDATE account_changes SET number = number + 1")


# Removed users


def settings_as_json(tables: Tables, user_id: int) -> str:
    """Return the settings of a user as JSON, "{}" for the usual ones."""
    settings = read_settings(tables, user_id).get(user_id)
    return json.dumps(asdict(settings)) if settings is not None else "{}"


def restore_settings(tables: Tables, user_id: int, realm: str | None, text: str) -> None:
    """Write the settings that `settings_as_json` returned.

    An alias that is taken meanwhile stays with its new holder.
    """
    values = json.loads(text)
    if not values:
        return
    names = [
        alias
        for alias in values["aliases"]
        if not name_holder(tables, alias, realm, user_id=user_id)
    ]
    settings = CallSettings(**{**values, "aliases": tuple(names)})
    write_settings(tables, [(user_id, realm, settings)])
