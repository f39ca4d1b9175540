"""Users and their registrations as JSON."""

from typing import Any

from sip.store.directory import Entry
from sip.store.registrations import Registration
from sip.times import rfc3339, rfc3339_or_none


def user_json(entry: Entry) -> dict[str, Any]:
    """Return an account; `last_seen` is None if no phone of it has ever registered."""
    return {
        "id": entry.id,
        "username": entry.username,
        "realm": entry.realm,
        "display_name": entry.display_name,
        "enabled": entry.enabled,
        "online": entry.online,
        "last_seen": rfc3339_or_none(entry.last_seen),
        "created_at": rfc3339(entry.created_at),
        **entry.call_settings.as_json(),
    }


def registration_json(registration: Registration) -> dict[str, Any]:
    """Return one contact of an account."""
    contact = registration.contact
    return {
        "id": registration.id,
        "user_id": registration.user_id,
        "username": registration.username,
        "realm": registration.realm,
        "contact": contact.shown,
        "device": contact.user_agent,
        "address": contact.host,
        "transport": contact.transport,
        "behind_nat": contact.behind_nat,
        "instance": contact.instance,
        "reg_id": contact.reg_id,
        "expires_at": rfc3339(contact.expires_at),
    }
