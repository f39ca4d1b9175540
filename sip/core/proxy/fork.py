"""Forking: one request to several targets, and the best of their responses back (RFC 3261 §16.7).

The problem: several phones may ring at once, fail over to other hosts, redirect or be cancelled,
and their responses arrive in any order.

The model: each target is an Attempt; each hop of an attempt that is tried is a branch, which is a
client transaction of its own.  One greenlet waits on one mailbox for the events of all branches.
ResponseContext decides what a final response means; Fork carries the decision out.

The invariant: upstream gets all 2xx or exactly one failure, and after the decision no branch
starts.  The bounds: the pending branches together use no more than the Max-Breadth of the request
(RFC 5393 §5.3.3), and there are at most MAX_BRANCHES branches, logins at a gateway not counted.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from sip.core import causes
from sip.core.cause_fields import reason_of
from sip.core.errors import Cause, Refused, printable
from sip.core.proxy.attempt import Attempt
from sip.core.proxy.failure_causes import (
    called_side,
    cause_of_response,
    cause_without_response,
)
from sip.core.proxy.forwarder import Forwarder
from sip.core.proxy.loops import breadth_left
from sip.core.proxy.response_context import Answered, ResponseContext
from sip.core.target import Target, by_preference
from sip.core.trunk import Trunk
from sip.message.grammar import BadMessage
from sip.message.message import Request, Response
from sip.message.names import REASONS
from sip.message.uri import SipUri
from sip.transaction.branch_event import BranchEvent
from sip.transaction.upstream import Branch, EditResponse, Upstream
from sip.transport.dns.resolver import NoRoute
from sip.transport.flow import Flow

log = logging.getLogger(__name__)

# Branches of one request in all, one after another and redirections included.
MAX_BRANCHES = 60
# RFC 3326 §2: a phone that stops ringing for this reason shows no missed call.
_ELSEWHERE = reason_of(200, "Call completed elsewhere")
# 3xx whose Contacts are other addresses for the same request (§21.3); 305 and 380 say more.
_REDIRECTIONS = (300, 301, 302)

# Removes from a 3xx the targets that are to be tried instead, and returns them.
Redirect = Callable[[Response], list[Target]]
# Removes the binding of a target that accepts no connection; True if there was one.
RemoveUnreachable = Callable[[Target], bool]
# Is called with the target of a branch that has failed.
EndBranch = Callable[[Target], None]
# Completes a copy for its target and flow, and returns the function that edits its responses.
Prepare = Callable[[Request, Target, Flow], EditResponse]
# Returns True if a target that has answered with this status is to get the request once more.
MayTryAgain = Callable[[Target, int], bool]


class HopsResolved(BranchEvent):
    """The next hops of an attempt are resolved; there may be none."""

    __slots__ = ("attempt",)

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(None, 0, None)
        self.attempt = attempt


class Fork:
    """One forwarded request, from its first branch until it is answered upstream.

    `loop_mark` goes into each branch (RFC 5393 §4.2.1).  `prepare` is None if the request neither
    begins nor changes a dialog; `redirect` is None if a 3xx is relayed as it is;
    `remove_unreachable` is None if no target is a binding; `end_branch` is None if no listener
    wants to know which phones ring.

    Each ringing call holds one, so it has slots and short lists, which are smaller than a deque.
    """

    __slots__ = (
        "attempts",
        "cancel_status",
        "context",
        "end_branch",
        "fault",
        "forwarder",
        "free_breadth",
        "groups",
        "loop_mark",
        "may_try_again",
        "prepare",
        "redirect",
        "remove_unreachable",
        "request",
        "resolving",
        "stage",
        "started",
        "trunk",
        "upstream",
        "waiting",
    )

    def __init__(
        self,
        forwarder: Forwarder,
        request: Request,
        upstream: Upstream,
        loop_mark: str,
        prepare: Prepare | None = None,
        redirect: Redirect | None = None,
        remove_unreachable: RemoveUnreachable | None = None,
        end_branch: EndBranch | None = None,
    ) -> None:
        self.forwarder = forwarder
        self.request = request
        self.upstream = upstream
        self.loop_mark = loop_mark
        self.prepare = prepare
        self.redirect = redirect
        self.remove_unreachable = remove_unreachable
        self.end_branch = end_branch
        self.context: ResponseContext[Branch] = ResponseContext()
        self.free_breadth = 0  # the part of Max-Breadth that no pending branch uses
        self.attempts: dict[Branch, Attempt] = {}  # those of the pending branches
        self.waiting: list[Target] = []  # targets of the present group, not yet tried
        self.groups: list[list[Target]] = []  # the less preferred targets
        self.resolving = 0  # attempts whose next hops are being resolved
        self.stage = 0  # the number of the present stage, see planned_fork.py
        self.started = 0  # branches so far
        self.cancel_status = 487  # the final status after a CANCEL
        self.fault: Cause | None = None  # why the latest target without a response has failed
        self.trunk: Trunk | None = None  # that of the latest target
        self.may_try_again: MayTryAgain | None = None  # if a media relay may help

    def run(self, targets: Iterable[Target]) -> int:
        """Try the targets in order of preference, answer upstream, and return the final status.

        Blocks until a 2xx has come or all branches have ended.  Each of them does end: the layer
        reports silence as 408, and an unreachable next hop as 503.  Raises Refused or BadMessage.
        """
        self.free_breadth = breadth_left(self.request)
        if self.free_breadth == 0:
            raise Refused(440, causes.TOO_MANY_BRANCHES.of())
        if self.request.method == "INVITE":
            self.upstream.answer(100)
        self.groups = by_preference(targets)
        try:
            self._try_all()
        except BaseException:  # after any error no phone may go on ringing (§16.7, step 10)
            for branch in self.context.pending:
                branch.cancel(reason_of(500, REASONS[500]))
            raise
        return 200 if self.context.is_answered else self._answer_best()

    def _try_all(self) -> None:
        self._start_branches()
        while self._is_waiting():
            mailbox = self.upstream.mailbox
            # Handle all events before another phone rings: one of them may be a CANCEL.
            events: list[BranchEvent] = [mailbox.get(), *mailbox.take_all()]
            if self.resolving:
                events.sort(key=lambda event: isinstance(event, HopsResolved))
            for event in events:
                self._handle_event(event)
            self._start_branches()

    def _is_waiting(self) -> bool:
        context = self.context
        is_resolving = self.resolving > 0 and not context.is_decided
        return not context.is_answered and (bool(context.pending) or is_resolving)

    def _start_branches(self) -> None:
        """Start as many branches as the breadth allows (RFC 5393 §5.3.3).

        The targets of a group start together, and a group starts when the one before has ended
        (§16.6).
        """
        while not self.context.is_decided:
            if not self.waiting:
                if self._is_ringing() or not (self.groups or self._start_next_stage()):
                    return
                self.waiting = self.groups.pop(0)
            count = min(len(self.waiting), self.free_breadth)
            if count == 0:
                return
            breadth, more = divmod(self._breadth_for(count), count)
            for number in range(count):
                self._start(self.waiting.pop(0), breadth + (number < more))

    # What a call with several stages does in another way

    def _is_ringing(self) -> bool:
        """Return True while an attempt of the present stage has not ended."""
        return bool(self.context.pending) or self.resolving > 0

    def _start_next_stage(self) -> bool:
        """Begin the next stage; False: there is none."""
        return False

    def _breadth_for(self, count: int) -> int:
        """Return the breadth for `count` branches together, at least one for each."""
        return self.free_breadth

    def _copy(self) -> Request:
        """Return a copy of the request for one target.  Raises BadMessage."""
        return self.request.copy()

    def _unavailable(self) -> Refused:
        """Return the refusal of a call for which no phone could be reached."""
        return Refused(480, causes.NO_CONNECTION.of(peer=self._peer()))

    # Branches

    def _start(self, target: Target, breadth: int) -> None:
        """Send the request to one target; an unreachable target never fails the others."""
        self.started += 1
        self.trunk = target.trunk
        if self.started > MAX_BRANCHES:
            self.fault = causes.TOO_MANY_BRANCHES.of()
            self.context.answers.append(Answered(503, None))
            return
        self.free_breadth -= breadth
        forwarder = self.forwarder
        try:
            outgoing = self._copy()
            hops = forwarder.prepare(outgoing, target, breadth)
        except (NoRoute, BadMessage) as error:
            self._log_unreachable(target, error)
            self._give_up(Attempt(target, breadth, self.request, (), self.stage))
            return
        stage = self.stage
        if not isinstance(hops, SipUri):
            ordered = forwarder.order_by_size(outgoing, hops)
            self._send(Attempt(target, breadth, outgoing, ordered, stage))
            return
        # DNS may be slow: the responses of the other targets must not wait for it.
        self.resolving += 1
        attempt = Attempt(target, breadth, outgoing, (), stage)
        self.upstream.spawn(lambda: self._resolve(attempt, hops))

    def _resolve(self, attempt: Attempt, uri: SipUri) -> HopsResolved:
        """Resolve the next hops of an attempt.  May wait for DNS; runs in its own greenlet."""
        try:
            hops = self.forwarder.next_hops_to(attempt.target, uri)
            attempt.next_hops.extend(self.forwarder.order_by_size(attempt.outgoing, hops))
        except NoRoute as error:
            self._log_unreachable(attempt.target, error)
        except Exception:  # after any error the fork must get the event, or it waits for ever
            target = printable(attempt.target.uri_text[:80])
            log.exception("unhandled error while resolving %s", target, extra=self._log_fields())
        return HopsResolved(attempt)

    def _log_unreachable(self, target: Target, error: Exception) -> None:
        if isinstance(error, OSError):
            self.fault = causes.UNREACHABLE.of(peer=self._peer())
        else:
            self.fault = causes.NO_ROUTE.of(uri=target.uri_text, fault=str(error))
        text = printable(f"{target.uri_text[:80]}: {error}")
        log.info("unreachable: %s", text, extra=self._log_fields(self.fault.code))

    def _log_fields(self, code: str = causes.INTERNAL_ERROR.code) -> dict[str, str]:
        return {"call_id": printable(self.request.value("call-id") or ""), "cause": code}

    def _send(self, attempt: Attempt) -> None:
        """Send a copy to the first next hop that has a flow, unless the fork is decided."""
        forwarder, upstream = self.forwarder, self.upstream
        while attempt.next_hops and not self.context.is_decided:
            attempt.hop = attempt.next_hops.pop(0)
            try:
                flow = forwarder.flow_to(attempt.hop, attempt.target)
            except (OSError, NoRoute) as error:
                self._log_unreachable(attempt.target, error)
                continue
            # The last copy need not be kept: no later hop and no login will use it.
            is_last = not attempt.next_hops and attempt.target.trunk is None
            is_last = is_last and self.may_try_again is None
            outgoing = attempt.outgoing if is_last else attempt.outgoing.copy()
            if attempt.credentials is not None:
                outgoing.put_first(*attempt.credentials)
            edit = None
            if self.prepare is not None:
                try:
                    edit = self.prepare(outgoing, attempt.target, flow)
                except Refused as refused:
                    self.fault = Cause(refused.code, refused.cause, refused.cure)
                    attempt.next_hops.clear()
                    attempt.hop = None
                    break
            branch = forwarder.layer.send_request(outgoing, flow, upstream, self.loop_mark, edit)
            self.context.add(branch)
            self.attempts[branch] = attempt
            return
        self._give_up(attempt)

    def _give_up(self, attempt: Attempt) -> None:
        """End an attempt without a next hop: it counts as answered with 503 (§16.9)."""
        self.free_breadth += attempt.breadth
        if not attempt.next_hops:
            status = 480 if self._remove_binding(attempt) else 503
            if not (attempt.target.others and self._try_other_flow(attempt)):
                self.context.answers.append(Answered(status, None))

    def _try_other_flow(self, attempt: Attempt) -> bool:
        """Try the next flow of a phone after one that has failed (RFC 5626 §7); False: none."""
        others = attempt.target.others
        is_earlier = attempt.stage != self.stage
        if not others or is_earlier or self.context.is_decided or self.started >= MAX_BRANCHES:
            return False
        self._start(replace(others[0], others=others[1:]), attempt.breadth)
        return True

    def _remove_binding(self, attempt: Attempt) -> bool:
        """Remove the binding of a phone that no connection reaches; True if there was one.

        The phone then counts as not registered.
        """
        return (
            self.remove_unreachable is not None
            and attempt.hop is not None
            and attempt.hop.is_connection
            and not attempt.next_hops
            and self.remove_unreachable(attempt.target)
        )

    def _handle_event(self, event: BranchEvent) -> None:
        """Carry out the decision of the context on one event."""
        context, branch, response = self.context, event.branch, event.response
        if isinstance(event, HopsResolved):
            self.resolving -= 1
            self._send(event.attempt)
            return
        if branch is None:
            self.cancel_status = event.status or 487
            for pending in context.cancel():
                pending.cancel(event.reason)
            return
        attempt = self.attempts.pop(branch)
        if self.end_branch is not None and event.status >= 300:
            self.end_branch(attempt.target)
        if self._fail_over(branch, event, attempt):
            return
        is_silent = response is None and not branch.transaction.has_response
        if response is None:
            self.fault = cause_without_response(self._peer(), event.status, is_silent=is_silent)
        if is_silent and event.status == 503 and self._remove_binding(attempt):
            event = BranchEvent(branch, 480, None)
        if attempt.target.trunk is not None and event.status in (401, 407):
            if self._answer_challenge(branch, response, attempt):
                return
            # The gateway's challenge is for this server; the caller cannot answer it.
            self.fault = causes.GATEWAY_LOGIN.of(peer=self._peer())
            event, response = BranchEvent(branch, 500, None), None
        self.free_breadth += attempt.breadth
        if event.status == 430 or is_silent:
            if attempt.target.others and self._try_other_flow(attempt):
                context.pending.remove(branch)
                return
            if event.status == 430 and attempt.target.phone is not None:
                # RFC 5626 §11.5: a 430 is for proxies, not for phones.
                self.fault = causes.FLOW_LOST.of()
                event, response = BranchEvent(branch, 480, None), None
        if response is not None and self._is_redirected(branch, response):
            return
        relay, losers = context.receive(branch, event.status, response)
        if relay and response is not None:
            response.remove_top_via()
            self.upstream.respond(response)
        if losers:
            status = event.status
            reason = _ELSEWHERE if relay else reason_of(status, REASONS.get(status))
            for loser in losers:
                loser.cancel(reason)

    def _fail_over(self, branch: Branch, event: BranchEvent, attempt: Attempt) -> bool:
        """Try the next host of a target that is silent, unreachable or unavailable (RFC 3263 §4.3).

        A host that has sent any response has the request; then no other host gets it.  A host that
        does not understand the media of the offer may get the request once more, translated.
        """
        hop, may_try_again = attempt.hop, self.may_try_again
        if event.response is None:
            is_failure = not branch.transaction.has_response
        else:
            is_failure = event.status == 503
        if hop is not None and may_try_again and may_try_again(attempt.target, event.status):
            attempt.next_hops.insert(0, hop)
        elif not is_failure:
            return False
        elif hop is not None:
            self.forwarder.avoid(hop)
        if not attempt.next_hops or self.context.is_decided or self.started >= MAX_BRANCHES:
            return False
        self.started += 1
        self.context.pending.remove(branch)
        attempt.clear_login()
        self._send(attempt)
        return True

    def _answer_challenge(
        self, branch: Branch, response: Response | None, attempt: Attempt
    ) -> bool:
        """Send the request again with the credentials of its trunk; False: they do not help."""
        if response is None or self.context.is_decided:
            return False
        if not attempt.answer_challenge(response, self.forwarder.layer.new_token):
            return False
        self.context.pending.remove(branch)
        self._send(attempt)
        return True

    def _is_redirected(self, branch: Branch, response: Response) -> bool:
        """Follow a 3xx (§16.7, step 4).  True: nothing of it is left for the caller."""
        if (
            self.redirect is None
            or response.status not in _REDIRECTIONS
            or self.context.is_decided
            or not (targets := self.redirect(response))
        ):
            return False
        first, *later = by_preference(targets)
        self.waiting.extend(first)
        self.groups[:0] = later
        if "contact" in response.present:
            return False
        self.context.pending.remove(branch)
        return True

    def _answer_best(self) -> int:
        """Send the best of the failures upstream (§16.7, steps 6 and 7); return its status."""
        context, upstream = self.context, self.upstream
        if context.is_cancelled and not context.answers:
            upstream.answer(self.cancel_status)
            return self.cancel_status
        best = context.best()
        response = best.response
        if response is None:
            return self._answer_without_response(best.status)
        if best.status == 503:
            # §16.7, step 6: upstream a 503 would mean that this server is overloaded.
            raise Refused(500, self._answer_of(response), reason="Next Hop Unavailable")
        response.remove_top_via()
        if best.status in (401, 407):
            for name, line in context.other_challenges(best):
                response.append(name, line)
        upstream.respond(response)
        is_end_of_cancel = context.is_cancelled and response.status == 487
        return self.cancel_status if is_end_of_cancel else response.status

    def _answer_without_response(self, status: int) -> int:
        """Answer a CANCEL if no branch got a response, and return the status; else raise Refused.

        The server transaction drops a 408 to any method but INVITE (RFC 4320 §4.2).
        """
        if self.context.is_cancelled:
            self.upstream.answer(self.cancel_status)
            return self.cancel_status
        cause = self.fault or causes.UNREACHABLE.of(peer=self._peer())
        if status == 480:
            raise self._unavailable()
        if cause.code == causes.MEDIA_RELAY.code:
            raise Refused(503, cause)
        if status in (408, 513):
            raise Refused(status, cause)
        raise Refused(500, cause, reason="Next Hop Unreachable")

    # Causes

    def forwarded(self) -> Cause | None:
        """Return the forwardings as the cause for the end of an answered call, None for none."""
        return None

    def failure(self, status: int) -> Cause:
        """Return why the request was not accepted, after `run` has returned `status`."""
        context = self.context
        if context.is_cancelled and status == self.cancel_status:
            return (causes.CANCELLED if status == 487 else causes.STOPPING).of()
        response = context.best().response if context.answers else None
        if response is None:
            return self.fault or causes.UNREACHABLE.of(peer=self._peer())
        return self._answer_of(response)

    def _answer_of(self, response: Response) -> Cause:
        return cause_of_response(self._peer(), response, self.request.method)

    def _peer(self) -> str:
        return called_side(self.request.uri, self.forwarder.domains, self.trunk)
