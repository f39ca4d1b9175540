"""The stateful proxy (RFC 3261 §16), in blocking style: who is let in, and whom for."""

import logging
from collections.abc import Callable

from sip.core.authentication import Account, Authenticator
from sip.core.forking import Fork
from sip.core.forwarding import Forwarder
from sip.core.location import Location
from sip.core.refusal import Refused
from sip.core.routing import (
    Domains,
    Target,
    address_of_record,
    as_request_uri,
    breadth_left,
    has_looped,
    hops_left,
    is_own_record_route,
    loop_mark,
    strip_own_maddr,
    take_own_routes,
    username_of,
)
from sip.core.strangers import Strangers
from sip.core.targets import TargetSet
from sip.core.ticket import Passage, Tickets, is_as_recorded
from sip.core.trunks import Trunks
from sip.message.grammar import BadMessage
from sip.message.headers import METHODS
from sip.message.message import Request
from sip.message.uri import SipUri
from sip.transaction.layer import Layer
from sip.transaction.upstream import Upstream
from sip.transport.flow import Flow
from sip.transport.resolver import NoRoute, Resolver

log = logging.getLogger("sip.proxy")

# Requests that begin no dialog: they need no Record-Route.
_WITHOUT_DIALOG = frozenset({"MESSAGE", "OPTIONS", "PUBLISH"})
# Requests that a phone sends to its own address to ask for what a server beside it would know.
_FOR_EVENT_SERVERS = frozenset({"SUBSCRIBE", "PUBLISH"})
_SCHEMES = frozenset({"sip", "tel"})
# Who somebody is said to be.  Only who is trusted may say it, and no phone is (RFC 3325 §5, §6).
_ASSERTIONS = ("p-asserted-identity", "p-preferred-identity")
# What the server itself serves, as its address says when it is asked (§11.2, §21.4.6).
OWN_METHODS = "ACK, CANCEL, OPTIONS, REGISTER"


class Proxy:
    """Passes requests on, and their answers back."""

    def __init__(
        self,
        layer: Layer,
        authenticator: Authenticator,
        domains: Domains,
        location: Location,
        tickets: Tickets,
        resolver: Resolver,
        trunks: Trunks,
        *,
        calls_from_outside: bool,
        calls_to_outside: bool,
        follow_redirects: bool,
        is_bound: Callable[[Flow], bool],
    ) -> None:
        self.layer = layer
        self.authenticator = authenticator
        self.domains = domains
        self.location = location
        self.tickets = tickets
        self.forwarder = Forwarder(layer, domains, tickets, resolver, trunks, is_bound)
        self.trunks = trunks
        self.strangers = Strangers(authenticator.guard.is_trusted)
        self.calls_from_outside = calls_from_outside
        self.calls_to_outside = calls_to_outside
        self.follow_redirects = follow_redirects

    def handle(self, request: Request, upstream: Upstream) -> None:
        """Forward one request.  Blocks until it is answered; a refusal is raised as Refused."""
        mark = loop_mark(request)
        routes, passage = self._prepare(request)
        if passage is not None:
            upstream.is_proven = True  # a ticket reaches nobody but who is in the dialog
        check_forwardable(request, mark)
        if passage is None:
            self._outside_dialog(request, upstream, mark)
        else:
            self._within_dialog(request, upstream, mark, routes, passage)

    def is_within_dialog(self, request: Request) -> bool:
        """Tell whether a request shows a ticket of ours; it stays as it is."""
        copy = request.copy()
        try:
            return self.tickets.passage(copy, take_own_routes(copy, self.domains)) is not None
        except BadMessage:
            return False

    def _prepare(self, request: Request) -> tuple[list[SipUri], Passage | None]:
        """Take off what is for us alone (§16.4): our Routes, and what they permit."""
        routes = take_own_routes(request, self.domains)
        for name in _ASSERTIONS:
            if name in request.present:
                request.remove(name)
        passage = self.tickets.passage(request, routes)
        if passage is not None:
            strip_own_maddr(request, self.domains)
            if passage.flow is None and not _leads_to_a_side(request, passage):
                # An address here is looked up (§16.5), and whatever else it is needs a password.
                passage = None
        return routes, passage

    def _within_dialog(
        self,
        request: Request,
        upstream: Upstream,
        mark: str,
        routes: list[SipUri],
        passage: Passage,
    ) -> None:
        """Go where the ticket says (§16.6)."""
        recorded = list(filter(is_own_record_route, routes))
        if request.method != "BYE" and all(map(is_as_recorded, recorded)):
            # §16.6, step 4: a phone that was started anew, or that knows the dialog by this NOTIFY
            # alone (RFC 6665 §4.3), goes on through us.  The same tickets stand for the same sides.
            for route in recorded:
                request.put_first("record-route", f"Record-Route: <{route}>")
        target = self._target_within(request, passage)
        if target is None:
            raise Refused(430, f"{passage.flow} leads to nobody any more")  # RFC 5626 §5.3
        if target.trunk is not None:
            self._authenticate(request, upstream)  # what leaves by a gateway is a user's of ours
        Fork(self.forwarder, request, upstream, mark).run([target])

    def _target_within(self, request: Request, passage: Passage) -> Target | None:
        """The one place that a request inside a dialog goes to; None where its flow is gone.

        A phone that has registered again meanwhile is found among those of its user: on a new
        connection, or behind the same NAT, which has given it another port.
        """
        flow, uri_text = passage.flow, as_request_uri(request.uri_text)
        if flow is None:
            return Target(uri_text)
        transports = self.layer.transports
        if flow.transport == "UDP":
            is_gone = passage.is_bound and not self.forwarder.is_bound(flow)
        else:
            is_gone = not transports.is_open(flow)
        if is_gone:
            phone = self._target_set().of_peer(request.uri, request.to.uri, flow)
            if phone is None and (flow.transport == "UDP" or not transports.leads_on(flow)):
                return None
            # Every home has a 192.168.1.20: what is bound at another address may be another phone.
            if phone is not None and (flow.transport != "UDP" or phone.source == flow.remote[0]):
                return phone
        trunk = self.trunks.at(flow, username_of(request.to.uri)) if self.trunks else None
        return Target(uri_text, flow, trunk=trunk)

    def pass_on_ack(self, request: Request, flow: Flow) -> None:
        """Pass on an ACK for a 2xx; one that shows no way is dropped (§16.11, §13.2.2.4)."""
        try:
            may_go_on = request.uri.scheme in _SCHEMES and hops_left(request) > 0  # §16.3
            target = self._target_of_ack(request) if may_go_on else None
            if target is not None:
                self.forwarder.pass_on(request, target, breadth_left(request))
                return
            cause = "it shows no way"
        except (BadMessage, NoRoute) as error:
            cause = str(error)
        self.layer.counts["ACKs without a way"] += 1
        log.debug("dropped an ACK: %s", cause)

    def _target_of_ack(self, request: Request) -> Target | None:
        """Where an ACK goes: to one place, the best that its target is bound to (§16.11)."""
        routes, passage = self._prepare(request)
        if passage is not None:
            return self._target_within(request, passage)
        realm = self._realm_here(request)
        if realm is None or self.tickets.passage(request, routes) is None:
            return None
        targets = self._target_set().of_user(username_of(request.uri), realm)
        return max(targets, key=lambda target: target.q, default=None)

    def _outside_dialog(self, request: Request, upstream: Upstream, mark: str) -> None:
        """§16.3 step 6 and §16.5: who asks, whom for, and where that is."""
        realm = self._realm_here(request)
        if realm is not None and not username_of(request.uri):
            raise _not_served_here(request.method)
        account = self._caller(request, upstream)
        target_set = self._target_set()
        is_stranger = account is None and not self._is_of_gateway(request, upstream)
        targets = self._targets(request, realm, account, target_set, is_stranger=is_stranger)
        fork = Fork(
            self.forwarder,
            request,
            upstream,
            mark,
            record_routes=request.method not in _WITHOUT_DIALOG,
            is_trusted=account is not None,
            redirect=target_set.of_redirection if self.follow_redirects else None,
            lose=target_set.lose,
        )
        if is_stranger and realm is not None and request.method == "INVITE":
            aor = address_of_record(username_of(request.uri), realm)
            with self.strangers.place(upstream, aor):
                fork.run(targets)
        else:
            fork.run(targets)

    def _realm_here(self, request: Request) -> str | None:
        """The realm whose domain a request is for.

        None where a Route, the maddr or the domain of it names somebody else.
        """
        uri = request.uri
        if "route" in request.present or self.domains.is_aimed_past_us(uri):
            return None
        return self.domains.realm_of(uri)

    def _targets(
        self,
        request: Request,
        realm: str | None,
        account: Account | None,
        target_set: TargetSet,
        *,
        is_stranger: bool,
    ) -> list[Target]:
        """Where a request outside a dialog goes (§16.5).  Raises Refused, or gives at least one.

        `realm` is that of the domain here which it is for, None where it leads outside.  Strangers
        are not told who exists.
        """
        uri = request.uri
        username = username_of(uri)
        if realm is None:
            if account is not None and "route" not in request.present:
                phones = target_set.of_contact(uri, self._realm_of_caller(request))
                if phones:
                    return phones
            if account is None:
                raise Refused(403, f"{uri.text[:60]} leads outside, and the caller is a stranger")
            if not self.calls_to_outside:
                raise Refused(403, f"{uri.text[:60]} leads outside, and calls to outside are off")
            return [Target(as_request_uri(request.uri_text))]
        if (
            request.method in _FOR_EVENT_SERVERS
            and account is not None
            and (username, realm) == (account.username, self._realm_of_caller(request))
        ):
            raise Refused(489, f"{request.value('event') or 'no event'} is not served here")
        targets = target_set.of_user(username, realm)
        if targets:
            return targets
        callee = self.authenticator.accounts.find(username, realm)
        if callee is None and account is not None and (far := self.trunks.target(username)):
            return [far]
        if callee is None:
            cause = f"there is no user {username[:60]}"
            raise Refused(480 if is_stranger else 404, cause)
        state = "not registered" if callee.enabled else "disabled"
        raise Refused(480, f"{username[:60]} is {state}")

    def _target_set(self) -> TargetSet:
        accounts, transports = self.authenticator.accounts, self.layer.transports
        return TargetSet(accounts, self.domains, self.location, transports)

    def _caller(self, request: Request, upstream: Upstream) -> Account | None:
        """The account that a request comes from, None for a stranger who is let in.

        Raises Challenged, or Refused (403).
        """
        if self._is_of_gateway(request, upstream):
            return None  # whoever it says that calls: it reaches our users, and nobody else
        if self.domains.realm_of_sender(request.from_.uri) is not None:
            account = self._authenticate(request, upstream)
            username = username_of(request.from_.uri)
            if username != account.username:
                raise Refused(403, f"{account.username} may not call as {username[:60]}")
            return account
        if not self.calls_from_outside:
            raise Refused(403, "it comes from outside, and calls from outside are off")
        return None

    def _is_of_gateway(self, request: Request, upstream: Upstream) -> bool:
        """Tell whether a gateway sends a request, and no phone at its address in a user's name."""
        source = upstream.flow.remote
        if not self.trunks or not self.trunks.is_gateway(source):
            return False
        realm = self.domains.realm_of_sender(request.from_.uri)
        return (
            realm is None
            or self.trunks.is_place(source)
            or self.authenticator.accounts.find(username_of(request.from_.uri), realm) is None
        )

    def _authenticate(self, request: Request, upstream: Upstream) -> Account:
        realm = self._realm_of_caller(request)
        account = self.authenticator.authenticate(
            request, realm, upstream.flow.remote[0], as_proxy=True
        )
        upstream.is_proven = True
        return account

    def _realm_of_caller(self, request: Request) -> str:
        return self.domains.realm_of_sender(request.from_.uri) or self.domains.main


def _leads_to_a_side(request: Request, passage: Passage) -> bool:
    """Tell whether a request goes to a host of the dialog's sides, and nowhere on its way."""
    uri = request.uri
    return (
        isinstance(uri, SipUri)
        and uri.host in passage.hosts
        and "route" not in request.present
        and uri.param("maddr") is None
    )


def _not_served_here(method: str) -> Refused:
    """The refusal of a request to the server itself (§8.2.1)."""
    if method in METHODS:
        cause = f"the server itself serves no {method}"
        return Refused(405, cause, extra=(("Allow", OWN_METHODS),))
    return Refused(501, f"{method[:20]} is no method that is known here")


def check_forwardable(request: Request, mark: str) -> None:
    """§16.3: what is refused before anything is looked up.

    `mark` is what it left on its way if it has looped.  Raises Refused or BadMessage.
    """
    scheme = request.uri.scheme
    if scheme not in _SCHEMES:
        raise Refused(416, f"{scheme[:20]} is not a scheme that is served here")
    if hops_left(request) == 0:
        raise Refused(483, "it has no hops left")
    if has_looped(request, mark):
        raise Refused(482, "it has been here already, and leads here again")
    required = request.values("proxy-require")
    if required:
        raise Refused(
            420,
            f"requires {', '.join(required)[:80]} of proxies",
            extra=(("Unsupported", ", ".join(required)),),
        )
