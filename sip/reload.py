"""Settings that have changed while the server runs: which it takes over, and which have to wait."""

from dataclasses import replace
from typing import NamedTuple

from sip.config import SETTINGS, Config

# What a running server takes over, by `configure_logging` and `SipServer.reconfigure`.  All else is
# asked once, at the start: sockets, the file, the realm that the accounts were made for.
RELOADABLE = frozenset(
    {
        "guard_trusted",
        "log_format",
        "log_level",
        "sip_calls_from_outside",
        "sip_calls_to_outside",
        "sip_default_expires",
        "sip_digest",
        "sip_domains",
        "sip_follow_redirects",
        "sip_max_expires",
        "sip_min_expires",
        "sip_trunk",
    }
)


class Reload(NamedTuple):
    """What comes of reading the settings anew.

    `config` is what the server goes on with; `taken` are the names of settings that are others in
    it, `waiting` those that only a restart can change.
    """

    config: Config
    taken: list[str]
    waiting: list[str]

    def __str__(self) -> str:
        """The line for the log; without values, for one of them may be a password."""
        parts = [f"taken over: {', '.join(self.taken) or 'nothing'}"]
        if self.waiting:
            parts.append(f"only a restart changes {', '.join(self.waiting)}")
        return "; ".join(parts)


def reload(running: Config, wanted: Config) -> Reload:
    """Take of `wanted` what can be taken while the server runs.  Raises ConfigError."""
    changed = [
        entry
        for entry in SETTINGS.values()
        if getattr(running, entry.attribute) != getattr(wanted, entry.attribute)
    ]
    taken = [entry for entry in changed if entry.attribute in RELOADABLE]
    values = {entry.attribute: getattr(wanted, entry.attribute) for entry in taken}
    return Reload(
        replace(running, **values),
        [entry.name for entry in taken],
        [entry.name for entry in changed if entry.attribute not in RELOADABLE],
    )
