"""An index from Contacts to the addresses-of-record that are bound to them.

A request may name a phone only by its Contact, and the user part of a Contact need not be the user
name: many phones write random characters there, or nothing.  The index is a hash table of fixed
size.  A slot holds the addresses-of-record whose Contacts hash to it, the latest last; the reader
has to compare the Contacts themselves.  So a binding takes 21 bytes of memory at 100,000, and the
table is never rebuilt.
"""

import re

from sip.message.grammar import BadMessage
from sip.message.uri import SipUri, Uri, format_host_port, normal_escapes, parse_uri

# With 100,000 bindings one or two share a slot.  The table takes 8 bytes per slot.
SLOTS = 1 << 16
# Addresses-of-record per slot.  Phones of one model may all be sip:192.168.1.20, each behind a
# router of its own; a request cannot tell which of them is meant, and compares no more of them.
MAX_AT_SLOT = 64

# Most Contacts, up to their parameters, are written in the canonical form already.
_USUAL = re.compile(
    r"sip:(?:[A-Za-z0-9_+.-]++@)?[0-9]++\.[0-9]++\.[0-9]++\.[0-9]++(?::[1-9][0-9]*+)?(?=;|\Z)"
)


def contact_key(uri: Uri) -> str:
    """Return the user, host and port of a Contact in canonical form: equal for equal Contacts."""
    if not isinstance(uri, SipUri):
        return uri.text
    user = "" if uri.user is None else f"{normal_escapes(uri.user)}@"
    return f"{uri.scheme}:{user}{format_host_port(uri.host, uri.port)}"


def key_of_text(contact: str) -> str:
    """Return the `contact_key` of a Contact given as text."""
    if usual := _USUAL.match(contact):
        return usual[0]
    try:
        return contact_key(parse_uri(contact))
    except BadMessage:
        return contact


class ContactIndex:
    """The addresses-of-record, by the Contacts that they are bound to."""

    def __init__(self) -> None:
        # One name or several; most slots have one, and a tuple takes as much memory as the name.
        self._slots: list[str | tuple[str, ...] | None] = [None] * SLOTS

    def at(self, key: str) -> tuple[str, ...]:
        """Return the addresses-of-record that may have a Contact of this key, the latest first."""
        found = self._slots[hash(key) % SLOTS]
        if found is None:
            return ()
        return (found,) if isinstance(found, str) else found[::-1]

    def update(self, aor: str, before: list[str], after: list[str]) -> None:
        """Update the index after a change of the Contacts of an address-of-record."""
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
        """Remove a name, and return the stored string object, so that it is not stored twice."""
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
