"""The form of call settings on the page of a user: aliases, do not disturb and forwarding."""

from typing import Any, TypeAlias

from sip.store.call_settings import TARGETS, CallSettings
from webadmin.context import form_value

# The text of each field of the form, as it was typed; "" for a box without a tick.
FormValues: TypeAlias = dict[str, str]

_TEXTS = (*TARGETS, "no_answer_seconds")


def values_of(settings: CallSettings) -> FormValues:
    """Return the values of the form for stored settings."""
    texts = {name: str(getattr(settings, name)) for name in _TEXTS}
    return {
        "aliases": " ".join(settings.aliases),
        "dnd": "on" if settings.dnd else "",
        **texts,
    }


def posted_values() -> FormValues:
    """Return the values of the form in the current request."""
    return {name: form_value(name).strip() for name in ("aliases", "dnd", *_TEXTS)}


def changes_of(values: FormValues) -> dict[str, Any]:
    """Return the values of the form as changes of CallSettings.

    Seconds that are left empty stay as they are.
    """
    changes: dict[str, Any] = {
        **values,
        "aliases": values["aliases"].replace(",", " ").split(),
        "dnd": bool(values["dnd"]),
    }
    if not values["no_answer_seconds"]:
        del changes["no_answer_seconds"]
    return changes
