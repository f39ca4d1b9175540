"""The commands `trouble` and `health` of the control socket."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from time import gmtime, strftime
from typing import Any, Protocol

from sip.control.server import Handler
from sip.core.guard.guard import Guard
from sip.monitor.health import Check, worst
from sip.monitor.refusals import Refusals
from sip.operator_values import network_text
from sip.server import SipServer
from sip.store.bans import Bans

_TIMES = ("first_at", "last_at", "banned_at", "ends_at", "until")
# Fields of the rows that are only used inside of the server.
_INNER = ("username", "realm", "is_banned")


class HealthChecks(Protocol):
    """The health checks of the server."""

    def checks(self) -> Sequence[Check]:
        """Return all checks; may wait for some seconds."""


def trouble_handlers(
    server: SipServer, refusals: Refusals, bans: Bans, health: HealthChecks
) -> dict[str, Handler]:
    """Return the handlers of both commands, by name."""

    def trouble(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """List refusals, waits, bans and trusted networks."""
        trusted = [network_text(each) for each in server.config.guard_trusted]
        return {
            "refusals": [_row(asdict(row)) for row in refusals.latest()],
            "waits": _waits(server.guard),
            "bans": [_row(asdict(ban)) for ban in bans.list(server.unix_clock())],
            "trusted": list(dict.fromkeys([*trusted, *bans.trusted()])),
        }

    def check(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make all health checks."""
        checks = health.checks()
        return {"status": worst(checks), "checks": [each._asdict() for each in checks]}

    return {"trouble": trouble, "health": check}


def _waits(guard: Guard) -> list[dict[str, Any]]:
    """Return the logins that have to wait; `id` names one of them."""
    return [
        {
            "id": f"{login.username}@{login.address}",
            "user": login.username,
            **_row({key: value for key, value in login._asdict().items() if key not in _INNER}),
        }
        for login in guard.blocked_logins()
        if not login.is_banned
    ]


def _row(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its times as ISO 8601 in UTC."""
    return {
        key: strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(value)) if key in _TIMES else value
        for key, value in values.items()
        if key not in _INNER
    }
