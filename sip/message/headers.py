"""Values of header fields: Via, name-addr, CSeq, credentials and challenges (RFC 3261 §20).

Each takes the field's text without its name, unfolded, and raises BadMessage (400) for what it
can't read.
"""

import re
from dataclasses import dataclass

from sip.message.grammar import (
    BadMessage,
    Params,
    end_of_quoted,
    is_plain,
    is_token,
    parse_params,
    quote,
    scan_params,
    split_params,
    unquote,
)
from sip.message.uri import SipUri, Uri, parse_host_port, parse_uri

# The methods of RFC 3261 and its extensions; any other token is a method too.
METHODS = frozenset(
    "INVITE ACK BYE CANCEL OPTIONS REGISTER "  # RFC 3261
    "INFO PRACK UPDATE SUBSCRIBE NOTIFY PUBLISH REFER MESSAGE".split()
)
# §8.1.1.5: a sequence number is less than 2**31.
MAX_CSEQ = 2**31 - 1
# §20.19, §10.2.1.1: a count of seconds is less than 2**32.
MAX_SECONDS = 2**32 - 1
# RFC 3261 §8.1.1.7: what begins every branch since RFC 3261.
MAGIC_COOKIE = "z9hG4bK"


@dataclass(slots=True)
class Via:
    """One Via value (§20.42).

    `transport` is in upper case; `sent_by` is host[:port] as written, in lower case.
    """

    transport: str
    sent_by: str
    params: Params

    @property
    def branch(self) -> str:
        """The branch parameter, "" where there is none (RFC 2543)."""
        return self.params.get("branch") or ""

    @property
    def host_port(self) -> tuple[str, int | None]:
        """`sent_by` taken apart: IPv6 without brackets, no port as None.  Raises BadMessage."""
        return parse_host_port(self.sent_by)


def parse_via(value: str) -> Via:
    """Read one Via value (§25.1 `via-parm`)."""
    protocol, _, rest = value.partition(" ")
    if is_plain(rest):
        sent_by, semicolon, params = rest.partition(";")
        if sent_by and protocol == "SIP/2.0/UDP":
            return Via("UDP", sent_by.lower(), split_params(";" + params) if semicolon else {})
    return scan_via(value)


_VIA = re.compile(
    r"[ \t]*([^\s/;,]+)[ \t]*/[ \t]*([^\s/;,]+)[ \t]*/[ \t]*([^\s/;,]+)[ \t]+"
    r"(\[[^\]\s]*\]|[^\s:;,\"<>\\]+)(?:[ \t]*:[ \t]*([^\s;,\"<>\\]+))?[ \t]*"
)


def scan_via(value: str) -> Via:
    """Read one Via value exactly, white space around its slashes and colon included."""
    match = _VIA.match(value)
    if match is None:
        raise BadMessage(f"cannot read Via {value[:60]!r}")
    name, version, transport, host, port = match.groups()
    if name.upper() != "SIP" or version != "2.0" or not is_token(transport):
        raise BadMessage(f"Via speaks {name}/{version}")
    sent_by = host.lower() if port is None else f"{host.lower()}:{port}"
    return Via(transport.upper(), sent_by, scan_params(value[match.end() :]))


@dataclass(slots=True)
class NameAddr:
    """A name-addr or addr-spec with its parameters: From, To, Contact, Route … (§20.10).

    `display_name` is unquoted, "" where there is none; `uri_text` is as it came.
    """

    display_name: str
    uri_text: str
    params: Params

    @property
    def uri(self) -> Uri:
        """The URI, read when asked for.  Raises BadMessage."""
        return parse_uri(self.uri_text)

    @property
    def tag(self) -> str:
        """The tag parameter, "" where there is none."""
        return self.params.get("tag") or ""

    @property
    def sip_uri(self) -> SipUri:
        """The URI where it has to be a SIP or SIPS one.  Raises BadMessage."""
        uri = self.uri
        if not isinstance(uri, SipUri):
            raise BadMessage(f"{self.uri_text[:60]!r} is not a SIP URI")
        return uri


def parse_name_addr(value: str) -> NameAddr:
    """Read one name-addr or addr-spec with parameters (§20.10, §25.1)."""
    if value.startswith("<"):
        uri, bracket, params = value[1:].partition(">")
        if bracket and "<" not in uri:
            return NameAddr("", uri, parse_params(params))
    return scan_name_addr(value)


_DISPLAY_NAME = re.compile(r"[^<\"\\;]*")


def scan_name_addr(value: str) -> NameAddr:
    """Read one name-addr or addr-spec exactly."""
    value = value.strip(" \t")
    if value.startswith('"'):
        end = end_of_quoted(value, 0)
        display_name, rest = unquote(value[1 : end - 1]), value[end:].lstrip(" \t")
        if not rest.startswith("<"):
            raise BadMessage("a display name is followed by no address in angle brackets")
    else:
        match = _DISPLAY_NAME.match(value)
        words = match[0] if match else ""
        rest = value[len(words) :]
        if not rest.startswith("<"):
            return _scan_addr_spec(value)
        display_name = words.strip(" \t")
        if not all(is_token(word) or not word.isascii() for word in display_name.split()):
            raise BadMessage(f"{display_name[:60]!r} has to stand in quotes")
    uri, bracket, params = rest[1:].partition(">")
    if not bracket or "<" in uri:
        raise BadMessage("an angle bracket is opened and not closed")
    return NameAddr(display_name, uri, scan_params(params))


def _scan_addr_spec(value: str) -> NameAddr:
    """§20.10: without brackets, what follows a semicolon belongs to the header field."""
    uri, semicolon, params = value.partition(";")
    uri = uri.rstrip(" \t")
    if not uri or "?" in uri or "," in uri or ">" in uri or " " in uri:
        raise BadMessage(f"{value[:60]!r} has to stand in angle brackets")
    return NameAddr("", uri, scan_params(semicolon + params))


def parse_cseq(value: str) -> tuple[int, str]:
    """Read CSeq: its number and its method (§20.16)."""
    number, _, method = value.partition(" ")
    if method in METHODS and number.isascii() and number.isdecimal() and len(number) < 10:
        return int(number), method
    match value.split():
        case [number, method] if number.isascii() and number.isdecimal() and is_token(method):
            if len(number) > 10 or int(number) > MAX_CSEQ:
                raise BadMessage(f"CSeq {number[:20]} is not below 2**31")
            return int(number), method
    raise BadMessage(f"cannot read CSeq {value[:60]!r}")


def parse_seconds(text: str | None, default: int) -> int:
    """Read delta-seconds; what can't be read counts as `default` (§10.3 step 7, §20.19)."""
    if text is None or not (text.isascii() and text.isdecimal()):
        return default
    return min(int(text[:11]), MAX_SECONDS)


def parse_q(text: str | None) -> int:
    """Read a q value in thousandths, 1000 where there is none (§20.10)."""
    if text is None:
        return 1000
    if not re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", text):
        raise BadMessage(f"{text[:20]!r} is not a q value")
    return round(float(text) * 1000)


@dataclass(slots=True)
class Credentials:
    """An Authorization or Proxy-Authorization value, or a challenge (§20.7, §20.44).

    `scheme` is in lower case, `params` have unquoted values.
    """

    scheme: str
    params: dict[str, str]


def parse_credentials(value: str) -> Credentials:
    """Read credentials or a challenge.  Both are a scheme and comma-separated parameters."""
    scheme, _, text = value.strip(" \t").partition(" ")
    if "\\" in text:
        return scan_credentials(value)
    # Without a backslash every quote opens or closes: the odd pieces stand between quotes.
    pieces = text.split('"')
    if len(pieces) % 2 == 0:
        raise BadMessage("a quote is opened and not closed")
    params: dict[str, str] = {}
    last = len(pieces) - 1
    for at in range(0, last + 1, 2):
        items = pieces[at].split(",")
        if at and items.pop(0).strip(" \t"):
            raise BadMessage("a quoted value is followed by no comma")
        if at < last:
            if not items:
                raise BadMessage("a quoted value is followed by no comma")
            name, equals, rest = items.pop().partition("=")
            if not equals or rest.strip(" \t"):
                raise BadMessage("a quoted value has no name")
            _set_once(params, name, pieces[at + 1])
        for item in items:
            name, equals, plain = item.partition("=")
            if equals:
                _set_once(params, name, plain.strip(" \t"))
            elif item.strip(" \t"):
                raise BadMessage(f"cannot read the credentials at {item[:20]!r}")
    return Credentials(scheme.lower(), params)


# RFC 7616 §3.4.  Their names need no check.
_DIGEST_PARAMS = frozenset(
    {"algorithm", "cnonce", "nc", "nonce", "opaque", "qop", "realm", "response", "uri", "username"}
)


def _set_once(params: dict[str, str], name: str, value: str) -> None:
    name = name.strip(" \t").lower()
    if name in params or (name not in _DIGEST_PARAMS and not is_token(name)):
        raise BadMessage(f"the parameter {name[:20]!r} stands there twice, or is no token")
    params[name] = value


_CREDENTIAL = re.compile(
    r"[ \t]*([^\s,=\"\\]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\",\\]*?))[ \t]*(?:,|$)",
    re.DOTALL,
)
_NOTHING = re.compile(r"[ \t]*(?:,|$)")


def scan_credentials(value: str) -> Credentials:
    """Read credentials or a challenge exactly, escapes in quotes included."""
    scheme, _, text = value.strip(" \t").partition(" ")
    params: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _CREDENTIAL.match(text, at)
        if match:
            _set_once(params, match[1], match[3] if match[2] is None else unquote(match[2]))
        else:
            match = _NOTHING.match(text, at)
            if match is None:
                raise BadMessage(f"cannot read the credentials at {text[at : at + 20]!r}")
        at = match.end()
    return Credentials(scheme.lower(), params)


def format_name_addr(display_name: str, uri: str) -> str:
    """Write a name-addr."""
    return f"{quote(display_name)} <{uri}>" if display_name else f"<{uri}>"
