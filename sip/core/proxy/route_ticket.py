"""The ticket: a signed Record-Route token, so that dialogs need no table here (§16.6, step 4).

The problem: a request within a dialog must reach the other side without a password, after a restart
too; but a proxy that forwards to any address in a Route is an open relay.

The model: our Record-Route value comes back as the Route of each later request.  It is signed over
the Call-ID, the tag of the initiator, and the destination: one flow, or the hosts of both sides.
The invariant: a ticket opens no other dialog and no other destination.  It stays valid after a
restart because the key is stored.  The bounds: nothing is stored per dialog.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import NamedTuple

from sip.core.target import Phone, address_key, endpoint_key
from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, unescape
from sip.message.message import Request
from sip.message.uri import SipUri, Uri, format_host_port, parse_host_port, parse_uri
from sip.transport.flow import Endpoint, Flow, flow_text, parse_flow
from sip.transport.transport_names import transport_param

_MAC_BYTES = 12
# The mark of an address-of-record or of a phone is short: the MAC protects it, and each octet comes
# back to the sender of a forged INVITE more than a dozen times.
_MARK_BYTES = 3
_MARK_LENGTH = 2 * _MARK_BYTES
# Bits of the hexadecimal digit after the mark of a phone: it has an instance id; the user has no
# other phone.
_HAS_INSTANCE, _IS_ONLY = 1, 2
# Cached marks: those of the phones that are in calls now, some 200 octets each.
MAX_CACHED_MARKS = 4096
# URI parameters of a ticket.  Each has one of these three: a flow, a flow that is valid as long as
# its phone is registered, or the addresses that the sides were seen at.
_FLOW, _BOUND, _HOSTS = "f", "b", "h"
_DESTINATIONS = frozenset({_FLOW, _BOUND, _HOSTS})
# The marks of the user and the phone of each side; the signature of the address in the answer.
_USERS, _ANSWER = "u", "a"
# Each signature is for the caller's side, the callee's, both, or the address of an answer.  A line
# feed separates these words from the rest: no value of a message can hold one.
_CALLER, _CALLEE, _BOTH, _ADDRESS = "caller\n", "callee\n", "both\n", "answer\n"
# The parameters that a Record-Route of ours may have.
_RECORDED_PARAMS = _DESTINATIONS | {"transport", "lr", "t", _USERS, _ANSWER}
# A value of ours after `;lr;t=`, as `Tickets.issue` writes it: signature, signed part, answer.
_AS_ISSUED = re.compile(
    r"([0-9a-f]++);([fbh]=[A-Za-z0-9.:/\[\]_+-]++(?:;u=[0-9a-f.]++)?)(?:;a=([0-9a-f]++))?>"
)


@dataclass(slots=True)
class DialogSide:
    """How to reach one side of a dialog: along `flow`, or at the addresses that it was seen at.

    - `seen` is the address and port that its messages came from, or that its INVITE went to.
    - `contact` is the `address_key` of its Contact; "" if that is the address in `seen`.
    - `is_bound` is True if `flow` belongs to a registered phone, and ends with the registration.
    - `user` has the marks of the local user on this side and of its phone; "" if this side has not
      authenticated.
    - `answer` is the signature of the address that the callee has named in its answer; only
      requests of the caller have one.
    """

    flow: Flow | None
    seen: Endpoint
    contact: str = ""
    is_bound: bool = False
    user: str = ""
    answer: str = ""

    @property
    def is_of_phone(self) -> bool:
        """Return True if this side is a phone that was registered when the dialog began."""
        return len(self.user) > _MARK_LENGTH

    @property
    def has_instance(self) -> bool:
        """Return True if the phone has an instance id."""
        return self.is_of_phone and bool(int(self.user[-1], 16) & _HAS_INSTANCE)

    @property
    def is_only(self) -> bool:
        """Return True if the phone was the only one of its user when the dialog began."""
        return self.is_of_phone and bool(int(self.user[-1], 16) & _IS_ONLY)

    def is_at(self, address: str) -> bool:
        """Return True if this side was seen at an address, or has named it in its Contact."""
        return address in (self.contact, endpoint_key(self.seen))


def contact_address(contact: Uri | None, seen: Endpoint) -> str:
    """Return the `address_key` of a Contact for a ticket; "" if the phone was seen there.

    Return "" also if a ticket cannot hold this Contact: then the phone is reached where it was
    seen.
    """
    if not isinstance(contact, SipUri) or contact.param("maddr"):
        return ""
    address, transport = address_key(contact), contact.param("transport")
    is_odd = transport and not transport.isalnum()
    return "" if address == endpoint_key(seen) or is_odd else address


class OwnRoute(NamedTuple):
    """A Route value that names this server, with the ticket in it.

    - `text` is its URI.
    - `signature` signs the dialog, the role and `signed`, which is the destination and the marks of
      the users; both are "" if there is no ticket.
    - `answer` is the signature of the address that the callee has named in its answer, or "".
    - `is_recorded` is True if it has the form of our Record-Routes: a ticket and no user.
    - `is_as_issued` is True if nothing was added to our Record-Route, for instance a maddr: a
      ticket signs its dialog and its destination, not the other parameters of the value.
    """

    text: str
    signature: str
    signed: str
    answer: str
    is_recorded: bool = True
    is_as_issued: bool = True


def route_as_issued(value: str, ticket: str) -> OwnRoute | None:
    """Return a Route value that is written as we write it, None for any other.

    `ticket` is the part of `value` after `;lr;t=`.
    """
    match = _AS_ISSUED.fullmatch(ticket)
    return OwnRoute(value[1:-1], match[1], match[2], match[3] or "") if match else None


def own_route(uri: SipUri) -> OwnRoute:
    """Return a Route value of this server in any form, by its URI."""
    users, signed = unescape(uri.param(_USERS) or ""), ""
    for name, value in uri.params:
        if name in _DESTINATIONS and value:
            signed = f"{name}={unescape(value)}" + (f";{_USERS}={users}" if users else "")
            break
    return OwnRoute(
        uri.text,
        uri.param("t") or "",
        signed,
        uri.param(_ANSWER) or "",
        is_own_record_route(uri),
        {name for name, _ in uri.params} <= _RECORDED_PARAMS and not uri.headers,
    )


def is_own_record_route(uri: Uri) -> bool:
    """Return True if a local URI has the form of our Record-Routes: a ticket and no user."""
    return isinstance(uri, SipUri) and uri.user is None and uri.param("t") is not None


def _text_of(sides: tuple[DialogSide, ...]) -> str:
    """Return the signed part of a ticket; `_read` reads it."""
    first = sides[0]
    if first.flow is None:
        text = f"{_HOSTS}={'/'.join(map(_side_text, sides))}"
    else:
        text = f"{_BOUND if first.is_bound else _FLOW}={flow_text(first.flow)}"
    users = first.user if len(sides) == 1 else ".".join([side.user for side in sides])
    return f"{text};{_USERS}={users}" if users.strip(".") else text


def _read(signed: str) -> list[DialogSide]:
    """Read the signed part of a ticket: one side, or the caller's and the callee's.

    Raises BadMessage.
    """
    destination, _, users = signed.partition(f";{_USERS}=")
    name, _, value = destination.partition("=")
    marks = users.split(".")
    if name != _HOSTS:
        flow = parse_flow(value)
        return [DialogSide(flow, flow.remote, is_bound=name == _BOUND, user=marks[0])]
    sides = [DialogSide(None, *_read_side(text)) for text in value.split("/")]
    for side, user in zip(sides, marks, strict=False):
        side.user = user
    return sides


def _side_text(side: DialogSide) -> str:
    """Return the addresses of a side without a flow; `_read_side` reads them."""
    seen = format_host_port(*side.seen)
    if not side.contact:
        return seen
    _, host, port, transport, _ = side.contact.split(";")
    contact = format_host_port(host, int(port) if port else None)
    return f"{seen}+{contact}+{transport}" if transport else f"{seen}+{contact}"


@cached_parse(1024)
def _read_side(text: str) -> tuple[Endpoint, str]:
    seen, _, contact = text.partition("+")
    host, port = parse_host_port(seen)
    if port is None:
        raise BadMessage(f"{text[:60]!r} has no port")
    address, _, transport = contact.partition("+")
    uri = f"sip:{address};transport={transport}" if transport else f"sip:{address}"
    return (host, port), address_key(parse_uri(uri)) if contact else ""


def with_answer(value: str, signature: str) -> str:
    """Return a Record-Route value of ours with the signature of the callee's answer in it."""
    return f"{value[:-1]};{_ANSWER}={signature}>"


class Tickets:
    """Signs and checks tickets with one secret key of at least 16 octets."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._marks: dict[str, str] = {}

    def issue(
        self,
        sent_by: str,
        transport: str,
        call_id: str,
        tag: str,
        *sides: DialogSide,
        is_callee: bool = False,
        is_sips: bool = False,
    ) -> str:
        """Return a Record-Route value for the dialog of `call_id` and the initiator's `tag`.

        `sides` are the caller and the callee, in that order, if both are reached at their
        addresses; else it is one side, and `is_callee` says which.  With `is_sips` it is a sips:
        URI, which means TLS.
        """
        text = _text_of(sides)
        role = _BOTH if len(sides) > 1 else _CALLEE if is_callee else _CALLER
        us = f"sips:{sent_by}" if is_sips else f"sip:{sent_by}{transport_param(transport)}"
        return f"<{us};lr;t={self._sign(call_id, tag, role + text)};{text}>"

    def sign_answer(self, call_id: str, tag: str, callee_tag: str, address: str) -> str:
        """Sign the address, as `address_key` writes it, that the callee has named in its answer."""
        return self._sign(call_id, tag, f"{_ADDRESS}{callee_tag}\n{address}")

    def is_answer(self, request: Request, signature: str, address: str) -> bool:
        """Return True if the callee of this dialog has named this address in its answer."""
        if not signature or not signature.isascii():
            return False
        expected = self.sign_answer(request.call_id, request.from_.tag, request.to.tag, address)
        return hmac.compare_digest(expected, signature)

    def user_mark(self, aor: str) -> str:
        """Return the mark of a user in our tickets."""
        return self._cached_mark(aor)

    def phone_mark(self, phone: Phone) -> str:
        """Return the mark of a user, followed by the mark of its phone if one is known."""
        user, identity = self._cached_mark(phone.aor), phone.identity
        if not identity:
            return user
        kind = (_HAS_INSTANCE if phone.instance else 0) | (_IS_ONLY if phone.is_only else 0)
        text = f"{phone.aor}\n{identity}"
        return f"{user}{self._cached_mark(text)}{kind:x}"

    def _cached_mark(self, text: str) -> str:
        known = self._marks.get(text)
        if known is None:
            if len(self._marks) >= MAX_CACHED_MARKS:
                self._marks.clear()
            known = self._marks[text] = self._hash(text, _MARK_BYTES)
        return known

    def is_phone(self, side: DialogSide, phone: Phone) -> bool:
        """Return True if this is the phone of a side, by its instance id or Call-ID."""
        return side.is_of_phone and side.user[:-1] == self.phone_mark(phone)[:-1]

    def is_of_user(self, side: DialogSide, aor: str) -> bool:
        """Return True if the user of a side has this address-of-record."""
        return side.user[:_MARK_LENGTH] == self.user_mark(aor)

    def _sign(self, call_id: str, tag: str, side: str) -> str:
        return self._hash(f"{call_id}\n{tag}\n{side}", _MAC_BYTES)

    def _hash(self, text: str, size: int) -> str:
        # The parts are joined by line feeds: no value of a message can hold one.
        octets = text.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(octets, digest_size=size, key=self._secret).hexdigest()

    def destination_side(self, request: Request, routes: list[OwnRoute]) -> DialogSide | None:
        """Return the side that a request goes to, by the last ticket among its Routes.

        None: it has no ticket for this dialog, and is handled as a request outside a dialog.
        """
        if not routes or not request.to.tag:
            return None
        last = routes[-1]
        if (sides := self._read(request, last, request.from_.tag, _CALLEE)) is not None:
            sides[-1].answer = last.answer
            return sides[-1]
        sides = self._read(request, last, request.to.tag, _CALLER)
        return sides[0] if sides is not None else None

    def is_from_initiator(self, request: Request, routes: list[OwnRoute]) -> bool:
        """Return True if the sender of a request within a dialog has begun that dialog."""
        return any(
            self._read(request, route, request.from_.tag, role) is not None
            for route in routes
            for role in (_CALLER, _CALLEE)
        )

    def sender_side(self, request: Request, routes: list[OwnRoute]) -> DialogSide | None:
        """Return the side of the sender of a request, by the first ticket for that side."""
        for route in routes:
            if (sides := self._read(request, route, request.from_.tag, _CALLER)) is not None:
                return sides[0]
            if (sides := self._read(request, route, request.to.tag, _CALLEE)) is not None:
                return sides[-1]
        return None

    def _read(
        self, request: Request, route: OwnRoute, initiator: str, role: str
    ) -> list[DialogSide] | None:
        """Read a ticket of the dialog that the tag `initiator` began, for one role or for both.

        None if its signature is wrong, or its flow or address cannot be read.
        """
        signed, signature = route.signed, route.signature
        if not signed or not signature.isascii():
            return None
        if signed[0] == _HOSTS and "/" in signed:
            role = _BOTH
        expected = self._sign(request.call_id, initiator, role + signed)
        if not hmac.compare_digest(expected, signature):
            return None
        try:
            return _read(signed)
        except BadMessage:
            return None
