"""Messages with any fields in any octets, from an external caller to the whole server."""

import re

from tests.support.world import REALM, Phone, World

CALLER = "192.0.2.77"


FIELDS = (
    f"Via: SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bK-odd-1",
    "From: <sip:x@elsewhere.example>;tag=from-tag",
    f"To: <sip:bob@{REALM}>",
    "Call-ID: odd-1@elsewhere.example",
    "CSeq: 1 INVITE",
    "Max-Forwards: 70",
    f"Contact: <sip:x@{CALLER}>",
    "Content-Length: 0",
)


def octets(
    fields, start: str = f"INVITE sip:bob@{REALM} SIP/2.0", body: str | bytes = b""
) -> bytes:
    text = "\r\n".join([start, *fields, "", ""])
    return text.encode("utf-8", "surrogateescape") + body


def passing(data: bytes) -> list[bytes]:
    """The fields that a proxy passes on as they are (§16.6): all but those that it has to edit."""
    head, _, _ = data.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)[1:]
    edited = re.compile(rb"(?:max-forwards|max-breadth|record-route|v|via)[ \t]*:", re.IGNORECASE)
    return [field for field in fields if not edited.match(field)]


def answers(world: World, phone: Phone, request, status: int, *headers: str) -> bytes:
    """Answer with fields in any octets; gives the response."""
    copied = ("via", "from", "call-id", "cseq", "record-route")
    lines = [
        line for name, line in zip(request.names, request.lines, strict=True) if name in copied
    ]
    lines += [f"To: {request.value('to').partition(';tag=b')[0]};tag=b", *headers]
    data = octets(lines, f"SIP/2.0 {status} Reason")
    world.deliver(data, phone.address)
    return data
