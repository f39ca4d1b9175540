"""How one copy of a request goes on to one target (RFC 3261 §16.6)."""

from collections.abc import Sequence
from contextlib import suppress

from sip.core.domains import Domains
from sip.core.proxy.loops import hops_left
from sip.core.proxy.route_processing import postprocess_route
from sip.core.proxy.trunk_table import Trunks
from sip.core.target import Target
from sip.message.grammar import BadMessage
from sip.message.headers import parse_credentials
from sip.message.message import Request
from sip.message.uri import SipUri, parse_uri
from sip.transaction.layer import Layer
from sip.transport.dns.resolver import Hop, NoRoute, Resolver
from sip.transport.flow import Flow

# Who didn't answer, or answered 503, is asked last for so long: else each call to a domain waits
# for the same dead host (RFC 3263 §4.3).
SECONDS_AVOIDED = 60.0
MAX_AVOIDED = 1000
# §18.1.1: what is larger should not go in a datagram, together with what is added to it yet.
MAX_OCTETS_ON_UDP = 1300
OCTETS_OF_OURS = 300

# A flow that is there, or an address to send to.
Way = Flow | Hop


class Forwarder:
    """Makes copies of requests ready for their targets."""

    def __init__(self, layer: Layer, domains: Domains, resolver: Resolver, trunks: Trunks) -> None:
        self.layer = layer
        self.domains = domains
        self.resolver = resolver
        self.trunks = trunks
        self._avoided: dict[Hop, float] = {}  # until when

    def pass_on(self, request: Request, target: Target, breadth: int) -> None:
        """Pass on an ACK: nothing answers it (§16.11).  Raises NoRoute or BadMessage."""
        outgoing, ways = self.prepared(request, target, breadth)
        for way in self.ways_to(target, ways) if isinstance(ways, SipUri) else ways:
            with suppress(OSError):
                self.layer.send_statelessly(outgoing, self.flow_along(way, target))
                return
        raise NoRoute(f"no way leads to {target.uri_text[:80]}")

    def prepared(
        self, request: Request, target: Target, breadth: int
    ) -> tuple[Request, Sequence[Way] | SipUri]:
        """A copy for one target, ready but for Record-Route and Via, and its ways (§16.6, 1-7).

        `breadth` is its share of Max-Breadth.  In place of the ways stands the next hop's URI where
        they have to be found yet: that may wait for names.  Raises NoRoute or BadMessage.
        """
        outgoing = request.copy()
        outgoing.uri_text = target.uri_text
        outgoing.set("max-forwards", f"Max-Forwards: {hops_left(request) - 1}")
        outgoing.set("max-breadth", f"Max-Breadth: {breadth}")  # RFC 5393 §5.3.3: in each
        if target.path:
            outgoing.set_values("route", "Route", [*target.path, *request.values("route")])
        if "proxy-authorization" in outgoing.present:
            self._take_own_credentials(outgoing)
        uri = postprocess_route(outgoing) if "route" in outgoing.present else None
        if target.flow is not None:
            return outgoing, (target.flow,)
        if uri is None:
            uri = parse_uri(target.uri_text)
        if not isinstance(uri, SipUri):
            raise NoRoute(f"{uri.scheme} names no place to send to")
        is_quick = self.resolver.is_quick(uri)
        return outgoing, self.ways_to(target, uri) if is_quick else uri

    def ways(self, uri: SipUri) -> Sequence[Way]:
        """The ways to a next hop, the best first (§16.6, step 7).  Waits for names.

        Those that have failed of late come last.  Raises NoRoute.
        """
        hops = self.resolver.hops(uri)
        return sorted(hops, key=self._is_avoided) if len(hops) > 1 and self._avoided else hops

    def ways_to(self, target: Target, next_hop: SipUri) -> Sequence[Way]:
        """The ways to the next hop of a target, as `ways` finds them.

        Where a name leads nowhere, in a phone's Contact or in the Route of its proxy, the way is
        the flow by which it was seen.  Of the hosts of a name that a side of a dialog has told,
        the one where the side is comes first, and its flow last.  Raises NoRoute.
        """
        try:
            ways = self.ways(next_hop)
        except NoRoute:
            if target.fallback is None:
                raise
            return (target.fallback,)
        if not target.is_from_dialog:
            return ways
        if len(ways) > 1:
            ways = sorted(ways, key=lambda way: _host_of(way) != target.source)
        return ways if target.fallback is None else (*ways, target.fallback)

    def by_size(self, outgoing: Request, ways: Sequence[Way]) -> Sequence[Way]:
        """The ways in the order that suits a request: for a large one connections first (§18.1.1).

        Where that fails, the others follow; those that have failed of late come last.
        """
        if len(ways) == 1 or len(outgoing.encode()) + OCTETS_OF_OURS <= MAX_OCTETS_ON_UDP:
            return ways
        return sorted(ways, key=lambda way: (self._is_avoided(way), way.transport == "UDP"))

    def flow_along(self, way: Way, target: Target) -> Flow:
        """The flow of a way to a target.  Raises NoRoute, and OSError: another is taken first then.

        A gateway is reached as the target of its trunk, and by who has registered from there:
        nobody else's contact leads to where each call may cost money.
        """
        if isinstance(way, Flow):
            return way
        if self.trunks and self.trunks.is_forbidden(way.address, target):
            raise NoRoute("a contact that was registered or told elsewhere leads to a gateway")
        try:
            return self.layer.transports.flow_to(way.address, way.transport)
        except OSError:
            self.avoid(way)
            raise

    def avoid(self, way: Way) -> None:
        """Take another way first for a while, where there is one: this one has failed."""
        if isinstance(way, Hop):
            if len(self._avoided) >= MAX_AVOIDED:
                self._avoided.clear()
            self._avoided[way] = self.layer.clock() + SECONDS_AVOIDED

    def _is_avoided(self, way: Way) -> bool:
        return isinstance(way, Hop) and self._avoided.get(way, 0.0) > self.layer.clock()

    def _take_own_credentials(self, outgoing: Request) -> None:
        """§22.3: what was meant for us ends here, what is for other realms travels on."""
        fields = outgoing.fields("proxy-authorization")
        others = [field for field in fields if not self._is_for_us(field)]
        if len(others) < len(fields):
            outgoing.set_values("proxy-authorization", "Proxy-Authorization", others)

    def _is_for_us(self, credentials: str) -> bool:
        try:
            return self.domains.has_realm(parse_credentials(credentials).params.get("realm", ""))
        except BadMessage:
            return False


def _host_of(way: Way) -> str:
    return way.address[0] if isinstance(way, Hop) else way.remote[0]
