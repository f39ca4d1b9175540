"""What messages mean: registrar, proxy, and the rules that both keep (RFC 3261 §10, §16, §22)."""
