"""Requests and responses: parsed by indexing their lines, forwarded by editing them (RFC 3261 §7).

Header fields are stored as received lines; a value is parsed on first use.  So fields that we do
not use are forwarded octet for octet: text is UTF-8 with surrogateescape, which preserves any
octets.
"""

import re

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
from sip.message.headers import METHODS, NameAddr, Via, address_of_line, cseq_of_line, via_of_line
from sip.message.names import scan_fields, title_of, with_folds
from sip.message.shape import MANDATORY, Shape, read_shape
from sip.message.uri import Uri, parse_uri

# Bounds for one message from an untrusted sender.  Messages with 70 Via hops, or with a header
# field for each feature of a desk phone, are far below.
MAX_HEADERS = 256
MAX_HEAD_BYTES = 65_535
# Values and parameters are separated by commas; parsing one takes a few microseconds.
MAX_COMMAS = 2000
# The largest accepted body, on all transports; a session description has about 2 kB.
MAX_BODY_BYTES = 128 * 1024
# A registered Contact has at most 1,000 characters, with push parameters; our Record-Route, which
# a strict router makes the Request-URI, has about 300.
MAX_URI_LENGTH = 4096

_CACHED = frozenset(MANDATORY)  # the fields whose values Message caches
_STAMPED = frozenset({"received", "rport"})
_EMPTY_LINES = re.compile(rb"\A(?:\r\n)+")  # §7.5


class Message:
    """Base of requests and responses: header fields, in order, and a body.

    `lines[i]` is a whole field as received, with its folds; `names[i]` is its long name in lower
    case; `present` has each name once, with the position of its first field.  Names and positions
    are those of the shape, which is shared with other messages: an edit that adds or removes a
    field gives the message another shape.  Parsed values are cached; the editing methods clear the
    cache.
    """

    __slots__ = (
        "_call_id", "_cseq", "_from", "_to", "_via", "body", "lines", "names", "present", "shape",
    )  # fmt: skip

    def __init__(self, shape: Shape, lines: list[str], body: bytes = b"") -> None:
        self.shape = shape
        self.names = shape.names
        self.present = shape.present
        self.lines = lines
        self.body = body
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._call_id: str | None = None
        self._cseq: tuple[int, str] | None = None

    def value(self, name: str) -> str | None:
        """Return the first field with this name, unfolded and stripped, or None."""
        at = self.present.get(name)
        return None if at is None else value_of(self.lines[at])

    def required(self, name: str) -> str:
        """Return the first field with this name.  Raises BadMessage (400) if missing or empty."""
        value = self.value(name)
        if not value:
            raise BadMessage(f"Missing {title_of(name)} header field")
        return value

    def fields(self, name: str) -> list[str]:
        """Return all fields with this name, unfolded, not split at commas (for credentials)."""
        at = self.present.get(name)
        if at is None:
            return []
        if self.names.count(name) == 1:
            return [value_of(self.lines[at])]
        return [
            value_of(line)
            for known, line in zip(self.names, self.lines, strict=True)
            if known == name
        ]

    def values(self, name: str) -> list[str]:
        """Return all values of a list field, in order, from all its lines (§7.3.1).

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
        """The topmost Via value.  Raises BadMessage (400)."""
        if self._via is None:
            try:
                self._via = via_of_line(self.lines[self.present["via"]])
            except (KeyError, BadMessage) as error:
                raise self._cannot_read("via", error) from None
        return self._via

    @property
    def cseq(self) -> tuple[int, str]:
        """Sequence number and method of CSeq.  Raises BadMessage (400)."""
        if self._cseq is None:
            try:
                self._cseq = cseq_of_line(self.lines[self.present["cseq"]])
            except (KeyError, BadMessage) as error:
                raise self._cannot_read("cseq", error) from None
        return self._cseq

    @property
    def from_(self) -> NameAddr:
        """The From field.  Raises BadMessage (400)."""
        if self._from is None:
            try:
                self._from = address_of_line(self.lines[self.present["from"]])
            except (KeyError, BadMessage) as error:
                raise self._cannot_read("from", error) from None
        return self._from

    @property
    def to(self) -> NameAddr:
        """The To field.  Raises BadMessage (400)."""
        if self._to is None:
            try:
                self._to = address_of_line(self.lines[self.present["to"]])
            except (KeyError, BadMessage) as error:
                raise self._cannot_read("to", error) from None
        return self._to

    def _cannot_read(self, name: str, error: Exception) -> BadMessage:
        """Return the error of a mandatory field: it is missing, or `error` says what is wrong."""
        if isinstance(error, BadMessage) and self.value(name):
            return BadMessage(f"{title_of(name)}: {error.reason}")
        return BadMessage(f"Missing {title_of(name)} header field")

    @property
    def call_id(self) -> str:
        """The Call-ID, which is compared octet for octet (§20.8)."""
        if self._call_id is None:
            self._call_id = self.required("call-id")
        return self._call_id

    def set(self, name: str, line: str) -> None:
        """Replace the field with this name by `line`, or append it."""
        at = self.present.get(name)
        if at is None:
            self.append(name, line)
        else:
            self.lines[at] = line
        if name in _CACHED:
            self._clear_cached(name)

    def append(self, name: str, line: str) -> None:
        """Add a field at the end."""
        self._set_shape(self.shape.inserted(len(self.lines), name))
        self.lines.append(line)

    def _set_shape(self, shape: Shape) -> None:
        self.shape = shape
        self.names = shape.names
        self.present = shape.present

    def _clear_cached(self, name: str) -> None:
        self._via = None
        if name != "via":
            self._from = self._to = self._call_id = self._cseq = None

    def put_first(self, name: str, line: str) -> None:
        """Add a field above the others with this name, or above all (§16.6, steps 4 and 8)."""
        at = self.present.get(name, 0)
        self.lines.insert(at, line)
        self._set_shape(self.shape.inserted(at, name))
        if name in _CACHED:
            self._clear_cached(name)

    def remove(self, name: str) -> None:
        """Remove all fields with this name."""
        if name in self.present:
            self.set_values(name, "", [])

    def set_values(self, name: str, title: str, values: list[str]) -> None:
        """Replace all values of a list field, at the place of the first, one line per value."""
        at = self.present.get(name, 0)
        lines = [line for known, line in zip(self.names, self.lines, strict=True) if known != name]
        names = [known for known in self.names if known != name]
        names[at:at] = [name] * len(values)
        lines[at:at] = [f"{title}: {value}" for value in values]
        self.lines = lines
        self._set_shape(self.shape.renamed(tuple(names)))
        if name in _CACHED:
            self._clear_cached(name)

    def remove_top_via(self) -> None:
        """Remove our own Via from a response (§16.7, step 3)."""
        at = self.present["via"]
        line = self.lines[at]
        rest = split_first(unfold(line.partition(":")[2]))[1].strip(", \t") if "," in line else ""
        if rest:
            self.lines[at] = "Via: " + rest
        else:
            del self.lines[at]
            self._set_shape(self.shape.without(at))
        self._via = None

    def stamp_top_via(self, stamp: str, *, fills_rport: bool) -> None:
        """Add `received` and `rport` to the top Via (§18.2.1, RFC 3581 §4).

        `stamp` is text like `;received=192.0.2.1`; with `fills_rport` the empty rport is removed.
        Parameters with these names from the sender are removed, too.  The cached Via stays without
        the stamp: its readers know the source of the message anyway.
        """
        at = self.present["via"]
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
        self, method: str, uri_text: str, shape: Shape, lines: list[str], body: bytes = b""
    ) -> None:
        super().__init__(shape, lines, body)
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
        """Return a copy to edit and forward; the body is shared."""
        copy = Request(self.method, self.uri_text, self.shape, self.lines[:], self.body)
        copy._via, copy._from, copy._to = self._via, self._from, self._to
        copy._call_id, copy._cseq = self._call_id, self._cseq
        return copy

    def encode(self) -> bytes:
        """Return the octets of the request."""
        text = "\r\n".join((f"{self.method} {self.uri_text} SIP/2.0", *self.lines, "", ""))
        return text.encode("utf-8", "surrogateescape") + self.body


class Response(Message):
    """A response (§7.2)."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str, shape: Shape, lines: list[str], body: bytes = b""
    ) -> None:
        super().__init__(shape, lines, body)
        self.status = status
        self.reason = reason

    def encode(self) -> bytes:
        """Return the octets of the response."""
        text = "\r\n".join((f"SIP/2.0 {self.status} {self.reason}", *self.lines, "", ""))
        return text.encode("utf-8", "surrogateescape") + self.body


class BadRequest(BadMessage):
    """A bad request that can still be answered; `request` has the fields that could be read."""

    def __init__(self, reason: str, status: int, request: Request) -> None:
        super().__init__(reason, status)
        self.request = request


def parse(datagram: bytes) -> Request | Response:
    """Parse the message in a datagram (§7, §18.3).

    Empty lines before it are skipped, and octets after the Content-Length are discarded.  A head
    whose lines all end with LF only is read as if they ended with CRLF.  Raises BadRequest for a
    request that breaks a rule but can be answered, else BadMessage with status None.
    """
    if datagram[:2] == b"\r\n":
        datagram = _EMPTY_LINES.sub(b"", datagram)
    head, blank_line, rest = datagram.partition(b"\r\n\r\n")
    if not blank_line:
        head = head.removesuffix(b"\r\n")
    text = head[:MAX_HEAD_BYTES].decode("utf-8", "surrogateescape")
    start_line, *lines = text.split("\r\n")
    count = len(lines)
    is_crlf = head.count(b"\n") == count == head.count(b"\r")
    if not is_crlf and (repaired := with_crlf(datagram)) is not None:
        return parse(repaired)
    is_response = start_line[:4].upper() == "SIP/"
    try:
        if len(head) > MAX_HEAD_BYTES:
            raise BadMessage(f"Header fields over {MAX_HEAD_BYTES} octets", status=513)
        if not is_crlf:
            # Another element could read one such field as two.
            raise BadMessage("Line end that is not CRLF")
        if count > MAX_HEADERS or len(head) > MAX_COMMAS:
            lines = _check_bounds(head, lines)
        if is_response:
            message: Request | Response = _parse_response(start_line, text, lines, rest)
        else:
            message = _parse_request(start_line, text, lines, rest)
        if not blank_line:
            # The message may be truncated.
            raise BadMessage("No empty line after the header fields")
    except BadMessage as error:
        if is_response:
            raise BadMessage(error.reason, status=None) from None
        raise bad_request(error, head) from None
    return message


def _check_bounds(head: bytes, lines: list[str]) -> list[str]:
    """Return the lines of a head, unfolded if needed.  Raises BadMessage if there are too many."""
    if len(lines) > MAX_HEADERS:
        lines = with_folds(lines)
        if len(lines) > MAX_HEADERS:
            raise BadMessage(f"More than {MAX_HEADERS} header fields")
    if head.count(b",") > MAX_COMMAS:
        raise BadMessage(f"More than {MAX_COMMAS} commas in the header fields")
    return lines


def bad_request(error: BadMessage, head: bytes) -> BadMessage:
    """Return the error with the fields of the request that a response copies (§8.2.6.2).

    If the first line is not a request line, the message is only answered if it has all these
    fields; else the status of the error is None.
    """
    text = head[:MAX_HEAD_BYTES].decode("utf-8", "surrogateescape")
    start_line, names, lines = scan_fields(text, MAX_HEADERS)
    if " SIP/" not in start_line.upper() and not set(MANDATORY).issubset(names):
        return BadMessage(f"{start_line[:40]!r} is not a start line", status=None)
    method, _, uri_text = start_line.strip(" \t").partition(" ")
    method = method if is_token(method) else "?"  # because it is logged
    request = Request(method, uri_text, Shape(tuple(names)), lines)
    return BadRequest(error.reason, error.status or 400, request)


def _parse_response(start_line: str, head: str, lines: list[str], rest: bytes) -> Response:
    version, _, status_and_reason = start_line.partition(" ")
    code, _, reason = status_and_reason.partition(" ")
    if version.upper() != "SIP/2.0" or len(code) != 3 or not (code.isascii() and code.isdecimal()):
        raise BadMessage(f"{start_line[:40]!r} is not a status line")
    status = int(code)
    if not 100 <= status < 700:
        raise BadMessage(f"there is no status {status}")
    response = Response(status, reason, *read_shape(head, lines))
    _check(response, rest)
    return response


def _parse_request(start_line: str, head: str, lines: list[str], rest: bytes) -> Request:
    method, _, uri_and_version = start_line.partition(" ")
    uri_text, _, version = uri_and_version.rpartition(" ")
    if version != "SIP/2.0":  # first, because another version may have another syntax
        _check_version(version)
    if not uri_text or " " in uri_text or not (method in METHODS or is_token(method)):
        raise BadMessage("Malformed request line")
    if len(uri_text) > MAX_URI_LENGTH:
        raise BadMessage(f"Request-URI Too Long: over {MAX_URI_LENGTH} characters", status=414)
    request = Request(method, uri_text, *read_shape(head, lines))
    _check(request, rest)
    _ = request.via, request.from_, request.to  # raise BadMessage if they are not valid
    if request.cseq[1] != method:
        # RFC 4475 §3.1.2.18: an unknown method gives 501.
        status = 400 if method in METHODS else 501
        reason = f"CSeq method {request.cseq[1][:20]} is not {method[:20]}"
        raise BadMessage(reason, status=status)
    return request


def _check_version(version: str) -> None:
    if version.upper() == "SIP/2.0":
        return
    if re.fullmatch(r"SIP/[0-9]+\.[0-9]+", version, re.IGNORECASE):
        raise BadMessage(f"Version {version[:20]} not supported", status=505)
    raise BadMessage("Malformed request line")


def _check(message: Request | Response, rest: bytes) -> None:
    """Check the mandatory fields and set the body (§8.1.1, §18.3, §20).  Raises BadMessage."""
    if message.shape.fault:
        raise BadMessage(message.shape.fault)
    _ = message.cseq, message.call_id  # raise BadMessage if they are not valid
    length_text = message.value("content-length")
    if length_text == str(len(rest)):
        message.body = rest
        return
    if length_text is None:
        # §20.15: a body has a type.  Without one, line ends, NULs and spaces are padding.
        is_body = "content-type" in message.present or not is_padding(rest)
        message.body = rest if is_body else b""
        return
    length = bounded_number(length_text, MAX_BODY_BYTES)
    if length is None:
        raise BadMessage("Malformed Content-Length")
    if length > MAX_BODY_BYTES:
        raise BadMessage(f"Request Entity Too Large: over {MAX_BODY_BYTES} octets", status=413)
    if length > len(rest):
        raise BadMessage(f"Content-Length is {length_text[:20]}, the body has {len(rest)} octets")
    message.body = rest[:length]
