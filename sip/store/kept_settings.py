"""The settings that were changed on the page or by the API, in the database."""

from collections.abc import Mapping
from dataclasses import dataclass

from sip.store.database import Database, Tables, fetch


@dataclass(frozen=True, slots=True)
class KeptSetting:
    """A setting that was changed: its value, and the one before the last change.

    None is no value: then the setting has that of its next source.
    """

    name: str
    value: str | None
    former: str | None
    changed_at: int
    changed_by: str


class KeptSettings:
    """The table of settings.  Not cached in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Mapping[str, KeptSetting]:
        """Return all rows, by the name of the setting."""
        rows = self._database.browse(lambda tables: fetch(tables, _ALL))
        return {row[0]: KeptSetting(*row) for row in rows}

    def values(self) -> Mapping[str, str]:
        """Return the values, by the name of the setting; the latest change comes last."""
        rows = sorted(self.all().values(), key=lambda row: row.changed_at)
        return {row.name: row.value for row in rows if row.value is not None}

    def save(self, values: Mapping[str, str | None], by: str, now: float) -> None:
        """Write values, all or none; None removes one.  The present ones become the former ones."""

        def write(tables: Tables) -> None:
            for name, value in values.items():
                fetch(tables, _SAVE, (name, value, int(now), by))

        self._database.run(write)


_ALL = "SELECT name, value, former, changed_at, changed_by FROM settings"
_SAVE = """
    INSERT INTO settings (name, value, changed_at, changed_by) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
        former = settings.value, value = excluded.value,
        changed_at = excluded.changed_at, changed_by = excluded.changed_by
"""
