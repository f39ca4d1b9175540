"""Operations on the settings of the server."""

import msgspec
from msgspec import UNSET, Struct, UnsetType

from sip.config import SETTINGS
from sip.running_settings import InvalidSettings, SettingState
from sip.setting_sources import Source
from webadmin.api.operations import Operations
from webadmin.api.problems import FieldError, Problem
from webadmin.context import AppContext
from webadmin.setting_service import SettingService


class Setting(Struct, frozen=True):
    """One setting; values are texts as in the settings file, and secrets are shown as ***.

    `needs_restart` is true if a new value is used after a restart only; `editable` is true if PATCH
    can change it now.
    """

    name: str
    value: str
    source: Source
    default: str
    meaning: str
    editable: bool
    needs_restart: bool


class Settings(Struct, frozen=True):
    """All settings, in the order of the manual; `next` is null, because this is the whole list."""

    items: list[Setting]
    next: str | None = None


# The settings to change, by name; null removes the value that was set here or on the page.
SettingChanges: type[Struct] = msgspec.defstruct(
    "SettingChanges",
    [(entry.attribute, str | None | UnsetType, UNSET) for entry in SETTINGS.values()],
    rename={entry.attribute: entry.name for entry in SETTINGS.values()},
    frozen=True,
    forbid_unknown_fields=True,
)


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on settings."""
    settings = SettingOperations(context)
    operations.get("/settings", settings.list, "List the settings", answer=Settings)
    operations.change(
        *("PATCH", "/settings", settings.change, "Change settings, all given ones or none"),
        body=SettingChanges,
        answer=Settings,
    )


class SettingOperations:
    """The handlers of the operations on settings."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._service = SettingService(context)

    def list(self) -> Settings:
        """Return all settings."""
        return Settings([_setting(state) for state in self._context.settings.list()])

    def change(self, body: Struct) -> Settings:
        """Change settings, all given ones or none."""
        given = {
            each.encode_name: getattr(body, each.name) for each in msgspec.structs.fields(body)
        }
        try:
            self._service.change({name: text for name, text in given.items() if text is not UNSET})
        except InvalidSettings as error:
            errors = tuple(FieldError(*each) for each in error.errors.items())
            raise Problem(422, f"{error}.", errors=errors) from None
        return self.list()


def _setting(state: SettingState) -> Setting:
    return Setting(
        name=state.name,
        value=state.value,
        source=state.source,
        default=state.default,
        meaning=state.meaning,
        editable=state.editable,
        needs_restart=state.needs_restart,
    )
