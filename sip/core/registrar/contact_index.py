"""An index from Contacts to the addresses-of-record that are bound to them.

A request may name a phone by its Contact alone, and the user part of a Contact says nothing about
whose phone it is: many phones write random characters there, or none at all.  The index is a table
of a fixed size.  A slot has the addresses-of-record whose Contacts fall into it, the latest last;
whoever reads it compares the Contacts themselves.  So a binding takes 21 octets of memory at
100,000, and nothing is ever built anew.
"""

import re

from sip.message.grammar import BadMessage
from sip.message.uri import SipUri, Uri, format_host_port, normal_escapes, parse_uri

# With 100,000 bindings one or two share a slot.  The table takes 8 octets for each.
SLOTS = 1 << 16
# Addresses-of-record that one slot has.  Phones of one model may all be sip:192.168.1.20 behind as
# many routers; which of them is meant cannot be known, and no request looks at more of them.
MAX_AT_SLOT = 64

# Most Contacts, up to their parameters, are in the form that equal ones are compared by.
_USUAL = re.compile(
    r"sip:(?:[A-Za-z0-9_+.-]++@)?[0-9]++\.[0-9]++\.[0-9]++\.[0-9]++(?::[1-9][0-9]*+)?(?=;|\Z)"
)


def contact_key(uri: Uri) -> str:
    """Return the user, host and port of a Contact in a form that is the same for equal ones."""
    if not isinstance(uri, SipUri):
        return uri.text
    user = "" if uri.user is None else f"{normal_escapes(uri.user)}@"
    return f"{uri.scheme}:{user}{format_host_port(uri.host, uri.port)}"


def key_of_text(contact: str) -> str:
    """Return the `contact_key` of a Contact that is known to be a URI."""
    if usual := _USUAL.match(contact):
        return usual[0]
    try:
        return contact_key(parse_uri(contact))
    except BadMessage:
        return contact


class ContactIndex:
    """Addresses-of-record by the Contacts that they are bound to."""

    def __init__(self) -> None:
        # One name or several; most slots have one, and a tuple would take as much as the name.
        self._slots: list[str | tuple[str, ...] | None] = [None] * SLOTS

    def at(self, key: str) -> tuple[str, ...]:
        """Return what may be bound to a Contact of this `contact_key`, the latest first."""
        found = self._slots[hash(key) % SLOTS]
        if found is None:
            return ()
        return (found,) if isinstance(found, str) else found[::-1]

    def follow(self, aor: str, before: list[str], after: list[str]) -> None:
        """Take notice of a change of the Contacts that an address-of-record is bound to."""
        if before == after:
            return
        slots_before = {hash(key_of_text(contact)) % SLOTS for contact in before}
        slots_after = {hash(key_of_text(contact)) % SLOTS for contact in after}
        name = aor
        for slot in slots_before - slots_after:
            name = self._remove(slot, aor)
        for slot in slots_after - slots_before:
            self._add(slot, name)

    def _add(self, slot: int, aor: str) -> None:
        found = self._slots[slot]
        if found is None:
            self._slots[slot] = aor
        elif isinstance(found, str):
            if found != aor:
                self._slots[slot] = found, aor
        elif aor not in found:
            self._slots[slot] = (*found[-MAX_AT_SLOT + 1 :], aor)

    def _remove(self, slot: int, aor: str) -> str:
        """Take a name out, and return the object that was kept, so that no second one is."""
        found = self._slots[slot]
        if isinstance(found, str):
            if found == aor:
                self._slots[slot] = None
                return found
        elif found is not None and aor in found:
            at = found.index(aor)
            left = found[:at] + found[at + 1 :]
            self._slots[slot] = left if len(left) > 1 else left[0]
            return found[at]
        return aor
