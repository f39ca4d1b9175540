"""Requests and responses: parsed by indexing their lines, passed on by editing them (RFC 3261 §7).

A header field is a line, kept as it came; a value is read when somebody asks for it.  So what we
have no need to understand goes through us octet for octet: text is UTF-8 with surrogateescape,
which any octets survive.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from sip.message.datagram import is_padding, with_crlf
from sip.message.grammar import (
    BadMessage,
    bounded_number,
    is_token,
    split_first,
    split_list,
    unfold,
    value_of,
    without_params,
)
from sip.message.headers import METHODS, NameAddr, Via, address_of_line, cseq_of_line, parse_via
from sip.message.names import REASONS, SINGLE, named, title_of, whatever_is_named, with_folds
from sip.message.uri import Uri, parse_uri

# Bounds on what a stranger can send in one message.  A Via stack of 70 hops and a header for
# each feature of a desk phone stay far below.
MAX_HEADERS = 256
MAX_HEAD_BYTES = 65_535
# Values and parameters are separated by commas; each costs a few microseconds when it is read.
MAX_COMMAS = 2000
# The largest body that is taken, whatever it came by; a session description has about 2 kB.
MAX_BODY_BYTES = 128 * 1024
# A Contact that is registered here has at most 1,000 characters, push parameters included, and a
# Record-Route of ours, which a strict router makes a Request-URI, about 300.
MAX_URI_LENGTH = 4096

T = TypeVar("T")

_MANDATORY = ("via", "from", "to", "call-id", "cseq")
_COPIED = frozenset(_MANDATORY)  # the same go from a request into each response (§8.2.6.2)
_REMEMBERED = frozenset(
    {"from", "to", "call-id", "cseq"}
)  # with Via, what a Message keeps values of
_STAMPED = frozenset({"received", "rport"})
_EMPTY_LINES = re.compile(rb"\A(?:\r\n)+")  # §7.5
# §25.1 `Reason-Phrase`: what else we would quote from a request has no place there.
_NOT_OF_A_PHRASE = re.compile(r"[^A-Za-z0-9 ;/?:@&=+$,\-_.!~*'()]")
_TIMESTAMP = re.compile(r"([0-9]+(?:\.[0-9]*)?)(?:[ \t].*)?")  # §25.1


class Message:
    """What requests and responses share: header fields, in order, and a body.

    `lines[i]` is a whole field as it came, folds included; `names[i]` its name, long and in lower
    case; `present` holds each name once, to ask quickly.  Values that have been read are
    remembered; the editing methods forget them.
    """

    __slots__ = ("_call_id", "_cseq", "_from", "_to", "_via", "body", "lines", "names", "present")

    def __init__(self, names: list[str], lines: list[str], body: bytes = b"") -> None:
        self.names = names
        self.lines = lines
        self.present = set(names)
        self.body = body
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._call_id: str | None = None
        self._cseq: tuple[int, str] | None = None

    def value(self, name: str) -> str | None:
        """The first field of that name, whole: unfolded, without white space around it."""
        if name not in self.present:
            return None
        return value_of(self.lines[self.names.index(name)])

    def required(self, name: str) -> str:
        """The same, of a field that must be there.  Raises BadMessage (400)."""
        value = self.value(name)
        if not value:
            raise BadMessage(f"Missing {title_of(name)} header field")
        return value

    def fields(self, name: str) -> list[str]:
        """Every field of that name, unfolded, commas left alone: credentials have their own."""
        count = self.names.count(name)
        if count < 2:
            return [value_of(self.lines[self.names.index(name)])] if count else []
        return [
            value_of(line)
            for known, line in zip(self.names, self.lines, strict=True)
            if known == name
        ]

    def values(self, name: str) -> list[str]:
        """Every value of a list field, in order, wherever its lines stand (§7.3.1).

        Raises BadMessage.
        """
        if name not in self.present:
            return []
        fields = self.fields(name)
        if len(fields) < 2 and not (fields and "," in fields[0]):
            return fields if fields and fields[0] else []
        try:
            return [value for field in fields for value in split_list(field) if value]
        except BadMessage as error:
            raise BadMessage(f"{title_of(name)}: {error.reason}") from None

    @property
    def via(self) -> Via:
        """The topmost Via value."""
        if self._via is None:
            value = self.required("via")
            try:
                if "," in value:  # all of them are taken apart, or the answers would be lost
                    value = split_list(value)[0]
                self._via = parse_via(value)
            except BadMessage as error:
                raise BadMessage(f"Via: {error.reason}") from None
        return self._via

    @property
    def cseq(self) -> tuple[int, str]:
        """Sequence number and method."""
        if self._cseq is None:
            self._cseq = self._read("cseq", cseq_of_line)
        return self._cseq

    @property
    def from_(self) -> NameAddr:
        """The From field."""
        if self._from is None:
            self._from = self._read("from", address_of_line)
        return self._from

    @property
    def to(self) -> NameAddr:
        """The To field."""
        if self._to is None:
            self._to = self._read("to", address_of_line)
        return self._to

    def _read(self, name: str, read: Callable[[str], T]) -> T:
        """What a field that must be there says, by its line.  Raises BadMessage (400)."""
        line = ""
        try:
            line = self.lines[self.names.index(name)]
            return read(line)
        except (ValueError, BadMessage) as error:
            if isinstance(error, ValueError) or not value_of(line):
                raise BadMessage(f"Missing {title_of(name)} header field") from None
            raise BadMessage(f"{title_of(name)}: {error.reason}") from None

    @property
    def call_id(self) -> str:
        """The Call-ID, compared octet for octet (§20.8)."""
        if self._call_id is None:
            self._call_id = self.required("call-id")
        return self._call_id

    def set(self, name: str, line: str) -> None:
        """Replace the one field of that name by `line`, or add it at the end."""
        if name in self.present:
            self.lines[self.names.index(name)] = line
        else:
            self.append(name, line)
        self._forget(name)

    def append(self, name: str, line: str) -> None:
        """Add a field below all others."""
        self.names.append(name)
        self.lines.append(line)
        self.present.add(name)

    def _forget(self, name: str) -> None:
        if name == "via":
            self._via = None
        elif name in _REMEMBERED:
            self._from = self._to = self._call_id = self._cseq = None

    def put_first(self, name: str, line: str) -> None:
        """Add a field above the others of that name, or above all (§16.6, steps 4 and 8)."""
        at = self.names.index(name) if name in self.present else 0
        self.names.insert(at, name)
        self.lines.insert(at, line)
        self.present.add(name)
        self._forget(name)

    def remove(self, name: str) -> None:
        """Remove every field of that name."""
        while name in self.names:
            at = self.names.index(name)
            del self.names[at], self.lines[at]
        self.present.discard(name)
        self._forget(name)

    def set_values(self, name: str, title: str, values: list[str]) -> None:
        """Replace all values of a list field, one line each, where the first stood."""
        at = self.names.index(name) if name in self.present else 0
        self.remove(name)
        if values:
            self.names[at:at] = [name] * len(values)
            self.lines[at:at] = [f"{title}: {value}" for value in values]
            self.present.add(name)

    def drop_top_via(self) -> None:
        """Take our own Via off a response (§16.7, step 3)."""
        at = self.names.index("via")
        line = self.lines[at]
        rest = split_first(unfold(line.partition(":")[2]))[1].strip(", \t") if "," in line else ""
        if rest:
            self.lines[at] = "Via: " + rest
        else:
            del self.names[at], self.lines[at]
            if "via" not in self.names:
                self.present.discard("via")
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
        try:
            return parse_uri(self.uri_text)
        except BadMessage as error:
            raise BadMessage(f"Request-URI: {error.reason}") from None

    def copy(self) -> "Request":
        """A request to edit and send on; the body is shared."""
        copy = Request(self.method, self.uri_text, self.names[:], self.lines[:], self.body)
        copy._via, copy._from, copy._to = self._via, self._from, self._to
        copy._call_id, copy._cseq = self._call_id, self._cseq
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

    Empty lines before it are skipped, and what follows the body that Content-Length counts is cut
    off.  A head whose lines all end in LF alone is read as if they ended in CRLF.  A request that
    breaks a rule but can be answered raises BadRequest, anything else that is no message BadMessage
    without status.
    """
    if datagram[:2] == b"\r\n":
        datagram = _EMPTY_LINES.sub(b"", datagram)
    head, blank_line, rest = datagram.partition(b"\r\n\r\n")
    if not blank_line:
        head = head.removesuffix(b"\r\n")
    start_line, *lines = head[:MAX_HEAD_BYTES].decode("utf-8", "surrogateescape").split("\r\n")
    count = len(lines)
    is_crlf = head.count(b"\n") == count == head.count(b"\r")
    if not is_crlf and (repaired := with_crlf(datagram)) is not None:
        return parse(repaired)
    is_response = start_line[:4].upper() == "SIP/"
    try:
        if len(head) > MAX_HEAD_BYTES:
            raise BadMessage(f"Header fields over {MAX_HEAD_BYTES} octets", status=513)
        if not is_crlf:
            # What one element takes for one field would be two for another.
            raise BadMessage("Line end that is not CRLF")
        if count > MAX_HEADERS or len(head) > MAX_COMMAS:
            lines = _bounded(head, lines)
        if is_response:
            message: Request | Response = _parse_response(start_line, lines, rest)
        else:
            message = _parse_request(start_line, lines, rest)
        if not blank_line:
            # Cut off, or written by somebody who forgot; either way there may have been more.
            raise BadMessage("No empty line after the header fields")
    except BadMessage as error:
        if is_response:
            raise BadMessage(error.reason, status=None) from None
        raise bad_request(error, head) from None
    return message


def _bounded(head: bytes, lines: list[str]) -> list[str]:
    """Hold the lines of a head to our bounds."""
    if len(lines) > MAX_HEADERS:
        lines = with_folds(lines)
        if len(lines) > MAX_HEADERS:
            raise BadMessage(f"More than {MAX_HEADERS} header fields")
    if head.count(b",") > MAX_COMMAS:
        raise BadMessage(f"More than {MAX_COMMAS} commas in the header fields")
    return lines


def bad_request(error: BadMessage, head: bytes) -> BadMessage:
    """The error, with what could be read of the request for its answer (§8.2.6.2).

    Where not even the first line is one of a request, it takes all that an answer copies to believe
    that somebody waits for one.
    """
    text = head[:MAX_HEAD_BYTES].decode("utf-8", "surrogateescape")
    start_line, names, lines = whatever_is_named(text, MAX_HEADERS)
    if " SIP/" not in start_line.upper() and not _COPIED.issubset(names):
        return BadMessage(f"{start_line[:40]!r} is no start line", status=None)
    method, _, uri_text = start_line.strip(" \t").partition(" ")
    method = method if is_token(method) else "?"  # it is logged
    return BadRequest(error.reason, error.status or 400, Request(method, uri_text, names, lines))


def _parse_response(start_line: str, lines: list[str], rest: bytes) -> Response:
    version, _, status_and_reason = start_line.partition(" ")
    code, _, reason = status_and_reason.partition(" ")
    if version.upper() != "SIP/2.0" or len(code) != 3 or not (code.isascii() and code.isdecimal()):
        raise BadMessage(f"{start_line[:40]!r} is no status line")
    status = int(code)
    if not 100 <= status < 700:
        raise BadMessage(f"there is no status {status}")
    response = Response(status, reason, *named(lines))
    _check(response, rest)
    return response


def _parse_request(start_line: str, lines: list[str], rest: bytes) -> Request:
    method, _, uri_and_version = start_line.partition(" ")
    uri_text, _, version = uri_and_version.rpartition(" ")
    if version != "SIP/2.0":  # first of all: nobody knows what another version looks like
        _check_version(version)
    if not uri_text or " " in uri_text or not (method in METHODS or is_token(method)):
        raise BadMessage("Malformed request line")
    if len(uri_text) > MAX_URI_LENGTH:
        raise BadMessage(f"Request-URI Too Long: over {MAX_URI_LENGTH} characters", status=414)
    request = Request(method, uri_text, *named(lines))
    _check(request, rest)
    _ = request.via, request.from_, request.to  # looking is checking
    if request.cseq[1] != method:
        # RFC 4475 §3.1.2.18: of an unknown method, say that.
        status = 400 if method in METHODS else 501
        reason = f"CSeq speaks of {request.cseq[1][:20]}, not of {method[:20]}"
        raise BadMessage(reason, status=status)
    return request


def _check_version(version: str) -> None:
    if version.upper() == "SIP/2.0":
        return
    if re.fullmatch(r"SIP/[0-9]+\.[0-9]+", version, re.IGNORECASE):
        raise BadMessage(f"Version {version[:20]} not supported", status=505)
    raise BadMessage("Malformed request line")


def _check(message: Request | Response, rest: bytes) -> None:
    """Hold a message to what every element relies on, and cut its body (§8.1.1, §18.3, §20)."""
    names, present = message.names, message.present
    if not present >= _COPIED:
        missing = next(name for name in _MANDATORY if name not in present)
        raise BadMessage(f"Missing {title_of(missing)} header field")
    if len(present) != len(names):
        singles = [name for name in names if name in SINGLE]
        if len(singles) != len(set(singles)):
            twice = next(name for name in singles if singles.count(name) > 1)
            raise BadMessage(f"More than one {title_of(twice)} header field")
    _ = message.cseq, message.call_id  # what can't be read raises
    length_text = message.value("content-length")
    if length_text == str(len(rest)):
        message.body = rest
        return
    if length_text is None:
        # §20.15: a body has a type.  Without one, and with nothing in it, it is padding.
        is_body = "content-type" in present or not is_padding(rest)
        message.body = rest if is_body else b""
        return
    length = bounded_number(length_text, MAX_BODY_BYTES)
    if length is None:
        raise BadMessage("Malformed Content-Length")
    if length > MAX_BODY_BYTES:
        raise BadMessage(f"Request Entity Too Large: over {MAX_BODY_BYTES} octets", status=413)
    if length > len(rest):
        raise BadMessage(f"Content-Length says {length_text[:20]}, the datagram holds {len(rest)}")
    message.body = rest[:length]


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

    Via, From, To, Call-ID and CSeq are copied, `to_tag` is added where To has no tag yet, and
    Timestamp goes into a 100, with the `delay` in seconds since the request came.  `extra` are
    further fields as (name, value).
    """
    names: list[str] = []
    lines: list[str] = []
    for name, line in zip(request.names, request.lines, strict=True):
        if name in _COPIED:
            if name == "to" and to_tag and "tag" not in _to_params(request):
                line = unfold(line).rstrip(" \t") + ";tag=" + to_tag
            names.append(name)
            lines.append(line)
    if status == 100 and "timestamp" in request.present:
        names.append("timestamp")
        lines.append(_timestamp(request, delay))
    for title, value in extra:
        names.append(title.lower())
        lines.append(f"{title}: {value}")
    names.append("content-length")
    lines.append("Content-Length: 0")
    if reason:
        reason = _NOT_OF_A_PHRASE.sub("?", reason)
    return Response(status, reason or REASONS.get(status, "Unknown"), names, lines)


def _timestamp(request: Request, delay: float) -> str:
    """Timestamp as a 100 has it: with the delay that the request met here (§8.2.6.1)."""
    line = request.lines[request.names.index("timestamp")]
    match = _TIMESTAMP.fullmatch(request.value("timestamp") or "")
    return line if match is None or delay < 0.001 else f"Timestamp: {match[1]} {delay:.3f}"


def _to_params(request: Request) -> dict[str, str | None]:
    """To's parameters; of a To that can't be read, as if it had a tag: it is better left alone."""
    try:
        return request.to.params
    except BadMessage:
        return {"tag": None}
