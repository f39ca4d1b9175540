"""Requests within a dialog: where each of its sides is now (RFC 3261 §12.2, §16.4 to §16.6).

The problem: phones and proxies tell each other where they are, by Contact and Record-Route, and may
move during a call.  Requests have to follow them, and an ACK can't be challenged; yet a proxy that
sends wherever a Request-URI or a Route points is an open relay.

The rule: a request goes to a place only if a side of this dialog has told the place through us, if
the side was seen there, or if its user is registered there now.  A user here is believed, because
its password was shown; a side that has shown none is reached only along the flow it was seen at.

What is needed for that travels in our signed Record-Route (ticket.py), the callee's first answer
included, which is signed into the value that goes back to the caller (§16.7, step 8).  Only what is
told later has to be remembered (remote_targets.py); what is forgotten falls back to the bindings.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from sip.core.domains import Domains, address_of_record, username_of
from sip.core.errors import Refused
from sip.core.proxy.record_route import first_uri
from sip.core.proxy.remote_targets import RemoteTarget, RemoteTargets
from sip.core.proxy.route_ticket import DialogSide, Tickets
from sip.core.proxy.target_set import TargetSet
from sip.core.proxy.trunk_table import Trunks
from sip.core.registrar.location import Location
from sip.core.registrar.nat import way_back
from sip.core.target import Target, address_key, as_request_uri, endpoint_key
from sip.core.trunk import Trunk
from sip.message.headers import parse_name_addr
from sip.message.message import Request, Response
from sip.message.uri import SipUri, Uri, is_address, is_same_contact, parse_uri
from sip.transport.dns.resolver import (
    Resolver,
)
from sip.transport.flow import DEFAULT_PORT, Endpoint, Flow, shows_source
from sip.transport.transports import Transports

# Requests whose Contact becomes the remote target of the peer, and so does that of their 2xx
# (RFC 3261 §12.2, RFC 3311 §5, RFC 6665 §4.1, §4.2).
TARGET_REFRESHES = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})


class Dialogs:
    """Finds the target of a request within a dialog, and learns where the sides are.

    `target_set` makes an empty one; `account_name` gives the name of the account that a URI of a
    realm means; `is_bound` tells whether a flow is that of a phone behind NAT
    that is registered here.
    """

    def __init__(
        self,
        tickets: Tickets,
        domains: Domains,
        resolver: Resolver,
        transports: Transports,
        trunks: Trunks,
        location: Location,
        target_set: Callable[[], TargetSet],
        account_name: Callable[[Uri, str], str],
        is_bound: Callable[[Flow], bool],
        remote_targets: RemoteTargets,
    ) -> None:
        self.tickets = tickets
        self.domains = domains
        self.resolver = resolver
        self.transports = transports
        self.trunks = trunks
        self.location = location
        self.target_set = target_set
        self.account_name = account_name
        self.is_bound = is_bound
        self.remote_targets = remote_targets

    # Where a request goes

    def target(self, request: Request, side: DialogSide) -> Target | None:
        """Return the one place that a request to a side goes to, its Routes through us taken off.

        Return None if no side of the dialog has named that place; the request then counts as
        outside a dialog.  Raises Refused (430) where the flow to a phone is gone, and BadMessage.
        """
        uri = _next_uri(request)
        is_routed = "route" in request.present
        moved = None if is_routed else self._moved(request, side)
        known = self.remote_targets.of_side(request.call_id, request.to.tag)
        if known or side.answer:
            told = self._told(request, side, address_key(uri), known, moved)
            if told is not None:
                return told
        if moved is not None:
            return moved
        if side.flow is not None:
            latest = known[-1].flow if known and not side.user else None
            return self._along(request, side, latest or side.flow)
        if is_routed or not isinstance(uri, SipUri):
            return None
        if side.is_at(address_key(uri)) and not self.domains.is_local(uri):
            return self._named(request, side, side.seen)
        return self._registered(request, side, uri)

    def _told(
        self,
        request: Request,
        side: DialogSide,
        place: str,
        known: tuple[RemoteTarget, ...],
        moved: Target | None,
    ) -> Target | None:
        """Return the place that a request names, if its peer has told it from where it is now."""
        wanted = hash(place)
        told = next((target for target in known if target.place == wanted), None)
        if (
            told is not None
            and _is_told_from_where_it_is(told, moved)
            and (told.flow is None or self.transports.leads_on(told.flow))
        ):
            return self._named(request, side, told.source, told.flow)
        is_there = moved is None or moved.source == side.seen[0]
        if is_there and self.tickets.is_answer(request, side.answer, place):
            return self._named(request, side, side.seen)
        return None

    def _named(
        self, request: Request, side: DialogSide, seen: Endpoint, flow: Flow | None = None
    ) -> Target:
        """The place that a request names, which its peer at `seen` has told."""
        fallback, uri = side.flow, _next_uri(request)
        if fallback is None and isinstance(uri, SipUri) and not is_address(uri.host):
            with suppress(OSError):  # in case that no server knows the name
                fallback = self.transports.flow_to(seen)
        return Target(
            as_request_uri(request.uri_text),
            flow,
            source=seen[0],
            trunk=self._trunk(side, request.to.uri),
            fallback=fallback,
            is_from_dialog=True,
        )

    def _trunk(self, side: DialogSide, peer: Uri) -> Trunk | None:
        """The trunk whose call it is: the one that the flow of the ticket leads to."""
        if side.flow is None or not self.trunks:
            return None
        return self.trunks.trunk_at(side.flow, self.domains.username_of(peer))

    def _along(self, request: Request, side: DialogSide, flow: Flow) -> Target:
        """Go along the flow of a ticket.

        Where it is gone, the phone that has come back by another one is taken instead.
        """
        if flow.transport == "UDP":
            is_gone = side.is_bound and not self.is_bound(flow)
        else:
            is_gone = not self.transports.is_open(flow)
        if is_gone:
            bound = self._bound(request, side)
            phone = self._current_phone(request, side, bound)
            if phone is not None and "route" not in request.present:
                return phone
            if phone is not None and phone.flow is not None:  # a proxy, which has come back
                return Target(as_request_uri(request.uri_text), phone.flow)
            # An equal Contact of another phone has taken the place of the binding, as every home
            # network has a 192.168.1.20: that says nothing about this flow.
            is_taken_over = any(
                is_same_contact(parse_uri(other.uri_text), request.uri) for other in bound
            )
            if flow.transport != "UDP":
                is_gone = not self.transports.leads_on(flow)
            if is_gone and not (is_taken_over and flow.transport == "UDP"):
                # RFC 5626 §5.3: by now its NAT may have given the port to another phone.
                raise Refused(430, f"the phone at the end of {flow} is no longer registered")
        return Target(
            as_request_uri(request.uri_text), flow, trunk=self._trunk(side, request.to.uri)
        )

    def _registered(self, request: Request, side: DialogSide, uri: SipUri) -> Target | None:
        """Find the phone of a side by what its user has registered.

        First a Contact that the request names; else, if the place was forgotten or never told, the
        phone of the dialog.  A URI of another user here names no phone of this dialog.
        """
        bound = self._bound(request, side)
        for target in bound:
            if is_same_contact(parse_uri(target.uri_text), uri):
                return target
        if self.domains.is_local(uri) and not self._is_user_of(request, side, uri):
            return None
        return self._current_phone(request, side, bound)

    # Whom a side belongs to, and which of the user's phones it is

    def _is_user_of(self, request: Request, side: DialogSide, uri: Uri) -> bool:
        realm = self._realm(request, uri)
        aor = address_of_record(self.account_name(uri, realm), realm)
        return self.tickets.is_of_user(side, aor)

    def _realm(self, request: Request, uri: Uri) -> str:
        """The realm of a URI; of a Contact, which is an address, the realm that To names."""
        domains = self.domains
        return domains.realm_of(uri) or domains.realm_of(request.to.uri) or domains.main

    def _bound(self, request: Request, side: DialogSide) -> list[Target]:
        """All contacts of the user on the side ahead.

        The ticket has a mark of that user.  Usually it is the user in To; after a forward it is in
        the Contact, or has registered it.
        """
        if not side.user:
            return []
        users = [
            (self.account_name(uri, realm), realm)
            for uri in (request.to.uri, request.uri)
            for realm in (self._realm(request, uri),)
        ]
        for username, realm in (*users, *self.location.users_at(request.uri)):
            if self.tickets.is_of_user(side, address_of_record(username, realm)):
                return self.target_set().contacts(username, realm)
        return []

    def _moved(self, request: Request, side: DialogSide) -> Target | None:
        """Return the phone of a side if it is registered, but no longer at the place it was at."""
        if not side.is_of_phone:
            return None
        if self.location.is_registered_from(
            side.seen, username_of(request.to.uri), self.domains.main
        ):
            return None  # the usual case, and a cheap check
        bound = self._bound(request, side)
        if not bound or any(_is_at(target, side.seen) for target in bound):
            return None
        return self._current_phone(request, side, bound)

    def _current_phone(
        self, request: Request, side: DialogSide, bound: list[Target]
    ) -> Target | None:
        """Return the phone of a side as it is registered now, None if there is no telling.

        It is known by its instance id, or by the Call-ID of its REGISTER.  A phone without instance
        id may have a new Call-ID: then it is the one with the Contact that the request names, but
        perhaps for its port, and else the only one that its user has, now as when the dialog began.
        Of several that may be it, one that can be reached is taken: an old binding of the phone may
        still exist.
        """
        uri, phones = request.uri, [target for target in bound if target.phone is not None]
        same = [t for t in phones if t.phone and self.tickets.is_phone(side, t.phone)]
        # A phone with an instance id never becomes one without, nor the other way round.
        others = [t for t in phones if t.phone and not t.phone.instance]
        if side.has_instance:
            others = [t for t in others if side.is_only and len(phones) == 1]
        equal = [target for target in others if is_same_contact(parse_uri(target.uri_text), uri)]
        ported = [
            target
            for target in others
            if target.source == side.seen[0] and _differ_in_port(parse_uri(target.uri_text), uri)
        ]
        only = [target for target in phones if self._is_reachable(target)]
        if side.is_of_phone:
            only = only if side.is_only and only == [t for t in only if t in others] else []
        guesses = [same, equal, *(guess for guess in (ported, only) if len(guess) == 1)]
        for guess in guesses:
            if reachable := [target for target in guess if self._is_reachable(target)]:
                return reachable[-1]
        return next((guess[-1] for guess in guesses[:2] if guess), None)

    def _is_reachable(self, target: Target) -> bool:
        """Return False for a phone whose connection has been closed."""
        flow = target.phone.flow if target.phone is not None else None
        return flow is None or self.transports.is_open(flow)

    # What a side tells

    def note_request(self, request: Request, flow: Flow, side: DialogSide | None) -> bool:
        """Learn the Contact of a target refresh; False: its sender has to show a password first.

        `side` is that of the sender.  Only a user here is believed, and only from where the phone
        was seen or is registered.
        """
        if side is None:
            return True
        if not side.user and self._trunk(side, request.from_.uri) is None:
            self.note_stranger(request, flow, side)
            return True
        contact = first_uri(request, "contact")
        if contact is None:
            return True
        way = self._way_back(request, contact, flow, side)
        if _is_in_ticket(side, contact, way) or self._is_told_by(request, contact, way):
            return True
        if not self._is_sender(request, side, flow):
            return False
        self._note(request, request.from_.tag, contact, way, flow.remote)
        return True

    def note_stranger(self, request: Request, flow: Flow, side: DialogSide | None) -> None:
        """Learn the flow of a stranger that comes back from the same host by another port.

        Its NAT has given it the port, or it has opened another connection.
        """
        if side is None or side.user or side.flow is None or flow.remote == side.seen:
            return
        if flow.transport == side.flow.transport and flow.remote[0] == side.seen[0]:
            self.remote_targets.add(request.call_id, request.from_.tag, "", flow, flow.remote)

    def note_proven_request(
        self, request: Request, flow: Flow, side: DialogSide | None, aor: str
    ) -> None:
        """Learn the Contact of a target refresh whose sender has shown the password of `aor`."""
        contact = first_uri(request, "contact")
        if side is not None and contact is not None and self.tickets.is_of_user(side, aor):
            way = self._way_back(request, contact, flow, side)
            self._note(request, request.from_.tag, contact, way, flow.remote)

    def note_response(
        self, request: Request, response: Response, side: DialogSide, target: Target, flow: Flow
    ) -> None:
        """Learn the Contact of a 2xx to a target refresh that went to a side along `flow`."""
        if not side.user and target.trunk is None:
            return
        contact = first_uri(response, "contact")
        if contact is None:
            return
        uri = parse_uri(target.uri_text)
        is_at_contact = isinstance(uri, SipUri) and uri.host == flow.remote[0]
        is_behind_nat = side.is_bound or (target.flow is not None and not is_at_contact)
        way = way_back(
            contact,
            flow,
            self.domains,
            self.resolver,
            truthful=not is_behind_nat,
            is_plain=target.flow is None,
        )
        if not _is_in_ticket(side, contact, way):
            self._note(request, request.to.tag, contact, way, flow.remote)

    def _way_back(
        self, request: Request, contact: Uri, flow: Flow, side: DialogSide
    ) -> Flow | None:
        """The flow to the sender of a request; None where its Contact is meant."""
        return way_back(
            contact,
            flow,
            self.domains,
            self.resolver,
            truthful=shows_source(request.via, flow),
            is_plain=_is_plain(side),
        )

    def _is_told_by(self, request: Request, contact: Uri, way: Flow | None) -> bool:
        """Return True if the sender of a request has told its Contact already, along that way."""
        wanted = hash(address_key(contact))
        for target in self.remote_targets.of_side(request.call_id, request.from_.tag):
            if target.place == wanted:
                if way is None or target.flow is None:
                    return way is target.flow
                return (way.transport, way.remote) == (target.flow.transport, target.flow.remote)
        return False

    def _is_told(self, request: Request, place: str) -> bool:
        """Return True if the sender of a request has told a place in this dialog already."""
        known, wanted = (
            self.remote_targets.of_side(request.call_id, request.from_.tag),
            hash(place),
        )
        return any(target.place == wanted for target in known)

    def _note(
        self, request: Request, tag: str, contact: Uri, way: Flow | None, source: Endpoint
    ) -> None:
        if place := address_key(contact):
            self.remote_targets.add(request.call_id, tag, place, way, source)
            uri_text = as_request_uri(contact.text)
            self.remote_targets.move_answer(request.call_id, tag, uri_text, way)

    def _is_sender(self, request: Request, side: DialogSide, flow: Flow) -> bool:
        """Return True if a request comes from where its side was seen, or is registered now."""
        if flow.remote == side.seen or self._is_told(
            request, endpoint_key(flow.remote, flow.transport)
        ):
            return True
        if self._trunk(side, request.from_.uri) is not None:
            return self.trunks.is_gateway(flow.remote)
        uri = request.from_.uri
        realm = self.domains.claimed_realm(uri) or self.domains.main
        username = self.account_name(uri, realm)
        aor = address_of_record(username, realm)
        return self.tickets.is_of_user(side, aor) and self.location.is_registered_from(
            flow.remote, username, realm
        )

    # Without a ticket: a caller that ignores our Record-Route

    def answered_target(self, request: Request, flow: Flow, bound: list[Target]) -> Target | None:
        """The phone that has answered a call of this sender a moment ago, None for any other.

        `bound` are the phones of the user that the request names.  It is one of them, where it is
        registered now; else it is where it has answered.
        """
        call = self.remote_targets.answered(
            request.call_id, request.to.tag, request.from_.tag, flow.remote[0]
        )
        if call is None:
            return None
        place = address_key(parse_uri(call.uri_text))
        same = [t for t in bound if t.phone and self.tickets.is_phone(call.callee, t.phone)]
        there = [
            target
            for target in same or bound
            if address_key(parse_uri(target.uri_text)) == place
            and (call.flow is None or target.flow == call.flow)
        ]
        if there:
            return there[0]
        phone = None
        if call.callee.is_of_phone and not call.routes:
            phone = self._current_phone(request, call.callee, bound)
        has_moved = phone is not None and not any(
            _is_at(t, call.callee.seen) for t in same or bound
        )
        if phone is not None and has_moved:
            return phone
        return Target(
            call.uri_text,
            call.flow,
            call.routes,
            source=flow.remote[0],
            trunk=call.trunk,
            is_from_dialog=True,
        )


def _is_plain(side: DialogSide) -> bool:
    """Return True for a side that is reached at its Contact, not behind NAT.

    Such a phone has a flow in its ticket as well where the other side is a stranger.
    """
    if side.flow is None:
        return True
    return side.flow.transport == "UDP" and side.is_of_phone and not side.is_bound


def _is_told_from_where_it_is(told: RemoteTarget, moved: Target | None) -> bool:
    """Return False if a phone has registered from elsewhere since it told a place."""
    if moved is None:
        return True
    phone = moved.phone
    if told.flow is None or phone is None or phone.flow is None:
        return moved.source == told.source[0]
    return phone.flow.remote == told.source


def _next_uri(request: Request) -> Uri:
    """Where a request goes next: its first Route, else its Request-URI (§16.6, step 7)."""
    if "route" not in request.present:
        return request.uri
    values = request.values("route")
    return parse_name_addr(values[0]).uri if values else request.uri


def _is_in_ticket(side: DialogSide, contact: Uri, way: Flow | None) -> bool:
    """Return True if a ticket leads to a Contact already."""
    if not isinstance(contact, SipUri):
        return True  # no place of SIP
    if side.flow is None:
        return way is None and side.is_at(address_key(contact))
    if way is not None:
        return (way.transport, way.remote) == (side.flow.transport, side.flow.remote)
    return address_key(contact) == endpoint_key(side.seen, side.flow.transport)


def _is_at(target: Target, place: Endpoint) -> bool:
    """Return True if a phone was seen at an address and port, or has it in its Contact."""
    phone = target.phone
    if phone is not None and phone.flow is not None and phone.flow.remote == place:
        return True
    uri = parse_uri(target.uri_text)
    return isinstance(uri, SipUri) and place == (uri.host, uri.port or DEFAULT_PORT)


def _differ_in_port(one: Uri, other: Uri) -> bool:
    """Return True if two Contacts differ at most in their port."""
    if not isinstance(one, SipUri) or not isinstance(other, SipUri):
        return False
    return is_same_contact(replace(one, port=other.port), other)
