"""The robot: it answers calls to its numbers, and calls phones (RFC 3261 §13 to §15).

It is a user agent with a transaction layer of its own.  A wire in memory (wire.py) joins it to the
proxy, which authenticates its callers, records the route of its dialogs and forks its calls, as for
any other user agent.  So calls of the robot are seen wherever other calls are.

The bounds: MAX_CALLS calls, MAX_CALLS_OF_USER of them by one user, MAX_CALL_SECONDS each, ports of
one range, and those of rtp.py.
"""

import logging
import time
from collections.abc import Callable

from sip.core import causes
from sip.core.cause_fields import cause_fields, reason_of
from sip.core.errors import Refused, printable
from sip.core.proxy.robot_targets import CONFIRM, ROBOT, RobotCaller
from sip.core.uas import sip_date
from sip.message.grammar import BadMessage, quote, unescape
from sip.message.headers import parse_via
from sip.message.message import Request
from sip.message.uri import SipUri, format_host_port
from sip.monitor.events import Bus
from sip.robot import dialog as dialogs
from sip.robot.call import Call, Unheard
from sip.robot.dialog import METHODS, SDP, Fields, Key, dialog_of_invite, warning
from sip.robot.media import NoPort, Studio
from sip.robot.outgoing import Outcome, OutgoingCall, PhoneToCall
from sip.robot.sdp import BadDescription, Description, Stream, offer, read_description
from sip.robot.wire import Wire
from sip.transaction.branch_event import BranchEvent
from sip.transaction.layer import Layer
from sip.transaction.upstream import Upstream
from sip.transport.flow import Flow, via_matches_source
from sip.transport.receiver import Receiver
from sip.transport.transports import Transports

log = logging.getLogger(__name__)

# Calls at one time, those of the web admin to phones included.
MAX_CALLS = 8
# Those of one user, so that one cannot keep all others out: a first call, and one to compare.
MAX_CALLS_OF_USER = 2
# Seconds that noanswer@ rings; then it answers 480.
MAX_RING_SECONDS = 60.0
# Seconds of the tone that confirms a changed setting.
CONFIRM_SECONDS = 1.0
# Seconds after which a caller may try again when all calls are in use.
_RETRY_AFTER = ("Retry-After", "60")
_CAPABILITIES = (("Allow", METHODS), ("Accept", SDP), ("Accept-Encoding", "identity"))
_TIME_OUT = 480
_DONE = 200  # the status in the Reason of a BYE: the call was answered
_UNHEARD = Unheard()


class Robot:
    """Answers calls, and calls phones.

    `send` takes the robot's messages to the proxy; `take_caller` returns the caller of an
    INVITE, by its Call-ID and From tag, and None if the proxy has forwarded none.
    """

    def __init__(
        self,
        send: Callable[[bytes, Flow], None],
        take_caller: Callable[[str, str], RobotCaller | None],
        studio: Studio,
        clock: Callable[[], float],
    ) -> None:
        bus = Bus()  # of its own: the proxy publishes the messages and the calls
        self._transports = Transports(clock, bus)
        self._transports.add_carrier(ROBOT, Wire(send))
        self.layer = Layer(self._transports, clock)
        self.layer.start(self)
        receiver = Receiver(
            clock, self._transports, lambda flow: True, self.layer.deliver, bus, causes.malformed
        )
        self.receive = receiver.receive
        self._take_caller = take_caller
        self.studio = studio
        self.clock = clock
        self.calls: dict[Key, Call] = {}
        self._ringing: dict[Upstream, tuple[float, int]] = {}  # noanswer@: until when, which user
        self._outgoing: list[OutgoingCall] = []
        self._behaviours: dict[str, Callable[[Request, Upstream, RobotCaller], None]] = {
            "echo": self._echo,
            "tone": self._tone,
            "busy": self._busy,
            "noanswer": self._ring,
            "whoami": self._identify,
            CONFIRM: self._confirm,
        }

    def __len__(self) -> int:
        """Return the number of calls, ringing ones included."""
        return len(self.calls) + len(self._ringing) + len(self._outgoing)

    # Time, and the end

    def tick(self, now: float) -> None:
        """Run the calls whose deadline has passed.  Runs in the hub: neither waits nor raises."""
        self.layer.run_due(now)
        for call in tuple(self.calls.values()):
            try:
                end = call.tick(self.layer, now)
            except OSError:  # too many messages wait: the 2xx is repeated later
                continue
            if end:
                self.hang_up(call, end)
        for upstream, (until, _) in tuple(self._ringing.items()):
            if now >= until:
                upstream.mailbox.put(BranchEvent(None, _TIME_OUT, None))
        for outgoing in tuple(self._outgoing):
            outgoing.tick(now)

    def hang_up(self, call: Call, reason: str = "") -> None:
        """End a call of ours by a BYE (§15.1.1); does not wait for its response.

        Without the ACK of our 2xx a BYE is not allowed before that has timed out (§15).
        """
        self._close(call)
        if call.waiting is not None and not call.is_confirmed:
            return
        fields = (("Reason", reason_of(_DONE, reason)),) if reason else ()
        bye = call.dialog.request("BYE", extra=fields)
        self.layer.start_own_request(bye, call.dialog.flow, _UNHEARD)

    def stop(self) -> None:
        """Hang up in all calls."""
        for outgoing in tuple(self._outgoing):
            outgoing.give_up("The server is stopping.")
        for call in tuple(self.calls.values()):
            self.hang_up(call, causes.STOPPING.text)

    def _close(self, call: Call) -> None:
        self.calls.pop(call.dialog.key, None)
        self.studio.close(call.sound)

    # Requests

    def handle_request(self, request: Request, upstream: Upstream) -> None:
        """Answer one request."""
        upstream.is_verified = True
        try:
            if request.to.tag:
                self._serve_within(request, upstream)
            else:
                self._serve(request, upstream)
        except Refused as refused:
            told = cause_fields(upstream, refused.status, refused.told)
            upstream.answer(refused.status, refused.reason, (*refused.extra, *told))
        except BadMessage as bad:
            told = cause_fields(upstream, bad.status or 400, causes.malformed(bad.reason).text)
            upstream.answer(bad.status or 400, bad.reason, told)
        except Exception:
            upstream.answer(500)
            fields = {"call_id": printable(request.value("call-id") or "")}
            log.exception("unhandled error of the robot in %s", request.method, extra=fields)

    def _serve(self, request: Request, upstream: Upstream) -> None:
        """Serve a request outside a dialog (§8.2).  Raises Refused or BadMessage."""
        _check_required(request)
        uri = request.uri
        name = unescape(uri.user or "") if isinstance(uri, SipUri) else ""
        behave = self._behaviours.get(name)
        if behave is None:
            raise Refused(404, causes.UNKNOWN_CALLEE.of(name=name))
        if request.method == "OPTIONS":
            date = "Date", sip_date(int(time.time()))
            dialogs.answer(self.layer, request, upstream, 200, extra=(*_CAPABILITIES[1:], date))
            return
        if request.method != "INVITE":
            raise _not_allowed(request)
        if upstream.is_merged():
            raise Refused(482, causes.MERGED_REQUEST.of())
        caller = self._take_caller(request.call_id, request.from_.tag)
        if caller is None:
            raise Refused(403, causes.ROBOT_REFUSED.of(text="not forwarded by the proxy"))
        behave(request, upstream, caller)

    def _serve_within(self, request: Request, upstream: Upstream) -> None:
        """Serve a request within a call (§12.2.2).  Raises Refused or BadMessage."""
        call = self.calls.get((request.call_id, request.to.tag, request.from_.tag))
        if call is None:
            raise Refused(481, causes.ROBOT_REFUSED.of(text="no such call"))
        is_offer = request.method == "INVITE" or (request.method == "UPDATE" and request.body)
        if is_offer and call.waiting is not None:
            if call.waiting.has_offer:
                raise Refused(491, causes.ROBOT_REFUSED.of(text="our offer is not answered yet"))
            if request.method == "INVITE":
                call.waiting = None  # the phone must have our 2xx, its ACK is late or lost
        if not call.dialog.is_in_order(request):
            raise Refused(
                500, causes.ROBOT_REFUSED.of(text="a later request has overtaken this one")
            )
        if request.method == "BYE":
            self._close(call)
            upstream.answer(200)
            return
        _check_required(request)
        if request.method in ("INVITE", "UPDATE"):
            self._change(call, request, upstream)
        elif request.method == "INFO" and "info-package" in request.present:
            raise Refused(  # RFC 6086 §4.2.2
                469, causes.ROBOT_REFUSED.of(text="no Info-Package"), reason="Bad Info Package"
            )
        elif request.method in ("OPTIONS", "INFO"):
            dialogs.answer(self.layer, request, upstream, 200, extra=_CAPABILITIES[1:])
        else:
            raise _not_allowed(request)

    def _change(self, call: Call, request: Request, upstream: Upstream) -> None:
        """Answer a re-INVITE or UPDATE, which may have a new offer (§14.2, RFC 3311)."""
        description = _description_of(request)
        body = b""
        if description is not None:
            stream = _audio(description)
            call.version += 1
            body = description.answer(call.host, call.sound.port, call.number, call.version)
            call.agree(stream)
        elif request.method == "INVITE":
            call.version += 1
            body = offer(call.host, call.sound.port, call.number, call.version)
        self._accept(call, request, upstream, body, has_offer=description is None)

    def _accept(
        self,
        call: Call,
        request: Request,
        upstream: Upstream,
        body: bytes,
        *,
        has_offer: bool,
        extra: Fields = (),
    ) -> None:
        data = dialogs.answer(self.layer, request, upstream, 200, body=body, extra=extra)
        if request.method == "INVITE":
            transaction = upstream.ensure_transaction()
            number, now = request.cseq[0], self.clock()
            call.wait_for_ack(data, transaction, number, now, has_offer=has_offer)

    def handle_ack(self, request: Request, flow: Flow) -> None:
        """Take the ACK of a 2xx of ours, with the answer to our offer if we made one."""
        call = self.calls.get((request.call_id, request.to.tag, request.from_.tag))
        if call is None or call.waiting is None or call.waiting.number != request.cseq[0]:
            return
        has_offer, call.waiting = call.waiting.has_offer, None
        call.is_confirmed = True
        if call.greeting is not None:
            greeting, call.greeting = call.greeting, None
            self.layer.start_own_request(greeting, call.dialog.flow, _UNHEARD)
        if not has_offer:
            return
        try:
            description = _description_of(request)
            if description is None:
                raise Refused(
                    400, causes.ROBOT_REFUSED.of(text="the ACK has no session description")
                )
            call.agree(_audio(description))
        except (Refused, BadMessage) as error:
            self.hang_up(call, str(error))

    # Behaviours

    def _echo(self, request: Request, upstream: Upstream, caller: RobotCaller) -> None:
        """Send back what the phone sends."""
        self._answer(request, upstream, caller).sound.echo()

    def _tone(self, request: Request, upstream: Upstream, caller: RobotCaller) -> None:
        """Play the tone."""
        self._answer(request, upstream, caller).sound.play_tone()

    def _confirm(self, request: Request, upstream: Upstream, caller: RobotCaller) -> None:
        """Play a short tone, and hang up: a setting of the caller was changed."""
        call = self._answer(request, upstream, caller)
        call.sound.play_tone()
        call.ends_at, call.end = self.clock() + CONFIRM_SECONDS, "the setting is changed"

    def _busy(self, request: Request, upstream: Upstream, caller: RobotCaller) -> None:
        """Refuse as a phone in a call does."""
        raise Refused(486, causes.BUSY.of(peer="busy@"))

    def _ring(self, request: Request, upstream: Upstream, caller: RobotCaller) -> None:
        """Ring until the caller gives up, MAX_RING_SECONDS at most."""
        self._check_free(caller)
        dialogs.answer(self.layer, request, upstream, 180)
        self._ringing[upstream] = self.clock() + MAX_RING_SECONDS, caller.user_id
        try:
            event: BranchEvent = upstream.mailbox.get()
        finally:
            del self._ringing[upstream]
        upstream.answer(_TIME_OUT if event.status == _TIME_OUT else 487)

    def _identify(self, request: Request, upstream: Upstream, caller: RobotCaller) -> None:
        """Send the caller a text about its phone, as this server sees it, and play the tone.

        Desk phones show the asserted identity of the callee (RFC 3325 §9.1); softphones have the
        Warning in their log; a phone that allows MESSAGE gets one in the call (RFC 3428).
        """
        call = self._answer(request, upstream, caller, is_told=True)
        call.sound.play_tone()
        if "MESSAGE" in [method.upper() for method in request.values("allow")]:
            text = what_is_seen(request, caller.flow, call.stream)
            call.greeting = call.dialog.request(
                "MESSAGE", content_type="text/plain;charset=UTF-8", body=text.encode()
            )

    def _answer(
        self, request: Request, upstream: Upstream, caller: RobotCaller, *, is_told: bool = False
    ) -> Call:
        """Answer an INVITE, and return the call (§13.3.1.4).  Raises Refused or BadMessage.

        With `is_told` the answer has the text of `what_is_seen`.
        """
        self._check_free(caller)
        name, local = _host_of(request), upstream.flow.local[0]
        description = _description_of(request)
        stream = None if description is None else _audio(description)
        dialog = dialog_of_invite(request, upstream.flow, self.layer.stateless_tag(request))
        try:
            sound = self.studio.open(local, frozenset({caller.flow.remote[0]}))
        except NoPort as error:
            fields = {"call_id": printable(request.call_id), "cause": causes.ROBOT_REFUSED.code}
            log.warning("cannot open ports for the robot: %s", error, extra=fields)
            raise Refused(500, causes.ROBOT_REFUSED.of(text="no free media port")) from None
        # The look-up of the advertised name may wait; the call counts from before that.
        call = Call(dialog, sound, local, int(time.time()), self.clock(), caller.user_id)
        self.calls[dialog.key] = call
        try:
            call.host = self.studio.address_of(name, local)
            if description is None or stream is None:
                body = offer(call.host, sound.port, call.number, call.version)
            else:
                body = description.answer(call.host, sound.port, call.number, call.version)
                call.agree(stream)
            extra = _fields_of(request, caller.flow, stream) if is_told else ()
            is_offer = stream is None
            self._accept(call, request, upstream, body, has_offer=is_offer, extra=extra)
        except BaseException:
            self._close(call)
            raise
        return call

    def _check_free(self, caller: RobotCaller) -> None:
        """Raise Refused (486) if all calls are in use, or those that one user may have."""
        if len(self) >= MAX_CALLS:
            text = f"all its {MAX_CALLS} calls are in use, try again in a minute"
        elif self._calls_of(caller.user_id) >= MAX_CALLS_OF_USER:
            text = f"you have {MAX_CALLS_OF_USER} calls with it, hang up one of them"
        else:
            return
        raise Refused(486, causes.ROBOT_REFUSED.of(text=text), extra=(_RETRY_AFTER,))

    def _calls_of(self, user_id: int) -> int:
        """Return the number of calls that a user has made, ringing ones included."""
        answered = sum(call.user_id == user_id for call in self.calls.values())
        return answered + sum(caller == user_id for _, caller in self._ringing.values())

    # Calls to phones

    def call_phone(self, phone: PhoneToCall) -> Outcome:
        """Ring the phones of a user, and play the tone to the one that answers (§13.2).

        Waits for an answer, RING_SECONDS at most; the tone goes on after that.
        """
        if len(self) >= MAX_CALLS:
            return Outcome(486, f"All {MAX_CALLS} calls of the robot are in use.")
        local = phone.flow.local[0]
        try:
            sound = self.studio.open(local, phone.hosts)
        except NoPort as error:
            return Outcome(500, f"No media port is free: {error}.")
        try:
            public = self.studio.address_of(phone.host, local)
            outgoing = OutgoingCall(self.layer, phone, sound, public, self._adopt)
        except BaseException:
            self.studio.close(sound)
            raise
        self._outgoing.append(outgoing)
        try:
            return outgoing.run(self.clock())
        finally:
            self._outgoing.remove(outgoing)
            if not outgoing.is_answered:
                self.studio.close(sound)

    def _adopt(self, call: Call) -> None:
        self.calls[call.dialog.key] = call


def what_is_seen(request: Request, caller: Flow, stream: Stream | None) -> str:
    """Return what this server sees of a phone, as one sentence."""
    uri = request.from_.uri
    name = unescape(uri.user or "") if isinstance(uri, SipUri) else uri.text
    return f"You are {name[:60]} at {', '.join(_parts_seen(request, caller, stream))}"


def _parts_seen(request: Request, caller: Flow, stream: Stream | None) -> list[str]:
    """Return address, transport, NAT and codec.  The Via below the proxy's is the phone's own."""
    vias = request.values("via")
    parts = [format_host_port(*caller.remote), caller.transport]
    if len(vias) > 1 and not via_matches_source(parse_via(vias[1]), caller):
        parts.append("behind NAT")
    return parts if stream is None else [*parts, stream.encoding]


def _fields_of(request: Request, caller: Flow, stream: Stream | None) -> Fields:
    """Return the fields of the 200 that show the text of `what_is_seen`."""
    text = what_is_seen(request, caller, stream)
    shown = quote(" ".join(_parts_seen(request, caller, stream)))
    identity = f"{shown} <{request.to.uri_text}>"
    return warning(_host_of(request), text), ("P-Asserted-Identity", identity)


def _host_of(request: Request) -> str:
    """Return the host that the caller knows this server by."""
    uri = request.uri
    return uri.host if isinstance(uri, SipUri) else ROBOT


def _check_required(request: Request) -> None:
    """Refuse all option tags in Require: the robot has no extension (§8.2.2.3)."""
    required = request.values("require")
    if required:
        extra = (("Unsupported", ", ".join(required)),)
        raise Refused(420, causes.UNSUPPORTED_EXTENSION.of(tags=", ".join(required)), extra=extra)


def _not_allowed(request: Request) -> Refused:
    return Refused(
        405, causes.METHOD_NOT_ALLOWED.of(method=request.method), extra=(("Allow", METHODS),)
    )


def _description_of(request: Request) -> Description | None:
    """Return the session description of a request, None if it has no body.  Raises Refused."""
    if not request.body:
        return None
    content_type = (request.value("content-type") or "").partition(";")[0].strip().lower()
    encoding = (request.value("content-encoding") or "identity").lower()
    if (content_type, encoding) != (SDP, "identity"):
        extra = (("Accept", SDP), ("Accept-Encoding", "identity"))
        raise Refused(415, causes.UNSUPPORTED_BODY.of(type=content_type or "?"), extra=extra)
    try:
        return read_description(request.body)
    except BadDescription as bad:
        raise Refused(bad.status, causes.ROBOT_REFUSED.of(text=bad.reason)) from None


def _audio(description: Description) -> Stream:
    try:
        return description.audio()
    except BadDescription as bad:
        raise Refused(bad.status, causes.ROBOT_REFUSED.of(text=bad.reason)) from None
