"""A SIP registrar and stateful proxy (RFC 3261)."""

__version__ = "0.1.0"
