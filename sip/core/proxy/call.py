"""One call, as its messages show it: both sides, the phones that ring, the cause of its end.

The problem: a proxy keeps no dialog, but pages show calls, and an administrator hangs up.
The model: the state of a dialog (RFC 3261 §12) as its messages name it, for both sides at once.
    Fields are stored unchanged, by reference, and read only when a request of ours needs them.
The bounds: one Call takes about 3 kB; bodies of more than MAX_SDP_BYTES are not stored.
"""

from sip.core.causes import TRANSFERRED
from sip.core.errors import Cause, printable
from sip.message.call_headers import (
    Replaces,
    refer_target,
    referred_status,
    replaces_of,
    session_seconds,
)
from sip.message.grammar import BadMessage
from sip.message.message import Message, Request, Response
from sip.message.uri import Uri
from sip.monitor.events import MAX_DEVICE, RingingPhone
from sip.monitor.sdp import MAX_SDP_BYTES
from sip.transaction.upstream import Upstream
from sip.transport.flow import Endpoint, Flow

# Phones of one call that are listed while they ring.
MAX_PHONES = 30

CALLER, CALLEE = "caller", "callee"

# Call-ID and From tag of the INVITE.
Key = tuple[str, str]


class CallSide:
    """One side of a dialog, as the requests to this side need it (§12.2.1.1).

    - `uri` and `tag` are those of From or To.
    - `contact` is the last Contact, as written; "" before one is known.
    - `routes` are the Record-Route lines that lead to this side, as written.
    - `cseq` is the highest CSeq that this side has sent; 0 if it has sent no request.
    - `aor` is the name and realm of the local user; ("", "") for any other.
    - `seen` is the address that its messages came from.
    """

    __slots__ = ("aor", "contact", "cseq", "routes", "seen", "tag", "uri")

    def __init__(self, uri: str, tag: str) -> None:
        self.uri = uri
        self.tag = tag
        self.contact = ""
        self.routes: list[str] = []
        self.cseq = 0
        self.aor: tuple[str, str] = ("", "")
        self.seen: Endpoint = ("", 0)


class Call:
    """One call, from its INVITE to its end.

    - `upstream` is the caller's side of the INVITE while it rings; None after that.
    - `outer_routes` is the number of Record-Route values of the proxies before this server.
    - `event_key` is the key as events show it: printable.
    - `replaces` is the dialog that this call replaces when it is answered, None for none.
    - `others` are the callees of further answers: the caller hangs up on all phones but one.
    - `phones` are those that ring, by the URI of their target.
    - `early_cseqs` are the highest CSeqs in each early dialog, by the tag of its callee, and True
      for those of the caller.
    - `end_cause` says why the next BYE ends this call, None for a usual end.
    - `forwarded` says why the call was answered elsewhere, None if it was not.
    - `ended_by_us` is True if this server has cancelled it or hung up.
    - `has_offer` is True if the INVITE has a body; else the 2xx has the offer, which is
      `late_offer`, and the ACK has the answer.
    - `expires_at` is the end of the session by its session timer, `check_at` the time of the next
      check of a silent call; both by the server's clock, 0.0 for none.
    - `unregistered_at` is when the call was found without a registered phone, and
      `silent_check_at` the `check_at` that was set when both sides were silent; a request within
      the dialog sets a later one.  0.0 for none.
    """

    __slots__ = (
        "callee",
        "caller",
        "check_at",
        "early_cseqs",
        "end_cause",
        "ended_by_us",
        "event_key",
        "expires_at",
        "forwarded",
        "from_uri",
        "has_offer",
        "held_by",
        "is_answered",
        "is_checked",
        "is_ringing",
        "key",
        "late_offer",
        "others",
        "outer_routes",
        "phones",
        "replaces",
        "silent_check_at",
        "to_uri",
        "unregistered_at",
        "upstream",
    )

    def __init__(self, request: Request, upstream: Upstream) -> None:
        sender = request.from_
        call_id, tag = request.call_id, sender.tag
        self.key: Key = (call_id, tag)
        self.event_key: Key = self.key
        if not (call_id.isprintable() and tag.isprintable()):
            self.event_key = printable(call_id), printable(tag)
        self.upstream: Upstream | None = upstream
        self.caller = CallSide(sender.uri_text, tag)
        self.caller.contact = contact_line(request)
        self.caller.cseq = request.cseq[0]
        self.caller.seen = upstream.flow.remote
        self.callee = CallSide(request.to.uri_text, "")
        self.others: list[CallSide] = []
        self.early_cseqs: dict[tuple[str, bool], int] = {}
        self.from_uri = uri_text(sender.uri)
        self.to_uri = uri_text(request.uri)
        self.outer_routes = 0
        if "record-route" in request.present:
            self.outer_routes = _count_values(request)
        self.has_offer = bool(request.body)
        self.late_offer = b""
        self.is_ringing = self.is_answered = self.is_checked = self.ended_by_us = False
        self.phones: dict[str, RingingPhone] = {}
        self.replaces: Replaces | None = None
        if "replaces" in request.present:
            self.replaces = replaces_of(request)
        self.end_cause: Cause | None = None
        self.forwarded: Cause | None = None
        self.held_by: frozenset[str] = frozenset()
        self.expires_at = self.check_at = 0.0
        self.unregistered_at = self.silent_check_at = 0.0

    def has_peer(self, tag: str) -> bool:
        """Return True if `tag` may be the callee's: several phones may have answered."""
        return not self.is_answered or self.callee.tag == tag

    def is_between(self, tag: str, peer: str) -> bool:
        """Return True if the call was answered, and these are the tags of both its sides."""
        callees = {side.tag for side in (self.callee, *self.others)}
        other = peer if tag == self.caller.tag else tag
        return self.is_answered and self.caller.tag in (tag, peer) and other in callees

    def answer(self, response: Response, routes: list[str], flow: Flow) -> None:
        """Take the dialog from the first 2xx (§12.1).

        `routes` are the Record-Route lines that were sent to the callee.
        """
        self._take_dialog(self.callee, response, routes, flow)
        self.caller.cseq = max(self.caller.cseq, self.early_cseqs.get((self.callee.tag, True), 0))
        self.is_answered = True
        self.caller.routes = routes
        self.phones = {}

    def answer_again(self, response: Response, routes: list[str], flow: Flow) -> None:
        """Take the dialog of another phone from its 2xx (§13.2.2.4); repeated ones change nothing.

        Raises BadMessage.
        """
        tag = response.to.tag
        known = [self.callee.tag, *(side.tag for side in self.others)]
        if tag not in known and len(known) < MAX_PHONES:
            side = CallSide(self.callee.uri, tag)
            self._take_dialog(side, response, routes, flow)
            side.aor = self.callee.aor
            self.others.append(side)

    def _take_dialog(
        self, callee: CallSide, response: Response, routes: list[str], flow: Flow
    ) -> None:
        callee.tag = response.to.tag
        callee.contact = contact_line(response)
        callee.routes = route_lines(response) or routes
        callee.cseq = self.early_cseqs.get((callee.tag, False), 0)
        callee.seen = flow.remote

    def ends_with(self, callee_tag: str) -> bool:
        """Take the end of the dialog with a callee; return True if no other one is left."""
        if callee_tag != self.callee.tag:
            self.others = [side for side in self.others if side.tag != callee_tag]
            return False
        if not self.others:
            return True
        self.callee = self.others.pop()
        return False

    def follow(self, request: Request) -> None:
        """Take CSeq, and the news about a transfer, from a request within the dialog."""
        number, method = request.cseq
        tag = request.from_.tag
        is_callers = tag == self.caller.tag
        if not self.is_answered:  # each phone that rings has a dialog of its own (§12.1)
            key = request.to.tag if is_callers else tag, is_callers
            if key in self.early_cseqs or len(self.early_cseqs) < 2 * MAX_PHONES:
                self.early_cseqs[key] = max(self.early_cseqs.get(key, 0), number)
            return
        sender = self.caller if is_callers else self.callee
        sender.cseq = max(sender.cseq, number)
        if method == "NOTIFY" and referred_status(request) >= 300:
            self.end_cause = None  # the transfer has failed, so the call goes on

    def follow_response(self, request: Request, response: Response, now: float) -> None:
        """Take the remote targets (§12.2) and the session timer from a 2xx within the dialog."""
        sender, peer = self.caller, self.callee
        if request.from_.tag != sender.tag:
            sender, peer = peer, sender
        method = request.method
        if method == "REFER":
            if target := refer_target(request):
                self.end_cause = TRANSFERRED.of(target=target)
        elif method in ("INVITE", "UPDATE"):
            sender.contact = contact_line(request) or sender.contact
            peer.contact = contact_line(response) or peer.contact
            self.set_session_timer(response, now)

    def set_session_timer(self, response: Response, now: float) -> None:
        """Take the session timer of a 2xx; without Session-Expires there is none (RFC 4028 §7)."""
        seconds = session_seconds(response)
        self.expires_at = now + seconds if seconds else 0.0


def contact_line(message: Message) -> str:
    """Return the Contact field as written, with its title; "" without one."""
    at = message.present.get("contact")
    return "" if at is None else message.lines[at]


def route_lines(message: Message) -> list[str]:
    """Return the Record-Route fields as written, with their titles."""
    at = message.present.get("record-route")
    if at is None:
        return []
    names, lines = message.names, message.lines
    end = at + names.count("record-route")
    if names[end - 1] == "record-route":  # they follow each other, as in nearly all messages
        return lines[at:end]
    return [line for name, line in zip(names, lines, strict=True) if name == "record-route"]


def _count_values(request: Request) -> int:
    """Return the number of Record-Route values of the proxies before this server."""
    try:
        return len(request.values("record-route"))
    except BadMessage:
        return 0  # a field of the peer that this server need not understand (§16.3, step 1)


def sdp_of(message: Message) -> bytes:
    """Return the body of a message, b"" if it is long; a body that is no SDP has no codecs."""
    body = message.body
    return body if len(body) <= MAX_SDP_BYTES else b""


def uri_text(uri: Uri) -> str:
    """Return a URI as text for an event."""
    return printable(uri.text[:MAX_DEVICE])
