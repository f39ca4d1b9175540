"""Names of header fields, and reason phrases of responses (RFC 3261 §20, §21)."""

import re

from sip.message.cache import cached_parse
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
# Maps spellings on the wire to the long name in lower case.
NAMES = {
    spelling: name.lower()
    for name in _USUAL.split()
    for spelling in (name, name.lower(), name.upper(), name.title())
}
NAMES |= {
    letter: name for compact, name in _COMPACT.items() for letter in (compact, compact.upper())
}

# Fields that a message may have only once (§20).
SINGLE = frozenset(
    "from to call-id cseq max-forwards max-breadth content-length content-type expires".split()
)
# Reason phrases of §21, and of later RFCs those that are used by servers, proxies and phones.
REASONS = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",  # RFC 3265
    204: "No Notification",  # RFC 5839
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",  # RFC 3903
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",  # RFC 4028
    423: "Interval Too Brief",
    430: "Flow Failed",  # RFC 5626
    439: "First Hop Lacks Outbound Support",  # RFC 5626
    440: "Max-Breadth Exceeded",  # RFC 5393
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",  # RFC 3265
    491: "Request Pending",
    493: "Undecipherable",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
}
# Maximum characters of a cached name; 512 names are about 100 kB.
_LONGEST_CACHED = 128

# A field ends with its line, unless the next line begins with white space (§7.3.1).
_FIELD_END = re.compile(r"\r\n(?![ \t])")
_ANY_LINE_END = re.compile(r"\r\n|\r|\n")


def _unusual_name(spelling: str) -> str | None:
    """Return the name for an unusual spelling; None if it is not a token."""
    spelling = spelling.rstrip(" \t")
    if not is_token(spelling):
        return None
    lower = spelling.lower()
    return NAMES.get(lower, lower)


_cached_unusual_name = cached_parse(512)(_unusual_name)


def field_name(line: str) -> str:
    """Return the long name of a header line, in lower case.  Raises BadMessage if it has none."""
    spelling, colon, _ = line.partition(":")
    name = NAMES.get(spelling) if colon else None
    if name is None and colon:
        name = (_cached_unusual_name if len(spelling) <= _LONGEST_CACHED else _unusual_name)(
            spelling
        )
    if name is None:
        raise BadMessage(f"{line[:40]!r} is not a header field")
    return name


def title_of(name: str) -> str:
    """Return a lower-case name in the spelling of the RFCs."""
    return {"call-id": "Call-ID", "cseq": "CSeq"}.get(name, name.title())


def with_folds(lines: list[str]) -> list[str]:
    """Join each line that begins with white space to the line before it (§7.3.1)."""
    return _FIELD_END.split("\r\n".join(lines))


def scan_fields(head: str, limit: int) -> tuple[str, list[str], list[str]]:
    """Return the start line, and names and lines of the fields, of a head that breaks a rule.

    At most `limit` fields are read.  CR, LF and CRLF are line ends; lines that are not fields are
    skipped; of fields that may occur only once, the first is returned.
    """
    text = _ANY_LINE_END.sub("\r\n", head).partition("\r\n\r\n")[0]
    start_line, *lines = _FIELD_END.split(text, limit + 1)
    names: list[str] = []
    known: list[str] = []
    for line in lines[:limit]:
        try:
            name = field_name(line)
        except BadMessage:
            continue
        if name not in SINGLE or name not in names:
            names.append(name)
            known.append(line)
    return start_line, names, known
