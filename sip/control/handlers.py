"""The commands that a running server handles on its control socket."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from unicodedata import normalize

from sip.control.server import Handler, Refusal
from sip.core.guard.guard import Guard
from sip.monitor.calls import Calls
from sip.operator_values import parse_network


def control_handlers(guard: Guard, calls: Calls) -> dict[str, Handler]:
    """Return the handlers of all commands, by name."""

    def forgive(request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Unblock the logins of one user; return the addresses, and which of them are banned."""
        user, address = normalize("NFC", str(request["user"])), request.get("address")
        try:
            network = parse_network(str(address)) if address else None
        except ValueError as error:
            raise Refusal(str(error)) from None
        banned = [login.address for login in guard.blocked_logins() if login.is_banned]
        # An account of an earlier version may be stored decomposed.
        lifted = guard.forgive({user, normalize("NFD", user)}, network)
        if not lifted:
            source = f" from {address}" if address else ""
            raise Refusal(
                f"{user} has no wrong passwords{source} to forgive; `bans` lists the blocked users"
            )
        return {"addresses": lifted, "banned": [each for each in lifted if each in banned]}

    def blocked_logins(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """List the blocked logins."""
        return {"blocked_logins": [login._asdict() for login in guard.blocked_logins()]}

    def list_calls(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """List the calls that ring or talk."""
        return {"calls": [asdict(call) for call in calls.now()]}

    return {"forgive": forgive, "blocked_logins": blocked_logins, "calls": list_calls}
