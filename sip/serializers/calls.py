"""Calls as JSON: those that ring or talk now, and those of the history.

Both have the same two sides, `from` and `to`.  A side with an account has the name and the URI of
the account, however it was dialled; of other sides the name is "", because a stranger may write any
display name.
"""

from typing import Any
from urllib.parse import quote

from sip.monitor.calls import Call, CallState, Side
from sip.store.history import PastCall, PastSide
from sip.times import rfc3339, rfc3339_or_none

# Characters of a user part that need no escape (RFC 3261 §25.1).
_USER_CHARACTERS = "-_.!~*'()&=+$,;?/"


def call_json(call: Call) -> dict[str, Any]:
    """Return a call; one that has ended has its result, too.  `id` is its id in the history."""
    fields: dict[str, Any] = {
        "id": call.id,
        "call_id": call.call_id,
        "state": call.state,
        "from": _side(call.caller),
        "to": _side(call.callee),
        "started_at": rfc3339(call.started_at),
        "answered_at": rfc3339_or_none(call.answered_at),
        "codecs": list(call.codecs),
    }
    if call.state == CallState.ENDED:
        fields |= {"ended_at": rfc3339(call.ended_at), **_outcome(call)}
    return fields


def past_call_json(call: PastCall) -> dict[str, Any]:
    """Return a call of the history."""
    return {
        "id": call.id,
        "call_id": call.call_id,
        "from": _past_side(call.caller),
        "to": _past_side(call.callee),
        "started_at": rfc3339(call.started_at),
        **_outcome(call),
    }


def user_uri(username: str, realm: str) -> str:
    """Return the SIP URI of an account."""
    return f"sip:{quote(username, safe=_USER_CHARACTERS)}@{realm}"


def _outcome(call: Call | PastCall) -> dict[str, Any]:
    """Return what the end of a call adds."""
    return {
        "rang_seconds": round(call.rang_seconds, 3),
        "talked_seconds": round(call.talked_seconds, 3),
        "result": call.result,
        "status": call.status,
        "code": call.code,
        "cause": call.cause,
        "cure": call.cure,
        "ended_by": call.ended_by,
    }


def _side(side: Side) -> dict[str, Any]:
    is_user = side.user_id > 0
    return {
        "uri": user_uri(side.username, side.realm) if is_user else side.uri,
        "name": (side.name or side.username) if is_user else "",
        "user_id": side.user_id or None,
        "device": side.device,
        "address": side.address[0],
    }


def _past_side(side: PastSide) -> dict[str, Any]:
    is_user = side.user_id > 0
    host, _, _ = side.address.rpartition(":")
    return {
        "uri": side.uri or (user_uri(side.username, side.realm) if side.username else ""),
        "name": (side.name or side.username) if is_user else "",
        "user_id": side.user_id or None,
        "device": side.device,
        "address": host.removeprefix("[").removesuffix("]"),
    }
