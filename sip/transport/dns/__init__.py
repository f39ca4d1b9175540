"""Finding the next hop: RFC 3263 over DNS, the hosts file and a cache of answers."""
