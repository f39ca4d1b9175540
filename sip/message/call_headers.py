"""Header fields that concern a whole call: Replaces, Session-Expires, Refer-To.

They are read in passing, so a field that cannot be read is as if it were missing.
"""

import re
from typing import NamedTuple

from sip.message.grammar import BadMessage, bounded_number, parse_params
from sip.message.headers import parse_name_addr
from sip.message.message import Message, Request

# Seconds of the shortest session interval that a request may have (RFC 4028 §5).
MIN_SESSION_SECONDS = 90
_MAX_SECONDS = 2**31
# The body of a NOTIFY about a REFER begins with the status line of the new call (RFC 3515 §2.4.5).
_STATUS_LINE = re.compile(rb"SIP/2\.0 (\d{3})\b")


class Replaces(NamedTuple):
    """The dialog that an INVITE replaces (RFC 3891 §6.1); the tags are those of its recipient."""

    call_id: str
    to_tag: str
    from_tag: str


def replaces_of(request: Request) -> Replaces | None:
    """Return the dialog that an INVITE replaces, None if it replaces none."""
    if "replaces" not in request.present:
        return None
    call_id, _, params = (request.value("replaces") or "").partition(";")
    try:
        values = parse_params(f";{params}")
    except BadMessage:
        return None
    to_tag, from_tag = values.get("to-tag"), values.get("from-tag")
    if not call_id or not to_tag or not from_tag:
        return None
    return Replaces(call_id.strip(), to_tag, from_tag)


def session_seconds(message: Message) -> int:
    """Return the session interval in seconds (RFC 4028 §4), 0 without a session timer."""
    if "session-expires" not in message.present:
        return 0
    text = (message.value("session-expires") or "").partition(";")[0].strip()
    seconds = bounded_number(text, _MAX_SECONDS) or 0
    return max(MIN_SESSION_SECONDS, seconds) if seconds else 0


def refer_target(request: Request) -> str:
    """Return the URI of Refer-To (RFC 3515 §2.1) without its headers, "" if there is none."""
    try:
        return parse_name_addr(request.value("refer-to") or "").uri_text.partition("?")[0]
    except BadMessage:
        return ""


def referred_status(request: Request) -> int:
    """Return the status that a NOTIFY reports about a REFER (RFC 3515 §2.4.5), 0 for any other."""
    if (request.value("event") or "").partition(";")[0].strip().lower() != "refer":
        return 0
    match = _STATUS_LINE.match(request.body)
    return int(match[1]) if match else 0
