"""Transactions: retransmissions, matching and time-outs (RFC 3261 §17, RFC 6026)."""
