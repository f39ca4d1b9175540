"""SIP logic: registrar, proxy, authentication and abuse protection (RFC 3261 §10, §16, §22)."""
