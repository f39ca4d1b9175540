"""The trunk table: which trunk takes a number, and which addresses belong to gateways."""

import logging
from collections.abc import Sequence

from sip.core.target import Target
from sip.core.trunk import Trunk
from sip.phone_numbers import number_of
from sip.transport.dns.resolver import NoRoute, Resolver
from sip.transport.flow import Endpoint, Flow

log = logging.getLogger(__name__)


class Trunks:
    """The trunks of the settings, and the present addresses of their gateways."""

    def __init__(self, trunks: Sequence[Trunk], resolver: Resolver) -> None:
        self._resolver = resolver
        self._addresses: dict[Trunk, frozenset[Endpoint]] = {}
        self.set(trunks)

    def set(self, trunks: Sequence[Trunk]) -> None:
        """Replace the trunks; an address that no longer belongs to a gateway loses its access."""
        self._trunks = sorted(trunks, key=lambda trunk: trunk.specificity, reverse=True)
        known = self._addresses
        self._addresses = {trunk: known[trunk] for trunk in self._trunks if trunk in known}
        self._update_hosts()

    def __bool__(self) -> bool:
        return bool(self._trunks)

    def refresh(self) -> None:
        """Resolve the addresses of all gateways.  May wait for DNS.

        If a DNS answer is missing, a gateway keeps its known addresses: requests from them are let
        in without a password, and one lost answer is no reason to change that.
        """
        for trunk in tuple(self._trunks):
            try:
                addresses, is_complete = self._resolver.endpoints(trunk.gateway)
            except NoRoute as error:
                log.warning("trunk %s: cannot resolve the gateway: %s", trunk, error)
                continue
            if trunk not in self._trunks:
                continue  # a reload has removed this trunk meanwhile
            if is_complete or trunk not in self._addresses:
                self._addresses[trunk] = addresses
            else:
                log.info("trunk %s: incomplete DNS answer, keeping known addresses", trunk)
        self._update_hosts()

    def _update_hosts(self) -> None:
        self._hosts = frozenset(host for known in self._addresses.values() for host, _ in known)

    def is_gateway(self, source: Endpoint) -> bool:
        """Return True if a request comes from the host of a gateway, from any port."""
        return source[0] in self._hosts

    def is_gateway_endpoint(self, address: Endpoint) -> bool:
        """Return True if this address and port belong to a gateway."""
        return any(address in addresses for addresses in self._addresses.values())

    def is_forbidden(self, address: Endpoint, target: Target) -> bool:
        """Return True if `address` belongs to a gateway that a target may not reach.

        Only the target of its trunk, and a phone that has registered from the gateway's host, may
        lead to a gateway: each call there may cost money.  An address that a side of a dialog has
        named may lead to no port of a gateway's host, unless the side is on that host.
        """
        host = address[0]
        is_elsewhere = target.source not in ("", host)
        if target.is_from_dialog and is_elsewhere:
            there = [trunk for trunk, known in self._addresses.items() if host in dict(known)]
        elif target.is_from_dialog or is_elsewhere:
            there = [trunk for trunk, known in self._addresses.items() if address in known]
        else:
            return False
        return bool(there) and target.trunk not in there

    def target_for(self, username: str) -> Target | None:
        """Return the target of a call to a number; None if it is no number or no trunk takes it."""
        number = number_of(username)
        trunk = self._matching(number, self._trunks) if number else None
        return Target(trunk.request_uri(number), trunk=trunk) if trunk else None

    def trunk_at(self, flow: Flow, username: str) -> Trunk | None:
        """Return the trunk whose gateway a flow leads to, None if there is none.

        Among several, a trunk that takes the peer's number comes first.
        """
        ends = {flow.remote, (flow.remote[0], flow.port)}
        there = [trunk for trunk in self._trunks if ends & self._addresses.get(trunk, frozenset())]
        return self._matching(number_of(username), there) or next(iter(there), None)

    @staticmethod
    def _matching(number: str, trunks: Sequence[Trunk]) -> Trunk | None:
        return next((trunk for trunk in trunks if trunk.matches(number)), None)
