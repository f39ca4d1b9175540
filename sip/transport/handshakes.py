"""Bounds of unfinished TLS handshakes.

Problem: a handshake costs half a millisecond, and a peer that begins many and finishes none would
    take the room of the others.
Model: unfinished handshakes in the order of their begin; over the bound of all the oldest one is
    closed, since an honest peer needs one round trip only.
Invariant: a new peer always gets a place, unless its own address has too many.
Bounds: MAX_HANDSHAKES, MAX_HANDSHAKES_FROM_ADDRESS, HANDSHAKE_SECONDS.
"""

from collections import Counter
from typing import TYPE_CHECKING

from sip.transport.flow import network_of

if TYPE_CHECKING:
    from sip.transport.tcp_connection import Connection

# An accepted connection has to be encrypted within this time.
HANDSHAKE_SECONDS = 10.0
# Unfinished handshakes of all peers, and of one address or /64 of IPv6.
MAX_HANDSHAKES = 200
MAX_HANDSHAKES_FROM_ADDRESS = 16
# During an overload a handshake counts as so many messages of its source: it costs about as much.
HANDSHAKE_MESSAGES = 4


class Handshakes:
    """The accepted connections whose handshake is not finished."""

    def __init__(self) -> None:
        self._begun: dict[Connection, bool] = {}  # in order; True once octets have arrived
        self._per_network: Counter[str] = Counter()

    def has_room(self, host: str) -> bool:
        """Return True if an address may begin one more handshake."""
        return self._per_network[network_of(host)] < MAX_HANDSHAKES_FROM_ADDRESS

    def add(self, connection: "Connection") -> "Connection | None":
        """Add a connection, and return the one that has to be closed for it, if any."""
        oldest = next(iter(self._begun)) if len(self._begun) >= MAX_HANDSHAKES else None
        self._begun[connection] = False
        self._per_network[network_of(connection.flow.remote[0])] += 1
        return oldest

    def begin(self, connection: "Connection") -> bool:
        """Return True if these are the first octets of an unfinished handshake."""
        if self._begun.get(connection, True):
            return False
        self._begun[connection] = True
        return True

    def remove(self, connection: "Connection") -> None:
        """Remove a connection whose handshake is finished, or that is closed."""
        if self._begun.pop(connection, None) is not None:
            network = network_of(connection.flow.remote[0])
            self._per_network[network] -= 1
            if not self._per_network[network]:
                del self._per_network[network]
