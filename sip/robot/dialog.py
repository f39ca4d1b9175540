"""A dialog of the robot, and responses with a session description (RFC 3261 §12, §13)."""

from dataclasses import dataclass

from sip.core.proxy.robot_targets import ROBOT
from sip.core.target import as_request_uri
from sip.message.grammar import BadMessage
from sip.message.headers import MAGIC_COOKIE, parse_name_addr
from sip.message.message import Request, Response
from sip.message.names import REASONS
from sip.message.responses import encode_response, to_line
from sip.transaction.layer import Layer
from sip.transaction.own_request import MAX_FORWARDS, build_request
from sip.transaction.upstream import Upstream
from sip.transport.flow import Flow

SDP = "application/sdp"
# The methods that the robot handles; REFER, SUBSCRIBE and the others are refused with 405.
METHODS = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"
_NO_BODY = b"Content-Length: 0\r\n\r\n"
# The methods whose Contact is the remote target from then on (§12.2, RFC 3311 §5).
_REFRESHES = frozenset({"INVITE", "UPDATE"})

# Call-ID, our tag, the peer's tag.
Key = tuple[str, str, str]
Fields = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Dialog:
    """The state of a dialog (§12): its tags and numbers, and the way to the phone.

    `flow` leads to the proxy.  `local` and `remote` are URIs, `target` is the Contact of the phone,
    and `routes` our Route values, in order.
    """

    flow: Flow
    call_id: str
    local_tag: str
    remote_tag: str
    local: str
    remote: str
    target: str
    routes: tuple[str, ...]
    local_number: int = 0  # CSeq of our last request
    remote_number: int = -1  # CSeq of its last request

    @property
    def key(self) -> Key:
        """The key of this dialog in a table."""
        return self.call_id, self.local_tag, self.remote_tag

    def request(
        self, method: str, *, extra: Fields = (), content_type: str = "", body: bytes = b""
    ) -> Request:
        """Return the next request of ours, complete but for its Via (§12.2.1.1)."""
        self.local_number += 1
        return build_request(
            method,
            self.target,
            from_uri=self.local,
            from_tag=self.local_tag,
            to_uri=self.remote,
            to_tag=self.remote_tag,
            call_id=self.call_id,
            cseq=self.local_number,
            routes=self.routes,
            extra=extra,
            content_type=content_type,
            body=body,
        )

    def ack(self, layer: Layer, number: int, body: bytes = b"") -> None:
        """Send the ACK of a 2xx to the INVITE with that CSeq (§13.2.2.4)."""
        sent_by = layer.transports.sent_by(self.flow)
        lines = [
            f"ACK {self.target} SIP/2.0",
            f"Via: SIP/2.0/{ROBOT} {sent_by};branch={MAGIC_COOKIE}{layer.new_token()}",
            *[f"Route: {route}" for route in self.routes],
            f"Max-Forwards: {MAX_FORWARDS}",
            f"From: <{self.local}>;tag={self.local_tag}",
            f"To: <{self.remote}>;tag={self.remote_tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} ACK",
            *([f"Content-Type: {SDP}"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        head = "".join([f"{line}\r\n" for line in [*lines, ""]])
        layer.transports.send(head.encode("utf-8", "surrogateescape") + body, self.flow)

    def is_in_order(self, request: Request) -> bool:
        """Take a request of the phone; False if a later one has overtaken it (§12.2.2)."""
        number = request.cseq[0]
        if number <= self.remote_number:
            return False
        self.remote_number = number
        if request.method in _REFRESHES and "contact" in request.present:
            self.target = _contact_of(request)
        return True


def dialog_of_invite(request: Request, flow: Flow, local_tag: str) -> Dialog:
    """Return the dialog that we begin by answering an INVITE (§12.1.1).  Raises BadMessage."""
    return Dialog(
        flow,
        request.call_id,
        local_tag,
        request.from_.tag,
        request.to.uri_text,
        request.from_.uri_text,
        _contact_of(request),
        tuple(request.values("record-route")),
        remote_number=request.cseq[0],
    )


def dialog_of_answer(invite: Request, response: Response, flow: Flow) -> Dialog:
    """Return the dialog that a 2xx to our INVITE begins (§12.1.2).  Raises BadMessage."""
    return Dialog(
        flow,
        invite.call_id,
        invite.from_.tag,
        response.to.tag,
        invite.from_.uri_text,
        invite.to.uri_text,
        _contact_of(response),
        tuple(reversed(response.values("record-route"))),
        local_number=invite.cseq[0],
    )


def _contact_of(message: Request | Response) -> str:
    contacts = message.values("contact")
    if not contacts:
        raise BadMessage("Missing Contact header field")
    return as_request_uri(parse_name_addr(contacts[0]).uri_text)


def answer(
    layer: Layer,
    request: Request,
    upstream: Upstream,
    status: int,
    *,
    extra: Fields = (),
    body: bytes = b"",
) -> bytes:
    """Send a response that begins a dialog or belongs to one, and return its octets (§12.1.1).

    Record-Route is copied, Contact is the Request-URI of the robot.
    """
    tag = layer.stateless_tag(request)
    fields = [("Record-Route", route) for route in request.values("record-route")]
    fields += [("Contact", f"<{request.uri_text}>"), ("Allow", METHODS), *extra]
    data = encode_response(request, status, REASONS.get(status), to_tag=tag, extra=tuple(fields))
    if body:
        counted = f"Content-Type: {SDP}\r\nContent-Length: {len(body)}\r\n\r\n"
        data = data.removesuffix(_NO_BODY) + counted.encode() + body
    layer.answer(upstream.ensure_transaction(), status, data, to_line(request, tag))
    return data


def warning(host: str, text: str) -> tuple[str, str]:
    """Return a Warning field with a text for the user of the phone (§20.43)."""
    shown = "".join([each if each.isascii() and each.isprintable() else "?" for each in text])
    shown = shown.replace("\\", "/").replace('"', "'")
    return "Warning", f'399 {host} "{shown}"'
