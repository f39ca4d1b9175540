"""The stateful proxy: authentication, target choice and forwarding, in blocking style (§16)."""

import logging
from collections.abc import Callable
from functools import partial

from sip.core import causes
from sip.core.auth.authenticator import Account, Authenticator
from sip.core.domains import Domains, address_of_record, username_of
from sip.core.errors import Cause, Challenged, Refused
from sip.core.guard.call_limits import NO_SLOT, CallLimits
from sip.core.proxy.call_control import CallControl
from sip.core.proxy.call_events import CallEvents
from sip.core.proxy.call_plan import CallPlan
from sip.core.proxy.call_router import CallRouter
from sip.core.proxy.call_rules import CallRules
from sip.core.proxy.dialogs import TARGET_REFRESHES, Dialogs
from sip.core.proxy.fork import Fork, Prepare
from sip.core.proxy.forwarder import Forwarder
from sip.core.proxy.loops import breadth_left, loop_mark
from sip.core.proxy.past_parties import PastParties
from sip.core.proxy.planned_fork import PlannedFork
from sip.core.proxy.record_route import RecordRoutes
from sip.core.proxy.remote_targets import RemoteTargets
from sip.core.proxy.robot_targets import ROBOT, RobotTargets
from sip.core.proxy.route_processing import pop_own_routes, strip_own_maddr
from sip.core.proxy.route_ticket import DialogSide, OwnRoute, Tickets
from sip.core.proxy.target_set import TargetSet
from sip.core.proxy.trunk_table import Trunks
from sip.core.proxy.validation import (
    check_ack,
    check_forwardable,
    not_served_here,
    outside_cause,
)
from sip.core.registrar.location import Location
from sip.core.target import Phone, Target, as_request_uri, is_sips
from sip.message.grammar import BadMessage
from sip.message.message import Request, Response
from sip.message.uri import TelUri, Uri
from sip.monitor.events import Bus
from sip.transaction.layer import Layer
from sip.transaction.upstream import EditResponse, Upstream
from sip.transport.dns.resolver import NoRoute, Resolver
from sip.transport.flow import Flow, network_of

log = logging.getLogger(__name__)

# Methods that begin no dialog: they need no Record-Route.
_WITHOUT_DIALOG = frozenset({"MESSAGE", "OPTIONS", "PUBLISH"})
# Methods within a dialog that are challenged if they name a new Contact from an address where their
# sender was never seen.  Phones answer a 407 to these methods, as to the first INVITE.
_CHALLENGED = frozenset({"INVITE", "UPDATE"})
# Methods that a phone sends to its own address, for an event server that does not exist here.
_FOR_EVENT_SERVERS = frozenset({"SUBSCRIBE", "PUBLISH"})
# Asserted identities.  They are removed, because no phone is a trusted element (RFC 3325 §5, §6).
_ASSERTIONS = ("p-asserted-identity", "p-preferred-identity")


class Proxy:
    """Forwards requests to their targets, and responses back."""

    def __init__(
        self,
        layer: Layer,
        authenticator: Authenticator,
        domains: Domains,
        location: Location,
        tickets: Tickets,
        resolver: Resolver,
        trunks: Trunks,
        robots: RobotTargets,
        rules: CallRules,
        *,
        calls_from_outside: bool,
        calls_to_outside: bool,
        follow_redirects: bool,
        is_bound: Callable[[Flow], bool],
        bus: Bus,
        router: CallRouter,
    ) -> None:
        self.layer = layer
        self.router = router
        self.authenticator = authenticator
        self.domains = domains
        self.location = location
        self.tickets = tickets
        self.forwarder = Forwarder(layer, domains, resolver, trunks)
        transports, remote_targets = layer.transports, RemoteTargets()
        self.record_routes = RecordRoutes(
            tickets, domains, resolver, transports.sent_by, is_bound, remote_targets
        )
        self.dialogs = Dialogs(
            tickets,
            domains,
            resolver,
            transports,
            trunks,
            location,
            self._target_set,
            authenticator.account_name,
            is_bound,
            remote_targets,
        )
        self.trunks = trunks
        self.robots = robots
        self.rules = rules
        accounts = authenticator.accounts
        past_parties = PastParties(tickets, domains, accounts, location)
        self.calls = CallEvents(bus, domains, accounts, layer.clock, past_parties)
        self.call_control = CallControl(
            self.calls, self.dialogs, self.forwarder, tickets, domains, location, layer
        )
        self.call_limits = CallLimits(authenticator.guard.is_trusted)
        self.calls_from_outside = calls_from_outside
        self.calls_to_outside = calls_to_outside
        self.follow_redirects = follow_redirects

    def handle(self, request: Request, upstream: Upstream) -> None:
        """Forward one request.  Blocks until it is answered.  Raises Refused or BadMessage."""
        mark = loop_mark(request)
        routes, side = self._prepare(request)
        if side is not None:
            upstream.is_verified = True  # only the sides of a dialog receive its ticket
        check_forwardable(request, mark, upstream)
        if side is not None:
            try:
                if self._within_dialog(request, upstream, mark, routes, side):
                    return
            except Refused as refused:
                self.calls.handle_refusal(request, refused.status, routes, side)
                raise
        upstream.is_verified = False  # a ticket proves nothing outside of its dialog
        try:
            self._outside_dialog(request, upstream, mark)
        except Challenged as challenged:
            if request.to.tag and not challenged.cause:
                challenged.set_cause(outside_cause(request, side))
            raise

    def is_within_dialog(self, request: Request) -> bool:
        """Return True if a request has a ticket of ours.  The request is not changed."""
        copy = request.copy()
        try:
            return (
                self.tickets.destination_side(copy, pop_own_routes(copy, self.domains)) is not None
            )
        except BadMessage:
            return False

    def _prepare(self, request: Request) -> tuple[list[OwnRoute], DialogSide | None]:
        """Remove our own Routes and asserted identities (§16.4); return the Routes and the side.

        The side is that of the ticket, None for a request without a ticket.
        """
        routes = pop_own_routes(request, self.domains)
        for name in _ASSERTIONS:
            if name in request.present:
                request.remove(name)
        side = self.tickets.destination_side(request, routes)
        if side is not None:
            strip_own_maddr(request, self.domains)
        return routes, side

    def _within_dialog(
        self,
        request: Request,
        upstream: Upstream,
        mark: str,
        routes: list[OwnRoute],
        side: DialogSide,
    ) -> bool:
        """Forward a request within a dialog (§16.6); False: its target is outside the dialog."""
        dialogs = self.dialogs
        target = dialogs.target(request, side)
        if target is None:
            return False
        if target.trunk is not None and not self._is_of_forwarded_call(request, routes):
            self._authenticate(request, upstream)  # only local users may call through a gateway
        if request.method in TARGET_REFRESHES:
            self._learn_contact(request, upstream, routes)
        prepare = self._follow_dialog(request, side)
        if request.method != "BYE":
            # §16.6, step 4: a restarted phone, or one that knows the dialog only by this NOTIFY
            # (RFC 6665 §4.3), needs our Record-Route again.  The tickets of the sides are the same.
            recorded = [route for route in routes if route.is_recorded]
            if all(route.is_as_issued for route in recorded):
                for route in recorded:
                    request.put_first("record-route", f"Record-Route: <{route.text}>")
        fork = Fork(self.forwarder, request, upstream, mark, prepare=prepare)
        self.calls.run_within(request, fork, target, routes, side)
        return True

    def _follow_dialog(self, request: Request, side: DialogSide) -> Prepare | None:
        """Learn from a request within a dialog, and return what learns from its responses.

        None: the responses change nothing.
        """
        calls, dialogs = self.calls, self.dialogs
        call = calls.handle_request(request)
        if request.method not in TARGET_REFRESHES:
            return None

        def learn(outgoing: Request, target: Target, flow: Flow) -> EditResponse:
            def edit(response: Response) -> None:
                dialogs.learn_from_response(request, response, side, target, flow)
                if call is not None:
                    calls.handle_response_within(call, request, response)

            return edit

        return learn

    def _learn_contact(self, request: Request, upstream: Upstream, routes: list[OwnRoute]) -> None:
        """Learn the Contact of a target refresh (§12.2.2).  Raises Challenged."""
        dialogs, flow = self.dialogs, upstream.flow
        side = self.tickets.sender_side(request, routes)
        if not dialogs.learn_from_request(request, flow, side) and request.method in _CHALLENGED:
            account = self._authenticate(request, upstream)
            aor = address_of_record(account.username, self._realm_of_caller(request))
            dialogs.learn_from_verified_request(request, flow, side, aor)

    def forward_ack(self, request: Request, flow: Flow) -> Cause | None:
        """Forward an ACK for a 2xx (§16.11, §13.2.2.4); return the cause if it is dropped."""
        try:
            check_ack(request, flow, self.layer.transports)
            _, side = self._prepare(request)
            target = self._target_of_ack(request, flow, side)
            if target is None:
                return outside_cause(request, side)
            self.calls.handle_ack(request)
            self.forwarder.forward_statelessly(request, target, breadth_left(request))
        except BadMessage as bad:
            return causes.MALFORMED.of(fault=bad.reason)
        except NoRoute as no_route:
            return causes.NO_ROUTE.of(uri=request.uri_text, fault=str(no_route))
        except Refused as refused:
            return Cause(refused.code, refused.cause, refused.cure)
        return None

    def _target_of_ack(
        self, request: Request, flow: Flow, side: DialogSide | None
    ) -> Target | None:
        """Return the one target of an ACK, of several contacts the one with the best q (§16.11).

        Without a ticket it is the phone that has just answered this sender.
        """
        if side is not None and (target := self.dialogs.target(request, side)) is not None:
            return target
        if "route" in request.present:
            return None
        if side is None:
            return self._answered(request, flow)
        realm = self._realm_here(request)
        if realm is None:
            return None
        targets = self._target_set().of_user(self.domains.username_of(request.uri), realm)
        return max(targets, key=lambda target: target.q, default=None)

    def _answered(self, request: Request, flow: Flow) -> Target | None:
        """Return the phone in the dialog of a caller without a Route, None if none is known."""
        if not request.to.tag or "route" in request.present:
            return None
        realm, name = self._realm_here(request), self.domains.username_of(request.uri)
        bound: list[Target] = []
        if realm is not None and name:
            bound = self._target_set().of_user(name, realm)
        return self.dialogs.answered_target(request, flow, bound)

    def _outside_dialog(self, request: Request, upstream: Upstream, mark: str) -> None:
        """Authenticate the caller, find the targets, and forward (§16.3 step 6, §16.5)."""
        realm = self._realm_here(request)
        if realm is not None and not username_of(request.uri):
            raise not_served_here(request.method)
        account = self._caller(request, upstream)
        is_call = request.method == "INVITE"
        if is_call and self.router.is_active and not request.to.tag:
            self._ask_router(request, upstream, account)
            realm = self._realm_here(request)
        target_set = self._target_set(request.uri_text[3:4] != ":" and is_sips(request.uri_text))
        is_external = account is None and not self._is_from_gateway(request, upstream)
        answered = self._answered(request, upstream.flow)
        plan: CallPlan | None = None
        try:
            if is_call and realm is not None and answered is None:
                plan = self.rules.plan(request, upstream, realm, target_set)
            if answered is not None:
                targets = [answered]
            elif plan is not None:
                targets = plan.stage.targets
            else:
                targets = self._targets(
                    request, upstream, realm, account, target_set, is_external=is_external
                )
                if not targets:
                    return  # it is answered
        except Refused as refused:
            raise target_set.explain(refused, upstream.sent_by, is_external=is_external) from None
        caller = self._phone_of(account, request, upstream.flow) if account else None
        slot = NO_SLOT
        if is_call and is_external and realm is not None:
            username = self.authenticator.account_name(request.uri, realm)
            slot = self.call_limits.slot(upstream, address_of_record(username, realm))
        with slot:
            call = self.calls.start(request, upstream, account, realm or "") if is_call else None
            if answered is not None:
                self.calls.handle_request(request)
            prepare: Prepare | None = None
            if request.method not in _WITHOUT_DIALOG:
                prepare = partial(self.record_routes.add, request, upstream.flow, caller)
            if prepare is not None and call is not None:
                prepare = self.calls.wrap_prepare(call, prepare)
            redirect = target_set.of_redirection if self.follow_redirects else None
            end_branch = partial(self.calls.end_branch, call) if call is not None else None
            unreachable = target_set.remove_unreachable
            start = self.forwarder, request, upstream, mark, prepare, redirect, unreachable
            fork = (
                Fork(*start, end_branch) if plan is None else PlannedFork(*start, end_branch, plan)
            )
            if call is not None:
                self.calls.run(call, fork, targets)
                return
            status = fork.run(targets)
            if answered is not None and request.method == "BYE":
                self.calls.hang_up(request, status, [], None)

    def _is_of_forwarded_call(self, request: Request, routes: list[OwnRoute]) -> bool:
        """Return True if no user has begun the call: a user here has forwarded it to the gateway.

        By a REFER, a MESSAGE, or an INVITE with another tag it could begin something new there.
        """
        if not self.calls.may_be_within(request):
            return False
        sender = self.tickets.sender_side(request, routes)
        return sender is not None and not sender.user

    def _ask_router(self, request: Request, upstream: Upstream, account: Account | None) -> None:
        """Let the operator's own code change the target of a call.  Raises Refused; may wait."""
        upstream.ensure_transaction()  # it absorbs retransmissions meanwhile
        decision = self.router.route(request, account, upstream.flow)
        if decision is None:
            return
        if decision.status:
            raise Refused(decision.status, causes.REFUSED_BY_HOOK.of(text=decision.text))
        if decision.target.lower().startswith(("sip:", "tel:")):
            request.uri_text = decision.target
        else:
            realm = self._realm_here(request) or self._realm_of_caller(request)
            request.uri_text = f"sip:{decision.target}@{realm}"

    def _realm_here(self, request: Request) -> str | None:
        """Return the realm that a request is for; None for an external Route, maddr or domain."""
        uri = request.uri
        if "route" in request.present or self.domains.has_foreign_maddr(uri):
            return None
        return self.domains.realm_of(uri)

    def _targets(
        self,
        request: Request,
        upstream: Upstream,
        realm: str | None,
        account: Account | None,
        target_set: TargetSet,
        *,
        is_external: bool,
    ) -> list[Target]:
        """Return the targets of a request outside a dialog (§16.5).  Raises Refused.

        There is none if the request is answered: a star code was obeyed.

        `realm` is the realm of its local domain, None if the domain is external.  An external
        caller gets the same answer for an unknown user as for one that is not registered.
        """
        uri = request.uri
        username = self.domains.username_of(uri)
        if realm is None:
            if account is not None and "route" not in request.present:
                phones = target_set.of_contact(uri, self._realm_of_caller(request))
                if phones:
                    return phones
            if account is None:
                raise Refused(403, causes.wrong_domain(self.domains, uri, upstream.sent_by))
            if not self.calls_to_outside:
                raise Refused(403, causes.CALL_TO_OUTSIDE.of(uri=uri.text))
            return [Target(as_request_uri(request.uri_text))]
        if (
            request.method in _FOR_EVENT_SERVERS
            and account is not None
            and realm == self._realm_of_caller(request)
            and self.authenticator.is_named(account, uri, realm)
        ):
            event = request.value("event") or "(none)"
            raise Refused(489, causes.UNSUPPORTED_EVENT.of(event=event))
        targets = target_set.of_user(username, realm)
        if targets:
            return targets
        callee = self.authenticator.accounts.find(username, realm)
        if callee is None and account is not None and realm == self.domains.main:
            robot = self.robots.target_for(username, request, upstream.flow, account.id)
            if robot is not None:
                return [robot]
        if callee is None and account is not None:
            gateway = self.trunks.target_for(username)
            if username[:1] == "*" and request.method == "INVITE" and not request.to.tag:
                caller_realm = self._realm_of_caller(request)
                obeyed = self.rules.obey(username, request, upstream, account, caller_realm)
                if obeyed is not None:
                    return obeyed
            if gateway is not None:
                return [gateway]
        if callee is None:
            raise Refused(480 if is_external else 404, causes.UNKNOWN_CALLEE.of(name=username))
        raise Refused(480, causes.unreachable_callee(username, is_enabled=callee.enabled))

    def _target_set(self, is_secure: bool = False) -> TargetSet:
        accounts, transports = self.authenticator.accounts, self.layer.transports
        return TargetSet(accounts, self.domains, self.location, transports, is_secure)

    def _caller(self, request: Request, upstream: Upstream) -> Account | None:
        """Return the account of the caller, None for an external caller that is allowed.

        Raises Challenged, or Refused (403).
        """
        if self._is_from_gateway(request, upstream):
            return None  # with any From: without an account it reaches only local users
        sender = request.from_.uri
        realm = self.domains.claimed_realm(sender)
        if isinstance(sender, TelUri) and not self._must_authenticate(request, upstream):
            realm = None
        if realm is not None:
            account = self._authenticate(request, upstream)
            if not self.authenticator.is_named(account, sender, realm):
                claimed = username_of(sender)
                raise Refused(403, causes.OTHER_USER.of(name=account.username, claimed=claimed))
            return account
        if not self.calls_from_outside:
            if self._realm_here(request) is None:
                raise Refused(403, causes.wrong_domain(self.domains, request.uri, upstream.sent_by))
            raise Refused(403, causes.call_from_outside(request.from_.uri))
        return None

    def _phone_of(self, account: Account, request: Request, flow: Flow) -> Phone:
        """Return the phone of a user at the end of a flow; without instance id if unknown."""
        aor = address_of_record(account.username, self._realm_of_caller(request))
        bindings = self.location.bindings(aor)
        for binding in bindings:
            if binding.flow.remote == flow.remote:
                return binding.phone(aor, is_only=len(bindings) == 1)
        return Phone(aor)

    def _is_from_gateway(self, request: Request, upstream: Upstream) -> bool:
        """Return True if a gateway sends a request, not a local user's phone on the same host.

        The robot counts as a gateway: without an account it reaches only local users.
        """
        if upstream.flow.transport == ROBOT:
            return True
        source = upstream.flow.remote
        if not self.trunks or not self.trunks.is_gateway(source):
            return False
        realm = self.domains.claimed_realm(request.from_.uri)
        return (
            realm is None
            or self.trunks.is_gateway_endpoint(source)
            or self._account_of(request.from_.uri, realm) is None
        )

    def _account_of(self, uri: Uri, realm: str) -> Account | None:
        return self.authenticator.accounts.find(self.domains.username_of(uri), realm)

    def _must_authenticate(self, request: Request, upstream: Upstream) -> bool:
        """Return True if a caller with a tel: URI in From has to show the password of that user.

        A tel: URI is in no domain: its number may belong to any telephone.  External callers must
        not find out which numbers are local users.  So a caller is challenged only if the call
        would ring otherwise, or if that user is registered from the caller's network.
        """
        realm = self._realm_of_caller(request)
        account = self._account_of(request.from_.uri, realm)
        if account is None:
            return False
        network = network_of(upstream.flow.remote[0])
        if self.location.is_registered_from_network(network, account.username, realm):
            return True
        called, realm_here = self.domains.username_of(request.uri), self._realm_here(request)
        if realm_here is None or not self.calls_from_outside:
            return False
        return bool(self._target_set().of_user(called, realm_here))

    def _authenticate(self, request: Request, upstream: Upstream) -> Account:
        realm = self._realm_of_caller(request)
        account = self.authenticator.authenticate(
            request, realm, upstream.flow.remote[0], as_proxy=True
        )
        upstream.is_verified = True
        return account

    def _realm_of_caller(self, request: Request) -> str:
        return self.domains.claimed_realm(request.from_.uri) or self.domains.main
