"""The names of header fields and the phrases of responses (RFC 3261 §20, §21)."""

from functools import lru_cache

from sip.message.grammar import BadMessage, is_token

_COMPACT = {
    # RFC 3261 §20, and of later RFCs 3265, 3515, 3841, 3892, 4028, 4474
    "i": "call-id",
    "m": "contact",
    "e": "content-encoding",
    "l": "content-length",
    "c": "content-type",
    "f": "from",
    "s": "subject",
    "k": "supported",
    "t": "to",
    "v": "via",
    "o": "event",
    "u": "allow-events",
    "r": "refer-to",
    "b": "referred-by",
    "x": "session-expires",
    "a": "accept-contact",
    "j": "reject-contact",
    "d": "request-disposition",
    "y": "identity",
    "n": "identity-info",
}
_USUAL = (
    "Via From To Call-ID CSeq Contact Max-Forwards Content-Length Content-Type Route Record-Route "
    "Authorization Proxy-Authorization Expires Allow Supported User-Agent Server Subject Require "
    "Proxy-Require Accept Allow-Events Event Session-Expires Min-SE Path Date Timestamp Reason "
    "P-Asserted-Identity P-Preferred-Identity Refer-To Referred-By WWW-Authenticate Privacy "
    "Proxy-Authenticate Unsupported RSeq RAck Retry-After Warning Content-Disposition Replaces"
)
# From the spelling on the wire to one name for each field: its long form in lower case.  The colon
# belongs to the spelling: without one a line is no header field.
NAMES = {
    spelling + ":": name.lower()
    for name in _USUAL.split()
    for spelling in (name, name.lower(), name.upper(), name.title())
}
NAMES |= {
    f"{letter}:": name
    for compact, name in _COMPACT.items()
    for letter in (compact, compact.upper())
}

# §20: fields that a message may hold once, and those a request must hold (§8.1.1).
SINGLE = (
    "from",
    "to",
    "call-id",
    "cseq",
    "max-forwards",
    "content-length",
    "content-type",
    "expires",
)
REASONS = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    423: "Interval Too Brief",
    430: "Flow Failed",
    440: "Max-Breadth Exceeded",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    489: "Bad Event",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    600: "Busy Everywhere",
    603: "Decline",
}


@lru_cache(maxsize=512)
def _spelled_out(spelling: str) -> str | None:
    """The name of a field that is none of the usual; None where it is no token."""
    spelling = spelling.rstrip(" \t")
    if not is_token(spelling):
        return None
    lower = spelling.lower()
    return NAMES.get(lower + ":", lower)


def field_name(line: str) -> str:
    """The name of a header line, long and in lower case.  Raises BadMessage where it has none."""
    end = line.find(":")
    name = NAMES.get(line[: end + 1])
    if name is None and 0 < end < 128:
        name = _spelled_out(line[:end])
    if name is None:
        raise BadMessage(f"{line[:40]!r} is no header field")
    return name
