"""Users whose last phone was lost: its registration expired, or its connection closed.

The table is in memory only, and holds MAX_LOST users; the oldest is removed for a new one.
"""

from collections import OrderedDict
from typing import NamedTuple

from sip.monitor.events import (
    UNREGISTERED_BY_CLOSE,
    UNREGISTERED_BY_TIME,
    Address,
    Bus,
    Registered,
    Unregistered,
)

# Users in the table, some 300 bytes each.
MAX_LOST = 200

_WITHOUT_A_WORD = (UNREGISTERED_BY_TIME, UNREGISTERED_BY_CLOSE)


class LostPhone(NamedTuple):
    """The last phone of a user that was lost; `at` is in Unix seconds.

    `reason` is UNREGISTERED_BY_TIME or UNREGISTERED_BY_CLOSE.  The user may have another phone.
    """

    at: float
    user_id: int
    username: str
    realm: str
    device: str
    address: Address
    reason: str


class LostPhones:
    """The lost phones of users that have registered none since, by the events on `bus`."""

    def __init__(self, bus: Bus) -> None:
        self._lost: OrderedDict[int, LostPhone] = OrderedDict()
        bus.listen(Registered, self._on_registered)
        bus.listen(Unregistered, self._on_unregistered)

    def latest(self) -> list[LostPhone]:
        """Return the lost phones, the latest first."""
        return list(reversed(self._lost.values()))

    def _on_registered(self, event: Registered) -> None:
        if self._lost:
            self._lost.pop(event.user_id, None)

    def _on_unregistered(self, event: Unregistered) -> None:
        self._lost.pop(event.user_id, None)
        if event.reason not in _WITHOUT_A_WORD:
            return
        self._lost[event.user_id] = LostPhone(
            event.at,
            event.user_id,
            event.username,
            event.realm,
            event.device,
            event.address,
            event.reason,
        )
        if len(self._lost) > MAX_LOST:
            self._lost.popitem(last=False)
