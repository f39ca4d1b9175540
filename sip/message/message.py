"""Requests and responses: parsed by indexing their lines, passed on by editing them (RFC 3261 §7).

A header field is a line, kept as it came; a value is read when somebody asks for it.  So what we
have no need to understand goes through us octet for octet: text is UTF-8 with surrogateescape,
which any octets survive.
"""

import re
from functools import lru_cache

from sip.message.grammar import BadMessage, is_token, split_list, unfold
from sip.message.headers import METHODS, NameAddr, Via, parse_cseq, parse_name_addr, parse_via
from sip.message.uri import Uri, parse_uri

# Bounds on what a stranger can send in one message.  A Via stack of 70 hops and a header for
# each feature of a desk phone stay far below.
MAX_HEADERS = 256
MAX_HEAD_BYTES = 65_535

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
}
_USUAL = (
    "Via From To Call-ID CSeq Contact Max-Forwards Content-Length Content-Type Route Record-Route "
    "Authorization Proxy-Authorization Expires Allow Supported User-Agent Server Subject Require "
    "Proxy-Require Accept Allow-Events Event Session-Expires Min-SE Path Date Timestamp Reason "
    "P-Asserted-Identity P-Preferred-Identity Refer-To Referred-By WWW-Authenticate Privacy "
    "Proxy-Authenticate Unsupported RSeq RAck Retry-After Warning Content-Disposition Replaces"
)
# From the spelling on the wire to one name for each field: its long form in lower case.
_NAMES = {
    spelling: name.lower()
    for name in _USUAL.split()
    for spelling in (name, name.lower(), name.upper(), name.title())
}
_NAMES |= {
    letter: name for compact, name in _COMPACT.items() for letter in (compact, compact.upper())
}

# §20: fields that a message may hold once, and those a request must hold (§8.1.1).
_SINGLE = (
    "from",
    "to",
    "call-id",
    "cseq",
    "max-forwards",
    "content-length",
    "content-type",
    "expires",
)
_MANDATORY = ("via", "from", "to", "call-id", "cseq")
_COPIED = frozenset(_MANDATORY)  # the same go from a request into each response (§8.2.6.2)

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
    return _NAMES.get(spelling) or _NAMES.get(spelling.lower()) or spelling.lower()


def _name_of(line: str) -> str:
    spelling, colon, _ = line.partition(":")
    name = _NAMES.get(spelling) if colon else None
    if name is None and colon and len(spelling) < 128:
        name = _spelled_out(spelling)
    if name is None:
        raise BadMessage(f"{line[:40]!r} is no header field")
    return name


class Message:
    """What requests and responses share: header fields, in order, and a body.

    `lines[i]` is a whole field as it came, folds included; `names[i]` its name, long and in lower
    case.  Values that have been read are remembered; the editing methods forget them.
    """

    __slots__ = ("_cseq", "_from", "_to", "_via", "body", "lines", "names")

    def __init__(self, names: list[str], lines: list[str], body: bytes = b"") -> None:
        self.names = names
        self.lines = lines
        self.body = body
        self._via: Via | None = None
        self._cseq: tuple[int, str] | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None

    def value(self, name: str) -> str | None:
        """The first field of that name, whole: unfolded, without white space around it."""
        if name not in self.names:
            return None
        value = self.lines[self.names.index(name)].partition(":")[2].strip(" \t")
        return unfold(value).strip(" \t") if "\n" in value else value

    def required(self, name: str) -> str:
        """The same, of a field that must be there.  Raises BadMessage (400)."""
        value = self.value(name)
        if not value:
            raise BadMessage(f"Missing {name.title()}")
        return value

    def fields(self, name: str) -> list[str]:
        """Every field of that name, unfolded, commas left alone: credentials have their own."""
        if name not in self.names:
            return []
        return [
            unfold(line.partition(":")[2]).strip(" \t")
            for known, line in zip(self.names, self.lines, strict=True)
            if known == name
        ]

    def values(self, name: str) -> list[str]:
        """Every value of a list field, in order, wherever its lines stand (§7.3.1)."""
        values: list[str] = []
        for field in self.fields(name):
            values += [value for value in split_list(field) if value]
        return values

    def tokens(self, name: str) -> list[str]:
        """The values of a field of option tags or methods, as written."""
        return self.values(name) if name in self.names else []

    @property
    def via(self) -> Via:
        """The topmost Via value."""
        if self._via is None:
            value = self.required("via")
            self._via = parse_via(split_list(value)[0] if "," in value else value)
        return self._via

    @property
    def cseq(self) -> tuple[int, str]:
        """Sequence number and method."""
        if self._cseq is None:
            self._cseq = parse_cseq(self.required("cseq"))
        return self._cseq

    @property
    def from_(self) -> NameAddr:
        """The From field."""
        if self._from is None:
            self._from = parse_name_addr(self.required("from"))
        return self._from

    @property
    def to(self) -> NameAddr:
        """The To field."""
        if self._to is None:
            self._to = parse_name_addr(self.required("to"))
        return self._to

    @property
    def call_id(self) -> str:
        """The Call-ID, compared octet for octet (§20.8)."""
        return self.required("call-id")

    def set(self, name: str, line: str) -> None:
        """Replace the one field of that name by `line`, or add it at the end."""
        if name in self.names:
            self.lines[self.names.index(name)] = line
        else:
            self.names.append(name)
            self.lines.append(line)

    def put_first(self, name: str, line: str) -> None:
        """Add a field above the others of that name, or above all (§16.6, steps 4 and 8)."""
        at = self.names.index(name) if name in self.names else 0
        self.names.insert(at, name)
        self.lines.insert(at, line)
        self._via = None

    def remove(self, name: str) -> None:
        """Remove every field of that name."""
        while name in self.names:
            at = self.names.index(name)
            del self.names[at], self.lines[at]

    def set_values(self, name: str, title: str, values: list[str]) -> None:
        """Replace all values of a list field, one line each, where the first stood."""
        at = self.names.index(name) if name in self.names else 0
        self.remove(name)
        self.names[at:at] = [name] * len(values)
        self.lines[at:at] = [f"{title}: {value}" for value in values]

    def drop_top_via(self) -> None:
        """Take our own Via off a response (§16.7, step 3)."""
        at = self.names.index("via")
        line = self.lines[at]
        if "," in line and len(values := split_list(unfold(line.partition(":")[2]))) > 1:
            self.lines[at] = "Via: " + ", ".join(values[1:])
        else:
            del self.names[at], self.lines[at]
        self._via = None

    def stamp_top_via(self, stamp: str, *, fills_rport: bool) -> None:
        """Add `received` and `rport` to the top Via (§18.2.1, RFC 3581 §4).

        `stamp` is text like `;received=192.0.2.1`; with `fills_rport` the empty rport goes.
        """
        at = self.names.index("via")
        first, comma, rest = self.lines[at], "", ""
        if "," in first:
            value = unfold(first.partition(":")[2])
            first_value = split_list(value)[0]
            end = value.index(first_value) + len(first_value)
            first, comma, rest = f"Via: {first_value}", value[end : end + 1], value[end + 1 :]
        if fills_rport:
            first = _EMPTY_RPORT.sub("", first, count=1)
        self.lines[at] = first.rstrip(" \t") + stamp + comma + rest


_EMPTY_RPORT = re.compile(r";[ \t]*rport(?:[ \t]*=)?[ \t]*(?=[;\r]|$)", re.IGNORECASE)


class Request(Message):
    """A request (§7.1)."""

    __slots__ = ("method", "uri_text", "version")

    def __init__(
        self, method: str, uri_text: str, names: list[str], lines: list[str], body: bytes = b""
    ) -> None:
        super().__init__(names, lines, body)
        self.method = method
        self.uri_text = uri_text

    @property
    def uri(self) -> Uri:
        """The Request-URI.  Raises BadMessage."""
        return parse_uri(self.uri_text)

    def copy(self) -> "Request":
        """A request to edit and send on; the body is shared."""
        return Request(self.method, self.uri_text, self.names[:], self.lines[:], self.body)

    def encode(self) -> bytes:
        """The request as it goes out."""
        text = "\r\n".join((f"{self.method} {self.uri_text} SIP/2.0", *self.lines, "", ""))
        return text.encode("utf-8", "surrogateescape") + self.body


class Response(Message):
    """A response (§7.2)."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str, names: list[str], lines: list[str], body: bytes = b""
    ) -> None:
        super().__init__(names, lines, body)
        self.status = status
        self.reason = reason

    def copy(self) -> "Response":
        """A response to edit and send on; the body is shared."""
        return Response(self.status, self.reason, self.names[:], self.lines[:], self.body)

    def encode(self) -> bytes:
        """The response as it goes out."""
        text = "\r\n".join((f"SIP/2.0 {self.status} {self.reason}", *self.lines, "", ""))
        return text.encode("utf-8", "surrogateescape") + self.body


class BadRequest(BadMessage):
    """A bad message that is a request far enough to be answered: `request` is what was read."""

    def __init__(self, reason: str, status: int, request: Request) -> None:
        super().__init__(reason, status)
        self.request = request


def parse(datagram: bytes) -> Request | Response:
    """Read the one message that a datagram holds (§7, §18.3).

    Octets past Content-Length are padding and are dropped.  A request that breaks a rule but
    can be answered raises BadRequest, anything else that is no message BadMessage without status.
    """
    head, blank_line, rest = datagram.partition(b"\r\n\r\n")
    if not blank_line:
        raise BadMessage("no empty line after the header fields", status=None)
    if len(head) > MAX_HEAD_BYTES:
        raise BadMessage("the header fields are too long", status=None)
    text = head.decode("utf-8", "surrogateescape")
    start_line, *lines = text.split("\r\n")
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        # What one element takes for one field would be two for another.
        raise BadMessage("a line end that is not CRLF", status=None)
    if len(lines) > MAX_HEADERS:
        raise BadMessage(f"more than {MAX_HEADERS} header fields", status=None)
    if start_line[:4].upper() == "SIP/":
        return _parse_response(start_line, lines, rest)
    return _parse_request(start_line, lines, rest)


def _index(lines: list[str]) -> tuple[list[str], list[str]]:
    """Name each field, and give a field that goes over several lines its lines back as one.

    Raises BadMessage for a line that is no header field.
    """
    names = [_NAMES.get(line.partition(":")[0]) for line in lines]
    if None in names:
        lines = _with_folds(lines)
        return [_name_of(line) for line in lines], lines
    return names, lines  # type: ignore[return-value]  # that no name is None has just been tested


def _with_folds(lines: list[str]) -> list[str]:
    """Join each line that begins with white space to the one before (§7.3.1)."""
    whole: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and whole:
            whole[-1] += "\r\n" + line
        else:
            whole.append(line)
    return whole


def _parse_response(start_line: str, lines: list[str], rest: bytes) -> Response:
    version, _, status_and_reason = start_line.partition(" ")
    code, _, reason = status_and_reason.partition(" ")
    if version.upper() != "SIP/2.0" or len(code) != 3 or not (code.isascii() and code.isdecimal()):
        raise BadMessage(f"{start_line[:40]!r} is no status line", status=None)
    status = int(code)
    if not 100 <= status < 700:
        raise BadMessage(f"there is no status {status}", status=None)
    response = Response(status, reason, [], [])
    try:
        response.names, response.lines = _index(lines)
        _check(response, rest)
    except BadMessage as error:
        raise BadMessage(error.reason, status=None) from None
    return response


def _parse_request(start_line: str, lines: list[str], rest: bytes) -> Request:
    method, _, uri_and_version = start_line.partition(" ")
    uri_text, _, version = uri_and_version.rpartition(" ")
    if not (method in METHODS or is_token(method)) or " SIP/" not in start_line.upper():
        raise BadMessage(f"{start_line[:40]!r} is no start line", status=None)
    request = Request(method, uri_text, [], [])
    try:
        request.names, request.lines = _index(lines)
    except BadMessage as error:
        # What can be read is what the answer needs: drop the rest.
        good = [(name, line) for line in _with_folds(lines) if (name := _known_name(line))]
        request.names, request.lines = [name for name, _ in good], [line for _, line in good]
        raise BadRequest(error.reason, 400, request) from None
    try:
        if version != "SIP/2.0":
            _check_version(version)
        _check(request, rest)
        _ = request.from_, request.to  # looking is checking
        if request.cseq[1] != method:
            raise BadMessage(f"CSeq speaks of {request.cseq[1][:20]}, not of {method[:20]}")
    except BadMessage as error:
        raise BadRequest(error.reason, error.status or 400, request) from None
    return request


def _known_name(line: str) -> str | None:
    try:
        return _name_of(line)
    except BadMessage:
        return None


def _check_version(version: str) -> None:
    if version.upper() == "SIP/2.0":
        return
    if re.fullmatch(r"SIP/[0-9]+\.[0-9]+", version, re.IGNORECASE):
        raise BadMessage(f"Version {version} not supported", status=505)
    raise BadMessage("Malformed request line")


def _check(message: Request | Response, rest: bytes) -> None:
    """Hold a message to what every element relies on, and cut its body (§8.1.1, §18.3, §20)."""
    names = message.names
    distinct = set(names)
    if not distinct >= _COPIED:
        missing = next(name for name in _MANDATORY if name not in distinct)
        raise BadMessage(f"Missing {_title(missing)}")
    if len(distinct) != len(names):
        for name in _SINGLE:
            if names.count(name) > 1:
                raise BadMessage(f"More than one {_title(name)}")
    _ = message.cseq, message.via  # what can't be read raises
    if "content-length" not in names:
        message.body = rest
        return
    length_text = message.required("content-length")
    if not (length_text.isascii() and length_text.isdecimal() and len(length_text) < 10):
        raise BadMessage("Malformed Content-Length")
    length = int(length_text)
    if length > len(rest):
        raise BadMessage(f"Content-Length says {length}, the datagram holds {len(rest)}")
    message.body = rest if length == len(rest) else rest[:length]


def _title(name: str) -> str:
    return {"call-id": "Call-ID", "cseq": "CSeq"}.get(name, name.title())


def make_response(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    extra: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Make a response to `request` (§8.2.6).

    Via, From, To, Call-ID and CSeq are copied, `to_tag` is added where To has no tag yet, and
    Timestamp goes into a 100.  `extra` are further fields as (name, value).
    """
    names: list[str] = []
    lines: list[str] = []
    for name, line in zip(request.names, request.lines, strict=True):
        if name in _COPIED:
            if name == "to" and to_tag and "tag" not in _to_params(request):
                line = line.rstrip(" \t") + ";tag=" + to_tag
            names.append(name)
            lines.append(line)
        elif name == "timestamp" and status == 100:
            names.append(name)
            lines.append(line)
    for title, value in extra:
        names.append(title.lower())
        lines.append(f"{title}: {value}")
    names.append("content-length")
    lines.append("Content-Length: 0")
    return Response(status, reason or REASONS.get(status, "Unknown"), names, lines)


def _to_params(request: Request) -> dict[str, str | None]:
    """To's parameters; of a To that can't be read, as if it had a tag: it is better left alone."""
    try:
        return request.to.params
    except BadMessage:
        return {"tag": None}
