"""Our Record-Route: the tickets for the sides of a new dialog (RFC 3261 §16.6, §16.7).

A ticket leads to a side as it can be reached when its request passes: along a flow, or at its
address.  The callee names its address only in its answer, by its Contact and the Record-Route of
the proxies after us; so that address is signed into our value on the way back (§16.7, step 8).
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Protocol

from sip.core.domains import Domains
from sip.core.proxy.remote_targets import AnsweredCall, RemoteTargets
from sip.core.proxy.route_ticket import DialogSide, Tickets, contact_address, with_answer
from sip.core.registrar.nat import (
    flow_to_sender,
    is_on_connection_of,
    is_private_elsewhere,
    reusable_flow,
)
from sip.core.target import Phone, Target, address_key, as_request_uri, is_sips
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr
from sip.message.message import Request, Response
from sip.message.uri import SipUri, Uri, is_address, parse_uri
from sip.transaction.upstream import EditResponse
from sip.transport.dns.resolver import Resolver
from sip.transport.flow import Flow, reply_flow, via_matches_source
from sip.transport.transport_names import default_port

# Addresses that the answers to one branch may name, each in its own early dialog (§12.1).
MAX_ANSWERS_OF_BRANCH = 20
# The title of our field, before its value.
_TITLE = "Record-Route: "
# A Contact with only a user, a host and a port.
_PLAIN_CONTACT = re.compile(r"Contact: <(sip:[A-Za-z0-9._+-]++@([A-Za-z0-9.:-]++))>")


class MarksMedia(Protocol):
    """Marks the branches of a call whose media is relayed."""

    def mark(self, target: Target, flow: Flow) -> str:
        """Return the mark of a new branch for its tickets, "" if its media is not relayed."""


class RecordRoutes:
    """Adds this server to the route sets of dialogs.

    `sent_by` returns the host and port that this server has for the peers on a flow; `is_bound`
    returns True for the flow of a registered phone behind NAT.
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
        caller_flow: Flow,
        caller: Phone | None,
        relayed: MarksMedia | None,
        outgoing: Request,
        target: Target,
        callee_flow: Flow,
    ) -> EditResponse:
        """Add this server to the route set of a dialog (§16.6, step 4).

        Return the function that edits the responses of the branch.

        One value is enough between two phones that were seen at their Contacts.  Each side gets its
        own value if one of them can be reached only along a flow, has a host name or has not
        authenticated; and if the sides know this server by different addresses (RFC 5658).
        `caller` is the phone of the user who has authenticated, None for an external caller.
        `relayed` is None without a media relay.
        """
        sent_by, call_id = self.sent_by, request.call_id
        here = sent_by(caller_flow), caller_flow.transport
        there = sent_by(callee_flow), callee_flow.transport
        is_direct = _is_at_contact(target, callee_flow)
        is_registered = is_direct or _is_at_registration(target, callee_flow)
        callee = target.phone if is_registered else None
        # Unless both sides have authenticated, the caller is reached only along its flow.
        are_users = caller is not None and (is_direct or target.flow is not None)
        has_flow = caller is not None and caller.is_outbound
        to_caller = self._caller_side(
            request, caller_flow, are_users=are_users, is_outbound=has_flow
        )
        if caller is not None and is_direct:
            to_callee = _side_at_contact(parse_uri(target.uri_text), callee_flow)
        else:
            to_callee = self._side_along(callee_flow)
        if caller is not None:
            to_caller.user = self.tickets.phone_mark(caller)
        if callee is not None:
            to_callee.user = self.tickets.phone_mark(callee)
        if relayed is not None:
            to_caller.media = to_callee.media = relayed.mark(target, callee_flow)
        tag = request.from_.tag
        issue: Callable[..., str] = self.tickets.issue
        may_need_sips = outgoing.uri_text[3:4] != ":" or "route" in outgoing.present
        if may_need_sips and _needs_sips(outgoing):
            issue = partial(issue, is_sips=True)
        if to_caller.flow is None and to_callee.flow is None and here == there:
            value = issue(*here, call_id, tag, to_caller, to_callee)
        else:
            value = issue(*here, call_id, tag, to_caller)
            outgoing.put_first("record-route", f"{_TITLE}{value}")
            value = issue(*there, call_id, tag, to_callee, is_callee=True)
        line = f"{_TITLE}{value}"
        outgoing.put_first("record-route", line)
        caller_host = caller_flow.remote[0]
        start = DialogStart(self, request, caller_host, target, callee_flow, line, to_callee)
        start.signs_tag = caller is None and target.trunk is not None
        return start.edit_response

    def _side_along(self, flow: Flow) -> DialogSide:
        return DialogSide(flow, flow.remote, is_bound=self.is_bound(flow))

    def _caller_side(
        self, request: Request, flow: Flow, *, are_users: bool, is_outbound: bool
    ) -> DialogSide:
        """Return how to reach the caller, whose request came along `flow`.

        The problem: later requests must reach the caller, but neither its Contact nor its Via may
        send them to a third host.  The model: either its Contact is trusted, or only the flow is.
        The invariant: the Contact is used only if both sides have authenticated and it can be
        reached.  The five cases, first match wins:

        1. With Outbound: the flow that it has registered (RFC 5626 §5.3.2).  On a connection: that
           connection, or a new one to the port that the caller listens on.
        2. Behind a proxy that records a Route, or if a side has not authenticated: the flow, at the
           port that a true Via names.
        3. Without a readable Contact: the address that it was seen at if its Via is true, else the
           flow.
        4. With a Contact that can be reached: the Contact.
        5. With any other Contact (NAT, a local domain, no DNS entry): the flow.
        """
        if is_outbound:
            return self._side_along(flow)
        is_connected, is_recorded = flow.connection > 0, "record-route" in request.present
        via = request.via
        via_is_true = via_matches_source(via, flow)
        if is_connected:
            uri = first_uri(request, "record-route" if is_recorded else "contact")
            return self._side_along(reusable_flow(uri, flow, via_is_true=via_is_true, via=via))
        if is_recorded or not are_users:
            # Without rport a true Via names the port that the sender listens on (§18.2.2).
            return self._side_along(reply_flow(via, flow) if via_is_true else flow)
        uri = first_uri(request, "contact")
        if uri is None:
            return _side_at_contact(None, flow) if via_is_true else self._side_along(flow)
        only = flow_to_sender(
            uri, flow, self.domains, self.resolver, via_is_true=via_is_true, is_plain=False
        )
        return _side_at_contact(uri, flow) if only is None else self._side_along(flow)

    def answer_address(self, uri: Uri, start: "DialogStart", *, is_routed: bool) -> str:
        """Return the address that a callee names in its answer; "" if the ticket leads there.

        `uri` is its Contact or, if `is_routed`, the nearest Route that it has recorded.  Return ""
        also if the callee may not be reached there.
        """
        target, flow = start.target, start.flow
        is_ours = start.callee_is_user or target.trunk is not None
        if not is_ours or not isinstance(uri, SipUri) or uri.scheme != "sip":
            return ""
        if self._is_out_of_reach(uri, target, flow):
            return ""
        is_on_connection = is_on_connection_of(uri, flow)
        is_registered = not is_routed and (
            (uri.host, uri.port or default_port(uri.param("transport"))) == flow.remote
            or address_key(uri) == address_key(parse_uri(target.uri_text))
        )
        return "" if is_on_connection or is_registered else address_key(uri)

    def _is_out_of_reach(self, uri: SipUri, target: Target, flow: Flow) -> bool:
        """Return True if a callee cannot be reached at a URI, or may not be."""
        source = flow.remote[0]
        return (
            (flow.connection > 0 and uri.param("ob") is not None)  # RFC 5626 §4.3
            or flow.is_only_way  # its certificate is for the name that was asked for
            or is_target_behind_nat(target, flow)
            or self.domains.is_local(uri)
            or is_private_elsewhere(uri, source)
            or not self.resolver.is_routable(uri, source)
        )


class DialogStart:
    """The data of a dialog that one branch may begin; edits its responses and learns from them.

    `flow` is the flow to the callee, `to_callee` the side in its ticket.  With `signs_tag` the
    answer is signed also if it names no other address: a caller without a password shows by it,
    after a restart too, that the gateway has answered its call, which a user here has forwarded.
    """

    __slots__ = (
        "_answers",
        "_caller",
        "_own_line",
        "flow",
        "record_routes",
        "request",
        "signs_tag",
        "target",
        "to_callee",
    )

    def __init__(
        self,
        record_routes: RecordRoutes,
        request: Request,
        caller: str,
        target: Target,
        flow: Flow,
        own_line: str,
        to_callee: DialogSide,
    ) -> None:
        self.record_routes = record_routes
        self.request = request
        self._caller = caller  # the host of the caller
        self.target = target
        self.flow = flow
        self._own_line = own_line  # our topmost Record-Route
        self._answers = 0  # addresses named so far, each in an early dialog
        self.to_callee = to_callee
        self.signs_tag = False

    @property
    def callee_is_user(self) -> bool:
        """Return True if the callee is a phone that has registered from its present address."""
        return bool(self.to_callee.user)

    def edit_response(self, response: Response) -> None:
        """Sign the address of the callee into our Record-Route (§16.7, step 8).

        Called for each response from 101 to 299, repeats included.
        """
        is_ack_expected = response.status >= 200 and self.request.method == "INVITE"
        # The usual and quick case.
        if (uri_text := self._plain_contact(response)) and not self.signs_tag:
            if is_ack_expected:
                self._store_answer(response.to.tag, uri_text, self.target.flow, ())
            return
        contact = first_uri(response, "contact")
        if contact is None:
            return
        try:
            callee_tag = response.to.tag
            routes = response.values("record-route")
            # A phone may have rewritten the value; the ticket in it is the same.
            value = self._own_line[len(_TITLE) :]
            ticket = value.partition(";t=")[2].partition(";")[0]
            own = next((at for at, route in enumerate(routes) if ticket in route), -1)
            recorded = routes[: max(own, 0)]  # by the proxies after us, the nearest last
            nearest = parse_name_addr(recorded[-1]).uri if recorded else contact
        except BadMessage:
            return
        if not callee_tag:
            return
        record_routes, request = self.record_routes, self.request
        call_id, tag = request.call_id, request.from_.tag
        address = record_routes.answer_address(nearest, self, is_routed=bool(recorded))
        if address and self._answers < MAX_ANSWERS_OF_BRANCH:
            self._answers += 1
            record_routes.remote_targets.add(call_id, callee_tag, address, None, self.flow.remote)
        if (address or self.signs_tag) and own >= 0:
            signature = record_routes.tickets.sign_answer(call_id, tag, callee_tag, address)
            routes[own] = with_answer(value, signature)
            response.set_values("record-route", "Record-Route", routes)
        if is_ack_expected:
            uri_text, routes_to_it = as_request_uri(contact.text), tuple(reversed(recorded))
            self._store_answer(callee_tag, uri_text, None if address else self.flow, routes_to_it)

    def _plain_contact(self, response: Response) -> str:
        """Return the Contact of a callee at its registered address, with no proxy after us.

        Return "" for any other Contact, and for one that needs the full parser.
        """
        present, lines = response.present, response.lines
        if "contact" not in present or "record-route" not in present:
            return ""
        match = _PLAIN_CONTACT.fullmatch(lines[present["contact"]])
        if (
            match is None
            or match[2] != self.target.uri_text.rpartition("@")[2]
            or lines[present["record-route"]] != self._own_line
        ):
            return ""
        return match[1]

    def _store_answer(
        self, callee_tag: str, uri_text: str, flow: Flow | None, routes: tuple[str, ...]
    ) -> None:
        request = self.request
        tag = hash(request.from_.tag)
        callee, trunk = self.to_callee, self.target.trunk
        call = AnsweredCall(uri_text, flow, routes, tag, self._caller, callee, trunk)
        self.record_routes.remote_targets.add_answer(request.call_id, callee_tag, call)


def _needs_sips(outgoing: Request) -> bool:
    """Return True if our Record-Route has to be a sips: URI (§16.6, step 4)."""
    if is_sips(outgoing.uri_text):
        return True
    return "route" in outgoing.present and "sips:" in outgoing.values("route")[0][:120].lower()


def first_uri(message: Request | Response, name: str) -> Uri | None:
    """Return the URI of the first value of a field; None if it is missing or unreadable."""
    if name not in message.present:
        return None
    try:
        values = message.values(name)
        return parse_name_addr(values[0]).uri if values else None
    except BadMessage:
        return None  # §16.3, step 1: a proxy does not refuse a field that it need not understand


def _side_at_contact(contact: Uri | None, flow: Flow) -> DialogSide:
    """Return a side that is reached at its Contact, or at the remote end of a flow."""
    return DialogSide(None, flow.remote, contact_address(contact, flow.remote))


def _is_at_contact(target: Target, flow: Flow) -> bool:
    """Return True if a target is a phone that was seen at its Contact, which is an address."""
    if target.flow is not None or target.path:  # behind NAT, on a connection, or behind a proxy
        return False
    if target.source != flow.remote[0]:  # the host of the Contact has not authenticated
        return False
    uri = parse_uri(target.uri_text)
    # A name may lead to several hosts, and only one of them has the call.
    return isinstance(uri, SipUri) and is_address(uri.param("maddr") or uri.host)


def is_target_behind_nat(target: Target, flow: Flow) -> bool:
    """Return True if a target can be reached only along its flow, not at its Contact.

    On UDP, TLS and WebSocket this is every target with a flow; on another connection, a target
    whose Contact has another host than the remote end.
    """
    if target.flow is None or not flow.is_connection or flow.is_only_way:
        return target.flow is not None
    uri = parse_uri(target.uri_text)
    return not isinstance(uri, SipUri) or uri.host != flow.remote[0]


def _is_at_registration(target: Target, flow: Flow) -> bool:
    """Return True if a flow leads to the host that the phone, or its proxy, registered from."""
    return target.flow is not None or target.source == flow.remote[0]
