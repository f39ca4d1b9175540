"""Requests within a dialog: the present address of each side (RFC 3261 §12.2, §16.4 to §16.6).

The problem: phones and proxies name their addresses in Contact and Record-Route, and may move
during a call.  Requests have to follow them, and an ACK cannot be challenged; but a proxy that
forwards to any Request-URI or Route is an open relay.

The model: each side of a dialog has a ticket (route_ticket.py), which says how to reach it.  The
ticket includes the signed address of the callee's first answer (§16.7, step 8).  Only addresses
that are named later are stored (remote_targets.py).

The invariant: a request goes to an address only if a side of this dialog has named it through this
server, if the side was seen there, or if its user is registered there now.  The Contact of a local
user is trusted, because its password was shown; any other side is reached only along its flow.

The bounds: those of remote_targets.py.  If an address was removed, the bindings of the user lead to
the phone.
"""

from collections.abc import Callable
from contextlib import suppress

from sip.core import causes
from sip.core.domains import Domains, address_of_record, username_of
from sip.core.errors import Refused
from sip.core.gruu import is_gruu, is_public_gruu
from sip.core.proxy.record_route import first_uri
from sip.core.proxy.remote_targets import RemoteTarget, RemoteTargets, is_still_there
from sip.core.proxy.route_processing import next_uri
from sip.core.proxy.route_ticket import DialogSide, Tickets
from sip.core.proxy.target_set import TargetSet
from sip.core.proxy.trunk_table import Trunks
from sip.core.proxy.validation import unreachable_callee
from sip.core.registrar.location import Location
from sip.core.registrar.nat import flow_to_sender
from sip.core.target import (
    Target,
    address_key,
    as_request_uri,
    differ_in_port,
    endpoint_key,
    is_sips,
)
from sip.core.trunk import Trunk
from sip.message.message import Request, Response
from sip.message.uri import SipUri, Uri, is_address, is_same_contact, parse_uri
from sip.transport.dns.resolver import Resolver
from sip.transport.flow import Endpoint, Flow, via_matches_source
from sip.transport.transports import Transports

# Methods whose Contact becomes the remote target of the peer, in the request and in its 2xx
# (RFC 3261 §12.2, RFC 3311 §5, RFC 6665 §4.1, §4.2).
TARGET_REFRESHES = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})


class Dialogs:
    """Finds the target of a request within a dialog, and learns the addresses of the sides.

    `target_set` makes an empty TargetSet, given True for a sips: URI; `account_name` returns the
    name of the account that a URI of a realm means; `is_bound` returns True for the flow of a
    registered phone behind NAT.
    """

    def __init__(
        self,
        tickets: Tickets,
        domains: Domains,
        resolver: Resolver,
        transports: Transports,
        trunks: Trunks,
        location: Location,
        target_set: Callable[[bool], TargetSet],
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

    # The target of a request

    def target(self, request: Request, side: DialogSide) -> Target | None:
        """Return the one target of a request to a side; our own Routes are removed before.

        Return None if no side of the dialog has named the address; the request is then handled as
        outside a dialog.  Raises Refused (430) if the flow to a phone is gone, and BadMessage.
        """
        uri = next_uri(request)
        is_routed = "route" in request.present
        if is_gruu(request.uri) and (realm := self._realm_of_gruu(request.uri)) is not None:
            phone = self._phone_of_gruu(request, side, realm)
            if phone is None or (side.user and not is_routed):
                return phone
            # The route set or the ticket leads to the phone; its Path is not used (RFC 5627 §6.1).
            request.uri_text = phone.uri_text
        moved = None if is_routed else self._moved_phone(request, side)
        known = self.remote_targets.of_side(request.call_id, request.to.tag)
        if known or side.answer:
            named = self._named_target(request, side, address_key(uri), known, moved)
            if named is not None:
                return named
        if moved is not None:
            return moved
        if side.flow is not None:
            latest = known[-1].flow if known and not side.user else None
            return self._target_along(request, side, latest or side.flow)
        if is_routed or not isinstance(uri, SipUri):
            return None
        if side.is_at(address_key(uri)) and not self.domains.is_local(uri):
            return self._target_at_uri(request, side, side.seen)
        return self._registered_target(request, side, uri)

    def _realm_of_gruu(self, uri: Uri) -> str | None:
        """Return the realm of a GRUU in a local domain; None if it is of another one."""
        return None if self.domains.has_foreign_maddr(uri) else self.domains.realm_of(uri)

    def _phone_of_gruu(self, request: Request, side: DialogSide, realm: str) -> Target | None:
        """Return the phone of a GRUU; None if this side is another one.

        Raises Refused: 404 for a temporary GRUU that has ended, 480 for a phone of the side that is
        away (RFC 5627 §6.1).  A side without a user learns nothing about the phones of others.
        """
        targets, uri = self.target_set(is_sips(request.uri_text)), request.uri
        found = targets.user_of_gruu(uri, realm)
        if found is None:
            if is_public_gruu(uri):
                return None
            raise Refused(404, causes.UNKNOWN_GRUU.of(uri=uri.text))
        user, user_realm, _ = found
        aor = address_of_record(user.username, user_realm)
        if side.user and not self.tickets.is_of_user(side, aor):
            return None
        phones = targets.phones_of_gruu(uri, realm)
        if not side.user:  # it may be a proxy that the phone is behind
            return next((phone for phone in phones if phone.is_behind(side.seen[0])), None)
        if not phones:
            raise Refused(480, unreachable_callee(user.username, is_enabled=user.enabled))
        return phones[0]

    def _named_target(
        self,
        request: Request,
        side: DialogSide,
        address: str,
        known: tuple[RemoteTarget, ...],
        moved: Target | None,
    ) -> Target | None:
        """Return the target of a request if its peer has named it, and is still where it was."""
        wanted = hash(address)
        named = next((target for target in known if target.key_hash == wanted), None)
        if (
            named is not None
            and is_still_there(named, moved)
            and (named.flow is None or self.transports.is_reachable(named.flow))
        ):
            return self._target_at_uri(request, side, named.source, named.flow)
        is_there = moved is None or moved.source == side.seen[0]
        if is_there and self.tickets.is_answer(request, side.answer, address):
            return self._target_at_uri(request, side, side.seen)
        return None

    def _target_at_uri(
        self, request: Request, side: DialogSide, seen: Endpoint, flow: Flow | None = None
    ) -> Target:
        """Return the target at the Request-URI or Route, which the peer at `seen` has named."""
        fallback, uri = side.flow, next_uri(request)
        if fallback is None and isinstance(uri, SipUri) and not is_address(uri.host):
            with suppress(OSError):  # the fallback is for a name that DNS does not know
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
        """Return the trunk whose gateway the flow of a ticket leads to; None for other calls."""
        if side.flow is None or not self.trunks:
            return None
        return self.trunks.trunk_at(side.flow, self.domains.username_of(peer))

    def _target_along(self, request: Request, side: DialogSide, flow: Flow) -> Target:
        """Return the target along the flow of a ticket.

        If the flow is gone, and the phone has registered again along another flow, return that
        phone.  Raises Refused (430) if the phone has not registered again.
        """
        if flow.is_connection:
            is_gone = not self.transports.is_open(flow)
        else:
            is_gone = side.is_bound and not self.is_bound(flow)
        if is_gone:
            bound = self._contacts_of_user(request, side)
            phone = self._current_phone(request, side, bound)
            if phone is not None and "route" not in request.present:
                return phone
            if phone is not None and phone.flow is not None:  # an edge proxy that has reconnected
                return Target(as_request_uri(request.uri_text), phone.flow)
            # Another phone with an equal Contact may have replaced the binding, because every home
            # network has a 192.168.1.20: that says nothing about this flow.
            is_taken_over = any(
                is_same_contact(parse_uri(other.uri_text), request.uri) for other in bound
            )
            if flow.is_connection:
                is_gone = not self.transports.is_reachable(flow)
            if is_gone and not (is_taken_over and not flow.is_connection):
                # RFC 5626 §5.3: by now its NAT may have given the port to another phone.
                raise Refused(430, causes.FLOW_LOST.of())
        return Target(
            as_request_uri(request.uri_text), flow, trunk=self._trunk(side, request.to.uri)
        )

    def _registered_target(self, request: Request, side: DialogSide, uri: SipUri) -> Target | None:
        """Return the phone of a side among the contacts of its user.

        A contact with the Request-URI comes first; else, if the address was removed or never
        named, the phone of the dialog.  A URI of another local user names no phone of this dialog.
        """
        bound = self._contacts_of_user(request, side)
        for target in bound:
            if is_same_contact(parse_uri(target.uri_text), uri):
                return target
        if self.domains.is_local(uri) and not self._is_user_of(request, side, uri):
            return None
        return self._current_phone(request, side, bound)

    # The user of a side, and the phone of that user

    def _is_user_of(self, request: Request, side: DialogSide, uri: Uri) -> bool:
        realm = self._realm(request, uri)
        aor = address_of_record(self.account_name(uri, realm), realm)
        return self.tickets.is_of_user(side, aor)

    def _realm(self, request: Request, uri: Uri) -> str:
        """Return the realm of a URI; for a Contact, which is an address, the realm of To."""
        domains = self.domains
        return domains.realm_of(uri) or domains.realm_of(request.to.uri) or domains.main

    def _contacts_of_user(self, request: Request, side: DialogSide) -> list[Target]:
        """Return all contacts of the user of a side.

        The ticket has a mark of that user.  Usually it is the user in To; after a forward it is the
        user in the Contact, or the user who has registered that Contact.
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
                is_secure = request.uri_text[3:4] != ":" and is_sips(request.uri_text)
                return self.target_set(is_secure).contacts(username, realm)
        return []

    def _moved_phone(self, request: Request, side: DialogSide) -> Target | None:
        """Return the phone of a side if it is registered at another address than it was seen at."""
        if not side.is_of_phone:
            return None
        if self.location.is_registered_from(
            side.seen, username_of(request.to.uri), self.domains.main
        ):
            return None  # the usual case, and a cheap check
        bound = self._contacts_of_user(request, side)
        if not bound or any(target.is_at(side.seen) for target in bound):
            return None
        return self._current_phone(request, side, bound)

    def _current_phone(
        self, request: Request, side: DialogSide, bound: list[Target]
    ) -> Target | None:
        """Return the phone of a side as it is registered now, None if it cannot be identified.

        It is identified by its instance id, or by the Call-ID of its REGISTER.  A phone without
        instance id may have a new Call-ID: then it is the phone with the Contact in the
        Request-URI, with the same or another port; else the only phone of its user, if it was the
        only one when the dialog began.  Among several candidates a reachable phone is taken: an old
        binding of the same phone may still exist.
        """
        uri, phones = request.uri, [target for target in bound if target.phone is not None]
        same = [t for t in phones if t.phone and self.tickets.is_phone(side, t.phone)]
        # A phone either always has an instance id, or never.
        others = [t for t in phones if t.phone and not t.phone.instance]
        if side.has_instance:
            others = [t for t in others if side.is_only and len(phones) == 1]
        equal = [target for target in others if is_same_contact(parse_uri(target.uri_text), uri)]
        other_port = [
            target
            for target in others
            if target.source == side.seen[0] and differ_in_port(parse_uri(target.uri_text), uri)
        ]
        only = [target for target in phones if self._is_reachable(target)]
        if side.is_of_phone:
            only = only if side.is_only and only == [t for t in only if t in others] else []
        guesses = [same, equal, *(guess for guess in (other_port, only) if len(guess) == 1)]
        for guess in guesses:
            if reachable := [target for target in guess if self._is_reachable(target)]:
                return reachable[-1]
        return next((guess[-1] for guess in guesses[:2] if guess), None)

    def _is_reachable(self, target: Target) -> bool:
        """Return False for a phone whose connection has been closed."""
        flow = target.phone.flow if target.phone is not None else None
        return flow is None or self.transports.is_open(flow)

    # What a side announces about itself

    def learn_from_request(self, request: Request, flow: Flow, side: DialogSide | None) -> bool:
        """Learn the Contact of a target refresh; False: its sender has to authenticate first.

        `side` is the side of the sender.  Only a local user or a gateway is trusted, and only from
        an address where it was seen or is registered.
        """
        if side is None:
            return True
        if not side.user and self._trunk(side, request.from_.uri) is None:
            self._learn_external_flow(request, flow, side)
            return True
        contact = first_uri(request, "contact")
        if contact is None:
            return True
        back = self._flow_back(request, contact, flow, side)
        if _is_in_ticket(side, contact, back) or self._is_known(request, contact, back):
            return True
        if not self._is_sender(request, side, flow):
            return False
        self._store(request, request.from_.tag, contact, back, flow.remote)
        return True

    def _learn_external_flow(self, request: Request, flow: Flow, side: DialogSide | None) -> None:
        """Learn the new flow of an external caller, if only its port has changed.

        Its NAT has given it another port, or it has opened another connection.
        """
        if side is None or side.user or side.flow is None or flow.remote == side.seen:
            return
        if flow.transport == side.flow.transport and flow.remote[0] == side.seen[0]:
            self.remote_targets.add(request.call_id, request.from_.tag, "", flow, flow.remote)

    def learn_from_verified_request(
        self, request: Request, flow: Flow, side: DialogSide | None, aor: str
    ) -> None:
        """Learn the Contact of a target refresh whose sender has shown the password of `aor`."""
        contact = first_uri(request, "contact")
        if side is not None and contact is not None and self.tickets.is_of_user(side, aor):
            back = self._flow_back(request, contact, flow, side)
            self._store(request, request.from_.tag, contact, back, flow.remote)

    def learn_from_response(
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
        back = flow_to_sender(
            contact,
            flow,
            self.domains,
            self.resolver,
            via_is_true=not is_behind_nat,
            is_plain=target.flow is None,
        )
        if not _is_in_ticket(side, contact, back):
            self._store(request, request.to.tag, contact, back, flow.remote)

    def _flow_back(
        self, request: Request, contact: Uri, flow: Flow, side: DialogSide
    ) -> Flow | None:
        """Return the flow to the sender of a request; None if its Contact is to be used."""
        return flow_to_sender(
            contact,
            flow,
            self.domains,
            self.resolver,
            via_is_true=via_matches_source(request.via, flow),
            is_plain=_is_plain(side),
        )

    def _is_known(self, request: Request, contact: Uri, back: Flow | None) -> bool:
        """Return True if the sender of a request has named its Contact before, on the same flow."""
        wanted = hash(address_key(contact))
        for target in self.remote_targets.of_side(request.call_id, request.from_.tag):
            if target.key_hash == wanted:
                if back is None or target.flow is None:
                    return back is target.flow
                return (back.transport, back.remote) == (target.flow.transport, target.flow.remote)
        return False

    def _has_named(self, request: Request, address: str) -> bool:
        """Return True if the sender of a request has named an address in this dialog before."""
        known = self.remote_targets.of_side(request.call_id, request.from_.tag)
        wanted = hash(address)
        return any(target.key_hash == wanted for target in known)

    def _store(
        self, request: Request, tag: str, contact: Uri, back: Flow | None, source: Endpoint
    ) -> None:
        if address := address_key(contact):
            self.remote_targets.add(request.call_id, tag, address, back, source)
            uri_text = as_request_uri(contact.text)
            self.remote_targets.move_answer(request.call_id, tag, uri_text, back)

    def _is_sender(self, request: Request, side: DialogSide, flow: Flow) -> bool:
        """Return True if a request comes from where its side was seen, or is registered now.

        A gateway may send from any port of its host.
        """
        if flow.remote == side.seen or self._has_named(
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

    # Callers without a ticket, because they ignore our Record-Route

    def answered_target(self, request: Request, flow: Flow, bound: list[Target]) -> Target | None:
        """Return the phone that has just answered a call of this sender, None if there is none.

        `bound` are the contacts of the user in the Request-URI.  If the phone is one of them, it is
        returned as registered now; else the address of its answer is returned.
        """
        call = self.remote_targets.answered(
            request.call_id, request.to.tag, request.from_.tag, flow.remote[0]
        )
        if call is None:
            return None
        uri = parse_uri(call.uri_text)
        address = address_key(uri)
        same = [t for t in bound if t.phone and self.tickets.is_phone(call.callee, t.phone)]
        if is_gruu(uri) and self.domains.is_local(uri):
            return same[0] if same else None
        there = [
            target
            for target in same or bound
            if address_key(parse_uri(target.uri_text)) == address
            and (call.flow is None or target.flow == call.flow)
        ]
        if there:
            return there[0]
        phone = None
        if call.callee.is_of_phone and not call.routes:
            phone = self._current_phone(request, call.callee, bound)
        has_moved = phone is not None and not any(t.is_at(call.callee.seen) for t in same or bound)
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

    Even such a phone has a flow in its ticket if the other side is external.
    """
    if side.flow is None:
        return True
    return not side.flow.is_connection and side.is_of_phone and not side.is_bound


def _is_in_ticket(side: DialogSide, contact: Uri, back: Flow | None) -> bool:
    """Return True if a ticket leads to a Contact already, or if it is no SIP URI."""
    if not isinstance(contact, SipUri):
        return True
    if side.flow is None:
        return back is None and side.is_at(address_key(contact))
    if back is not None:
        return (back.transport, back.remote) == (side.flow.transport, side.flow.remote)
    return address_key(contact) == endpoint_key(side.seen, side.flow.transport)
