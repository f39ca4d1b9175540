"""The names of events, for settings and for other programs.

Their fields are in sip/serializers/events.py.
"""

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
