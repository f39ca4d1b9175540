"""Refusals, waits, bans and trusted networks as JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

from sip.core.guard.guard import Wait
from sip.monitor.refusals import MAX_TEXT, Refusal
from sip.operator_values import Network, network_text
from sip.store.accounts import printable
from sip.store.bans import Ban
from sip.times import rfc3339


def refusal_json(row: Refusal) -> dict[str, Any]:
    """Return refused requests that are equal; address, device and Call-ID are of the latest."""
    return {
        "first_at": rfc3339(row.first_at),
        "last_at": rfc3339(row.last_at),
        "count": row.count,
        "method": row.method,
        "status": row.status,
        "code": row.code,
        "cause": row.cause,
        "cure": row.cure,
        "user": row.user,
        "to": row.to,
        "address": row.address,
        "device": row.device,
        "call_id": row.call_id,
    }


def wait_json(wait: Wait) -> dict[str, Any]:
    """Return a user whose logins from one address, or /64 network, are blocked for a while."""
    return {
        "id": wait.id,
        "user": printable(wait.username, MAX_TEXT),
        "address": wait.address,
        "tries": wait.tries,
        "until": rfc3339(wait.until),
    }


def ban_json(ban: Ban) -> dict[str, Any]:
    """Return a banned address or /64 network."""
    return {
        "address": ban.address,
        "reason": ban.reason,
        "banned_at": rfc3339(ban.banned_at),
        "until": rfc3339(ban.ends_at),
        "times": ban.times,
    }


def trusted_json(from_setting: Iterable[Network], added: Sequence[str]) -> list[dict[str, Any]]:
    """Return all trusted networks, those of the setting first; only the others can be removed."""
    networks = dict.fromkeys(map(network_text, from_setting), "setting")
    networks |= {each: "added" for each in added if each not in networks}
    return [{"network": network, "source": source} for network, source in networks.items()]
