"""A call as hooks get it, from single fields."""

from datetime import datetime

from sip.hooks.values import RoutedCall


def routed(**changes) -> RoutedCall:
    values = {
        "caller": "alice",
        "from_uri": "sip:alice@example.com",
        "from_user": "alice",
        "from_name": "Alice",
        "to": "100",
        "to_uri": "sip:100@example.com",
        "address": "192.0.2.7",
        "device": "Desk 1",
        "call_id": "one",
        "at": datetime(2026, 3, 2, 12, 0),
    }
    return RoutedCall(**(values | changes))
