"""Answers to whoever has not shown to be where it seems to be (RFC 3261 §26.1.5)."""

from sip.core.errors import Fields
from sip.message.message import Message, Request, Response, make_response
from sip.monitor.metrics import DROPPED_TOO_SHORT
from sip.transaction.upstream import Upstream
from sip.transport.flow import Flow

# Octets that go out for one that came.
MOST_OCTETS_FOR_ONE = 3
_CHALLENGES = (401, 407)
# Characters of header fields beyond which our stamp in the Via and the first lines don't matter.
_USUAL = 200


def respond_statelessly(
    request: Request, upstream: Upstream, status: int, extra: Fields, reason: str | None = None
) -> None:
    """Answer without memory (§8.2.7), and by UDP with three octets for one at most.

    The address may be forged, and we would send where somebody else aims.  What is too much is left
    out from the end, the second algorithm of a challenge first.  A request so short that its
    challenge doesn't fit at all is no phone's, and hears nothing.
    """
    layer = upstream.layer
    tag = layer.stateless_tag(request)
    response = make_response(request, status, reason, to_tag=tag, extra=extra)
    if extra and not upstream.flow.source_is_verified and not _is_ample(request, response):
        too_much = _octets_beyond(MOST_OCTETS_FOR_ONE, request, response, upstream.flow)
        if too_much > 0:
            while extra and too_much > 0:
                too_much -= len(": \r\n".join(extra[-1]))
                extra = extra[:-1]
            if too_much > 0 or (status in _CHALLENGES and not extra):
                layer.counts[DROPPED_TOO_SHORT] += 1
                return
            response = make_response(request, status, reason, to_tag=tag, extra=extra)
    layer.answer_statelessly(upstream, response)


def _is_ample(request: Request, response: Response) -> bool:
    """Tell quickly of a phone's request, some 400 octets, that it is long enough by far."""
    came = sum(map(len, request.lines))
    return came > _USUAL and sum(map(len, response.lines)) < 2 * came


def _octets_beyond(most: int, request: Request, response: Response, flow: Flow) -> int:
    """How many octets of a response are beyond `most` for each of its request, as that came."""
    host, port = flow.remote
    stamp = len(f";received={host};rport={port}")  # is ours, at most
    came = len(f"{request.method} {request.uri_text} SIP/2.0") + _octets(request) - stamp
    return len(f"SIP/2.0 {response.status} {response.reason}") + _octets(response) - most * came


def _octets(message: Message) -> int:
    """The octets of a message but for its first line; a few less than there are, but in ASCII."""
    return sum(map(len, message.lines)) + 2 * len(message.lines) + 4 + len(message.body)
