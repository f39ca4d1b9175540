"""Stateless responses to unverified sources, bounded against amplification (RFC 3261 §26.1.5).

By UDP at most MAX_OCTETS_PER_OCTET bytes are sent for each byte received.
"""

from sip.core.errors import Fields
from sip.message.message import Request
from sip.message.responses import encode_response
from sip.monitor.metrics import DROPPED_TOO_SHORT
from sip.transaction.upstream import Upstream
from sip.transport.flow import Flow

# Bytes sent by UDP for each byte received.
MAX_OCTETS_PER_OCTET = 3
_CHALLENGES = (401, 407)
# Characters of header fields from which on our received and rport in the Via, and the first lines,
# are small enough to neglect.
_LONG_ENOUGH = 200


def respond_statelessly(
    request: Request, upstream: Upstream, status: int, extra: Fields, reason: str | None = None
) -> None:
    """Send a response without a transaction (§8.2.7); by UDP within MAX_OCTETS_PER_OCTET.

    The address may be forged, and then the response hits its owner.  Header fields of `extra` that
    do not fit are left out from the end, the second algorithm of a challenge first.  A request that
    is too short even for one challenge is not from a phone, and is dropped.
    """
    layer = upstream.layer
    tag = layer.stateless_tag(request)
    data = encode_response(request, status, reason, to_tag=tag, extra=extra)
    if extra and not upstream.flow.source_is_verified and not _surely_fits(request, data):
        too_much = len(data) - MAX_OCTETS_PER_OCTET * _octets_received(request, upstream.flow)
        if too_much > 0:
            while extra and too_much > 0:
                too_much -= len(": \r\n".join(extra[-1]))
                extra = extra[:-1]
            if too_much > 0 or (status in _CHALLENGES and not extra):
                layer.counts[DROPPED_TOO_SHORT] += 1
                return
            data = encode_response(request, status, reason, to_tag=tag, extra=extra)
    layer.answer_statelessly(upstream, status, data)


def _surely_fits(request: Request, data: bytes) -> bool:
    """Return True if the response surely fits; a quick test for a phone's request of 400 bytes."""
    came = sum(map(len, request.lines))
    return came > _LONG_ENOUGH and len(data) < 2 * came


def _octets_received(request: Request, flow: Flow) -> int:
    """Return how many octets a request had as received; outside ASCII a few too few."""
    host, port = flow.remote
    stamp = len(f";received={host};rport={port}")  # added by us to the Via, at most
    came = len(f"{request.method} {request.uri_text} SIP/2.0") + sum(map(len, request.lines))
    return came + 2 * len(request.lines) + 4 + len(request.body) - stamp
