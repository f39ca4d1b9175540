"""Transport: flows, sockets, addresses and DNS (RFC 3261 §18, RFC 3263)."""
