"""The stateful proxy (RFC 3261 §16), in blocking style: who is let in, and whom for."""

import logging

from sip.core.authentication import Account, Authenticator
from sip.core.forwarding import Forwarder
from sip.core.location import Location
from sip.core.refusal import Refused
from sip.core.routing import (
    MAX_BREADTH,
    Domains,
    Target,
    address_of_record,
    as_request_uri,
    breadth_left,
    by_preference,
    hops_left,
    take_own_routes,
    username_of,
)
from sip.core.ticket import Passage, Tickets
from sip.message.grammar import BadMessage
from sip.message.message import Request
from sip.message.uri import parse_uri
from sip.transaction.layer import Layer, Upstream
from sip.transport.flow import Flow
from sip.transport.resolver import NoRoute

log = logging.getLogger("sip.proxy")

# Requests that begin no dialog: they need no Record-Route.
_WITHOUT_DIALOG = frozenset({"MESSAGE", "OPTIONS", "PUBLISH"})
_SCHEMES = frozenset({"sip", "tel"})
# What may name a local user as its contact may name another: so many steps are followed.
MAX_FORWARDS_BY_CONTACT = 5
# What an INVITE can be multiplied by, all such steps included (RFC 5393 §5).
MAX_BRANCHES = MAX_BREADTH


class Proxy:
    """Passes requests on, and their answers back."""

    def __init__(
        self,
        layer: Layer,
        authenticator: Authenticator,
        domains: Domains,
        location: Location,
        tickets: Tickets,
        *,
        calls_from_outside: bool,
    ) -> None:
        self.layer = layer
        self.authenticator = authenticator
        self.domains = domains
        self.location = location
        self.tickets = tickets
        self.forwarder = Forwarder(layer, domains, tickets)
        self.calls_from_outside = calls_from_outside

    def handle(self, request: Request, upstream: Upstream) -> None:
        """Forward one request.  Blocks until it is answered; a refusal is raised as Refused."""
        routes = take_own_routes(request, self.domains)
        passage = self.tickets.passage(request, routes)
        if passage is not None:
            upstream.is_proven = True  # a ticket reaches nobody but who is in the dialog
        check_forwardable(request)
        if passage is None or self._leads_back_here(request, passage):
            self._outside_dialog(request, upstream)
        else:
            self._within_dialog(request, upstream, passage)

    def _leads_back_here(self, request: Request, passage: Passage) -> bool:
        """Tell whether a dialog's target is an address here: it is looked up (§16.5)."""
        is_free = passage.flow is None and "route" not in request.names
        return is_free and self.domains.is_us(request.uri)

    def _within_dialog(self, request: Request, upstream: Upstream, passage: Passage) -> None:
        """Go where the ticket says, else where the Route or the Request-URI says (§16.6)."""
        if passage.flow is None and "route" in request.names:
            self._authenticate(request, upstream)
        target = Target(as_request_uri(request.uri_text), passage.flow)
        self.forwarder.forward(request, upstream, [[target]])

    def pass_on_ack(self, request: Request, flow: Flow) -> None:
        """Pass on an ACK for a 2xx; one that shows no way is dropped (§16.11, §13.2.2.4)."""
        try:
            passage = None
            if hops_left(request) > 0:
                passage = self.tickets.passage(request, take_own_routes(request, self.domains))
            if (
                passage is None
                or (passage.flow is None and "route" in request.names)
                or self._leads_back_here(request, passage)
            ):
                self.layer.counts["ACKs without a way"] += 1
                return
            target = Target(as_request_uri(request.uri_text), passage.flow)
            self.forwarder.pass_on(request, target)
        except (BadMessage, NoRoute, OSError) as error:
            self.layer.counts["ACKs without a way"] += 1
            log.debug("dropped an ACK: %s", error)

    def _outside_dialog(self, request: Request, upstream: Upstream) -> None:
        """§16.3 step 6 and §16.5: who asks, whom for, and where that is."""
        account = self._caller(request, upstream)
        realm = self.domains.realm_of(request.uri)
        is_elsewhere = "route" in request.names or self.domains.is_aimed_past_us(request.uri)
        if realm is None:
            raise Refused(403, f"{request.uri_text[:60]} is outside, and calls to outside are off")
        if is_elsewhere:
            raise Refused(403, "its Route or maddr leads outside, and calls to outside are off")
        breadth = breadth_left(request)
        if breadth == 0:
            raise Refused(440, "it may not be split further")
        targets = self._targets(username_of(request.uri), realm, account)
        self.forwarder.forward(
            request,
            upstream,
            by_preference(targets, breadth),
            record_routes=request.method not in _WITHOUT_DIALOG,
            is_trusted=account is not None,
        )

    def _caller(self, request: Request, upstream: Upstream) -> Account | None:
        """The account that a request comes from, None for a stranger who is let in.

        Raises Challenged, or Refused (403).
        """
        realm = self.domains.realm_of_sender(request.from_.uri)
        if realm is not None:
            account = self._authenticate(request, upstream)
            username = username_of(request.from_.uri)
            if username != account.username:
                raise Refused(403, f"{account.username} may not call as {username[:60]}")
            return account
        if not self.calls_from_outside:
            raise Refused(403, "it comes from outside, and calls from outside are off")
        return None

    def _authenticate(self, request: Request, upstream: Upstream) -> Account:
        realm = self.domains.realm_of_sender(request.from_.uri) or self.domains.main
        account = self.authenticator.authenticate(request, realm, upstream.flow.remote[0])
        upstream.is_proven = True
        return account

    def _targets(self, username: str, realm: str, caller: Account | None) -> list[Target]:
        """The contacts of a user.  A contact that names us is a forward to another user here.

        Raises Refused: strangers are not told who exists.
        """
        targets: list[Target] = []
        places: set[tuple[str, Flow | None, tuple[str, ...]]] = set()
        ahead, seen = [(username, realm)], {(username, realm)}
        for _ in range(MAX_FORWARDS_BY_CONTACT):
            here, ahead = ahead, []
            for user in here:
                for target in self._contacts(*user):
                    forwarded = self._forward_of(target)
                    if forwarded is None:
                        # Two ways through the users here may lead to one phone (§16.5).
                        place = target.uri_text, target.flow, target.path
                        if place not in places:
                            places.add(place)
                            targets.append(target)
                    elif forwarded not in seen:
                        seen.add(forwarded)
                        ahead.append(forwarded)
        if targets:
            return targets[:MAX_BRANCHES]
        callee = self.authenticator.accounts.find(username, realm)
        if callee is None:
            raise Refused(404 if caller else 480, f"there is no user {username[:60]}")
        state = "not registered" if callee.enabled else "disabled"
        raise Refused(480, f"{username[:60]} is {state}")

    def _contacts(self, username: str, realm: str) -> list[Target]:
        """What a user is bound to; whose account is gone or disabled is not reached any more."""
        account = self.authenticator.accounts.find(username, realm)
        if account is None or not account.enabled:
            return []
        bindings = self.location.bindings(address_of_record(username, realm))
        return [binding.target for binding in bindings]

    def _forward_of(self, target: Target) -> tuple[str, str] | None:
        """The user here that a contact names, by whatever Path; None for all others."""
        if target.flow is not None:
            return None
        uri = parse_uri(target.uri_text)
        realm = self.domains.realm_of(uri)
        return None if realm is None else (username_of(uri), realm)


def check_forwardable(request: Request) -> None:
    """§16.3: what is refused before anything is looked up.  Raises Refused or BadMessage."""
    scheme = request.uri.scheme
    if scheme not in _SCHEMES:
        raise Refused(416, f"{scheme[:20]} is not a scheme that is served here")
    if hops_left(request) == 0:
        raise Refused(483, "it has no hops left")
    required = request.values("proxy-require")
    if required:
        raise Refused(
            420,
            f"requires {', '.join(required)[:80]} of proxies",
            extra=(("Unsupported", ", ".join(required)),),
        )
