"""Events as JSON: their names and their fields, for webhooks and server-sent events."""

from collections.abc import Callable, Mapping
from typing import Any

from sip.monitor.calls import CallChanged
from sip.monitor.events import (
    Banned,
    Overload,
    Refused,
    Registered,
    Sender,
    Unbanned,
    Unregistered,
)
from sip.serializers.calls import call_json
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


def is_left_out(event: Any) -> bool:
    """Return True for events that are sent nowhere, because there can be very many of them.

    These are refreshes of registrations, of which each phone has one a minute or so, and refusals
    of senders whose address may be forged.
    """
    if isinstance(event, Registered):
        return event.is_refresh
    return isinstance(event, Refused) and event.sender is Sender.UNVERIFIED


def event_json(event: Any, now: float) -> Fields:
    """Return the fields of an event; `now` in Unix seconds is the time of an event of a call."""
    if isinstance(event, CallChanged):
        return {"at": rfc3339(now), **call_json(event.call)}
    return {"at": rfc3339(event.at), **_FIELDS[type(event)](event)}


def _contact(event: Registered | Unregistered) -> Fields:
    return {
        "user_id": event.user_id,
        "username": event.username,
        "realm": event.realm,
        "contact": event.contact,
        "device": event.device,
        "address": event.address[0],
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
        "address": event.address[0],
        "transport": event.transport,
        "device": event.device,
        "call_id": event.call_id,
    }


def _banned(event: Banned) -> Fields:
    return {
        "network": event.network,
        "address": event.address[0],
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
