"""The HTTP server of the web admin: limits, TLS, compression and static files."""
