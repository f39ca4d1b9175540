"""How one copy of a request goes on to one target (RFC 3261 §16.6)."""

from sip.core.registrar import needs_flow
from sip.core.routing import Domains, Target, hops_left, set_out_route
from sip.core.ticket import Tickets
from sip.message.grammar import BadMessage
from sip.message.headers import parse_credentials, parse_name_addr
from sip.message.message import Request
from sip.message.uri import SipUri, parse_uri
from sip.transaction.layer import Layer
from sip.transport.flow import Flow, shows_source
from sip.transport.resolver import NoRoute, is_quick, next_hop


class Forwarder:
    """Makes copies of requests ready for their targets."""

    def __init__(self, layer: Layer, domains: Domains, tickets: Tickets) -> None:
        self.layer = layer
        self.domains = domains
        self.tickets = tickets

    def pass_on(self, request: Request, target: Target, breadth: int) -> None:
        """Pass on an ACK: nothing answers it (§16.11).  Raises NoRoute, OSError or BadMessage."""
        outgoing, hop = self.prepared(request, target, breadth)
        self.layer.send_statelessly(outgoing, self.way(hop))

    def prepared(
        self, request: Request, target: Target, breadth: int
    ) -> tuple[Request, Flow | SipUri]:
        """A copy for one target, ready but for Record-Route and Via, and its way (§16.6, 1-7).

        `breadth` is its share of Max-Breadth.  The way may have to be found.  Raises NoRoute or
        BadMessage.
        """
        outgoing = request.copy()
        outgoing.uri_text = target.uri_text
        outgoing.set("max-forwards", f"Max-Forwards: {hops_left(request) - 1}")
        outgoing.set("max-breadth", f"Max-Breadth: {breadth}")  # RFC 5393 §5.3.3: in each
        if target.path:
            outgoing.set_values("route", "Route", [*target.path, *request.values("route")])
        if "proxy-authorization" in outgoing.names:
            self._take_own_credentials(outgoing)
        uri = set_out_route(outgoing) if "route" in outgoing.names else None
        if target.flow is not None:
            return outgoing, target.flow
        if uri is None:
            uri = parse_uri(target.uri_text)
        if not isinstance(uri, SipUri):
            raise NoRoute(f"{uri.scheme} names no place to send to")
        return outgoing, self.way(uri) if is_quick(uri) else uri

    def way(self, hop: Flow | SipUri) -> Flow:
        """The way to a next hop (§16.6, step 7).  Waits for a name.  Raises NoRoute or OSError."""
        return hop if isinstance(hop, Flow) else self.layer.transports.flow_to(next_hop(hop))

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

    def record_route(
        self,
        request: Request,
        outgoing: Request,
        came_by: Flow,
        target: Target,
        way: Flow,
        *,
        is_trusted: bool,
    ) -> None:
        """Put ourselves into the dialog's route set (§16.6, step 4).

        Between plain phones one value is enough.  Where a side can be reached only along a flow,
        or has not authenticated, each side gets its own, which names that flow; so too where the
        sides know us by different addresses (RFC 5658).
        """
        here, there = self.layer.transports.sent_by(came_by), self.layer.transports.sent_by(way)
        call_id, tag = request.call_id, request.from_.tag
        is_plain = _is_plain(target, way)
        # Who is called but has shown no password gets no ticket that leaves the way free.
        is_free = is_trusted and (is_plain or target.flow is not None)
        caller_flow = None
        if not is_free or self._sender_needs_flow(request, came_by):
            caller_flow = came_by
        callee_flow = None if is_trusted and is_plain else way
        issue = self.tickets.issue
        if caller_flow is not None or callee_flow is not None or here != there:
            values = [
                issue(here, came_by.transport, call_id, tag, caller_flow),
                issue(there, way.transport, call_id, tag, callee_flow),
            ]
        else:
            values = [issue(here, came_by.transport, call_id, tag, None)]
        for value in values:
            outgoing.put_first("record-route", f"Record-Route: {value}")

    def _sender_needs_flow(self, request: Request, flow: Flow) -> bool:
        """Tell whether the sender of a request can be reached only along the flow it came by.

        So it is too where its Contact is an address here, which leads back to us, and where a
        proxy before us has a Route of its own, which is followed along a flow only.
        """
        if "record-route" in request.names:
            return True
        truthful = shows_source(request.via, flow)
        contacts = request.values("contact")
        if not contacts:
            return not truthful
        try:
            uri = parse_name_addr(contacts[0]).uri
        except BadMessage:
            return True  # §16.3, step 1: no matter of ours
        return self.domains.is_us(uri) or (
            isinstance(uri, SipUri) and needs_flow(uri, flow, truthful=truthful)
        )


def _is_plain(target: Target, way: Flow) -> bool:
    """Tell whether a target is a phone that was seen at its Contact.

    A proxy before it has a Route of its own, and whoever else a Contact names has never
    authenticated.
    """
    return target.flow is None and not target.path and target.source == way.remote[0]
