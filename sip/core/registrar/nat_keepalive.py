"""Keeps the way to phones behind NAT open: a few octets along each flow, now and then.

A NAT forgets a phone from which, and to which, nothing has gone for half a minute or so.
"""

from collections.abc import Iterator

from sip.core.registrar.bindings import Binding, BindingsChanged
from sip.transport.flow import Flow

# So often some of them have their turn: a few datagrams at a time, and no burst.
SECONDS_PER_SLOT = 0.05


class KeepAlive:
    """A wheel of flows: each has its turn once in `seconds`, 0 for never.

    Where a flow stands follows from its address, so they are spread evenly and none is looked for.
    """

    def __init__(self, seconds: float, now: float) -> None:
        self._slots: list[dict[Flow, int]] = [
            {} for _ in range(max(1, round(seconds / SECONDS_PER_SLOT)))
        ]
        self._is_on = seconds > 0
        self._turn = int(now / SECONDS_PER_SLOT)

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def __contains__(self, flow: Flow) -> bool:
        """Tell whether a phone behind NAT is bound by this flow; also while it is never sent on."""
        return flow in self._slot_of(flow)

    def follow(self, change: BindingsChanged) -> None:
        """Add the flows that were bound, and remove those that no longer are."""
        for binding in change.after:
            if _needs_it(binding):
                slot = self._slot_of(binding.flow)
                slot[binding.flow] = slot.get(binding.flow, 0) + 1
        for binding in change.before:
            if _needs_it(binding):
                slot = self._slot_of(binding.flow)
                if slot[binding.flow] > 1:
                    slot[binding.flow] -= 1
                else:
                    del slot[binding.flow]

    def _slot_of(self, flow: Flow) -> dict[Flow, int]:
        return self._slots[hash(flow) % len(self._slots)]

    def due(self, now: float) -> Iterator[Flow]:
        """The flows whose turn has come since this was asked last; none comes twice."""
        until = int(now / SECONDS_PER_SLOT)
        first = max(self._turn, until - len(self._slots))
        self._turn = until
        if not self._is_on:
            return
        for turn in range(first, until):
            yield from tuple(self._slots[turn % len(self._slots)])


def _needs_it(binding: Binding) -> bool:
    """A connection is kept by the system, and by the pings of its phone (RFC 5626 §4.4.1).

    A router may forget it after two hours (RFC 5382 §5), the system probes it after a minute of
    silence and finds out who is gone; and a phone need not know what a ping of a server means.
    """
    return binding.behind_nat and binding.flow.needs_keepalive
