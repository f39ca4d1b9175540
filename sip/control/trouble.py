"""The commands `trouble` and `health` of the control socket."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sip.control.server import Handler
from sip.monitor.health import Check
from sip.monitor.refusals import Refusals
from sip.serializers.operation import health_json
from sip.serializers.trouble import ban_json, refusal_json, trusted_json, wait_json
from sip.server import SipServer
from sip.store.bans import Bans

# Waits of one reply, the latest: some milliseconds of work, while no message is served.
MAX_WAITS = 500


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
        waits = server.guard.waits(limit=MAX_WAITS).waits
        return {
            "refusals": [refusal_json(row) for row in refusals.latest()],
            "waits": [wait_json(wait) for wait in waits],
            "bans": [ban_json(ban) for ban in bans.list(server.unix_clock())],
            "trusted": trusted_json(server.config.guard_trusted, bans.trusted()),
        }

    def check(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make all health checks."""
        return health_json(health.checks())

    return {"trouble": trouble, "health": check}
