"""How a request goes on and its answers come back (RFC 3261 §16.6, §16.7, §16.10)."""

import logging

from sip.core.refusal import Refused, printable
from sip.core.registrar import needs_flow
from sip.core.response_context import Answered, ResponseContext
from sip.core.routing import (
    Domains,
    Target,
    hops_left,
    set_out_route,
    with_share_of_breadth,
)
from sip.core.ticket import Tickets
from sip.message.grammar import BadMessage
from sip.message.headers import parse_credentials, parse_name_addr
from sip.message.message import Request
from sip.message.uri import SipUri, parse_uri
from sip.transaction.layer import Arrival, Branch, Layer, Upstream
from sip.transport.flow import Flow, shows_source
from sip.transport.resolver import NoRoute, next_hop

log = logging.getLogger("sip.proxy")


class Forwarder:
    """Sends requests to their targets, and the best answer back."""

    def __init__(self, layer: Layer, domains: Domains, tickets: Tickets) -> None:
        self.layer = layer
        self.domains = domains
        self.tickets = tickets

    def forward(
        self,
        request: Request,
        upstream: Upstream,
        groups: list[list[Target]],
        *,
        record_routes: bool = False,
        is_trusted: bool = True,
    ) -> None:
        """Send a request to its targets, group after group, and answer upstream.

        Blocks until a 2xx has come or all branches are over, which they will be: for silence the
        layer brings a 408, for a next hop out of reach a 503.  `is_trusted` says
        that its sender has authenticated.
        """
        if request.method == "INVITE":
            upstream.answer(100)
        context: ResponseContext[Branch] = ResponseContext()
        for group in groups:
            shared = with_share_of_breadth(request, len(group))
            for target in group:
                self._send(shared, upstream, context, target, record_routes, is_trusted)
            while context.pending:
                if self._is_answered(upstream, context, upstream.arrivals.get()):
                    return
            if context.is_decided:
                break
        self._answer_best(request, upstream, context)

    def _is_answered(
        self, upstream: Upstream, context: ResponseContext[Branch], arrival: Arrival
    ) -> bool:
        """Carry out what the context decides on an arrival.  True: a 2xx has gone upstream."""
        if arrival.branch is None:
            for branch in context.cancel():
                branch.cancel()
            return False
        relay, losers = context.receive(arrival.branch, arrival.status, arrival.response)
        if relay and arrival.response is not None:
            arrival.response.drop_top_via()
            upstream.respond(arrival.response)
        for branch in losers:
            branch.cancel()
        return relay

    def _send(
        self,
        request: Request,
        upstream: Upstream,
        context: ResponseContext[Branch],
        target: Target,
        record_routes: bool,
        is_trusted: bool,
    ) -> None:
        try:
            outgoing, way = self._prepared(request, target)
        except (NoRoute, OSError, BadMessage) as error:
            log.info("cannot reach %s", printable(f"{target.uri_text[:80]}: {error}"))
            context.answers.append(Answered(503, None))
            return
        if record_routes:
            # Only a phone that was seen at its Contact is plain.  A proxy before it has a Route of
            # its own, and whoever else a Contact names has never authenticated.
            is_plain = (
                is_trusted
                and target.flow is None
                and not target.path
                and target.source == way.remote[0]
            )
            needs_way = None if is_plain else way
            self._record_route(request, outgoing, upstream.flow, way, needs_way, is_trusted)
        context.add(self.layer.send_request(outgoing, way, upstream))

    def pass_on(self, request: Request, target: Target) -> None:
        """Pass on an ACK: nothing answers it (§16.11).  Raises NoRoute, OSError or BadMessage."""
        outgoing, way = self._prepared(request, target)
        self.layer.send_statelessly(outgoing, way)

    def _prepared(self, request: Request, target: Target) -> tuple[Request, Flow]:
        """A copy for one target, ready but for Record-Route and Via, and its way (§16.6, 1-7).

        Raises NoRoute, OSError or BadMessage.  May wait for a name to be resolved.
        """
        outgoing = request.copy()
        outgoing.uri_text = target.uri_text
        outgoing.set("max-forwards", f"Max-Forwards: {hops_left(request) - 1}")
        if target.path:
            outgoing.set_values("route", "Route", [*target.path, *request.values("route")])
        if "proxy-authorization" in outgoing.names:
            self._take_own_credentials(outgoing)
        if target.flow is not None:
            return outgoing, target.flow
        uri = set_out_route(outgoing) if "route" in outgoing.names else parse_uri(target.uri_text)
        if not isinstance(uri, SipUri):
            raise NoRoute(f"{uri.scheme} names no place to send to")
        return outgoing, self.layer.transports.flow_to(next_hop(uri))

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

    def _record_route(
        self,
        request: Request,
        outgoing: Request,
        came_by: Flow,
        way: Flow,
        callee_flow: Flow | None,
        is_trusted: bool,
    ) -> None:
        """Put ourselves into the dialog's route set (§16.6, step 4).

        Between plain phones one value is enough.  Where a side can be reached only along a flow,
        or has not authenticated, each side gets its own, which names that flow; so too where the
        sides know us by different addresses (RFC 5658).
        """
        here, there = self.layer.transports.sent_by(came_by), self.layer.transports.sent_by(way)
        call_id, tag = request.call_id, request.from_.tag
        needs_flow = not is_trusted or self._sender_needs_flow(request, came_by)
        caller_flow = came_by if needs_flow else None
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
        uri = parse_name_addr(contacts[0]).uri
        return self.domains.is_us(uri) or (
            isinstance(uri, SipUri) and needs_flow(uri, flow, truthful=truthful)
        )

    def _answer_best(
        self, request: Request, upstream: Upstream, context: ResponseContext[Branch]
    ) -> None:
        """Send the best of the failures upstream (§16.7, steps 6 and 7)."""
        best = context.best()
        if best.response is None:
            self._answer_for_silence(request, upstream, context, best.status)
            return
        response = best.response
        response.drop_top_via()
        if best.status in (401, 407):
            challenges = context.all_challenges()
            for name in ("www-authenticate", "proxy-authenticate"):
                response.remove(name)
            for title, value in reversed(challenges):
                response.put_first(title.lower(), f"{title}: {value}")
        if best.status == 503:
            # §16.7, step 6: upstream it would mean that this server is overloaded.
            raise Refused(500, "the next hop is unavailable", reason="Next Hop Unavailable")
        upstream.respond(response)

    def _answer_for_silence(
        self, request: Request, upstream: Upstream, context: ResponseContext[Branch], status: int
    ) -> None:
        """Nobody answered: say so, but for what RFC 4320 §4.2 wants unsaid."""
        if context.is_cancelled:
            upstream.answer(487)
        elif status != 408:
            raise Refused(500, "no contact could be reached", reason="Next Hop Unreachable")
        elif request.method == "INVITE":
            upstream.answer(408)
        else:
            upstream.forget()
