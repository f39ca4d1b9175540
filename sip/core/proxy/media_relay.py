"""The media relay: rtpengine gets the descriptions of the calls that need it (RFC 3264).

Problem: a browser and a desk phone, SRTP and RTP, or phones behind different NATs do not hear each
    other.  Nothing may be kept here that a restart would lose, and no message of a dialog may
    overtake another one while the relay is asked.
Model: a branch that needs the relay has a mark in its tickets: the kind of each side, and a token.
    Call-ID and token are the name of the call at the relay, so forks do not mix.  An offer is
    translated before its request is sent; an answer before its response is relayed.
Invariant: the messages of one branch take turns, in the order in which they were received.
Bounds: a turn lasts a second at most, and none while the relay is known to be silent; MAX_LATE
    offers in responses wait for their answer.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable

from sip.core import causes
from sip.core.errors import Refused, printable
from sip.core.media import (
    AS_IT_IS,
    RTP,
    WEBRTC,
    Description,
    MediaMark,
    flags_for,
    kinds_for,
    read_description,
    read_mark,
    sdp_of,
    set_sdp,
    with_address,
)
from sip.core.proxy.call_phones import is_caller_behind_nat
from sip.core.proxy.fork import Fork, Prepare
from sip.core.proxy.record_route import is_target_behind_nat
from sip.core.proxy.robot_targets import ROBOT
from sip.core.proxy.route_ticket import DialogSide
from sip.core.registrar.nat import is_private
from sip.core.target import Target
from sip.message.grammar import BadMessage
from sip.message.message import Message, Request, Response
from sip.message.uri import SipUri, parse_uri
from sip.monitor.metrics import CALLS_RELAYED, RELAY_REFUSED, RELAY_SILENT, Counters
from sip.transaction.mailbox import Turns
from sip.transaction.upstream import EditResponse, Work
from sip.transport.bencode import Value
from sip.transport.flow import Flow
from sip.transport.rtpengine import RelayError, RelayRefused, RtpEngine

log = logging.getLogger(__name__)

MAX_LATE = 4096
_BROWSER = ("WS", "WSS")
# A phone answers so if it understands no stream of an offer (RFC 3261 §21.4.26, §21.6.4).
_NOT_ACCEPTABLE = (488, 606)


class MediaRelay:
    """Translates the descriptions of relayed calls by an rtpengine."""

    def __init__(self, engine: RtpEngine, new_token: Callable[[], str]) -> None:
        self.engine = engine
        self.new_token = new_token
        self.counts = Counters()
        self.turns = Turns()
        self._late: OrderedDict[str, None] = OrderedDict()  # calls whose answer is in ACK or PRACK

    def call(self, request: Request, flow: Flow) -> "RelayedCall":
        """Return what relays the branches of an INVITE outside a dialog."""
        return RelayedCall(self, request, flow)

    def within(
        self, request: Request, flow: Flow, side: DialogSide, prepare: Prepare | None
    ) -> Prepare | None:
        """Return a `prepare` that also relays a request within a dialog, which goes to `side`."""
        mark = read_mark(side.media)
        if mark is None:
            return prepare
        name = _name(request, mark)

        def prepare_and_relay(outgoing: Request, target: Target, callee_flow: Flow) -> EditResponse:
            with self.turns.take(name):
                self._relay_request(outgoing, name, mark, flow.remote[0], side)
            if request.method == "BYE":  # its sender has no session any more (§15.1.1)
                self.delete(request, mark)
            edit = None if prepare is None else prepare(outgoing, target, callee_flow)

            def edit_and_relay(response: Response) -> Work | None:
                if edit is not None:
                    edit(response)
                return self.relay_response(
                    response, request, name, mark, callee_flow.remote[0], to_caller=side.is_callee
                )

            return edit_and_relay

        return prepare_and_relay

    def relay_ack(self, request: Request, flow: Flow, side: DialogSide) -> None:
        """Translate the answer in an ACK.  May wait; a failure leaves the answer as it is."""
        mark = read_mark(side.media)
        if mark is None:
            return
        name = _name(request, mark)
        with self.turns.take(name):
            try:
                self._relay_request(request, name, mark, flow.remote[0], side)
            except Refused as refused:
                log.info(
                    "media relay: an ACK passes without translation: %s",
                    refused.cause,
                    extra={"call_id": printable(request.call_id)},
                )

    def delete(self, request: Request, mark: MediaMark) -> None:
        """Tell the relay that the call of a mark is over.  Does not wait."""
        values = {"call-id": _name(request, mark), "from-tag": request.from_.tag}
        self.engine.tell("delete", {**values, "delete-delay": 0})

    def _relay_request(
        self, request: Request, name: str, mark: MediaMark, source: str, side: DialogSide
    ) -> None:
        """Translate the offer of a request, or the answer to an offer in a response."""
        from_tag, to_tag = request.from_.tag, request.to.tag
        receiver, is_behind_nat = mark.caller, mark.callee_behind_nat
        if side.is_callee:
            receiver, is_behind_nat = mark.callee, mark.caller_behind_nat
        is_answer = request.method == "ACK" or (
            request.method == "PRACK" and self._late.pop(name, False) is None
        )
        if is_answer:
            from_tag, to_tag = to_tag, from_tag
        exchange = _Exchange(
            "answer" if is_answer else "offer", name, from_tag, to_tag, receiver, source
        )
        exchange.is_behind_nat = is_behind_nat
        self.translate(request, exchange, mark)

    def relay_response(
        self,
        response: Response,
        request: Request,
        name: str,
        mark: MediaMark,
        source: str,
        *,
        to_caller: bool,
    ) -> Work | None:
        """Return what translates the answer or the late offer of a response; None for neither.

        Without a description it only keeps its place behind the earlier messages of the branch.
        """
        has_sdp = bool(sdp_of(response)) and self.engine.is_answering
        if not has_sdp and not self.turns.is_taken(name):
            return None
        try:
            from_tag, to_tag = request.from_.tag, response.to.tag
        except BadMessage:
            return None  # the caller will not understand it either
        is_offer = not request.body and request.method == "INVITE"
        if is_offer:
            from_tag, to_tag = to_tag, from_tag
            if response.status < 200 and has_sdp:
                self._remember_late(name)
        exchange = _Exchange(
            "offer" if is_offer else "answer",
            name,
            from_tag,
            to_tag,
            mark.caller if to_caller else mark.callee,
            source,
        )
        exchange.is_behind_nat = mark.callee_behind_nat if to_caller else mark.caller_behind_nat
        place = self.turns.take(name)

        def work() -> None:
            with place:
                if has_sdp:
                    try:
                        self.translate(response, exchange, mark)
                    except Refused as refused:  # an answer cannot be refused: it passes as it is
                        log.info(
                            "media relay: an answer passes without translation: %s",
                            refused.cause,
                            extra={"call_id": printable(request.call_id)},
                        )

        return work

    def _remember_late(self, name: str) -> None:
        self._late[name] = None
        if len(self._late) > MAX_LATE:
            self._late.popitem(last=False)

    def translate(self, message: Message, exchange: "_Exchange", mark: MediaMark) -> None:
        """Replace the SDP of a message by that of the relay.  Waits.

        A message without an SDP, or with a malformed one, stays as it is.  Raises Refused (503) if
        the sides need the relay and it does not help; other calls go on without it.
        """
        body = sdp_of(message)
        sent = read_description(body) if body else None
        if sent is None:
            return
        try:
            set_sdp(message, self._ask(exchange, body, sent))
        except RelayError as error:
            is_refusal = isinstance(error, RelayRefused)
            self.counts[RELAY_REFUSED if is_refusal else RELAY_SILENT] += 1
            if mark.translates:
                cause = causes.MEDIA_RELAY.of(fault=printable(str(error)))
                raise Refused(503, cause) from None

    def _ask(self, exchange: "_Exchange", body: bytes, sent: Description) -> bytes:
        """Return the SDP of the relay for one of a message.  Raises RelayError."""
        source = exchange.source
        values: dict[str, Value] = {
            "call-id": exchange.name,
            "from-tag": exchange.from_tag,
            "sdp": with_address(body, sent, source),
            **flags_for(exchange.receiver, sent, source if exchange.is_behind_nat else ""),
        }
        if exchange.to_tag:
            values["to-tag"] = exchange.to_tag
        sdp = self.engine.ask(exchange.command, values).get(b"sdp")
        if not isinstance(sdp, bytes) or not sdp:
            raise RelayRefused("its reply has no SDP")
        return sdp


class RelayedCall:
    """The branches of one INVITE outside a dialog: each has a mark of its own, if it needs one."""

    def __init__(self, relay: MediaRelay, request: Request, flow: Flow) -> None:
        self._relay = relay
        self._request = request
        self._flow = flow
        body = sdp_of(request)
        self._offer = read_description(body) if body else None
        self._is_unreadable = bool(request.body) and self._offer is None
        self._refused: set[str] = set()  # the targets that have refused the offer with 488
        self._marks: dict[str, MediaMark] = {}  # of the branches that are tried, by target
        self._is_answered = False
        self._mark: MediaMark | None = None

    def mark(self, target: Target, flow: Flow) -> str:
        """Return the mark for the tickets of a new branch, "" if it needs no relay."""
        self._mark = None if self._is_unreadable else self._mark_for(target, flow)
        return "" if self._mark is None else str(self._mark)

    def _mark_for(self, target: Target, flow: Flow) -> MediaMark | None:
        from_browser = self._flow.transport in _BROWSER
        offer = WEBRTC if from_browser else RTP
        if self._offer is not None:
            offer = self._offer.kind
        kinds = kinds_for(
            offer,
            from_browser=from_browser,
            to_browser=flow.transport in _BROWSER,
            is_refused=target.uri_text in self._refused,
        )
        caller, callee = self._is_caller_behind_nat(), _is_callee_behind_nat(target, flow)
        if kinds is None:
            is_near = self._flow.remote[0] == flow.remote[0] or ROBOT in (
                flow.transport,
                self._flow.transport,
            )
            if is_near or offer == WEBRTC or not (caller or callee):
                return None
            kinds = AS_IT_IS, AS_IT_IS
        return MediaMark(*kinds, self._relay.new_token()[:16], caller, callee)

    def _is_caller_behind_nat(self) -> bool:
        """Return True if the caller's media address leads nowhere, as a NAT has changed it."""
        request, flow = self._request, self._flow
        contact = request.value("contact") or ""
        if self._offer is not None and not _is_elsewhere(self._offer.host, flow):
            return False
        return is_caller_behind_nat(request, flow, f"Contact: {contact}")

    def attach(self, fork: Fork) -> None:
        """Relay the branches of a fork that need it.

        A branch that needs the relay fails, with its cause, if the relay does not help.
        """
        prepare, end_branch = fork.prepare, fork.end_branch

        def prepare_and_relay(outgoing: Request, target: Target, flow: Flow) -> EditResponse:
            edit = _edit_nothing if prepare is None else prepare(outgoing, target, flow)
            mark = self._mark
            if mark is not None:
                return self._relay_branch(outgoing, target, flow, mark, edit)

            def edit_and_note(response: Response) -> Work | None:
                if response.status >= 200:
                    self._note_answer(target.uri_text, None)
                return edit(response)

            return edit_and_note

        def end_and_delete(target: Target) -> None:
            self._delete(self._marks.pop(target.uri_text, None))
            if end_branch is not None:
                end_branch(target)

        fork.prepare = prepare_and_relay
        fork.end_branch = end_and_delete
        fork.may_try_again = self.may_try_again

    def _relay_branch(
        self,
        outgoing: Request,
        target: Target,
        flow: Flow,
        mark: MediaMark,
        edit: EditResponse,
    ) -> EditResponse:
        relay, request = self._relay, self._request
        name = _name(request, mark)
        exchange = _Exchange(
            "offer", name, request.from_.tag, "", mark.callee, self._flow.remote[0]
        )
        exchange.is_behind_nat = mark.caller_behind_nat
        relay.translate(outgoing, exchange, mark)
        self._marks[target.uri_text] = mark

        def edit_and_relay(response: Response) -> Work | None:
            edit(response)
            if response.status >= 200:
                self._note_answer(target.uri_text, mark)
            return relay.relay_response(
                response, request, name, mark, flow.remote[0], to_caller=True
            )

        return edit_and_relay

    def may_try_again(self, target: Target, status: int) -> bool:
        """Return True if a target that has refused an offer is to get it once more, translated."""
        uri = target.uri_text
        is_new = status in _NOT_ACCEPTABLE and uri not in self._refused
        if not is_new or self._offer is None or self._offer.kind == AS_IT_IS:
            return False
        self._refused.add(uri)
        return self._relay.engine.is_answering

    def _note_answer(self, uri_text: str, mark: MediaMark | None) -> None:
        """Delete the other branches at the first answer: the fork cancels them."""
        if self._is_answered:
            return
        self._is_answered = True
        if mark is not None:
            self._relay.counts[CALLS_RELAYED] += 1
        for other, lost in self._marks.items():
            if other != uri_text:
                self._delete(lost)
        self._marks = {}

    def _delete(self, mark: MediaMark | None) -> None:
        if mark is not None:
            self._relay.delete(self._request, mark)


def _edit_nothing(response: Response) -> Work | None:
    return None


class _Exchange:
    """One offer or answer for the relay.

    `receiver` is the kind that its receiver understands, `source` the address it was sent from.
    """

    __slots__ = ("command", "from_tag", "is_behind_nat", "name", "receiver", "source", "to_tag")

    def __init__(
        self, command: str, name: str, from_tag: str, to_tag: str, receiver: str, source: str
    ) -> None:
        self.command = command
        self.name = name
        self.from_tag = from_tag
        self.to_tag = to_tag
        self.receiver = receiver
        self.source = source
        self.is_behind_nat = False


def _name(request: Request, mark: MediaMark) -> str:
    """Return the name of a call at the relay."""
    return f"{request.call_id}-{mark.token}"


def _is_elsewhere(host: str, flow: Flow) -> bool:
    """Return True for a private address that is not the source of its message."""
    return host != flow.remote[0] and is_private(host)


def _is_callee_behind_nat(target: Target, flow: Flow) -> bool:
    """Return True if a phone has registered a private address, and is reached along its flow."""
    if not is_target_behind_nat(target, flow):
        return False
    try:
        uri = parse_uri(target.uri_text)
    except BadMessage:
        return False
    return isinstance(uri, SipUri) and _is_elsewhere(uri.host, flow)
