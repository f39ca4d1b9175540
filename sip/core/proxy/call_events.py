"""Events of calls: started, ringing, answered, updated, ended; each once for its cause.

The problem: an INVITE may be forked, its responses are repeated and relayed in place, and a dialog
is kept in no table, since its signed Record-Route is enough for the proxy.

The rule: a Call exists while there are listeners, and only then.  It is made when an INVITE outside
a dialog is forwarded, and sees the responses on their way upstream.  It is looked up by its Call-ID
and the caller's tag when a request within its dialog is forwarded.  A BYE without a Call belongs to
a call that began before a restart, or before there were listeners: that is one CallEnded, too.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress

from sip.core.auth.authenticator import Account, Accounts
from sip.core.causes import CANCELLED, HUNG_UP, INTERNAL_ERROR, MALFORMED, REPLACED, STOPPING
from sip.core.domains import Domains
from sip.core.errors import Cause, Refused, printable
from sip.core.proxy.call import (
    CALLEE,
    CALLER,
    MAX_PHONES,
    Call,
    Key,
    route_lines,
    sdp_of,
)
from sip.core.proxy.call_phones import device_of, is_caller_behind_nat, phone_of
from sip.core.proxy.call_retries import RETRIED, RETRY_SECONDS, CallRetries, Failure
from sip.core.proxy.fork import Fork, Prepare
from sip.core.proxy.past_parties import PastParties
from sip.core.proxy.route_ticket import DialogSide, OwnRoute
from sip.core.target import Target
from sip.message.call_headers import Replaces
from sip.message.grammar import BadMessage, unescape
from sip.message.message import Request, Response
from sip.monitor.events import (
    Bus,
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    CallUpdated,
    Party,
    PhonesRinging,
    RingingPhone,
)
from sip.monitor.sdp import holders_after
from sip.transaction.upstream import EditResponse, Upstream
from sip.transport.flow import Flow

# Calls in the table, about 3 kB each; the oldest is removed when there are more.
MAX_CALLS = 20_000
# Ended calls that are remembered, so that the BYE of the other side is no second end.  Of a call
# that this server has ended, a BYE may come much later.
MAX_ENDED, MAX_ENDED_HERE = 2000, MAX_CALLS
# Seconds without a request within the dialog after which both sides are asked whether they have it.
QUIET_SECONDS = 900.0
# Seconds that the replaced call has for its BYE, after which its sides are asked (timer F).
REPLACED_SECONDS = 32.0


# Failures of a request within a dialog that mean that the other side has it no more (§12.2.1.2).
_DIALOG_IS_GONE = (408, 481)
# Refusals of ours that mean that the other side cannot be reached.
_UNDELIVERED = (430, 480, 500)
# Methods by which a gateway begins nothing that costs money.
_FREE = frozenset({"BYE", "INFO", "NOTIFY", "PRACK", "UPDATE"})
# The side that has ended a call, by the cause; it is the callee for any other.
_ENDED_BY = {CANCELLED.code: CALLER, STOPPING.code: "server"}


class CallEvents:
    """The calls that ring or talk, and their events."""

    def __init__(
        self,
        bus: Bus,
        domains: Domains,
        accounts: Accounts,
        clock: Callable[[], float],
        past_parties: PastParties,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._started_topic = bus.topic(CallStarted)
        self._ringing_topic = bus.topic(CallRinging)
        self._phones_topic = bus.topic(PhonesRinging)
        self._answered_topic = bus.topic(CallAnswered)
        self._updated_topic = bus.topic(CallUpdated)
        self._ended_topic = bus.topic(CallEnded)
        self._domains = domains
        self._accounts = accounts
        self._past_parties = past_parties
        self._calls: OrderedDict[Key, Call] = OrderedDict()
        self._ended: OrderedDict[Key, None] = OrderedDict()
        self._retries = CallRetries()
        self._ended_here: OrderedDict[Key, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def all(self) -> list[Call]:
        """Return all calls, the oldest first."""
        return list(self._calls.values())

    def get(self, key: Key) -> Call | None:
        """Return the call with a Call-ID and the caller's tag, None without one."""
        return self._calls.get(key)

    def may_be_within(self, request: Request) -> bool:
        """Return True for a method of _FREE, and for an INVITE within an answered call."""
        call_id, here, there = request.call_id, request.from_.tag, request.to.tag
        call = self._calls.get((call_id, here)) or self._calls.get((call_id, there))
        is_known = call is not None and call.is_between(here, there)
        return request.method in _FREE or (request.method == "INVITE" and is_known)

    # The INVITE

    def start(
        self, request: Request, upstream: Upstream, caller: Account | None, realm_here: str
    ) -> Call | None:
        """Publish that an INVITE without a To tag is forwarded; None without a listener.

        `caller` is the account that it comes from, `realm_here` the realm that it is for, "" if
        that is none of ours.
        """
        # Without listeners a call pays four attributes for events, and no Call.
        if not (
            self._started_topic.listeners
            or self._ringing_topic.listeners
            or self._answered_topic.listeners
            or self._ended_topic.listeners
        ):
            return None
        if request.to.tag:
            return None
        if (request.call_id, request.from_.tag) in self._calls:
            return None  # a caller must not hide its first call behind a second INVITE
        call = Call(request, upstream)
        key = call.key
        failure = self._retries.take(key)
        self._calls[key] = call
        self._ended.pop(key, None)
        self._ended_here.pop(key, None)
        if len(self._calls) > MAX_CALLS:
            self._calls.popitem(last=False)
        if not self._started_topic.listeners:
            return call
        domains = self._domains
        realm = ""
        if caller is not None:
            realm = domains.claimed_realm(request.from_.uri) or domains.main
            call.caller.aor = caller.username, realm
        callee: Account | None = None
        if realm_here:
            callee = self._accounts.find(domains.username_of(request.uri), realm_here)
            if callee is not None:
                call.callee.aor = callee.username, realm_here
        if failure is not None:
            call.is_ringing = failure.call.is_ringing
            return call  # its start is published already
        flow, event_key = upstream.flow, call.event_key
        event = CallStarted(
            self._bus.now(),
            event_key[0],
            event_key[1],
            _party(call.from_uri, caller, realm),
            _party(call.to_uri, callee, realm_here),
            flow.remote,
            flow.transport,
            device_of(request, "user-agent"),
            is_caller_behind_nat(request, flow, call.caller.contact),
            sdp_of(request),
        )
        self._started_topic.publish(event)
        return call

    def wrap_prepare(self, call: Call, prepare: Prepare) -> Prepare:
        """Return a `prepare` that does `prepare`, and publishes the events of its responses."""

        def prepare_and_publish(outgoing: Request, target: Target, flow: Flow) -> EditResponse:
            edit = prepare(outgoing, target, flow)
            routes = route_lines(outgoing)

            def edit_and_publish(response: Response) -> None:
                edit(response)
                if not call.is_answered:
                    self._handle_response(call, response, target, flow, routes)
                elif response.status >= 200:
                    with suppress(BadMessage):  # as in _handle_response
                        call.answer_again(response, routes, flow)

            return edit_and_publish

        return prepare_and_publish

    def run(self, call: Call, fork: Fork, targets: Iterable[Target]) -> None:
        """Run the fork of the INVITE, and publish its failure."""
        try:
            status = fork.run(targets)
        except Refused as refused:
            cause = Cause(refused.code, refused.cause, refused.cure)
            self._fail(call, refused.status, cause, "server")
            raise
        except BadMessage as bad:
            self._fail(call, bad.status or 400, MALFORMED.of(fault=bad.reason), "server")
            raise
        except BaseException:
            self._fail(call, 500, INTERNAL_ERROR.of(), "server")
            raise
        finally:
            call.upstream = None
        if call.is_answered:
            call.forwarded = fork.forwarded()
            return
        if call.end_cause is not None and (call.ended_by_us or status == 487):
            ended_by = "server" if call.ended_by_us else CALLER
            self._fail(call, status, call.end_cause, ended_by)
            return
        cause = fork.failure(status)
        ended_by = _ENDED_BY.get(cause.code, CALLEE)
        if status in RETRIED and self._calls.get(call.key) is call:
            del self._calls[call.key]
            now = self._clock()
            self._retries.add(Failure(call, status, cause, ended_by, now + RETRY_SECONDS))
            self.end_retries(now)
        else:
            self._fail(call, status, cause, ended_by)

    def end_retries(self, now: float) -> None:
        """End the calls whose phones have sent no other INVITE after a failure."""
        for failure in self._retries.take_final(now):
            self.end(failure.call, failure.status, failure.cause, failure.ended_by)

    def end_branch(self, call: Call, target: Target) -> None:
        """Publish that a phone has stopped ringing, if others still ring."""
        if call.phones.pop(target.uri_text, None) is not None and call.phones:
            self._publish_phones(call)

    def _handle_response(
        self, call: Call, response: Response, target: Target, flow: Flow, routes: list[str]
    ) -> None:
        """Publish the event of a response from 101 to 299 to the INVITE, before the first 2xx."""
        if response.status >= 200:
            phone = call.phones.get(target.uri_text)
            try:
                call.answer(response, routes, flow)
            except BadMessage:
                return  # a To that cannot be read: the caller will not understand it either
            if target.phone is not None:
                username, _, realm = target.phone.aor.rpartition("@")
                call.callee.aor = unescape(username), realm
            self._publish_answered(call, response, phone or phone_of(response, target, flow))
        elif 180 <= response.status < 190:
            if target.uri_text in call.phones or len(call.phones) >= MAX_PHONES:
                return
            phone = call.phones[target.uri_text] = phone_of(response, target, flow)
            if call.is_ringing:
                self._publish_phones(call)
            else:
                call.is_ringing = True
                self._publish_ringing(call, response.status, phone)

    # Requests within the dialog

    def handle_request(self, request: Request) -> Call | None:
        """Follow a request within a dialog that is forwarded, and return its call.

        None: there is no such call, or it is a BYE, of which `run_within` sees the response.
        """
        if request.method == "BYE" or not self._calls:
            return None
        call = self._find(request)
        if call is not None:
            call.check_at = self._clock() + QUIET_SECONDS
            try:
                call.follow(request)
            except BadMessage:
                return None
        return call

    def handle_ack(self, request: Request) -> None:
        """Take the answer in an ACK: the INVITE had no offer, so the 2xx had it (RFC 3261 §13)."""
        if not request.body or not self._calls:
            return
        call = self._find(request)
        if call is not None and not call.has_offer and call.is_answered:
            call.has_offer = True
            is_callers = request.from_.tag == call.caller.tag
            offerer, answerer = (CALLEE, CALLER) if is_callers else (CALLER, CALLEE)
            self._update(call, offerer, answerer, call.late_offer, sdp_of(request))
            call.late_offer = b""

    def handle_response_within(self, call: Call, request: Request, response: Response) -> None:
        """Follow a 2xx to a target refresh within the dialog of a call."""
        if not 200 <= response.status < 300:
            return
        call.follow_response(request, response, self._clock())
        offer, answer = sdp_of(request), sdp_of(response)
        if offer and answer and request.method in ("INVITE", "UPDATE"):
            is_callers = request.from_.tag == call.caller.tag
            offerer, answerer = (CALLER, CALLEE) if is_callers else (CALLEE, CALLER)
            self._update(call, offerer, answerer, offer, answer)
        elif answer and not request.body and request.method == "INVITE":
            call.has_offer, call.late_offer = False, answer  # the ACK has the answer

    def _find(self, request: Request) -> Call | None:
        call_id, sender, other = request.call_id, request.from_.tag, request.to.tag
        call = self._calls.get((call_id, sender))
        peer = other
        if call is None:
            call, peer = self._calls.get((call_id, other)), sender
        return call if call is not None and call.has_peer(peer) else None

    def run_within(
        self,
        request: Request,
        fork: Fork,
        target: Target,
        routes: list[OwnRoute],
        side: DialogSide,
    ) -> None:
        """Run the fork of a request within a dialog; a BYE that the other side takes is an end.

        `routes` are our own Routes of the request, `side` is the one that it goes to.
        """
        status = fork.run([target])
        if request.method == "BYE":
            self.hang_up(request, status, routes, side)

    def handle_refusal(
        self, request: Request, status: int, routes: list[OwnRoute], side: DialogSide
    ) -> None:
        """End the call of a BYE that this server could not deliver.

        The sender of a BYE has no session any more (§15.1.1).
        """
        if request.method == "BYE" and status in _UNDELIVERED:
            self.hang_up(request, 408, routes, side)

    def hang_up(
        self, request: Request, status: int, routes: list[OwnRoute], side: DialogSide | None
    ) -> None:
        """Publish the end of the call that a BYE belongs to, if its final `status` ends the call.

        A BYE that the other side refuses ends nothing (§15.1.2), except one for a dialog that is
        gone.  An early BYE ends one of the early dialogs; the INVITE reports the end of the call.
        `side` is None for a caller without a ticket.
        """
        if status >= 300 and status not in _DIALOG_IS_GONE:
            if (refusing := self._find(request)) is not None:
                refusing.follow(request)  # a BYE of ours has to be above its CSeq
            return
        is_heard = bool(self._ended_topic.listeners)
        if not is_heard and not self._calls:
            return
        call_id, sender, other = request.call_id, request.from_.tag, request.to.tag
        for key, ended_by, peer in (
            ((call_id, sender), CALLER, other),
            ((call_id, other), CALLEE, sender),
        ):
            call = self._calls.get(key)
            if call is not None:
                was_the_callee = call.has_peer(peer)
                if not call.is_answered:
                    call.end_cause = CANCELLED.of()
                elif call.ends_with(peer):
                    cause = call.end_cause or call.forwarded or HUNG_UP.of()
                    self.end(call, 200, cause, ended_by)
                elif was_the_callee:  # the other phone that has answered may be gone
                    call.check_at = self._clock() + REPLACED_SECONDS
                return
            if key in self._ended or key in self._ended_here:
                return
        if not is_heard or side is None:
            return
        event = self._past_parties.end_of(self._bus.now(), request, routes, side)
        self._remember((call_id, sender))
        self._ended_topic.publish(event)

    # Ends

    def end(self, call: Call, status: int, cause: Cause, ended_by: str) -> None:
        """Remove a call, and publish its end."""
        if self._calls.get(call.key) is call:
            del self._calls[call.key]
        if ended_by == "server" and call.is_answered:
            self._ended_here[call.key] = None
            if len(self._ended_here) > MAX_ENDED_HERE:
                self._ended_here.popitem(last=False)
        else:
            self._remember(call.key)
        if self._ended_topic.listeners:
            call_id, tag = call.event_key
            event = CallEnded(
                self._bus.now(),
                call_id,
                tag,
                printable(call.callee.tag),
                call.from_uri,
                call.to_uri,
                status,
                printable(cause.text),
                ended_by,
                code=cause.code,
                cure=printable(cause.cure),
            )
            self._ended_topic.publish(event)

    def _fail(self, call: Call, status: int, cause: Cause, ended_by: str) -> None:
        """End a call that was not answered, unless a BYE has ended it already."""
        if self._calls.get(call.key) is call or call.key not in self._ended:
            self.end(call, status, cause, ended_by)

    def _remember(self, key: Key) -> None:
        self._ended[key] = None
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)

    def _mark_replaced(self, call: Call, replaces: Replaces) -> None:
        """Give the call that an answered one replaces its cause (RFC 3891 §3); a BYE ends it."""
        for caller_tag, callee_tag in (
            (replaces.to_tag, replaces.from_tag),
            (replaces.from_tag, replaces.to_tag),
        ):
            other = self._calls.get((replaces.call_id, caller_tag))
            if other is not None and other is not call and other.has_peer(callee_tag):
                other.end_cause = REPLACED.of()
                if other.is_answered:
                    other.check_at = self._clock() + REPLACED_SECONDS

    # Publishing

    def _publish_ringing(self, call: Call, status: int, phone: RingingPhone) -> None:
        if self._ringing_topic.listeners:
            call_id, tag = call.event_key
            event = CallRinging(
                self._bus.now(),
                call_id,
                tag,
                status,
                phone.address,
                phone.transport,
                phone.device,
                phone.behind_nat,
            )
            self._ringing_topic.publish(event)

    def _publish_phones(self, call: Call) -> None:
        if self._phones_topic.listeners:
            call_id, tag = call.event_key
            event = PhonesRinging(self._bus.now(), call_id, tag, tuple(call.phones.values()))
            self._phones_topic.publish(event)

    def _publish_answered(self, call: Call, response: Response, phone: RingingPhone) -> None:
        now = self._clock()
        call.check_at = now + QUIET_SECONDS
        call.set_session_timer(response, now)
        if call.end_cause is not None and call.end_cause.code == CANCELLED.code:
            call.end_cause = None  # the early BYE was for another phone
        body = sdp_of(response)
        if not call.has_offer:
            call.late_offer = body
        if call.replaces is not None:
            self._mark_replaced(call, call.replaces)
        if self._answered_topic.listeners:
            call_id, tag = call.event_key
            event = CallAnswered(
                self._bus.now(),
                call_id,
                tag,
                printable(call.callee.tag),
                response.status,
                phone.address,
                phone.transport,
                phone.device,
                phone.behind_nat,
                body,
            )
            self._answered_topic.publish(event)

    def _update(self, call: Call, offerer: str, answerer: str, offer: bytes, answer: bytes) -> None:
        """Take a new session, and publish it."""
        call.held_by = holders_after(call.held_by, offerer, answerer, offer, answer)
        if self._updated_topic.listeners:
            call_id, tag = call.event_key
            event = CallUpdated(self._bus.now(), call_id, tag, offer, answer, call.held_by)
            self._updated_topic.publish(event)


def _party(uri: str, account: Account | None, realm: str) -> Party:
    return (
        Party(uri, 0, "", "")
        if account is None
        else Party(uri, account.id, account.username, realm, account.display_name)
    )
