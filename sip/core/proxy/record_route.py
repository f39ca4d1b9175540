"""Our Record-Route: which side gets which ticket when a dialog begins (RFC 3261 §16.6, §16.7).

A ticket leads to where a side can be reached when its request passes: along a flow, or to its
address.  The callee tells where it is by its answer only, in its Contact and in the Record-Route of
the proxies behind us; so that is signed into our value on the way back (§16.7, step 8).
"""

import re
from collections.abc import Callable

from sip.core.domains import Domains
from sip.core.proxy.remote_targets import AnsweredCall, RemoteTargets
from sip.core.proxy.route_ticket import DialogSide, Tickets, contact_place, with_answer
from sip.core.registrar.nat import is_hidden, is_on_connection_of, lasting_flow, way_back
from sip.core.target import Phone, Target, address_key, as_request_uri
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr
from sip.message.message import Request, Response
from sip.message.uri import SipUri, Uri, is_address, parse_uri
from sip.transport.dns.resolver import (
    Resolver,
)
from sip.transport.flow import DEFAULT_PORT, Flow, reply_flow, shows_source

# Places that the answers to one branch may tell, each of an early dialog of its own (§12.1).
MAX_PLACES_OF_BRANCH = 20
# A Contact of a user at a host and port, and nothing else.
_USUAL_CONTACT = re.compile(r"Contact: <(sip:[A-Za-z0-9._+-]++@([A-Za-z0-9.:-]++))>")


class RecordRoutes:
    """Puts this server into the route sets of dialogs.

    `sent_by` gives the host and port that peers on a flow know us by; `is_bound` tells whether a
    flow is that of a phone behind NAT that is registered here.
    """

    def __init__(
        self,
        tickets: Tickets,
        domains: Domains,
        resolver: Resolver,
        sent_by: Callable[[Flow], str],
        is_bound: Callable[[Flow], bool],
        remote_targets: RemoteTargets,
    ) -> None:
        self.tickets = tickets
        self.domains = domains
        self.resolver = resolver
        self.sent_by = sent_by
        self.is_bound = is_bound
        self.remote_targets = remote_targets

    def add(
        self,
        request: Request,
        outgoing: Request,
        came_by: Flow,
        target: Target,
        way: Flow,
        caller: Phone | None,
    ) -> "DialogStart":
        """Put ourselves into the dialog's route set (§16.6, step 4).

        Between two phones that were seen at their Contacts one value is enough.  Where a side can
        be reached only along a flow, is called by a name or has not authenticated, each side gets
        a value of its own; so too where the sides know us by different addresses (RFC 5658).
        `caller` is the user who has authenticated, None for a stranger.
        """
        sent_by, call_id = self.sent_by, request.call_id
        here, there = (sent_by(came_by), came_by.transport), (sent_by(way), way.transport)
        is_plain = _is_plain(target, way)
        callee = target.phone if is_plain or _is_phones_own(target, way) else None
        # Without a password on both sides the caller is reached along its flow alone.
        are_users = caller is not None and (is_plain or target.flow is not None)
        to_caller = self._caller_side(request, came_by, are_users=are_users)
        if caller is not None and is_plain:
            to_callee = _at_its_place(parse_uri(target.uri_text), way)
        else:
            to_callee = self._side_along(way)
        if caller is not None:
            to_caller.user = self.tickets.phone_mark(caller)
        if callee is not None:
            to_callee.user = self.tickets.phone_mark(callee)
        tag, issue = request.from_.tag, self.tickets.issue
        if to_caller.flow is None and to_callee.flow is None and here == there:
            value = issue(*here, call_id, tag, to_caller, to_callee)
        else:
            value = issue(*here, call_id, tag, to_caller)
            outgoing.put_first("record-route", f"Record-Route: {value}")
            value = issue(*there, call_id, tag, to_callee, is_callee=True)
        outgoing.put_first("record-route", f"Record-Route: {value}")
        return DialogStart(self, request, came_by.remote[0], target, way, value, to_callee)

    def _side_along(self, flow: Flow) -> DialogSide:
        return DialogSide(flow, flow.remote, is_bound=self.is_bound(flow))

    def _caller_side(self, request: Request, came_by: Flow, *, are_users: bool) -> DialogSide:
        """How the sender of a request is reached: at its Contact, or along its flow.

        Along its flow:
        - on a connection;
        - behind NAT, and if its Contact leads back to this server or nowhere;
        - behind a proxy that records its Route;
        - unless both sides are users here.
        """
        is_connected, is_recorded = came_by.connection > 0, "record-route" in request.present
        via = request.via
        truthful = shows_source(via, came_by)
        uri = first_uri(request, "record-route" if is_recorded else "contact")
        if is_connected:
            flow = lasting_flow(uri, came_by, truthful=truthful, via=via)
            return self._side_along(flow)
        if is_recorded or not are_users:
            # Without rport a truthful Via names the port that the sender listens on (§18.2.2).
            return self._side_along(reply_flow(via, came_by) if truthful else came_by)
        if uri is None:
            return _at_its_place(None, came_by) if truthful else self._side_along(came_by)
        way = way_back(uri, came_by, self.domains, self.resolver, truthful=truthful, is_plain=False)
        return _at_its_place(uri, came_by) if way is None else self._side_along(came_by)

    def answer_place(self, uri: Uri, start: "DialogStart", *, is_routed: bool) -> str:
        """The place that a callee has named in its answer; "" where the ticket leads there already.

        `uri` is its Contact, or with `is_routed` the nearest Route that it has recorded.
        """
        target, way = start.target, start.way
        is_ours = start.callee_is_user or target.trunk is not None
        if not is_ours or not isinstance(uri, SipUri) or uri.scheme != "sip":
            return ""
        if self._is_out_of_reach(uri, target, way):
            return ""
        is_on_connection = is_on_connection_of(uri, way)
        is_registered = not is_routed and (
            (uri.host, uri.port or DEFAULT_PORT) == way.remote
            or address_key(uri) == address_key(parse_uri(target.uri_text))
        )
        return "" if is_on_connection or is_registered else address_key(uri)

    def _is_out_of_reach(self, uri: SipUri, target: Target, way: Flow) -> bool:
        """Return True for a place at which a callee can't be reached, or may not be."""
        source = way.remote[0]
        return (
            _is_behind_nat(target, way)
            or self.domains.is_local(uri)
            or is_hidden(uri, source)
            or not self.resolver.may_reach(uri, source)
        )


class DialogStart:
    """What is known of a dialog that one branch may begin; edits and notes its answers."""

    __slots__ = (
        "_caller",
        "_registered_at",
        "_ticket",
        "_told",
        "_usual_route",
        "_value",
        "record_routes",
        "request",
        "target",
        "to_callee",
        "way",
    )

    def __init__(
        self,
        record_routes: RecordRoutes,
        request: Request,
        caller: str,
        target: Target,
        way: Flow,
        value: str,
        to_callee: DialogSide,
    ) -> None:
        self.record_routes = record_routes
        self.request = request
        self._caller = caller  # its host
        self.target = target
        self.way = way
        self._value = value  # of our Record-Route, the topmost
        self._registered_at = target.uri_text.rpartition("@")[2]
        self._usual_route = f"Record-Route: {value}"
        self._ticket = value.partition(";t=")[2].partition(";")[0]
        self._told = 0  # places, by as many early dialogs
        self.to_callee = to_callee

    @property
    def callee_is_user(self) -> bool:
        """Return True if the callee is a phone that has registered here from where it is."""
        return bool(self.to_callee.user)

    def edit_response(self, response: Response) -> None:
        """Sign into our Record-Route where the callee has answered from (§16.7, step 8).

        Called for each response from 101 to 299, repeats included.
        """
        is_ack_expected = response.status >= 200 and self.request.method == "INVITE"
        if uri_text := self._usual_contact(response):  # of nearly all, and seen at a glance
            if is_ack_expected:
                self._note_answer(response.to.tag, uri_text, self.target.flow, ())
            return
        contact = first_uri(response, "contact")
        if contact is None:
            return
        try:
            callee_tag = response.to.tag
            routes = response.values("record-route")
            # A phone may have written the value in its own way; the ticket in it is the same.
            own = next((at for at, route in enumerate(routes) if self._ticket in route), -1)
            recorded = routes[: max(own, 0)]  # by the proxies behind us, the nearest last
            nearest = parse_name_addr(recorded[-1]).uri if recorded else contact
        except BadMessage:
            return
        if not callee_tag:
            return
        record_routes, request = self.record_routes, self.request
        call_id, tag = request.call_id, request.from_.tag
        place = record_routes.answer_place(nearest, self, is_routed=bool(recorded))
        if place and self._told < MAX_PLACES_OF_BRANCH:
            self._told += 1
            record_routes.remote_targets.add(call_id, callee_tag, place, None, self.way.remote)
        if place and own >= 0:
            signature = record_routes.tickets.sign_answer(call_id, tag, callee_tag, place)
            routes[own] = with_answer(self._value, signature)
            response.set_values("record-route", "Record-Route", routes)
        if is_ack_expected:
            uri_text, routes_to_it = as_request_uri(contact.text), tuple(reversed(recorded))
            self._note_answer(callee_tag, uri_text, None if place else self.way, routes_to_it)

    def _usual_contact(self, response: Response) -> str:
        """The Contact of a callee at the place that is registered, with no proxy behind us.

        "" for any other, and for one that has to be read with care.
        """
        if "contact" not in response.present or "record-route" not in response.present:
            return ""
        names, lines = response.names, response.lines
        match = _USUAL_CONTACT.fullmatch(lines[names.index("contact")])
        if (
            match is None
            or match[2] != self._registered_at
            or lines[names.index("record-route")] != self._usual_route
        ):
            return ""
        return match[1]

    def _note_answer(
        self, callee_tag: str, uri_text: str, flow: Flow | None, routes: tuple[str, ...]
    ) -> None:
        request = self.request
        tag = hash(request.from_.tag)
        callee, trunk = self.to_callee, self.target.trunk
        call = AnsweredCall(uri_text, flow, routes, tag, self._caller, callee, trunk)
        self.record_routes.remote_targets.add_answer(request.call_id, callee_tag, call)


def first_uri(message: Request | Response, name: str) -> Uri | None:
    """The URI of the first value of a field, None where there is none that can be read."""
    if name not in message.present:
        return None
    try:
        values = message.values(name)
        return parse_name_addr(values[0]).uri if values else None
    except BadMessage:
        return None  # §16.3, step 1: no matter of ours


def _at_its_place(contact: Uri | None, flow: Flow) -> DialogSide:
    """A side that is reached where its Contact says, and at the other end of a flow."""
    return DialogSide(None, flow.remote, contact_place(contact, flow.remote))


def _is_plain(target: Target, way: Flow) -> bool:
    """Return True if a target is a phone that was seen at its Contact, an address."""
    if target.flow is not None or target.path:  # behind NAT, on a connection, or behind a proxy
        return False
    if target.source != way.remote[0]:  # no password was shown from that host
        return False
    uri = parse_uri(target.uri_text)
    # A name may lead to several hosts, and one of them has the call.
    return isinstance(uri, SipUri) and is_address(uri.param("maddr") or uri.host)


def _is_behind_nat(target: Target, way: Flow) -> bool:
    """Return True if only its flow leads to a target, whatever its Contact says.

    So it is on UDP where a target has a flow at all; on a connection where the Contact is another
    host than the one at its end.
    """
    if target.flow is None or way.transport == "UDP":
        return target.flow is not None
    uri = parse_uri(target.uri_text)
    return not isinstance(uri, SipUri) or uri.host != way.remote[0]


def _is_phones_own(target: Target, way: Flow) -> bool:
    """Return True if a way leads to where the phone, or the proxy before it, has registered."""
    return target.flow is not None or target.source == way.remote[0]
