"""Contacts of accounts as the pages show them."""

import hashlib
from dataclasses import dataclass
from typing import Any

CONTACT_COLUMNS = """
    user_id, CAST(aor AS BLOB), CAST(contact AS BLOB), CAST(user_agent AS BLOB),
    CAST(flow AS BLOB), CAST(path AS BLOB), q, expires_at, bindings.updated_at,
    CAST(instance AS BLOB)
"""


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact of an account.

    `contact` is the URI as received, with surrogates for octets that are not UTF-8; together with
    `aor` and `flow` it identifies the contact for Location.remove_contact.  `key` identifies it in
    ASCII.  All other texts are printable.  `address` is the source of the REGISTER, with its port.
    `instance` is the instance id of the phone, "" without one; `reg_id` is the number of its flow
    if it uses Outbound, else 0 (RFC 5626).
    """

    aor: str
    contact: str
    flow: str
    key: str
    shown: str
    user_agent: str
    transport: str
    address: str
    behind_nat: bool
    path: str
    q: float
    expires_at: int
    updated_at: int
    instance: str
    reg_id: int

    @property
    def host(self) -> str:
        """The IP address of the source."""
        return self.address.rpartition(":")[0].removeprefix("[").removesuffix("]")


def contact_of(row: tuple[Any, ...]) -> Contact:
    """Return the contact of a row with the columns CONTACT_COLUMNS."""
    _, aor, contact, user_agent, flow, path, q, expires_at, updated_at, instance = row
    path_text, *marks = _printable(flow).split(";")
    reg_id = next((mark[3:] for mark in marks if mark.startswith("ob=")), "")
    transport, _, address, *_ = [*path_text.split("/"), "", ""]
    return Contact(
        aor=aor.decode("utf-8", "surrogateescape"),
        contact=contact.decode("utf-8", "surrogateescape"),
        flow=flow.decode("utf-8", "surrogateescape"),
        key=_key(contact, address, reg_id),
        shown=_printable(contact),
        user_agent=_printable(user_agent),
        transport=transport,
        address=address,
        behind_nat="nat" in marks,
        path=_printable(path),
        q=q,
        expires_at=expires_at,
        updated_at=updated_at,
        instance=_printable(instance),
        reg_id=int(reg_id) if reg_id.isdecimal() else 0,
    )


def _key(contact: bytes, address: str, reg_id: str) -> str:
    """Return an id of a contact, or of a flow, for pages; it does not depend on the source port."""
    host, _, _ = address.rpartition(":")
    place = f"{host}\n{reg_id}" if reg_id else host
    return hashlib.sha256(contact + b"\n" + place.encode()).hexdigest()[:16]


def _printable(octets: bytes) -> str:
    """Decode octets from a peer to printable text, with U+FFFD for everything else."""
    text = octets.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
