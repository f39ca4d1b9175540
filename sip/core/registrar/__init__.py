"""The registrar and its location service (RFC 3261 §10), and phones behind NAT."""
