"""NAT keep-alives: a few bytes along each flow to a phone behind NAT, at a fixed interval.

A NAT removes the mapping of a phone after about half a minute without packets.
"""

from collections.abc import Iterator

from sip.core.registrar.bindings import Binding, BindingsChanged
from sip.transport.flow import Flow

# Length of a slot, in seconds: a few datagrams at a time, and no burst.
SECONDS_PER_SLOT = 0.05


class KeepAlive:
    """A timer wheel of flows: each is due once in `seconds`; 0 means never.

    The slot of a flow is computed from its hash, so flows are spread evenly and found at once.
    `connections` counts the phones behind NAT that need none, because they use a connection.
    """

    def __init__(self, seconds: float, now: float) -> None:
        self._slots: list[dict[Flow, int]] = [
            {} for _ in range(max(1, round(seconds / SECONDS_PER_SLOT)))
        ]
        self._is_on = seconds > 0
        self._turn = int(now / SECONDS_PER_SLOT)
        self.connections = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def __contains__(self, flow: Flow) -> bool:
        """Return True if a phone behind NAT is bound by this flow, even if keep-alives are off."""
        return flow in self._slot_of(flow)

    def update(self, change: BindingsChanged) -> None:
        """Add the flows that were bound, and remove those that no longer are."""
        for binding in change.after:
            if _needs_keepalive(binding):
                slot = self._slot_of(binding.flow)
                slot[binding.flow] = slot.get(binding.flow, 0) + 1
            elif binding.profile.behind_nat:
                self.connections += 1
        for binding in change.before:
            if _needs_keepalive(binding):
                slot = self._slot_of(binding.flow)
                if slot[binding.flow] > 1:
                    slot[binding.flow] -= 1
                else:
                    del slot[binding.flow]
            elif binding.profile.behind_nat:
                self.connections -= 1

    def _slot_of(self, flow: Flow) -> dict[Flow, int]:
        return self._slots[hash(flow) % len(self._slots)]

    def due(self, now: float) -> Iterator[Flow]:
        """Yield the flows that are due since the last call; each one once."""
        until = int(now / SECONDS_PER_SLOT)
        first = max(self._turn, until - len(self._slots))
        self._turn = until
        if not self._is_on:
            return
        for turn in range(first, until):
            yield from tuple(self._slots[turn % len(self._slots)])


def _needs_keepalive(binding: Binding) -> bool:
    """Return True for a binding behind NAT by UDP.

    A connection is kept open by the operating system, and by the pings of its phone
    (RFC 5626 §4.4.1).  A router may drop it after two hours (RFC 5382 §5); the system probes it
    after a minute of silence and closes it if the peer is gone.  A phone need not understand a
    ping of a server.
    """
    return binding.profile.behind_nat and binding.flow.needs_keepalive
