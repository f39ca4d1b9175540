"""Health checks and the audit as JSON."""

from collections.abc import Sequence
from typing import Any

from sip.monitor.health import Check, worst
from sip.store.audit import Entry
from sip.times import rfc3339


def health_json(checks: Sequence[Check]) -> dict[str, Any]:
    """Return all checks, and the worst of their statuses."""
    return {"status": worst(checks), "checks": [each._asdict() for each in checks]}


def audit_json(entry: Entry) -> dict[str, Any]:
    """Return one entry of the audit; `actor` is "" if it was not signed in."""
    return {
        "id": entry.id,
        "at": rfc3339(entry.at),
        "actor": entry.who,
        "address": entry.address,
        "action": entry.text,
        "about": entry.about,
    }
