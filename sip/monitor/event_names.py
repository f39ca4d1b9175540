"""The names of events, for settings and for other programs; `event_json.py` has their fields."""

EVENT_NAMES = (
    "registered",
    "unregistered",
    "refused",
    "call.started",
    "call.ringing",
    "call.answered",
    "call.ended",
    "banned",
    "unbanned",
    "overload",
)
