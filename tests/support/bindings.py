"""Bindings for tests of the registrar, made from single fields."""

from dataclasses import replace
from typing import Any

from sip.core.registrar.bindings import Binding, Profile
from sip.transport.flow import Flow

PLAIN_FLOW = Flow("UDP", ("192.0.2.1", 5060), ("198.51.100.7", 40_000))


def plain_binding(contact: str = "sip:bob@192.0.2.7", expires_at: float = 100.0) -> Binding:
    """Return the binding of user 7 whose phone sends no more than it must."""
    return Binding(7, contact, expires_at, "call", 1, "", PLAIN_FLOW, Profile())


def changed(binding: Binding, **fields: Any) -> Binding:
    """Return a copy with other fields, of the binding or of its profile."""
    profile = {name: fields.pop(name) for name in Profile._fields if name in fields}
    return replace(binding, profile=binding.profile._replace(**profile), **fields)
