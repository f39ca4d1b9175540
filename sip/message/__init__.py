"""What is said: URIs, header fields and messages as values.  Opens no socket and reads no clock."""
