"""Control of calls: hang up, end by session timer, and checks of silent calls.

The problem: an administrator ends a call, and some calls end without a BYE: their phones have lost
power, or their network.
The model: this server acts once in place of each side.  A request to a side is built as its peer
would build it, with our signed Record-Route as its Route, and finds its target as a forwarded one.
A BYE has a CSeq above all that the side has seen.  An OPTIONS repeats the last CSeq, so that the
next request of the real peer is still in order (RFC 3261 §12.2.2): any answer but 481 says that
the side still has the dialog.
The invariant: a call that a side still has is not ended by a check.  call_checks.py has the rule.
The bounds: MAX_CHECKS checks at a time, each takes 32 s for each next hop (timer F); a sweep starts
CHECKS_PER_SWEEP checks and ends ENDS_PER_SWEEP calls.  When the registrations of both phones have
ended, a call has LEAVE_SECONDS to show that it goes on: 20,000 such calls leave within 70 s, even
those that no check has reached.
"""

import logging
from collections.abc import Callable
from functools import partial

from sip.core.cause_fields import reason_of
from sip.core.causes import BOTH_GONE, HUNG_UP_BY_ADMIN, SESSION_EXPIRED
from sip.core.domains import Domains
from sip.core.errors import Cause, Refused, printable
from sip.core.proxy.attempt import Attempt
from sip.core.proxy.call import CALLEE, CALLER, Call, CallSide
from sip.core.proxy.call_checks import Finding, finding_of, is_over
from sip.core.proxy.call_events import QUIET_SECONDS, CallEvents
from sip.core.proxy.dialogs import Dialogs
from sip.core.proxy.forwarder import Forwarder
from sip.core.proxy.robot_targets import ROBOT
from sip.core.proxy.route_processing import pop_own_routes
from sip.core.proxy.route_ticket import Tickets
from sip.core.registrar.location import Location
from sip.core.target import Target, as_request_uri
from sip.message.grammar import BadMessage, split_list, value_of
from sip.message.headers import parse_name_addr
from sip.message.message import Request, Response
from sip.message.uri import SipUri
from sip.monitor.events import Unregistered
from sip.transaction.branch_event import BranchEvent
from sip.transaction.layer import Layer
from sip.transaction.mailbox import Mailbox
from sip.transaction.own_request import CSEQ_LIMIT, NoResponse, build_request
from sip.transport.dns.resolver import NoRoute

log = logging.getLogger(__name__)

# Seconds between two looks at all calls.
SCAN_SECONDS = 5.0
# Seconds until a call is checked again that one side alone still has, or whose sides were silent.
HALF_DEAD_SECONDS = 120.0
# Seconds from the end of both registrations until the call leaves, if no side is heard of; a bit
# more than the 32 s of an unanswered check.
LEAVE_SECONDS = 33.0
# Checks that run at one time, of three greenlets each, and those that start in one sweep, some
# 0.5 ms each.  The others wait for the next sweep.
MAX_CHECKS = 500
CHECKS_PER_SWEEP = 50
# Calls that one sweep ends, some 50 µs each; the others wait for the next one.
ENDS_PER_SWEEP = 800
# Users whose registrations have ended since the last look; with more, all calls are looked at.
MAX_UNREGISTERED = 40_000

# The status in the Reason of a CANCEL, and the cause value "normal call clearing" in that of a BYE
# (RFC 3326 §2, §3.4).
_CANCELLED = 487
_NORMAL_CLEARING = 16


class CallControl:
    """Ends calls that an administrator hangs up, and calls whose phones no longer have them."""

    def __init__(
        self,
        events: CallEvents,
        dialogs: Dialogs,
        forwarder: Forwarder,
        tickets: Tickets,
        domains: Domains,
        location: Location,
        layer: Layer,
    ) -> None:
        self._events = events
        self._dialogs = dialogs
        self._forwarder = forwarder
        self._tickets = tickets
        self._domains = domains
        self._location = location
        self._layer = layer
        self._scan_at = 0.0
        self._checks = 0  # that run now
        self._unregistered: set[tuple[str, str]] = set()

    # Hang up

    def hang_up(self, call_id: str, caller_tag: str) -> bool:
        """End a call: cancel it if it rings, else send a BYE to both sides.  Does not wait.

        False: there is no such call.
        """
        call = self._events.get((call_id, caller_tag)) or self._as_printed(call_id, caller_tag)
        if call is None:
            return False
        call.ended_by_us = True
        call.end_cause = HUNG_UP_BY_ADMIN.of()
        if call.is_answered:
            self._events.end(call, 200, HUNG_UP_BY_ADMIN.of(), "server")
            self.send_byes(call)
        elif call.upstream is not None and call.upstream.is_active:
            reason = reason_of(_CANCELLED, _told(call.callee))
            call.upstream.mailbox.put(BranchEvent(None, 0, None, reason))
        return True

    def _as_printed(self, call_id: str, caller_tag: str) -> Call | None:
        """Return the call whose Call-ID is not printable, as events and pages show it."""
        for call in self._events.all():
            if call.event_key == (call_id, caller_tag):
                return call
        return None

    def send_byes(self, call: Call) -> None:
        """Send a BYE to each side, in greenlets of their own."""
        caller = call.caller
        for callee in (call.callee, *call.others):
            for side, peer in ((caller, callee), (callee, caller)):
                reason = reason_of(_NORMAL_CLEARING, _told(side), protocol="Q.850")
                # At the limit an equal one: it is not lower (§12.2.2).
                cseq = min(peer.cseq + 1, CSEQ_LIMIT - 1)
                extra = (("Reason", reason),)
                _spawn(partial(self._ask, call, side, peer, "BYE", cseq, extra))

    # Ends without BYE

    def sweep(self) -> None:
        """End the calls that are over, and check silent ones; called each second, does not wait."""
        now = self._layer.clock()
        self._events.end_retries(now)
        if now < self._scan_at:
            return
        self._scan_at = now + SCAN_SECONDS
        unregistered, self._unregistered = self._unregistered, set()
        checks, ends = CHECKS_PER_SWEEP, ENDS_PER_SWEEP
        for call in self._events.all():
            if not call.is_answered:
                continue
            if unregistered and self._has_no_phone(call, unregistered):
                self._note_no_phone(call, now)
            cause = self._end_of(call, now)
            if cause is not None:
                ends -= 1
                if ends >= 0:
                    self._end(call, cause)
            elif now >= call.check_at and not call.is_checked:
                checks -= 1
                if checks >= 0 and self._checks < MAX_CHECKS:
                    self._checks += 1
                    call.is_checked = True
                    _spawn(partial(self._check, call))
        if checks < 0 or ends < 0:
            self._scan_at = now  # the next sweep goes on

    def _end_of(self, call: Call, now: float) -> Cause | None:
        """Return why an answered call is over by now, None if it goes on."""
        if call.ended_by_us:  # the answer has crossed our CANCEL
            return HUNG_UP_BY_ADMIN.of()
        if call.expires_at and now >= call.expires_at:
            return SESSION_EXPIRED.of()
        if not call.unregistered_at or now < call.unregistered_at + LEAVE_SECONDS:
            return None
        if call.check_at > call.unregistered_at + LEAVE_SECONDS:  # a side has been heard of
            call.unregistered_at = 0.0
        elif self._is_unregistered(call) and call.caller.aor[0] and call.callee.aor[0]:
            return BOTH_GONE.of()
        return None  # a side without registration here: only a check ends the call

    def _end(self, call: Call, cause: Cause) -> None:
        self._events.end(call, 200, cause, "server")
        if call.ended_by_us:
            self.send_byes(call)

    def note_unregistered(self, event: Unregistered) -> None:
        """Mark a user whose phone is gone, so that the next sweep checks the calls of the user."""
        if len(self._unregistered) < MAX_UNREGISTERED:
            self._unregistered.add((event.username, event.realm))

    def _note_no_phone(self, call: Call, now: float) -> None:
        """Check a call whose last registration has ended, and count its time from now on."""
        if not call.unregistered_at:
            call.unregistered_at = call.check_at = now

    def _has_no_phone(self, call: Call, unregistered: set[tuple[str, str]]) -> bool:
        """Return True if a user of the call has lost a phone, and no phone of it is registered."""
        caller, callee = call.caller.aor, call.callee.aor
        is_known = len(unregistered) < MAX_UNREGISTERED  # else some were not noted
        if is_known and caller not in unregistered and callee not in unregistered:
            return False
        return not self._is_registered(call.caller) and not self._is_registered(call.callee)

    def _is_unregistered(self, call: Call) -> bool:
        """Return True if no phone of the call is registered any more."""
        if self._is_registered(call.caller) or self._is_registered(call.callee):
            call.unregistered_at = 0.0
        return call.unregistered_at > 0

    def _is_registered(self, side: CallSide) -> bool:
        """Return True if the phone of a side is registered from the address it was seen at."""
        username, realm = side.aor
        return bool(username) and self._location.is_registered_from(side.seen, username, realm)

    def _check(self, call: Call) -> None:
        """Ask both sides for their dialog, and end the call if it is over.  Waits."""
        try:
            asked_at, heard = self._layer.clock(), self._requests_heard()
            is_silent_again = 0.0 < call.silent_check_at == call.check_at
            outcomes = Mailbox()
            caller, callee = call.caller, call.callee
            for side, peer in ((caller, callee), (callee, caller)):
                outcomes.put_result(partial(self._ask, call, side, peer, "OPTIONS", peer.cseq, ()))
            findings: list[Finding] = []
            for _ in range(2):
                finding: Finding = outcomes.get()
                findings.append(finding)
                if finding is Finding.HAS_DIALOG and asked_at >= call.unregistered_at:
                    call.unregistered_at = 0.0
                    self._check_again(call, HALF_DEAD_SECONDS)
            if self._events.get(call.key) is call:
                is_silent_again = is_silent_again and self._requests_heard() > heard
                self._judge(call, findings, is_silent_again=is_silent_again)
        finally:
            self._checks -= 1
            call.is_checked = False

    def _judge(self, call: Call, findings: list[Finding], *, is_silent_again: bool) -> None:
        """End a call, or decide when it is checked again."""
        is_unregistered = self._is_unregistered(call)
        if call.check_at > self._layer.clock() and Finding.HAS_DIALOG not in findings:
            return  # a request within the dialog has come meanwhile
        if is_over(findings, is_unregistered=is_unregistered, is_silent_again=is_silent_again):
            self._events.end(call, 200, BOTH_GONE.of(), "server")
            return
        if is_unregistered:
            return  # the answers are older than the end of the registrations: checked again at once
        has_both = all(finding is Finding.HAS_DIALOG for finding in findings)
        self._check_again(call, QUIET_SECONDS if has_both else HALF_DEAD_SECONDS)
        if all(finding is Finding.SILENCE for finding in findings):
            call.silent_check_at = call.check_at

    def _check_again(self, call: Call, seconds: float) -> None:
        call.check_at = max(call.check_at, self._layer.clock() + seconds)

    def _requests_heard(self) -> int:
        """Return the number of requests that were received from the network.

        OPTIONS do not count: the health checks of this server send some to itself.
        """
        return sum(
            count
            for (method, transport), count in self._layer.requests.items()
            if method != "OPTIONS" and transport != ROBOT
        )

    # Requests of our own within the dialog

    def _ask(
        self,
        call: Call,
        side: CallSide,
        peer: CallSide,
        method: str,
        cseq: int,
        extra: tuple[tuple[str, str], ...],
    ) -> Finding:
        """Send a request to one side; return what its answer shows.

        Waits up to 32 s for each next hop.  A fault of ours is logged.
        """
        fields = {"call_id": call.event_key[0]}
        try:
            request = self._build(call, side, peer, method, cseq, extra)
            return self._send(request)
        except (BadMessage, Refused, NoRoute, ValueError) as error:
            level = logging.WARNING if method == "BYE" else logging.DEBUG
            name, text = CALLER if side is call.caller else CALLEE, printable(str(error))
            log.log(level, "cannot send %s to the %s: %s", method, name, text, extra=fields)
            return Finding.SILENCE
        except Exception:
            log.exception(
                "unhandled error while sending %s to a side of a call", method, extra=fields
            )
            return Finding.UNKNOWN

    def _build(
        self,
        call: Call,
        side: CallSide,
        peer: CallSide,
        method: str,
        cseq: int,
        extra: tuple[tuple[str, str], ...],
    ) -> Request:
        """Build a request to one side as its peer would (§12.2.1.1).  Raises BadMessage."""
        routes = [value for line in side.routes for value in split_list(value_of(line)) if value]
        if side is not call.caller:
            # The caller's route set is in reverse order (§12.1.2), and leads first to the proxies
            # before this server.
            routes = routes[::-1][call.outer_routes :]
        contact = parse_name_addr(split_list(value_of(side.contact))[0]).uri
        return build_request(
            method,
            as_request_uri(contact.text),
            from_uri=peer.uri,
            from_tag=peer.tag,
            to_uri=side.uri,
            to_tag=side.tag,
            call_id=call.key[0],
            cseq=cseq,
            routes=tuple(routes),
            extra=extra,
        )

    def _send(self, request: Request) -> Finding:
        """Send a request within a dialog to its target; return what its final response shows.

        Raises BadMessage, Refused or NoRoute.
        """
        side = self._tickets.destination_side(request, pop_own_routes(request, self._domains))
        if side is None:
            log.debug("cannot ask a side of a call: our Record-Route has changed")
            return Finding.UNKNOWN
        target = self._dialogs.target(request, side)
        if target is None:
            raise NoRoute("no side of the dialog has named this address")
        forwarder = self._forwarder
        hops = forwarder.prepare(request, target, 1)
        request.remove("max-breadth")
        if isinstance(hops, SipUri):
            hops = forwarder.next_hops_to(target, hops)
        attempt = Attempt(target, 1, request, hops)
        while attempt.next_hops:
            response = self._try_hop(attempt, target)
            if response is None:
                continue
            if response.status not in (401, 407) or not attempt.answer_challenge(
                response, self._layer.new_token
            ):
                return finding_of(response.status)
        return Finding.SILENCE

    def _try_hop(self, attempt: Attempt, target: Target) -> Response | None:
        """Send the request of an attempt to its next hop; return the response, None without one."""
        attempt.hop = attempt.next_hops.pop(0)
        outgoing = attempt.outgoing.copy()
        if attempt.credentials is not None:
            outgoing.put_first(*attempt.credentials)
        try:
            flow = self._forwarder.flow_to(attempt.hop, target)
            return self._layer.send_own_request(outgoing, flow)
        except (OSError, NoRoute, NoResponse) as error:
            log.debug("no answer from %s: %s", target.uri_text[:80], error)
            return None


def _told(side: CallSide) -> str | None:
    """Return the cause for the Reason to a side, None for one that is no user here."""
    return HUNG_UP_BY_ADMIN.text if side.aor[0] else None


def _spawn(work: Callable[[], object]) -> None:
    """Run `work`, which may wait, in a greenlet of its own."""
    Mailbox().put_result(work)
