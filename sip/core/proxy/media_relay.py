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
from sip.transaction.upstream import EditResponse, Upstream, Work
from sip.transport.bencode import Value
from sip.transport.flow import Flow
from sip.transport.rtpengine import RelayError, RelayRefused, RtpEngine

log = logging.getLogger(__name__)

MAX_LATE = 4096
_BROWSER = ("WS", "WSS")
# A phone answers so if it understands no stream of an offer (RFC 3261 §21.4.26, §21.6.4).
_NOT_ACCEPTABLE = (488, 606)
_NO_ADDRESS = "0.0.0.0"  # noqa: S104 -- compared with, not bound to

_Key = tuple[str, Flow | None]


class MediaRelay:
    """Translates the descriptions of relayed calls by an rtpengine."""

    def __init__(self, engine: RtpEngine, new_token: Callable[[], str]) -> None:
        self.engine = engine
        self.new_token = new_token
        self.counts = Counters()
        self.turns = Turns()
        # Calls whose offer came in a reliable 18x, so that a PRACK has the answer (RFC 3262 §5).
        self.late_offers: OrderedDict[str, None] = OrderedDict()

    def call(self, request: Request, flow: Flow) -> "RelayedCall":
        """Return what relays the branches of an INVITE outside a dialog."""
        return RelayedCall(self, request, flow)

    def within(
        self, request: Request, upstream: Upstream, side: DialogSide, prepare: Prepare | None
    ) -> Prepare | None:
        """Return a `prepare` that also relays a request within a dialog, which goes to `side`."""
        mark = read_mark(side.media)
        if mark is None:
            return prepare

        def prepare_and_relay(outgoing: Request, target: Target, callee_flow: Flow) -> EditResponse:
            upstream.ensure_transaction()  # it absorbs retransmissions meanwhile
            sent, received = upstream.flow.remote[0], callee_flow.remote[0]
            exchange = Exchange(self, request, mark, sent, received, to_callee=side.is_callee)
            exchange.relay_request(outgoing)
            if request.method == "BYE":  # its sender has no session any more (§15.1.1)
                self.delete(request, mark)
            edit = None if prepare is None else prepare(outgoing, target, callee_flow)

            def edit_and_relay(response: Response) -> Work | None:
                if edit is not None:
                    edit(response)
                return exchange.relay_response(response)

            return edit_and_relay

        return prepare_and_relay

    def relay_ack(self, request: Request, flow: Flow, side: DialogSide) -> None:
        """Translate the answer in an ACK.  May wait; a failure leaves the answer as it is."""
        mark = read_mark(side.media)
        if mark is not None:
            exchange = Exchange(self, request, mark, flow.remote[0], "", to_callee=side.is_callee)
            try:
                exchange.relay_request(request)
            except Refused as refused:
                _log_untranslated(request, refused)

    def delete(self, request: Request, mark: MediaMark) -> None:
        """Tell the relay that the call of a mark is over.  Does not wait."""
        values = {"call-id": _name(request, mark), "from-tag": request.from_.tag}
        self.engine.tell("delete", {**values, "delete-delay": 0})


class Exchange:
    """A request of a relayed branch and its responses: an offer and its answer, or neither.

    The request was sent from the address `sent_from`, to the callee of the dialog or to its caller;
    its responses come from `received_from`.
    """

    __slots__ = ("_known", "_mark", "_name", "_relay", "_request", "_sources", "_to_callee")

    def __init__(
        self,
        relay: MediaRelay,
        request: Request,
        mark: MediaMark,
        sent_from: str,
        received_from: str,
        *,
        to_callee: bool,
    ) -> None:
        self._relay = relay
        self._request = request
        self._mark = mark
        self._name = _name(request, mark)
        self._sources = sent_from, received_from
        self._to_callee = to_callee
        # The latest answer, by the tag of its sender: its repeats are translated in the same way.
        self._known: dict[tuple[str, bytes], bytes] = {}

    def relay_request(self, outgoing: Request) -> None:
        """Translate the offer of a request, or its answer to an offer in a response.

        Waits for its turn, too.  Raises Refused as `_translate` does.
        """
        relay, request = self._relay, self._request
        from_tag, to_tag = request.from_.tag, request.to.tag
        with relay.turns.take(self._name):
            is_late = self._name in relay.late_offers and bool(sdp_of(request))
            if request.method == "ACK" or (request.method == "PRACK" and is_late):
                relay.late_offers.pop(self._name, None)
                self._translate(outgoing, "answer", to_tag, from_tag, to_callee=self._to_callee)
            else:
                self._translate(outgoing, "offer", from_tag, to_tag, to_callee=self._to_callee)

    def relay_response(self, response: Response) -> Work | None:
        """Return what translates the answer or the late offer of a response; None for neither.

        Without a description it only keeps its place behind the earlier messages of the dialog.
        """
        relay, request, body = self._relay, self._request, sdp_of(response)
        is_waiting = relay.turns.is_taken(self._name)
        has_sdp = bool(body) and relay.engine.is_answering
        if not has_sdp and not is_waiting:
            return None
        try:
            from_tag, to_tag = request.from_.tag, response.to.tag
        except BadMessage:
            return None  # the caller will not understand it either
        known = self._known.get((to_tag, body))
        if known is not None and not is_waiting:
            set_sdp(response, known)
            return None
        place = relay.turns.take(self._name)
        is_offer = not request.body and request.method == "INVITE"
        if is_offer and has_sdp and response.status < 200:
            relay.late_offers[self._name] = None
            if len(relay.late_offers) > MAX_LATE:
                relay.late_offers.popitem(last=False)

        def work() -> None:
            with place:
                known = self._known.get((to_tag, body))
                if known is not None:
                    set_sdp(response, known)
                elif has_sdp:
                    self._translate_response(response, from_tag, to_tag, is_offer=is_offer)

        return work

    def _translate_response(
        self, response: Response, from_tag: str, to_tag: str, *, is_offer: bool
    ) -> None:
        """Translate the description of a response; it passes as it is if the relay fails."""
        body, to_callee = response.body, not self._to_callee
        try:
            if is_offer:
                self._translate(response, "offer", to_tag, from_tag, to_callee=to_callee)
            else:
                self._translate(response, "answer", from_tag, to_tag, to_callee=to_callee)
        except Refused as refused:  # an answer cannot be refused
            _log_untranslated(self._request, refused)
        else:
            self._known = {(to_tag, body): response.body}

    def _translate(
        self, message: Message, command: str, from_tag: str, to_tag: str, *, to_callee: bool
    ) -> None:
        """Replace the SDP of a message, which goes to the callee or the caller.  Waits.

        A message without an SDP, or with a malformed one, stays as it is.  Raises Refused (503) if
        the sides need the relay and it does not help; other calls go on without it.
        """
        body = sdp_of(message)
        sent = read_description(body) if body else None
        if sent is None:
            return
        relay, mark = self._relay, self._mark
        source = self._sources[to_callee is not self._to_callee]
        is_behind_nat = mark.caller_behind_nat if to_callee else mark.callee_behind_nat
        receiver = mark.callee if to_callee else mark.caller
        values: dict[str, Value] = {
            "call-id": self._name,
            "from-tag": from_tag,
            "sdp": with_address(body, sent, source),
            **flags_for(receiver, sent, source if is_behind_nat and _is_lost(sent) else ""),
        }
        if to_tag:
            values["to-tag"] = to_tag
        try:
            sdp = relay.engine.ask(command, values).get(b"sdp")
            if not isinstance(sdp, bytes) or not sdp:
                raise RelayRefused("its reply has no SDP")
            set_sdp(message, sdp)
        except RelayError as error:
            is_refusal = isinstance(error, RelayRefused)
            relay.counts[RELAY_REFUSED if is_refusal else RELAY_SILENT] += 1
            if mark.translates:
                cause = causes.MEDIA_RELAY.of(fault=printable(str(error)))
                raise Refused(503, cause) from None


class RelayedCall:
    """The branches of one INVITE outside a dialog: each has a mark of its own, if it needs one."""

    def __init__(self, relay: MediaRelay, request: Request, flow: Flow) -> None:
        self._relay = relay
        self._request = request
        self._flow = flow
        body = sdp_of(request)
        self._offer = read_description(body) if body else None
        self._is_unreadable = bool(request.body) and self._offer is None
        self._refused: set[_Key] = set()  # the targets that have refused the offer with 488
        self._marks: dict[_Key, MediaMark] = {}  # of the branches that are tried
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
            is_refused=_key(target) in self._refused,
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
                    self._note_answer(_key(target), None)
                return edit(response)

            return edit_and_note

        def end_and_delete(target: Target) -> None:
            self._delete(self._marks.pop(_key(target), None))
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
        sent, received = self._flow.remote[0], flow.remote[0]
        exchange = Exchange(self._relay, self._request, mark, sent, received, to_callee=True)
        exchange.relay_request(outgoing)
        self._marks[_key(target)] = mark

        def edit_and_relay(response: Response) -> Work | None:
            edit(response)
            if response.status >= 200:
                self._note_answer(_key(target), mark)
            return exchange.relay_response(response)

        return edit_and_relay

    def may_try_again(self, target: Target, status: int) -> bool:
        """Return True if a target that has refused an offer is to get it once more, translated."""
        is_new = status in _NOT_ACCEPTABLE and _key(target) not in self._refused
        if not is_new or self._offer is None or self._offer.kind == AS_IT_IS:
            return False
        self._refused.add(_key(target))
        return self._relay.engine.is_answering

    def _note_answer(self, key: _Key, mark: MediaMark | None) -> None:
        """Delete the other branches at the first answer: the fork cancels them."""
        if self._is_answered:
            return
        self._is_answered = True
        if mark is not None:
            self._relay.counts[CALLS_RELAYED] += 1
        for other, lost in self._marks.items():
            if other != key:
                self._delete(lost)
        self._marks = {}

    def _delete(self, mark: MediaMark | None) -> None:
        if mark is not None:
            self._relay.delete(self._request, mark)


def _edit_nothing(response: Response) -> Work | None:
    return None


def _name(request: Request, mark: MediaMark) -> str:
    """Return the name of a call at the relay."""
    return f"{request.call_id}-{mark.token}"


def _key(target: Target) -> _Key:
    """Return what a target is known by: on connections, two phones may have the same Contact."""
    return target.uri_text, target.flow


def _is_lost(sent: Description) -> bool:
    """Return True if the address in a description leads nowhere, and no ICE finds a better one.

    Not so the address 0.0.0.0, by which old phones hold a call (RFC 3264 §8.4).
    """
    return sent.kind != WEBRTC and sent.host != _NO_ADDRESS and is_private(sent.host)


def _log_untranslated(request: Request, refused: Refused) -> None:
    """Log that an answer passes as it is: it cannot be refused."""
    fields = {"call_id": printable(request.call_id), "cause": refused.code}
    log.info("media relay: an answer was not translated: %s", refused.cause, extra=fields)


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
