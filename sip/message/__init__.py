"""SIP messages: URIs, header fields and messages as values.  No sockets, and no clock."""
