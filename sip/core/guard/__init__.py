"""Abuse protection: bans, login limits, call limits and overload control."""
