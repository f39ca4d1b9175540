"""Events as JSON: their names and their fields, for the webhook and for other programs.

Times are texts of ISO 8601 in UTC, durations are seconds, an address is `host:port` with an IPv6
host in brackets, and "" if there is none.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sip.monitor.calls import Call, CallChanged, CallState, Side
from sip.monitor.events import (
    Address,
    Banned,
    Overload,
    Refused,
    Registered,
    Unbanned,
    Unregistered,
)
from sip.times import rfc3339

# The classes of events by the names of their events.
EVENT_CLASSES: Mapping[str, type] = {
    "registered": Registered,
    "unregistered": Unregistered,
    "refused": Refused,
    "call.started": CallChanged,
    "call.ringing": CallChanged,
    "call.answered": CallChanged,
    "call.ended": CallChanged,
    "banned": Banned,
    "unbanned": Unbanned,
    "overload": Overload,
}

Fields = dict[str, Any]


def event_name(event: Any) -> str:
    """Return the name of an event of one of EVENT_CLASSES."""
    return event.event if isinstance(event, CallChanged) else type(event).__name__.lower()


def event_fields(event: Any, now: float) -> Fields:
    """Return the fields of an event; a call has those of `now`, in Unix seconds."""
    if isinstance(event, CallChanged):
        return {"at": rfc3339(now), **call_fields(event.call)}
    return {"at": rfc3339(event.at), **_FIELDS[type(event)](event)}


def call_fields(call: Call) -> Fields:
    """Return the fields of a call; a call that has ended has its result, too."""
    fields: Fields = {
        "id": call.id,
        "call_id": call.call_id,
        "state": call.state,
        "from": _side(call.caller),
        "to": _side(call.callee),
        "started_at": rfc3339(call.started_at),
        "answered_at": rfc3339(call.answered_at) if call.answered_at else None,
    }
    if call.state == CallState.ENDED:
        fields |= {
            "ended_at": rfc3339(call.ended_at),
            "rang_seconds": round(call.rang_seconds, 3),
            "talked_seconds": round(call.talked_seconds, 3),
            "result": call.result,
            "status": call.status,
            "cause": call.cause,
            "cure": call.cure,
            "code": call.code,
            "ended_by": call.ended_by,
        }
    return fields


def address_text(address: Address) -> str:
    """Return an address as text, "" for that of nothing."""
    host, port = address
    if not host:
        return ""
    bracketed = f"[{host}]" if ":" in host else host
    return f"{bracketed}:{port}" if port else bracketed


def _side(side: Side) -> Fields:
    return {
        "uri": side.uri,
        "name": side.username,
        "user_id": side.user_id or None,
        "device": side.device,
        "address": address_text(side.address),
    }


def _contact(event: Registered | Unregistered) -> Fields:
    return {
        "user_id": event.user_id,
        "username": event.username,
        "realm": event.realm,
        "contact": event.contact,
        "device": event.device,
        "address": address_text(event.address),
        "transport": event.transport,
    }


def _registered(event: Registered) -> Fields:
    return _contact(event) | {
        "behind_nat": event.behind_nat,
        "expires_at": rfc3339(event.expires_at),
        "is_refresh": event.is_refresh,
    }


def _unregistered(event: Unregistered) -> Fields:
    return _contact(event) | {"reason": event.reason}


def _refused(event: Refused) -> Fields:
    return {
        "method": event.method,
        "status": event.status,
        "code": event.code,
        "cause": event.cause,
        "cure": event.cure,
        "user": event.user,
        "to": event.to,
        "address": address_text(event.address),
        "transport": event.transport,
        "device": event.device,
        "call_id": event.call_id,
    }


def _banned(event: Banned) -> Fields:
    return {
        "network": event.network,
        "address": address_text(event.address),
        "until": rfc3339(event.until),
        "reason": event.reason,
        "code": event.code,
        "times": event.times,
    }


def _unbanned(event: Unbanned) -> Fields:
    return {"network": event.network, "reason": event.reason}


def _overload(event: Overload) -> Fields:
    return {"state": "started" if event.is_started else "ended", "dropped": event.dropped}


_FIELDS: Mapping[type, Callable[[Any], Fields]] = {
    Registered: _registered,
    Unregistered: _unregistered,
    Refused: _refused,
    Banned: _banned,
    Unbanned: _unbanned,
    Overload: _overload,
}
