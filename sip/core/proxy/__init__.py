"""The stateful proxy (RFC 3261 §16): targets, forwarding, forking, responses and dialogs."""
