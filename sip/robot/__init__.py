"""The robot: a user agent of this process behind its proxy, for calls that try a phone out."""
