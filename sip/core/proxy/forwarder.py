"""Request forwarding: the copy for one target, and its next hops (RFC 3261 §16.6, RFC 3263)."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from sip.core.domains import Domains
from sip.core.proxy.loops import hops_left
from sip.core.proxy.route_processing import postprocess_route
from sip.core.proxy.trunk_table import Trunks
from sip.core.target import Target, is_sips
from sip.message.grammar import BadMessage
from sip.message.headers import parse_credentials
from sip.message.message import Request
from sip.message.uri import SipUri, parse_uri
from sip.transaction.layer import Layer
from sip.transport.dns.resolver import Hop, NoRoute, Resolver
from sip.transport.flow import Flow

# A host that was silent or answered 503 is tried last for this time: otherwise each call to a
# domain would wait for the same dead host (RFC 3263 §4.3).
SECONDS_AVOIDED = 60.0
MAX_AVOIDED = 1000
# §18.1.1: a larger request should not go in a datagram.  Our Via and Record-Route, which are added
# later, count as OCTETS_OF_OURS.
MAX_OCTETS_ON_UDP = 1300
OCTETS_OF_OURS = 300

# An existing flow, or an address to open a flow to.
NextHop = Flow | Hop


class Forwarder:
    """Prepares copies of requests for their targets, and chooses their next hops."""

    def __init__(self, layer: Layer, domains: Domains, resolver: Resolver, trunks: Trunks) -> None:
        self.layer = layer
        self.domains = domains
        self.resolver = resolver
        self.trunks = trunks
        self._avoided: dict[Hop, float] = {}  # by hop: avoided until, in seconds of the clock

    def forward_statelessly(self, request: Request, target: Target, breadth: int) -> None:
        """Forward an ACK, which has no response (§16.11).  The request itself is edited and sent.

        Raises NoRoute or BadMessage.
        """
        hops = self.prepare(request, target, breadth)
        for hop in self.next_hops_to(target, hops) if isinstance(hops, SipUri) else hops:
            with suppress(OSError):
                self.layer.send_statelessly(request, self.flow_to(hop, target))
                return
        raise NoRoute(f"no next hop reachable for {target.uri_text[:80]}")

    def prepare(
        self, outgoing: Request, target: Target, breadth: int
    ) -> Sequence[NextHop] | SipUri:
        """Prepare a request for one target, and return its next hops (§16.6, steps 2 to 7).

        It then lacks only our Record-Route and Via.  `breadth` is its part of Max-Breadth.  If the
        next hop has yet to be resolved, which may wait for DNS, its URI is returned instead of the
        next hops.  Raises NoRoute or BadMessage.
        """
        outgoing.uri_text = target.uri_text
        outgoing.set("max-forwards", f"Max-Forwards: {hops_left(outgoing) - 1}")
        outgoing.set("max-breadth", f"Max-Breadth: {breadth}")  # RFC 5393 §5.3.3: in each
        if target.path:
            outgoing.set_values("route", "Route", [*target.path, *outgoing.values("route")])
        if "proxy-authorization" in outgoing.present:
            self._remove_own_credentials(outgoing)
        uri = postprocess_route(outgoing) if "route" in outgoing.present else None
        if target.flow is not None:
            return (target.flow,)
        if uri is None:
            uri = parse_uri(target.uri_text)
        if not isinstance(uri, SipUri):
            raise NoRoute(f"cannot route a {uri.scheme} URI")
        if uri.scheme == "sip" and is_sips(target.uri_text):
            # §16.6, step 7: TLS, whatever the Route says.
            uri = replace(uri, scheme="sips", text=f"sips:{uri.text[4:]}")
        return self.next_hops_to(target, uri) if self.resolver.is_resolved(uri) else uri

    def next_hops(self, uri: SipUri) -> Sequence[NextHop]:
        """Return the next hops of a URI, the best first (§16.6, step 7).  May wait for DNS.

        Hops that have failed recently come last.  Raises NoRoute.
        """
        hops = self.resolver.hops(uri)
        return sorted(hops, key=self._is_avoided) if len(hops) > 1 and self._avoided else hops

    def next_hops_to(self, target: Target, uri: SipUri) -> Sequence[NextHop]:
        """Return the next hops of a target, whose next hop is `uri`.  May wait for DNS.

        If a name cannot be resolved, in the Contact of a phone or in the Route of its proxy, the
        only next hop is the flow at which the phone was seen.  If a side of a dialog has named the
        target, the host of that side comes first, and its flow last.  Raises NoRoute.
        """
        try:
            hops = self.next_hops(uri)
        except NoRoute:
            if target.fallback is None:
                raise
            return (target.fallback,)
        if not target.is_from_dialog:
            return hops
        if len(hops) > 1:
            hops = sorted(hops, key=lambda hop: _host_of(hop) != target.source)
        return hops if target.fallback is None else (*hops, target.fallback)

    def order_by_size(self, outgoing: Request, hops: Sequence[NextHop]) -> Sequence[NextHop]:
        """Return the next hops with connections first if the request is large (§18.1.1).

        The datagram hops follow, for when no connection can be opened; hops that have failed
        recently come last.
        """
        if len(hops) == 1 or len(outgoing.encode()) + OCTETS_OF_OURS <= MAX_OCTETS_ON_UDP:
            return hops
        return sorted(hops, key=lambda hop: (self._is_avoided(hop), not hop.is_reliable))

    def flow_to(self, hop: NextHop, target: Target) -> Flow:
        """Return the flow to a next hop of a target.

        Raises NoRoute if the target may not reach this hop, as `Trunks.is_forbidden` says, or if it
        is a sips: URI and the hop has no TLS (RFC 5630 §5.3); and OSError if no connection can be
        opened: then the hop is avoided for a while.
        """
        if target.uri_text[3:4] != ":" and is_sips(target.uri_text) and not hop.is_secure:
            raise NoRoute("a request to a sips: URI goes over TLS only")
        if isinstance(hop, Flow):
            return hop
        if self.trunks and self.trunks.is_forbidden(hop.address, target):
            raise NoRoute("only a trunk or the gateway's own contact may lead to a gateway")
        try:
            return self.layer.transports.flow_to(hop.address, hop.transport, hop.name)
        except OSError:
            self.avoid(hop)
            raise

    def avoid(self, hop: NextHop) -> None:
        """Try other hops before this one for SECONDS_AVOIDED, because it has failed."""
        if isinstance(hop, Hop):
            if len(self._avoided) >= MAX_AVOIDED:
                self._avoided.clear()
            self._avoided[hop] = self.layer.clock() + SECONDS_AVOIDED

    def _is_avoided(self, hop: NextHop) -> bool:
        return isinstance(hop, Hop) and self._avoided.get(hop, 0.0) > self.layer.clock()

    def _remove_own_credentials(self, outgoing: Request) -> None:
        """Remove the credentials for this server; those for other realms stay (§22.3)."""
        fields = outgoing.fields("proxy-authorization")
        others = [field for field in fields if not self._is_for_us(field)]
        if len(others) < len(fields):
            outgoing.set_values("proxy-authorization", "Proxy-Authorization", others)

    def _is_for_us(self, credentials: str) -> bool:
        try:
            return self.domains.has_realm(parse_credentials(credentials).params.get("realm", ""))
        except BadMessage:
            return False


def _host_of(hop: NextHop) -> str:
    return hop.address[0] if isinstance(hop, Hop) else hop.remote[0]
