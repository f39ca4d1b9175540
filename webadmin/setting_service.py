"""Changes of settings, for the pages and for the API: tried, kept, recorded in the audit."""

from collections.abc import Mapping, Sequence

from sip.running_settings import Change
from sip.store.audit import Act
from webadmin.context import AppContext


class SettingService:
    """Changes settings.  Raises InvalidSettings; nothing is changed then."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def change(self, values: Mapping[str, str | None]) -> Sequence[Change]:
        """Change all settings or none; None removes a value."""
        by = self._context.actor.name
        return self._record(self._context.settings.change(values, by))

    def undo(self, name: str) -> Sequence[Change]:
        """Return to the value before the last change."""
        return self._record(self._context.settings.undo(name, self._context.actor.name))

    def _record(self, changes: Sequence[Change]) -> Sequence[Change]:
        for change in changes:
            self._context.record(Act.SETTING_CHANGED, str(change))
        return changes
