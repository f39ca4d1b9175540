"""Inbound messages: filter, parse and deliver what the sockets received (RFC 3261 §18.2.1)."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress

from sip.message.framing import BadStream
from sip.message.grammar import BadMessage
from sip.message.headers import Via, response_via
from sip.message.message import (
    BadRequest,
    Request,
    Response,
    bad_request,
    parse,
)
from sip.message.parties import recipient_of, sender_of
from sip.message.responses import encode_response
from sip.message.uri import format_host_port
from sip.monitor.events import Bus, MessagePassed, RefusalSent
from sip.monitor.metrics import KEEPALIVES_RECEIVED, MESSAGES_MALFORMED, REFUSALS_UNSENT, Counters
from sip.transport import stun
from sip.transport.flow import Flow, reply_flow, source_stamp
from sip.transport.transports import Transports

log = logging.getLogger(__name__)

# Minimum seconds between two log lines about malformed messages.
SECONDS_BETWEEN_LINES = 1.0

# The To tag of a response to a request that cannot be parsed begins with it.
_REFUSAL = "bad"


class Receiver:
    """Parses received messages for `deliver`, and answers requests that cannot be parsed.

    A message on a flow that `allows` rejects is discarded unread.  Answers leave by `transports`.
    `cause_of` returns the key, the text and the cure of the cause for a fault of a message.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        transports: Transports,
        allows: Callable[[Flow], bool],
        deliver: Callable[[Request | Response, Flow], None],
        bus: Bus,
        cause_of: Callable[[str], tuple[str, str, str]],
    ) -> None:
        self._clock = clock
        self._transports = transports
        self._allows = allows
        self._deliver = deliver
        self._messages = bus.topic(MessagePassed)
        self._refusals = bus.topic(RefusalSent)
        self._cause_of = cause_of
        self._now = bus.now
        self.counts = Counters()
        self._next_line_at = 0.0
        self._secret = os.urandom(8)  # of the To tags that are computed again (§8.2.7, §19.3)

    def receive(self, datagram: bytes, flow: Flow) -> None:
        """Parse one message, add its source to its top Via, and deliver it (§18.2.1)."""
        if not self._allows(flow):
            return
        if datagram[:1] in b"\r\n\0" and self._is_keepalive(datagram, flow):
            self.counts[KEEPALIVES_RECEIVED] += 1
            return
        if self._messages.listeners:
            self._transports.publish("in", datagram, flow)
        try:
            message = parse(datagram)
        except BadRequest as refused:
            self._refuse(refused, flow)
            return
        except BadMessage as error:
            self._log_unreadable(error.reason, flow)
            return
        if isinstance(message, Request):
            if message.method == "ACK" and self._acknowledges_refusal(message):
                return
            if not self._stamp(message, flow):
                return
        try:
            self._deliver(message, flow)
        except BadMessage as error:  # some header fields are parsed only when a handler asks
            self._log_unreadable(error.reason, flow)

    def _is_keepalive(self, datagram: bytes, flow: Flow) -> bool:
        """Return True for line ends, and for a Binding request of STUN, which is answered.

        STUN is for datagrams only (RFC 5626 §3.5).  It is not traced: it belongs to no call.
        """
        if not datagram.strip(b"\r\n\0"):
            return True
        if datagram[:2] != stun.BINDING_REQUEST or flow.is_connection:
            return False
        response = stun.answer(datagram, flow.remote)
        if response is None:
            return False
        with suppress(OSError):
            self._transports.send_datagram(response, flow)
        return True

    def refuse_on_connection(self, bad: BadStream, flow: Flow) -> None:
        """Answer, if possible, the last message of a stream that can't be cut into messages."""
        if self._messages.listeners:
            self._transports.publish("in", bad.head, flow)
        error = bad_request(bad, bad.head)
        if isinstance(error, BadRequest):
            self._refuse(error, flow)
        else:
            self._log_unreadable(bad.reason, flow)

    def _stamp(self, request: Request, flow: Flow) -> bool:
        try:
            stamp = source_stamp(request.via, flow)
        except BadMessage as error:
            self._log_unreadable(error.reason, flow)
            return False
        if stamp:
            request.stamp_top_via(stamp, fills_rport="rport" in request.via.params)
        return True

    def _refuse(self, error: BadRequest, flow: Flow) -> None:
        """Answer a malformed request, if its Via says where to (§16.3, §18.3)."""
        request = error.request
        self._log_malformed(
            lambda: (
                f"refused {request.method[:20]} {error.status or 400} from {sender_of(request)}"
                f" to {recipient_of(request)} at {format_host_port(*flow.remote)}: {error.reason}"
            ),
            error.reason,
            flow,
            request.value("call-id") or "",
        )
        if request.method.upper() == "ACK":
            return
        if self._refusals.listeners:
            self._publish(request, error)
        try:
            via = response_via(request.required("via"))
            tag = self._tag_of_refusal(via, request)
            with suppress(BadMessage):  # a Via that can't be parsed is copied unchanged
                if stamp := source_stamp(request.via, flow):
                    request.stamp_top_via(stamp, fills_rport="rport" in request.via.params)
            data = encode_response(request, error.status or 400, error.reason, to_tag=tag)
            self._transports.send(data, reply_flow(via, flow))
        except (BadMessage, OSError):
            self.counts[REFUSALS_UNSENT] += 1

    def _publish(self, request: Request, error: BadRequest) -> None:
        code, text, cure = self._cause_of(error.reason)
        values = (request.value("call-id"), request.value("cseq"), text, cure)
        call_id, cseq, text, cure = (_printable(value or "") for value in values)
        event = RefusalSent(self._now(), call_id, cseq, error.status or 400, text, cure, code)
        self._refusals.publish(event)

    def _tag_of_refusal(self, via: Via, request: Request) -> str:
        """Return the To tag of a refusal: unpredictable, equal for retransmissions (§8.2.7)."""
        seed = self._secret, via.branch.lower(), request.value("call-id")
        return f"{_REFUSAL}{hash(seed) & (2**64 - 1):016x}"

    def _acknowledges_refusal(self, ack: Request) -> bool:
        """Return True if an ACK is for a refusal of ours, and so ends here (§17.1.1.3)."""
        tag = ack.to.tag
        return tag.startswith(_REFUSAL) and tag == self._tag_of_refusal(ack.via, ack)

    def _log_unreadable(self, reason: str, flow: Flow) -> None:
        self._log_malformed(
            lambda: f"malformed message from {format_host_port(*flow.remote)}: {reason}",
            reason,
            flow,
        )

    def _log_malformed(
        self, sentence: Callable[[], str], reason: str, flow: Flow, call_id: str = ""
    ) -> None:
        """Count a malformed message, and log at most one line per second.

        `sentence` is a function, because building it takes time.
        """
        self.counts[MESSAGES_MALFORMED] += 1
        now = self._clock()
        if now >= self._next_line_at:
            self._next_line_at = now + SECONDS_BETWEEN_LINES
            count, code = self.counts[MESSAGES_MALFORMED], self._cause_of(reason)[0]
            fields = {"call_id": _printable(call_id), "address": flow.remote[0], "cause": code}
            log.info("%s (%d so far)", sentence(), count, extra=fields)


def _printable(text: str) -> str:
    return "".join([each if each.isprintable() else "?" for each in text])
