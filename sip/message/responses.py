"""Responses of our own, with the fields that they copy from the request (RFC 3261 §8.2.6)."""

import re

from sip.message.grammar import BadMessage, unfold
from sip.message.message import Request, Response
from sip.message.names import REASONS
from sip.message.shape import shape_of

# Characters not allowed in a Reason-Phrase (§25.1); a phrase may quote from the request.
_NOT_IN_PHRASE = re.compile(r"[^A-Za-z0-9 ;/?:@&=+$,\-_.!~*'()]")
_TIMESTAMP = re.compile(r"([0-9]+(?:\.[0-9]*)?)(?:[ \t].*)?")  # §25.1


def make_response(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    extra: tuple[tuple[str, str], ...] = (),
    delay: float = 0.0,
) -> Response:
    """Make a response to `request` (§8.2.6).

    Via, From, To, Call-ID and CSeq are copied, `to_tag` is added if To has no tag, and Timestamp is
    copied into a 100, with the `delay` in seconds since the request arrived.  `extra` are more
    fields as (name, value).
    """
    names = [request.names[at] for at in request.shape.copied]
    if status == 100 and "timestamp" in request.present:
        names.append("timestamp")
    names += [title.lower() for title, _ in extra]
    names.append("content-length")
    lines = _header_lines(request, status, to_tag, extra, delay)
    return Response(status, _reason_phrase(status, reason), shape_of(tuple(names)), lines)


def encode_response(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    extra: tuple[tuple[str, str], ...] = (),
    delay: float = 0.0,
) -> bytes:
    """Return the octets of `make_response`, without making it: for a response that nobody reads."""
    first = f"SIP/2.0 {status} {_reason_phrase(status, reason)}"
    lines = _header_lines(request, status, to_tag, extra, delay)
    return "\r\n".join((first, *lines, "", "")).encode("utf-8", "surrogateescape")


def _header_lines(
    request: Request, status: int, to_tag: str, extra: tuple[tuple[str, str], ...], delay: float
) -> list[str]:
    shape = request.shape
    lines = [request.lines[at] for at in shape.copied]
    if to_tag and "to" in shape.present:  # a bad request may have no To
        lines[shape.copied.index(shape.present["to"])] = to_line(request, to_tag)
    if status == 100 and "timestamp" in shape.present:
        lines.append(_timestamp(request, delay))
    lines += [f"{title}: {value}" for title, value in extra]
    lines.append("Content-Length: 0")
    return lines


def to_line(request: Request, to_tag: str) -> str:
    """Return the To line of a response: that of the request, with `to_tag` if it has no tag."""
    line = request.lines[request.present["to"]]
    try:
        if not to_tag or "tag" in request.to.params:
            return line
    except BadMessage:
        return line  # an invalid To stays as it is
    return unfold(line).rstrip(" \t") + ";tag=" + to_tag


def _reason_phrase(status: int, reason: str | None) -> str:
    """Return `reason` without characters that a Reason-Phrase cannot have, else the usual one."""
    return _NOT_IN_PHRASE.sub("?", reason) if reason else REASONS.get(status, "Unknown")


def _timestamp(request: Request, delay: float) -> str:
    """Return the Timestamp line of a 100, with our delay of the request (§8.2.6.1)."""
    line = request.lines[request.present["timestamp"]]
    match = _TIMESTAMP.fullmatch(request.value("timestamp") or "")
    return line if match is None or delay < 0.001 else f"Timestamp: {match[1]} {delay:.3f}"
