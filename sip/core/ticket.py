"""The ticket: what our Record-Route says, so that a dialog goes on without memory.

A request inside a dialog shows the Record-Route that we gave it as its Route.  It is signed over
the Call-ID and the tag of who began the dialog, so it opens no other dialog, and it may name the
flow of the side that it stands for.  Nothing about a dialog is remembered; it outlives a restart
because the key does.
"""

import hashlib
import hmac
from dataclasses import dataclass

from sip.message.grammar import BadMessage
from sip.message.message import Request
from sip.message.uri import SipUri
from sip.transport.flow import Flow, parse_flow

_MAC_BYTES = 12


@dataclass(slots=True)
class Passage:
    """What tickets permit: `flow` is the way that must be taken, None where it is free."""

    flow: Flow | None


class Tickets:
    """Signs and checks tickets with one secret key of at least 16 octets."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, sent_by: str, transport: str, call_id: str, tag: str, flow: Flow | None) -> str:
        """A Record-Route value for the dialog that `call_id` and the initiator's `tag` begin."""
        flow_text = "" if flow is None else str(flow)
        ticket = self._sign(call_id, tag, flow_text)
        way = f";f={flow_text}" if flow_text else ""
        kind = "" if transport == "UDP" else f";transport={transport.lower()}"
        return f"<sip:{sent_by}{kind};lr;t={ticket}{way}>"

    def _sign(self, call_id: str, tag: str, flow_text: str) -> str:
        # A line feed is the one character that no value of a message can hold.
        text = f"{call_id}\n{tag}\n{flow_text}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, digest_size=_MAC_BYTES, key=self._secret).hexdigest()

    def passage(self, request: Request, routes: list[SipUri]) -> Passage | None:
        """Read the tickets among the Routes of ours that a request showed.

        None: it shows no ticket for this dialog, and is treated as one outside a dialog.  The
        last one stands for the side that the request goes to.
        """
        if not routes or not request.to.tag:
            return None
        last = routes[-1]
        flow_text = last.param("f") or ""
        if not self._is_good(last.param("t") or "", flow_text, request):
            return None
        try:
            return Passage(parse_flow(flow_text) if flow_text else None)
        except BadMessage:
            return None

    def _is_good(self, ticket: str, flow_text: str, request: Request) -> bool:
        """Either side of the dialog may be the one that began it."""
        if not ticket.isascii():
            return False
        call_id, compare = request.call_id, hmac.compare_digest
        return compare(self._sign(call_id, request.from_.tag, flow_text), ticket) or compare(
            self._sign(call_id, request.to.tag, flow_text), ticket
        )
