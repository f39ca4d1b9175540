"""Reload of the settings: which ones a running server can change, and which need a restart."""

from dataclasses import replace
from typing import NamedTuple

from sip.config import SETTINGS, Config

# The settings that a running server changes: `apply` in sipserver.py hands them to their parts.
# All others are read once, at the start: sockets, the database, the realm of the accounts.
RELOADABLE = frozenset(
    {
        "calls_keep",
        "calls_keep_rows",
        "guard_trusted",
        "hooks_file",
        "log_format",
        "log_level",
        "robot",
        "rtp_ports",
        "sip_calls_from_outside",
        "sip_calls_to_outside",
        "sip_default_expires",
        "sip_digest",
        "sip_domains",
        "sip_follow_redirects",
        "sip_max_expires",
        "sip_min_expires",
        "sip_trunk",
        "trace_memory",
        "web_metrics_open",
        "web_second_factor",
        "webhook_events",
        "webhook_secret",
        "webhook_url",
    }
)

# The names of the settings that are changed on the page.  The file of the hooks is code that the
# server runs: only its operator chooses it.
EDITABLE = frozenset(
    entry.name
    for entry in SETTINGS.values()
    if entry.attribute in RELOADABLE and entry.attribute != "hooks_file"
)


class Reload(NamedTuple):
    """The outcome of a reload.

    `config` has the settings from now on; `changed` are the names of those that changed in it,
    `need_restart` the names of those that only a restart can change.
    """

    config: Config
    changed: list[str]
    need_restart: list[str]

    def __str__(self) -> str:
        """Return text for the log, without values: one of them may be a password."""
        parts = [f"changed {', '.join(self.changed) or 'nothing'}"]
        if self.need_restart:
            parts.append(f"restart needed for {', '.join(self.need_restart)}")
        return "; ".join(parts)


def reload(running: Config, wanted: Config) -> Reload:
    """Return `running` with the settings of `wanted` that can change now.  Raises ConfigError."""
    changed = [
        entry
        for entry in SETTINGS.values()
        if getattr(running, entry.attribute) != getattr(wanted, entry.attribute)
    ]
    reloadable = [entry for entry in changed if entry.attribute in RELOADABLE]
    values = {entry.attribute: getattr(wanted, entry.attribute) for entry in reloadable}
    return Reload(
        replace(running, **values),
        [entry.name for entry in reloadable],
        [entry.name for entry in changed if entry.attribute not in RELOADABLE],
    )
