"""Next hops of URIs: RFC 3263 with DNS, the hosts file and a cache of answers."""
