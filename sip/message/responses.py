"""Responses of our own, with the fields that they copy from the request (RFC 3261 §8.2.6)."""

import re

from sip.message.grammar import BadMessage, unfold
from sip.message.message import COPIED, Request, Response
from sip.message.names import REASONS

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
    names: list[str] = []
    lines: list[str] = []
    for name, line in zip(request.names, request.lines, strict=True):
        if name in COPIED:
            names.append(name)
            lines.append(to_line(request, to_tag) if name == "to" else line)
    if status == 100 and "timestamp" in request.present:
        names.append("timestamp")
        lines.append(_timestamp(request, delay))
    for title, value in extra:
        names.append(title.lower())
        lines.append(f"{title}: {value}")
    names.append("content-length")
    lines.append("Content-Length: 0")
    return Response(status, _reason_phrase(status, reason), names, lines)


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
    lines = [f"SIP/2.0 {status} {_reason_phrase(status, reason)}"]
    for name, line in zip(request.names, request.lines, strict=True):
        if name in COPIED:
            lines.append(to_line(request, to_tag) if name == "to" else line)
    if status == 100 and "timestamp" in request.present:
        lines.append(_timestamp(request, delay))
    lines += [f"{title}: {value}" for title, value in extra]
    lines += ("Content-Length: 0", "", "")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def to_line(request: Request, to_tag: str) -> str:
    """Return the To line of a response: that of the request, with `to_tag` if it has no tag."""
    line = request.lines[request.names.index("to")]
    if not to_tag or "tag" in _to_params(request):
        return line
    return unfold(line).rstrip(" \t") + ";tag=" + to_tag


def _reason_phrase(status: int, reason: str | None) -> str:
    """Return `reason` without characters that a Reason-Phrase cannot have, else the usual one."""
    return _NOT_IN_PHRASE.sub("?", reason) if reason else REASONS.get(status, "Unknown")


def _timestamp(request: Request, delay: float) -> str:
    """Return the Timestamp line of a 100, with our delay of the request (§8.2.6.1)."""
    line = request.lines[request.names.index("timestamp")]
    match = _TIMESTAMP.fullmatch(request.value("timestamp") or "")
    return line if match is None or delay < 0.001 else f"Timestamp: {match[1]} {delay:.3f}"


def _to_params(request: Request) -> dict[str, str | None]:
    """Return the parameters of To; an invalid To counts as tagged, so that it stays as it is."""
    try:
        return request.to.params
    except BadMessage:
        return {"tag": None}
