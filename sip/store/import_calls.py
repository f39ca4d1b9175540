"""Call settings in an import: which of them change, and whether their names are free."""

from collections.abc import Iterable, Mapping

from sip.phone_numbers import number_of
from sip.store.accounts import normalized
from sip.store.call_cells import COLUMNS
from sip.store.call_changes import check_own_targets
from sip.store.call_settings import (
    USUAL,
    BadSetting,
    CallSettings,
    read_settings,
    write_settings,
)
from sip.store.csv_file import CsvFile, CsvRow, Name, Row
from sip.store.database import Tables, fetch
from sip.store.taken_names import has_other_spelling, name_key, spellings

_COLUMN_OF = {field: column for column, field in COLUMNS.items()}


class CallImport:
    """The call settings that the rows of a file give to users.

    `settings` are those of all users by id, `new` those of new users by name.  An alias may go from
    one user to another within a file, so all aliases that the file replaces are free.
    """

    def __init__(
        self, tables: Tables, csv_file: CsvFile, existing: Mapping[Name, Row | None]
    ) -> None:
        self.settings = read_settings(tables)
        self.changed: dict[int, tuple[str | None, CallSettings]] = {}
        self.new: dict[Name, CallSettings] = {}
        replaced = {
            known["id"]
            for row in csv_file.rows
            if row.call and "aliases" in row.call and (known := existing[row.name]) is not None
        }
        # By name_key and realm: the holder of an alias or group name, in words; and the users whose
        # names are numbers with separators.
        self._holders: dict[Name, str] = {}
        for realm, alias, user_id, username in fetch(tables, _ALIASES):
            if user_id not in replaced:
                self._holders[name_key(alias), realm or None] = f"an alias of {username}"
        for realm, name in fetch(tables, "SELECT realm, name FROM call_groups"):
            self._holders[name_key(name), realm or None] = f"the group {name}"
        self._separated: dict[Name, str] = {}
        for held in spellings(tables):
            if held.kind == "user":
                key = number_of(held.written), csv_file.key_realm(held.realm or csv_file.realm)
                self._separated[key] = held.written

    def holder(self, username: str, realm: str | None) -> str:
        """Return the holder of the name of a new user, in words; "" if it is free."""
        return self._holders.get((name_key(username), realm), "")

    def plan_new(self, row: CsvRow, by_case: Mapping[Name, str | None]) -> str:
        """Plan the settings of a new user; return the reason if its row is refused, else ""."""
        username, realm = normalized(row.name[0]), row.name[1]
        if holder := self.holder(username, realm):
            return f"is {holder}"
        if has_other_spelling(username):
            self._separated.setdefault((number_of(username), realm), username)
        try:
            if settings := self._checked(row, USUAL, by_case):
                self.new[username, realm] = settings
        except BadSetting as error:
            return f"is refused: {error}"
        return ""

    def plan_change(
        self, row: CsvRow, known: Row, by_case: Mapping[Name, str | None]
    ) -> tuple[str, ...]:
        """Plan the settings of an existing user; return the changed columns.  Raises BadSetting."""
        before = self.settings.get(known["id"], USUAL)
        settings = self._checked(row, before, by_case)
        if settings is None or settings == before:
            return ()
        self.changed[known["id"]] = row.name[1], settings
        return tuple(
            column
            for field, column in _COLUMN_OF.items()
            if getattr(settings, field) != getattr(before, field)
        )

    def _checked(
        self, row: CsvRow, before: CallSettings, by_case: Mapping[Name, str | None]
    ) -> CallSettings | None:
        if not row.call:
            return None
        username, realm = normalized(row.name[0]), row.name[1]
        settings = before.changed(row.call)
        check_own_targets(username, settings)
        if "aliases" in row.call:
            for alias in settings.aliases:
                key = name_key(alias), realm
                user = by_case.get((alias.lower(), realm)) or by_case.get(key)
                user = user or self._separated.get(key)
                if user == username and alias.lower() != username.lower():
                    user = None  # another spelling of the own number
                if user or key in self._holders:
                    holder = f"the user {user}" if user else self._holders[key]
                    raise BadSetting("aliases", f"the alias {alias} is {holder}")
                self._holders[key] = f"an alias of {username}"
        return settings

    def settings_of(self, user_id: int) -> CallSettings | None:
        """Return the settings of an existing user after the import."""
        planned = self.changed.get(user_id)
        return self.settings.get(user_id) if planned is None else planned[1].stored()

    def write(self, tables: Tables, changed: Iterable[int], new: Mapping[Name, int]) -> None:
        """Write the settings of changed users and of new ones; `new` has their ids."""
        rows = [(user_id, *self.changed[user_id]) for user_id in changed]
        rows += [(number, name[1], self.new[name]) for name, number in new.items()]
        if rows:
            write_settings(tables, rows)


_ALIASES = """
    SELECT aliases.realm, alias, user_id, username
    FROM aliases JOIN users ON users.id = aliases.user_id
"""
