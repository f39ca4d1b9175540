"""All trunks: which one takes a number, and whose addresses are those of a gateway."""

import logging
from collections.abc import Sequence

from sip.core.target import Target
from sip.core.trunk import Trunk
from sip.phone_numbers import number_of
from sip.transport.dns.resolver import NoRoute, Resolver
from sip.transport.flow import Endpoint, Flow

log = logging.getLogger(__name__)


class Trunks:
    """The trunks of the settings, and the addresses that their gateways have now."""

    def __init__(self, trunks: Sequence[Trunk], resolver: Resolver) -> None:
        self._resolver = resolver
        self._places: dict[Trunk, frozenset[Endpoint]] = {}
        self.set(trunks)

    def set(self, trunks: Sequence[Trunk]) -> None:
        """Let these be the trunks; who is a gateway no more is let in no more."""
        self._trunks = sorted(trunks, key=lambda trunk: trunk.exactness, reverse=True)
        known = self._places
        self._places = {trunk: known[trunk] for trunk in self._trunks if trunk in known}
        self._note_hosts()

    def __bool__(self) -> bool:
        return bool(self._trunks)

    def refresh(self) -> None:
        """Learn the addresses of all gateways; waits for names.

        One that is found in part or not at all, for want of an answer, keeps those it had: who has
        an address of a gateway is let in, and a lost answer is no reason to change that.
        """
        for trunk in tuple(self._trunks):
            try:
                places, is_complete = self._resolver.endpoints(trunk.gateway)
            except NoRoute as error:
                log.warning("the gateway of the trunk %s cannot be found: %s", trunk, error)
                continue
            if trunk not in self._trunks:
                continue  # taken out of the settings meanwhile
            if is_complete or trunk not in self._places:
                self._places[trunk] = places
            else:
                log.info("the gateway of the trunk %s stays as it was: an answer is missing", trunk)
        self._note_hosts()

    def _note_hosts(self) -> None:
        self._hosts = frozenset(host for places in self._places.values() for host, _ in places)

    def is_gateway(self, source: Endpoint) -> bool:
        """Tell whether a request comes from the address of a gateway, from whichever port."""
        return source[0] in self._hosts

    def is_place(self, address: Endpoint) -> bool:
        """Tell whether a gateway is at an address and port."""
        return any(address in places for places in self._places.values())

    def is_shut(self, address: Endpoint, target: Target) -> bool:
        """Return True for a place of gateways that a target may not lead to.

        A gateway is reached as the target of its trunk, and by a phone that has registered from
        there: no other Contact leads to where each call may cost money.  What a side of a dialog
        has named leads to no port of a gateway's host either, unless the side is on that host.
        """
        host = address[0]
        is_elsewhere = target.source not in ("", host)
        if target.is_told and is_elsewhere:
            there = [trunk for trunk, places in self._places.items() if host in dict(places)]
        elif target.is_told or is_elsewhere:
            there = [trunk for trunk, places in self._places.items() if address in places]
        else:
            return False
        return bool(there) and target.trunk not in there

    def target(self, username: str) -> Target | None:
        """Where a call to a number goes; None where it is none, or no trunk takes it."""
        number = number_of(username)
        trunk = self._taking(number, self._trunks) if number else None
        return Target(trunk.uri_of(number), trunk=trunk) if trunk else None

    def at(self, flow: Flow, username: str) -> Trunk | None:
        """The trunk whose gateway a flow leads to; best the one that takes the peer's number."""
        ends = {flow.remote, (flow.remote[0], flow.port)}
        there = [trunk for trunk in self._trunks if ends & self._places.get(trunk, frozenset())]
        return self._taking(number_of(username), there) or next(iter(there), None)

    @staticmethod
    def _taking(number: str, trunks: Sequence[Trunk]) -> Trunk | None:
        return next((trunk for trunk in trunks if trunk.takes(number)), None)
