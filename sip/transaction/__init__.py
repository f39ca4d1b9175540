"""What is repeated and what is waited for: the transactions of RFC 3261 §17 and RFC 6026."""
