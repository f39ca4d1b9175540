"""Requests and responses: parsed by indexing their lines, passed on by editing them (RFC 3261 §7).

A header field is a line, kept as it came; a value is read when somebody asks for it.  So what we
have no need to understand goes through us octet for octet: text is UTF-8 with surrogateescape,
which any octets survive.
"""

import re

from sip.message.grammar import (
    BadMessage,
    bounded_number,
    is_token,
    split_first,
    split_list,
    unfold,
    without_params,
)
from sip.message.headers import METHODS, NameAddr, Via, parse_cseq, parse_name_addr, parse_via
from sip.message.names import NAMES, REASONS, SINGLE, field_name
from sip.message.uri import Uri, parse_uri

# Bounds on what a stranger can send in one message.  A Via stack of 70 hops and a header for
# each feature of a desk phone stay far below.
MAX_HEADERS = 256
MAX_HEAD_BYTES = 65_535
# Values and parameters are separated by commas; each costs a few microseconds when it is read.
MAX_COMMAS = 2000

_MANDATORY = ("via", "from", "to", "call-id", "cseq")
_COPIED = frozenset(_MANDATORY)  # the same go from a request into each response (§8.2.6.2)
_REMEMBERED = frozenset(
    {"from", "to", "call-id", "cseq"}
)  # with Via, what a Message keeps values of
_STAMPED = frozenset({"received", "rport"})


class Message:
    """What requests and responses share: header fields, in order, and a body.

    `lines[i]` is a whole field as it came, folds included; `names[i]` its name, long and in lower
    case.  Values that have been read are remembered; the editing methods forget them.
    """

    __slots__ = ("_call_id", "_cseq", "_from", "_to", "_via", "body", "lines", "names")

    def __init__(self, names: list[str], lines: list[str], body: bytes = b"") -> None:
        self.names = names
        self.lines = lines
        self.body = body
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._call_id: str | None = None
        self._cseq: tuple[int, str] | None = None

    def value(self, name: str) -> str | None:
        """The first field of that name, whole: unfolded, without white space around it."""
        try:
            line = self.lines[self.names.index(name)]
        except ValueError:
            return None
        value = line.partition(":")[2].strip(" \t")
        return unfold(value).strip(" \t") if "\n" in value else value

    def required(self, name: str) -> str:
        """The same, of a field that must be there.  Raises BadMessage (400)."""
        value = self.value(name)
        if not value:
            raise BadMessage(f"Missing {name.title()}")
        return value

    def fields(self, name: str) -> list[str]:
        """Every field of that name, unfolded, commas left alone: credentials have their own."""
        count = self.names.count(name)
        if count < 2:
            return [self.value(name) or ""] if count else []
        return [
            unfold(line.partition(":")[2]).strip(" \t")
            for known, line in zip(self.names, self.lines, strict=True)
            if known == name
        ]

    def values(self, name: str) -> list[str]:
        """Every value of a list field, in order, wherever its lines stand (§7.3.1)."""
        fields = self.fields(name)
        if len(fields) < 2 and not (fields and "," in fields[0]):
            return fields if fields and fields[0] else []
        return [value for field in fields for value in split_list(field) if value]

    @property
    def via(self) -> Via:
        """The topmost Via value."""
        if self._via is None:
            value = self.required("via")
            self._via = parse_via(split_first(value)[0].rstrip(" \t") if "," in value else value)
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
        if self._call_id is None:
            self._call_id = self.required("call-id")
        return self._call_id

    def set(self, name: str, line: str) -> None:
        """Replace the one field of that name by `line`, or add it at the end."""
        if name in self.names:
            self.lines[self.names.index(name)] = line
        else:
            self.names.append(name)
            self.lines.append(line)
        self._forget(name)

    def _forget(self, name: str) -> None:
        if name == "via":
            self._via = None
        elif name in _REMEMBERED:
            self._from = self._to = self._call_id = self._cseq = None

    def _remember(self, other: "Message") -> None:
        """Take over what another message with the same fields has read."""
        self._via, self._from, self._to = other._via, other._from, other._to
        self._call_id, self._cseq = other._call_id, other._cseq

    def put_first(self, name: str, line: str) -> None:
        """Add a field above the others of that name, or above all (§16.6, steps 4 and 8)."""
        at = self.names.index(name) if name in self.names else 0
        self.names.insert(at, name)
        self.lines.insert(at, line)
        self._forget(name)

    def remove(self, name: str) -> None:
        """Remove every field of that name."""
        while name in self.names:
            at = self.names.index(name)
            del self.names[at], self.lines[at]
        self._forget(name)

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
        rest = split_first(unfold(line.partition(":")[2]))[1].strip(", \t") if "," in line else ""
        if rest:
            self.lines[at] = "Via: " + rest
        else:
            del self.names[at], self.lines[at]
        self._via = None

    def stamp_top_via(self, stamp: str, *, fills_rport: bool) -> None:
        """Add `received` and `rport` to the top Via (§18.2.1, RFC 3581 §4).

        `stamp` is text like `;received=192.0.2.1`; with `fills_rport` the empty rport goes.  What
        the sender said of itself by these names goes too.  The Via that is remembered stays as it
        was sent: the stamp tells nothing that its reader doesn't know.
        """
        at = self.names.index("via")
        line, rest = self.lines[at], ""
        if "," in line or "\r" in line:
            line, rest = split_first(unfold(line))
        if '"' in line or "received" in self.via.params:
            line = _without_stamp(line)
        elif fills_rport:
            if line.endswith(";rport"):
                line = line[:-6]
            elif ";rport;" in line:
                line = line.replace(";rport;", ";", 1)
            else:
                line = _without_stamp(line)
        self.lines[at] = line.rstrip(" \t") + stamp + rest


def _without_stamp(line: str) -> str:
    head, semicolon, params = line.partition(";")
    return head.rstrip(" \t") + without_params(semicolon + params, _STAMPED)


class Request(Message):
    """A request (§7.1)."""

    __slots__ = ("method", "uri_text")

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
        copy = Request(self.method, self.uri_text, self.names[:], self.lines[:], self.body)
        copy._remember(self)
        return copy

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
        copy = Response(self.status, self.reason, self.names[:], self.lines[:], self.body)
        copy._remember(self)
        return copy

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

    What follows the body that Content-Length counts is cut off.  A request that breaks a rule but
    can be answered raises BadRequest, anything else that is no message BadMessage without status.
    """
    head, blank_line, rest = datagram.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD_BYTES:
        raise BadMessage("the header fields are too long", status=None)
    if not blank_line:
        head = head.removesuffix(b"\r\n")
    text = head.decode("utf-8", "surrogateescape")
    start_line, *lines = text.split("\r\n")
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        # What one element takes for one field would be two for another.
        raise BadMessage("a line end that is not CRLF", status=None)
    if len(lines) > MAX_HEADERS:
        raise BadMessage(f"more than {MAX_HEADERS} header fields", status=None)
    if len(text) > MAX_COMMAS and text.count(",") > MAX_COMMAS:
        raise BadMessage(f"more than {MAX_COMMAS} commas in the header fields", status=None)
    if start_line.startswith("SIP/") or start_line[:4].upper() == "SIP/":
        message: Request | Response = _parse_response(start_line, lines, rest)
    else:
        message = _parse_request(start_line, lines, rest)
    if not blank_line:
        # Cut off, or written by somebody who forgot; either way there may have been more.
        reason = "no empty line after the header fields"
        if isinstance(message, Request):
            raise BadRequest(reason, 400, message)
        raise BadMessage(reason, status=None)
    return message


def _index(lines: list[str]) -> tuple[list[str], list[str]]:
    """Name each field, and give a field that goes over several lines its lines back as one.

    Raises BadMessage for a line that is no header field.
    """
    names = [NAMES.get(line[: line.find(":") + 1]) for line in lines]
    if None not in names:
        return names, lines  # type: ignore[return-value]  # none is None, as has just been seen
    if any(line[:1] in (" ", "\t") for line in lines):
        lines = _with_folds(lines)
        return [field_name(line) for line in lines], lines
    return [name or field_name(line) for name, line in zip(names, lines, strict=True)], lines


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
    is_start_line = version == "SIP/2.0" or " SIP/" in start_line.upper()
    if not is_start_line or not (method in METHODS or is_token(method)):
        raise BadMessage(f"{start_line[:40]!r} is no start line", status=None)
    request = Request(method, uri_text, [], [])
    try:
        request.names, request.lines = _index(lines)
    except BadMessage as error:
        # What can be read is what the answer needs: drop the rest.
        good = [(name, line) for line in _with_folds(lines) if (name := _known_name(line))]
        request.names, request.lines = [name for name, _ in good], [line for _, line in good]
        raise _bad_request(error, request) from None
    try:
        if version != "SIP/2.0":
            _check_version(version)
        if not uri_text or " " in uri_text:
            raise BadMessage("Malformed request line")
        _check(request, rest)
        _ = request.from_, request.to  # looking is checking
        if request.cseq[1] != method:
            # RFC 4475 §3.1.2.18: of an unknown method, say that.
            status = 400 if method in METHODS else 501
            reason = f"CSeq speaks of {request.cseq[1][:20]}, not of {method[:20]}"
            raise BadMessage(reason, status=status)
    except BadMessage as error:
        raise _bad_request(error, request) from None
    return request


def _bad_request(error: BadMessage, request: Request) -> BadRequest:
    """The error with what was read; of fields that stand there once, the first (§8.2.6.2)."""
    for at, name in reversed(list(enumerate(request.names))):
        if name in SINGLE and name in request.names[:at]:
            del request.names[at], request.lines[at]
    return BadRequest(error.reason, error.status or 400, request)


def _known_name(line: str) -> str | None:
    try:
        return field_name(line)
    except BadMessage:
        return None


def _check_version(version: str) -> None:
    if version.upper() == "SIP/2.0":
        return
    if re.fullmatch(r"SIP/[0-9]+\.[0-9]+", version, re.IGNORECASE):
        raise BadMessage(f"Version {version[:20]} not supported", status=505)
    raise BadMessage("Malformed request line")


def _check(message: Request | Response, rest: bytes) -> None:
    """Hold a message to what every element relies on, and cut its body (§8.1.1, §18.3, §20)."""
    names = message.names
    distinct = set(names)
    if not distinct >= _COPIED:
        missing = next(name for name in _MANDATORY if name not in distinct)
        raise BadMessage(f"Missing {_title(missing)}")
    if len(distinct) != len(names):
        for name in SINGLE:
            if names.count(name) > 1:
                raise BadMessage(f"More than one {_title(name)}")
    _ = message.cseq, message.via, message.call_id  # what can't be read raises
    length_text = message.value("content-length")
    if length_text is None or length_text == str(len(rest)):
        message.body = rest
        return
    length = bounded_number(length_text, len(rest))
    if length is None:
        raise BadMessage("Malformed Content-Length")
    if length > len(rest):
        raise BadMessage(f"Content-Length says {length_text[:20]}, the datagram holds {len(rest)}")
    message.body = rest[:length]


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
                line = unfold(line).rstrip(" \t") + ";tag=" + to_tag
            names.append(name)
            lines.append(line)
    if status == 100 and "timestamp" in request.names:
        names.append("timestamp")
        lines.append(request.lines[request.names.index("timestamp")])
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


_SECRETS = re.compile(
    rb"^((?:proxy-)?authorization|(?:proxy|www)-authenticate)[ \t]*:.*(?:\n[ \t].*)*",
    re.IGNORECASE | re.MULTILINE,
)


def for_log(datagram: bytes) -> bytes:
    """A message without what proves who sent it: a log is read by many."""
    return _SECRETS.sub(rb"\1: ...", datagram)
