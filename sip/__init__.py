"""A SIP registrar and stateful proxy (RFC 3261)."""
