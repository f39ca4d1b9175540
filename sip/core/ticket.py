"""The ticket: a signed Record-Route value that lets a dialog go on without memory (§16.6, step 4).

A request within a dialog shows the Record-Route that we gave it as its Route.  The value is signed
over the Call-ID, the tag of the initiator, and where it leads: along one flow, or to the hosts of
the two sides.  So it opens no other dialog and no other place.  It outlives a restart because the
key does.
"""

import hashlib
import hmac
from dataclasses import dataclass

from sip.message.grammar import BadMessage, unescape
from sip.message.kept import kept
from sip.message.message import Request
from sip.message.uri import SipUri, format_host, format_host_port, parse_host_port
from sip.transport.flow import Endpoint, Flow, flow_text, parse_flow

_MAC_BYTES = 12
# Of an address-of-record and of a phone.  They are covered by the MAC, so they need not be long.
_MARK_BYTES = 4
_MARK_LENGTH = 2 * _MARK_BYTES
# Marks that are kept: those of the phones that are in calls now, some 200 octets each.
MAX_MARKS_KEPT = 4096
# URI parameters of ours.  One of the first three stands in each ticket: a flow, a flow that is good
# as long as the phone at its end is registered, or the addresses that a side was seen at.
_FLOW, _BOUND, _HOSTS = "f", "b", "h"
_WAYS = frozenset({_FLOW, _BOUND, _HOSTS})
# The user and the phone of each side, as marks; and the signature of where the callee answered.
_USERS, _ANSWER = "u", "a"
# What a Record-Route of ours may hold.
_RECORDED_PARAMS = _WAYS | {"transport", "lr", "t", _USERS, _ANSWER}


@dataclass(slots=True)
class Passage:
    """Where one side of a dialog is reached: along `flow`, or at the addresses it was seen at.

    `seen` is the address and port that its messages came from, or that its INVITE went to; `host`
    is the host of its Contact where that is another one, else "".  `is_bound` says of a flow that
    it belongs to a registered phone, and leads nowhere once the registration has ended.  `user` is
    the mark of the local user on this side, followed by that of the phone if it was registered; ""
    for a side that has shown no password.  `answer` is the signature of the place that the callee
    has named in its answer; only the caller shows one.
    """

    flow: Flow | None
    seen: Endpoint
    host: str = ""
    is_bound: bool = False
    user: str = ""
    answer: str = ""

    @property
    def is_of_phone(self) -> bool:
        """Return True if the side is a phone that was registered when the dialog began."""
        return len(self.user) > _MARK_LENGTH

    def is_at(self, host: str) -> bool:
        """Return True if the side was seen at a host, or said in its Contact that it is there."""
        return host in (self.seen[0], self.host)

    def _way(self) -> str:
        """The addresses of a side without a flow; `_read_side` reads them."""
        seen = format_host_port(*self.seen)
        return f"{seen}+{format_host(self.host)}" if self.host else seen


def _text_of(passages: tuple[Passage, ...]) -> str:
    """What a ticket says and signs; `_read` reads it."""
    first = passages[0]
    if first.flow is None:
        text = f"{_HOSTS}={'/'.join([passage._way() for passage in passages])}"
    else:
        text = f"{_BOUND if first.is_bound else _FLOW}={flow_text(first.flow)}"
    users = ".".join([passage.user for passage in passages])
    return f"{text};{_USERS}={users}" if users.strip(".") else text


def _read(name: str, value: str, users: str) -> list[Passage]:
    """Read a ticket: one side, or the caller's and the callee's.  Raises BadMessage."""
    marks = users.split(".")
    if name != _HOSTS:
        flow = parse_flow(value)
        return [Passage(flow, flow.remote, is_bound=name == _BOUND, user=marks[0])]
    sides = [Passage(None, *_read_side(text)) for text in value.split("/")]
    for side, user in zip(sides, marks, strict=False):
        side.user = user
    return sides


@kept(1024)
def _read_side(text: str) -> tuple[Endpoint, str]:
    seen, _, contact = text.partition("+")
    host, port = parse_host_port(seen)
    if port is None:
        raise BadMessage(f"{text[:60]!r} has no port")
    return (host, port), parse_host_port(contact)[0] if contact else ""


def is_as_recorded(uri: SipUri) -> bool:
    """Tell whether a Record-Route of ours came back without anything added, a maddr for instance.

    A ticket signs its dialog and where it leads, and no more of the value that it stands in.
    """
    return {name for name, _ in uri.params} <= _RECORDED_PARAMS and not uri.headers


def with_answer(value: str, signature: str) -> str:
    """A Record-Route value of ours that tells as well where the callee has answered."""
    return f"{value[:-1]};{_ANSWER}={signature}>"


class Tickets:
    """Signs and checks tickets with one secret key of at least 16 octets."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._marks: dict[tuple[str, str], str] = {}

    def issue(
        self, sent_by: str, transport: str, call_id: str, tag: str, *passages: Passage
    ) -> str:
        """A Record-Route value for the dialog that `call_id` and the initiator's `tag` begin.

        It stands for one side; or for the caller and the callee, in that order, where both are
        reached at their addresses.
        """
        text = _text_of(passages)
        kind = "" if transport == "UDP" else f";transport={transport.lower()}"
        return f"<sip:{sent_by}{kind};lr;t={self._sign(call_id, tag, text)};{text}>"

    def sign_answer(self, call_id: str, tag: str, callee_tag: str, place: str) -> str:
        """Sign that the callee has answered from a place, as `place_of` writes it."""
        return self._sign(call_id, tag, f"{_ANSWER}\n{callee_tag}\n{place}")

    def is_answer(self, request: Request, signature: str, place: str) -> bool:
        """Return True if the callee of this dialog has answered from a place."""
        if not signature or not signature.isascii():
            return False
        expected = self.sign_answer(request.call_id, request.from_.tag, request.to.tag, place)
        return hmac.compare_digest(expected, signature)

    def mark(self, aor: str, identity: str = "") -> str:
        """The mark of a user in our tickets, followed by that of its phone if one is known."""
        known = self._marks.get((aor, identity))
        if known is None:
            if len(self._marks) >= MAX_MARKS_KEPT:
                self._marks.clear()
            known = self._hash(aor, _MARK_BYTES)
            if identity:
                known += self._hash(f"{aor}\n{identity}", _MARK_BYTES)
            self._marks[aor, identity] = known
        return known

    def is_of_user(self, side: Passage, aor: str) -> bool:
        """Return True if an address-of-record is that of the user on a side."""
        return side.user[:_MARK_LENGTH] == self.mark(aor)

    def _sign(self, call_id: str, tag: str, passage: str) -> str:
        return self._hash(f"{call_id}\n{tag}\n{passage}", _MAC_BYTES)

    def _hash(self, text: str, size: int) -> str:
        # The parts are joined by line feeds: no value of a message can hold one.
        octets = text.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(octets, digest_size=size, key=self._secret).hexdigest()

    def passage(self, request: Request, routes: list[SipUri]) -> Passage | None:
        """Return the side that a request goes to, by the tickets among the Routes that it showed.

        None: it shows no ticket for this dialog, and is treated as one outside a dialog.  The
        last one stands for the side that the request goes to.
        """
        if not routes or not request.to.tag:
            return None
        read = self._passages(request, routes[-1])
        if read is None:
            return None
        passages, is_of_caller = read
        passage = passages[-1 if is_of_caller else 0]
        if is_of_caller:
            passage.answer = routes[-1].param(_ANSWER) or ""
        return passage

    def passage_back(self, request: Request, routes: list[SipUri]) -> Passage | None:
        """Return the side of the sender of a request, by the first of these tickets."""
        read = self._passages(request, routes[0]) if routes else None
        if read is None:
            return None
        passages, is_of_caller = read
        if len(passages) == 1 and len(routes) == 1:
            return None  # it stands for the other side
        return passages[0 if is_of_caller else -1]

    def _passages(self, request: Request, uri: SipUri) -> tuple[list[Passage], bool] | None:
        """What one ticket says, and whether the initiator of the dialog shows it."""
        params = uri.params
        for name, value in params:
            if name not in _WAYS or not value:
                continue
            value = unescape(value)
            users = next((more or "" for known, more in params if known == _USERS), "")
            users = unescape(users)
            text = f"{name}={value};{_USERS}={users}" if users else f"{name}={value}"
            is_of_caller = self._is_shown_by_caller(uri.param("t") or "", text, request)
            if is_of_caller is None:
                continue
            try:
                return _read(name, value, users), is_of_caller
            except BadMessage:
                return None
        return None

    def _is_shown_by_caller(self, ticket: str, text: str, request: Request) -> bool | None:
        """Return True for the initiator of the dialog, False for its peer, None if it is forged."""
        if not ticket.isascii():
            return None
        call_id, compare = request.call_id, hmac.compare_digest
        if compare(self._sign(call_id, request.from_.tag, text), ticket):
            return True
        return False if compare(self._sign(call_id, request.to.tag, text), ticket) else None
