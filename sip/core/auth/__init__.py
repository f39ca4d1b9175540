"""Digest authentication: our challenges, and our answers to those of a gateway (RFC 3261 §22)."""
