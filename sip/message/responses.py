"""Responses of our own, with the fields that they copy from the request (RFC 3261 §8.2.6)."""

import re

from sip.message.grammar import BadMessage, unfold
from sip.message.message import Request
from sip.message.names import REASONS

# Characters not allowed in a Reason-Phrase (§25.1); a phrase may quote from the request.
_NOT_IN_PHRASE = re.compile(r"[^A-Za-z0-9 ;/?:@&=+$,\-_.!~*'()]")
_TIMESTAMP = re.compile(r"([0-9]+(?:\.[0-9]*)?)(?:[ \t].*)?")  # §25.1


def encode_response(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    extra: tuple[tuple[str, str], ...] = (),
    delay: float = 0.0,
) -> bytes:
    """Return the octets of a response to `request` (§8.2.6).

    Via, From, To, Call-ID and CSeq are copied, `to_tag` is added if To has no tag, and Timestamp is
    copied into a 100, with the `delay` in seconds since the request arrived.  `extra` are more
    fields as (name, value).  There is no Response, because the server does not read what it says.
    """
    if reason:
        reason = _NOT_IN_PHRASE.sub("?", reason)
    shape = request.shape
    lines = [f"SIP/2.0 {status} {reason or REASONS.get(status, 'Unknown')}"]
    lines += [request.lines[at] for at in shape.copied]
    if to_tag and "to" in shape.present:  # a bad request may have no To
        lines[1 + shape.copied.index(shape.present["to"])] = to_line(request, to_tag)
    if status == 100 and "timestamp" in shape.present:
        lines.append(_timestamp(request, delay))
    lines += [f"{title}: {value}" for title, value in extra]
    lines += ("Content-Length: 0", "", "")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def to_line(request: Request, to_tag: str) -> str:
    """Return the To line of a response: that of the request, with `to_tag` if it has no tag."""
    line = request.lines[request.present["to"]]
    try:
        if not to_tag or "tag" in request.to.params:
            return line
    except BadMessage:
        return line  # an invalid To stays as it is
    return unfold(line).rstrip(" \t") + ";tag=" + to_tag


def _timestamp(request: Request, delay: float) -> str:
    """Return the Timestamp line of a 100, with our delay of the request (§8.2.6.1)."""
    line = request.lines[request.present["timestamp"]]
    match = _TIMESTAMP.fullmatch(request.value("timestamp") or "")
    return line if match is None or delay < 0.001 else f"Timestamp: {match[1]} {delay:.3f}"
