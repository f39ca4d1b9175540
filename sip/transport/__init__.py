"""How messages travel: flows, sockets and addresses (RFC 3261 §18)."""
