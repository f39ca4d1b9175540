"""Requests that this server sends itself: build one, and wait for its outcome (RFC 3261 §8.1)."""

from sip.message.grammar import is_token
from sip.message.message import Request, Response
from sip.message.shape import shape_of
from sip.transaction.mailbox import Mailbox

# An INVITE needs an ACK of its 2xx and timer C; ACK and CANCEL belong to the request of another
# transaction (§13, §17.1.1.3, §9.1).
UNSUPPORTED_METHODS = frozenset({"INVITE", "ACK", "CANCEL"})
MAX_FORWARDS = 70  # §8.1.1.6
CSEQ_LIMIT = 2**31  # §8.1.1.5: the number is below it

_REASONS = {
    408: "no final response within 32 s",
    500: "an internal error ended the transaction",
    503: "the transport failed",
    513: "the request is too large for a datagram",
}


class NoResponse(Exception):
    """A request of this server has ended without a final response.

    `status` stands for the missing response (§8.1.3.1): 408 for a time-out (timer F), 503 for a
    transport error, a closed connection, a server that stops or has MAX_TRANSACTIONS already, 513
    for a request that is larger than a datagram, 500 for a fault of ours.
    """

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(reason or _REASONS.get(status, f"ended with {status}"))
        self.status = status


class OwnRequest:
    """The transaction user of one request of ours: it hands the outcome to the caller."""

    __slots__ = ("_mailbox",)

    def __init__(self) -> None:
        self._mailbox = Mailbox()

    def on_response(self, response: Response, is_first: bool) -> None:
        """Take a response; the transaction lets one final response through (§17.1.2)."""
        if response.status >= 200:
            self._mailbox.put(response)

    def on_failure(self, status: int) -> None:
        """Take the status that stands for a missing response."""
        self._mailbox.put(status)

    def wait(self) -> Response:
        """Wait for the outcome and return the final response.  Raises NoResponse."""
        outcome = self._mailbox.get()
        if isinstance(outcome, Response):
            return outcome
        raise NoResponse(outcome)


def build_request(
    method: str,
    uri: str,
    *,
    from_uri: str,
    from_tag: str,
    to_uri: str,
    to_tag: str = "",
    call_id: str,
    cseq: int = 1,
    routes: tuple[str, ...] = (),
    extra: tuple[tuple[str, str], ...] = (),
    content_type: str = "",
    body: bytes = b"",
) -> Request:
    """Build a request of ours, complete but for its Via, which the layer adds (§8.1.1).

    `uri` is the Request-URI.  `to_tag` is "" outside a dialog.  `routes` are the Route values in
    order (§12.2.1.1).  `extra` are further fields as (name, value): NOTIFY, REGISTER and SUBSCRIBE
    need a Contact.  Raises ValueError if the request would be invalid: a line end in a field, a
    space in the Request-URI, a CSeq out of range, no From tag, or a body without a type.
    """
    if not is_token(method):
        raise ValueError(f"{method!r} is no method")
    if not uri or not uri.isprintable() or " " in uri:
        raise ValueError(f"{uri!r} is no Request-URI")
    if not from_tag or not call_id:
        raise ValueError("a request needs a From tag and a Call-ID")
    if not 0 <= cseq < CSEQ_LIMIT:
        raise ValueError(f"CSeq {cseq} is not below {CSEQ_LIMIT}")
    if body and not content_type:
        raise ValueError("a body needs a Content-Type")
    fields = [("Route", route) for route in routes]
    fields += [
        ("Max-Forwards", str(MAX_FORWARDS)),
        ("From", f"<{from_uri}>;tag={from_tag}"),
        ("To", f"<{to_uri}>;tag={to_tag}" if to_tag else f"<{to_uri}>"),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} {method}"),
        *extra,
    ]
    if content_type:
        fields.append(("Content-Type", content_type))
    fields.append(("Content-Length", str(len(body))))
    names: list[str] = []
    lines: list[str] = []
    for name, value in fields:
        line = f"{name}: {value}"
        if not is_token(name) or "\r" in line or "\n" in line:
            raise ValueError(f"{line!r} is not one header field")
        names.append(name.lower())
        lines.append(line)
    return Request(method, uri, shape_of(tuple(names)), lines, body)
