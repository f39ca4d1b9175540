"""Call settings as cells of a CSV file."""

from collections.abc import Mapping
from typing import Any

from sip.operator_values import parse_switch
from sip.store.call_settings import DEFAULT_SECONDS, USUAL, CallSettings

# The columns, and the fields of CallSettings that they hold.
COLUMNS: Mapping[str, str] = {
    "aliases": "aliases",
    "dnd": "dnd",
    "forward_always": "always",
    "forward_busy": "busy",
    "forward_no_answer": "no_answer",
    "forward_no_answer_seconds": "no_answer_seconds",
    "forward_offline": "offline",
}


def read_cells(cells: Mapping[str, str]) -> dict[str, Any]:
    """Return the call settings in a row of texts.  Raises ValueError.

    An empty cell changes nothing; "-" is an empty list of aliases, or no forwarding.
    """
    values: dict[str, Any] = {}
    for column, field in COLUMNS.items():
        if text := cells.get(column, "").strip():
            if field == "dnd":
                values[field] = bool(parse_switch(text))
            elif field == "aliases":
                values[field] = () if text == "-" else text.split()
            else:
                values[field] = "" if text == "-" else text
    if values.get("no_answer_seconds") == "":
        values["no_answer_seconds"] = DEFAULT_SECONDS
    checked = USUAL.changed(values)
    return {field: getattr(checked, field) for field in values}


def write_cells(settings: CallSettings) -> tuple[str, ...]:
    """Return the cells of the columns, in their order."""
    seconds = settings.no_answer_seconds
    has_seconds = settings.no_answer or seconds != DEFAULT_SECONDS
    return (
        " ".join(settings.aliases),
        str(int(settings.dnd)),
        settings.always,
        settings.busy,
        settings.no_answer,
        str(seconds) if has_seconds else "",
        settings.offline,
    )
