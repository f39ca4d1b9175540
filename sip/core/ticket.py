"""The ticket: what our Record-Route says, so that a dialog goes on without memory.

A request inside a dialog shows the Record-Route that we gave it as its Route.  It is signed over
the Call-ID and the tag of who began the dialog, so it opens no other dialog, and over where it
leads: along one flow, or to the hosts of the two sides.  Nothing about a dialog is remembered; it
outlives a restart because the key does.
"""

import hashlib
import hmac
from dataclasses import dataclass

from sip.message.grammar import BadMessage, unescape
from sip.message.message import Request
from sip.message.uri import SipUri
from sip.transport.flow import Flow, flow_text, parse_flow

_MAC_BYTES = 12
# URI parameters of ours, one in each ticket: a flow, one that is good as long as the phone that it
# leads to is registered, the hosts that a way may lead to.
_FLOW, _BOUND, _HOSTS = "f", "b", "h"
_WAYS = frozenset({_FLOW, _BOUND, _HOSTS})
# What a Record-Route of ours may hold.
_RECORDED_PARAMS = _WAYS | {"transport", "lr", "t"}


@dataclass(slots=True)
class Passage:
    """What a ticket permits: the way along `flow`, or to wherever at one of `hosts`.

    `is_bound` says of a flow that it is a registered phone's, and leads nowhere once that is gone.
    """

    flow: Flow | None
    hosts: tuple[str, ...] = ()
    is_bound: bool = False

    def __str__(self) -> str:
        """The text that is signed, and that stands in the Record-Route; `_read` reads it."""
        if self.flow is None:
            return f"{_HOSTS}={'/'.join(self.hosts)}"
        return f"{_BOUND if self.is_bound else _FLOW}={flow_text(self.flow)}"


def _read(name: str, value: str) -> Passage:
    """Raises BadMessage."""
    if name == _HOSTS:
        return Passage(None, tuple(value.split("/")))
    return Passage(parse_flow(value), is_bound=name == _BOUND)


def is_as_recorded(uri: SipUri) -> bool:
    """Tell whether a Record-Route of ours came back without anything added, a maddr for instance.

    A ticket signs its dialog and where it leads, and no more of the value that it stands in.
    """
    return {name for name, _ in uri.params} <= _RECORDED_PARAMS and not uri.headers


class Tickets:
    """Signs and checks tickets with one secret key of at least 16 octets."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, sent_by: str, transport: str, call_id: str, tag: str, passage: Passage) -> str:
        """A Record-Route value for the dialog that `call_id` and the initiator's `tag` begin."""
        text = str(passage)
        kind = "" if transport == "UDP" else f";transport={transport.lower()}"
        return f"<sip:{sent_by}{kind};lr;t={self._sign(call_id, tag, text)};{text}>"

    def _sign(self, call_id: str, tag: str, passage: str) -> str:
        # A line feed is the one character that no value of a message can hold.
        text = f"{call_id}\n{tag}\n{passage}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, digest_size=_MAC_BYTES, key=self._secret).hexdigest()

    def passage(self, request: Request, routes: list[SipUri]) -> Passage | None:
        """Read the tickets among the Routes of ours that a request showed.

        None: it shows no ticket for this dialog, and is treated as one outside a dialog.  The
        last one stands for the side that the request goes to.
        """
        if not routes or not request.to.tag:
            return None
        last = routes[-1]
        for name, value in last.params:
            if name in _WAYS and value:
                value = unescape(value)
                if self._is_good(last.param("t") or "", f"{name}={value}", request):
                    try:
                        return _read(name, value)
                    except BadMessage:
                        return None
        return None

    def _is_good(self, ticket: str, passage: str, request: Request) -> bool:
        """Either side of the dialog may be the one that began it."""
        if not ticket.isascii():
            return False
        call_id, compare = request.call_id, hmac.compare_digest
        return compare(self._sign(call_id, request.from_.tag, passage), ticket) or compare(
            self._sign(call_id, request.to.tag, passage), ticket
        )
