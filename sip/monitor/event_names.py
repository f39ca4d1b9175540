"""The names of events, for settings and for other programs.

Their fields are in sip/serializers/events.py.
"""

from typing import Literal, TypeAlias, get_args

EventName: TypeAlias = Literal[
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
]
EVENT_NAMES: tuple[EventName, ...] = get_args(EventName)
