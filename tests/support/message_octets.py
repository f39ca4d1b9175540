"""Octets of requests for tests of the parser."""

import pytest

from sip.message.message import BadRequest, Request, Response, parse
from sip.message.responses import encode_response

FIELDS = (
    "Via: SIP/2.0/UDP a.example;branch=z9hG4bK1",
    "From: <sip:a@a.example>;tag=1",
    "To: <sip:b@b.example>",
    "Call-ID: x",
    "CSeq: 1 OPTIONS",
)


def octets(
    *fields: str, start: str = "OPTIONS sip:b@b.example SIP/2.0", body: bytes = b""
) -> bytes:
    return "\r\n".join([start, *fields, "", ""]).encode("utf-8", "surrogateescape") + body


def refused(data: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(data)
    return caught.value


def response_to(request: Request, status: int, reason: str | None = None, **given) -> Response:
    """A response of our own, as its receiver reads it."""
    response = parse(encode_response(request, status, reason, **given))
    assert isinstance(response, Response)
    return response
