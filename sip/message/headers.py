"""Parsers of header fields: Via, name-addr, CSeq, credentials and challenges (RFC 3261 §20).

Each parser takes the unfolded value of a field, without its name, and raises BadMessage (400) for a
value that is not valid.
"""

import re
from dataclasses import dataclass

from sip.message.cache import cached_parse
from sip.message.grammar import (
    QUOTED,
    BadMessage,
    Params,
    bounded_number,
    end_of_quoted,
    is_plain,
    is_token,
    quote,
    scan_params,
    split_list,
    split_params,
    unquote,
    value_of,
)
from sip.message.uri import SipUri, Uri, parse_host_port, parse_uri

# The methods of RFC 3261 and its extensions; any other token is a valid method, too.
METHODS = frozenset(
    "INVITE ACK BYE CANCEL OPTIONS REGISTER "  # RFC 3261
    "INFO PRACK UPDATE SUBSCRIBE NOTIFY PUBLISH REFER MESSAGE".split()
)
# §8.1.1.5: a sequence number is less than 2**31.
MAX_CSEQ = 2**31 - 1
# §20.19, §10.2.1.1: delta-seconds are less than 2**32.
MAX_SECONDS = 2**32 - 1
# RFC 3261 §8.1.1.7: the prefix of every branch since RFC 3261.
MAGIC_COOKIE = "z9hG4bK"
# A DNS name has at most 253 characters; a port may follow.
MAX_SENT_BY = 260
# Maximum characters of a cached value; 4096 values are about 3 MB.
_LONGEST_CACHED = 200
# Maximum parameters of one credentials field: RFC 7616 has eleven, but a hostile request may have
# 60 kB of parameters.
MAX_CREDENTIAL_PARAMS = 64


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
        """The branch parameter, "" if there is none (RFC 2543)."""
        return self.params.get("branch") or ""

    @property
    def host_port(self) -> tuple[str, int | None]:
        """Host, IPv6 without brackets, and port or None, of `sent_by`.  Raises BadMessage."""
        return parse_host_port(self.sent_by)


# The Via of most phones, with or without rport, before or after the branch.
_USUAL_VIA = re.compile(
    r"SIP/2\.0/UDP ([A-Za-z0-9.:\[\]-]++)(;rport)?;branch=([A-Za-z0-9._~*+!%'`-]++)(;rport)?"
)


def parse_via(value: str) -> Via:
    """Parse one Via value (§25.1 `via-parm`)."""
    usual = _USUAL_VIA.fullmatch(value)
    if usual is not None:
        sent_by, asks_first, branch, asks = usual.groups()
        usual_params: Params = {"branch": branch}
        if asks_first or asks:
            if asks_first and asks:
                raise BadMessage("the parameter 'rport' occurs twice")
            usual_params["rport"] = None
        return Via("UDP", _sent_by(sent_by), usual_params)
    protocol, _, rest = value.partition(" ")
    if protocol == "SIP/2.0/UDP" and is_plain(rest):
        sent_by, semicolon, params = rest.partition(";")
        return Via("UDP", _sent_by(sent_by), split_params(";" + params) if semicolon else {})
    return scan_via(value)


def via_of_line(line: str) -> Via:
    """Parse the first value of a whole Via line.

    The others must at least be a list, else the responses could not be routed.
    """
    value = value_of(line)
    return parse_via(split_list(value)[0] if "," in value else value)


_VIA = re.compile(
    r"[ \t]*+([^ \t/;,]++)[ \t]*+/[ \t]*+([^ \t/;,]++)[ \t]*+/[ \t]*+([^ \t/;,]++)[ \t]++"
    r"(\[[^\]]*\]|[^ \t:;]++)(?:[ \t]*+:[ \t]*+([^ \t;]++))?[ \t]*+"
)
_SENT_BY = re.compile(r"(?:\[[0-9A-Za-z:.%]+\]|[A-Za-z0-9._\-]+)(?::0*+[0-9]{0,5})?(?<!:)")
# §25.1 `port`: any number of digits; leading zeros are ignored.
_ZEROS_OF_PORT = re.compile(r":0+(?=[0-9]+\Z)")


def scan_via(value: str) -> Via:
    """Parse one Via value exactly, with white space around slashes and colon.

    Any token is accepted as version, because a request of another version is answered with 505.
    """
    match = _VIA.match(value)
    if match is None:
        raise BadMessage(f"cannot read Via {value[:60]!r}")
    name, version, transport, host, port = match.groups()
    if name.upper() != "SIP" or not is_token(version) or not is_token(transport):
        raise BadMessage(f"Via has protocol {name[:20]!r}, version {version[:20]!r}")
    sent_by = _sent_by(host if port is None else f"{host}:{port}")
    return Via(transport.upper(), sent_by, scan_params(value[match.end() :]))


@cached_parse(4096)  # a phone sends the same value in all requests; 4096 are about 1 MB
def _sent_by(text: str) -> str:
    """Check host[:port] (§25.1 `sent-by`) and return it in lower case.  Raises BadMessage."""
    if len(text) > MAX_SENT_BY or not _SENT_BY.fullmatch(text):
        raise BadMessage(f"{text[:60]!r} is not a sent-by of a Via")
    return _ZEROS_OF_PORT.sub(":", text.lower())


_ASKS_FOR_PORT = re.compile(r";[ \t]*+rport[ \t]*+(?:[;=,]|\Z)", re.IGNORECASE)


def response_via(value: str) -> Via:
    """Return the parts of a Via that route its response (§18.2.2, RFC 3581).

    The Via may break the grammar.  Raises BadMessage if its host and port cannot be read.
    """
    try:
        return parse_via(value)
    except BadMessage:
        match = _VIA.match(value)
        if match is None:
            raise
        host, comma, _ = match[4].partition(",")
        sent_by = _sent_by(host if comma or match[5] is None else f"{host}:{match[5]}")
        asks = _ASKS_FOR_PORT.search(value, match.end())
        return Via(match[3].upper(), sent_by, {"rport": None} if asks else {})


@dataclass(slots=True)
class NameAddr:
    """A name-addr or addr-spec with parameters: From, To, Contact, Route … (§20.10).

    `display_name` is unquoted, "" if there is none; `uri_text` and `params_text` are as received.
    """

    display_name: str
    uri_text: str
    params: Params
    params_text: str

    @property
    def uri(self) -> Uri:
        """The parsed URI.  Raises BadMessage."""
        return parse_uri(self.uri_text)

    @property
    def tag(self) -> str:
        """The tag parameter, "" if there is none."""
        return self.params.get("tag") or ""

    @property
    def sip_uri(self) -> SipUri:
        """The parsed SIP or SIPS URI.  Raises BadMessage if it is another URI."""
        uri = self.uri
        if not isinstance(uri, SipUri):
            raise BadMessage(f"{self.uri_text[:60]!r} is not a SIP URI")
        return uri


_USUAL_NAME_ADDR = re.compile(
    r'(?:"([^"\\]*+)" *|([A-Za-z0-9 ]*+))<([^<> \t]++)>(;tag=([A-Za-z0-9._~-]++))?'
)


def parse_name_addr(value: str) -> NameAddr:
    """Parse one name-addr or addr-spec with parameters (§20.10, §25.1).

    The result is cached and shared, because From and To are the same in all messages of a dialog:
    do not change it.
    """
    return _cached_name_addr(value) if len(value) <= _LONGEST_CACHED else _name_addr(value)


def _name_addr(value: str) -> NameAddr:
    usual = _USUAL_NAME_ADDR.fullmatch(value)
    if usual is None:
        return scan_name_addr(value)
    quoted, words, uri, params_text, tag = usual.groups()
    display_name = words.strip(" ") if quoted is None else quoted
    if tag is None:
        return NameAddr(display_name, uri, {}, "")
    return NameAddr(display_name, uri, {"tag": tag}, params_text)


_cached_name_addr = cached_parse(4096)(_name_addr)


_PLAIN_TAG = re.compile(r"[A-Za-z0-9._~-]++")


def address_of_line(line: str) -> NameAddr:
    """Parse a whole From or To line.

    The address is cached without its tag: tags are new in each dialog and would fill the cache.
    """
    if len(line) > _LONGEST_CACHED:
        return _name_addr(value_of(line))
    bare, mark, tag = line.rpartition(">;tag=")
    if not mark or not _PLAIN_TAG.fullmatch(tag):
        return _cached_line(line)
    known = _cached_line(bare + ">")
    return NameAddr(known.display_name, known.uri_text, {"tag": tag}, f";tag={tag}")


@cached_parse(4096)
def _cached_line(line: str) -> NameAddr:
    return _name_addr(value_of(line))


_DISPLAY_NAME = re.compile(r"[^<\"\\;]*+")


def scan_name_addr(value: str) -> NameAddr:
    """Parse one name-addr or addr-spec exactly."""
    value = value.strip(" \t")
    if value.startswith('"'):
        end = end_of_quoted(value, 0)
        display_name, rest = unquote(value[1 : end - 1]), value[end:].lstrip(" \t")
        if not rest.startswith("<"):
            raise BadMessage("after the display name, there is no address in angle brackets")
    else:
        match = _DISPLAY_NAME.match(value)
        words = match[0] if match else ""
        rest = value[len(words) :]
        if not rest.startswith("<"):
            return _scan_addr_spec(value)
        display_name = words.strip(" \t")
        if not all(is_token(word) or not word.isascii() for word in display_name.split()):
            raise BadMessage(f"{display_name[:60]!r} must be in quotes")
    uri, bracket, params = rest[1:].partition(">")
    if not bracket or "<" in uri:
        raise BadMessage("an angle bracket is not closed")
    if not uri or " " in uri or "\t" in uri:
        raise BadMessage(f"{uri[:60]!r} is not a URI")
    return NameAddr(display_name, uri, scan_params(params), params)


def _scan_addr_spec(value: str) -> NameAddr:
    """Parse an addr-spec: without brackets, parameters belong to the header field (§20.10)."""
    uri, semicolon, rest = value.partition(";")
    uri, params = uri.rstrip(" \t"), semicolon + rest
    if not uri or any(character in uri for character in "?,> \t"):
        raise BadMessage(f"{value[:60]!r} must be in angle brackets")
    return NameAddr("", uri, scan_params(params), params)


def cseq_of_line(line: str) -> tuple[int, str]:
    """Parse a CSeq line; return number and method (§20.16)."""
    return _cached_cseq(line) if len(line) <= _LONGEST_CACHED else parse_cseq(value_of(line))


def parse_cseq(value: str) -> tuple[int, str]:
    """Parse a CSeq value; return number and method (§20.16)."""
    number, _, method = value.strip(" \t").replace("\t", " ").partition(" ")
    method = method.lstrip(" ")
    count = bounded_number(number, MAX_CSEQ)
    if count is None or not is_token(method):
        raise BadMessage(f"cannot read CSeq {value[:60]!r}")
    if count > MAX_CSEQ:
        raise BadMessage(f"CSeq {number[:20]} is not below 2**31")
    return count, method


@cached_parse(1024)  # most CSeq numbers are among the first of a dialog
def _cached_cseq(line: str) -> tuple[int, str]:
    return parse_cseq(value_of(line))


@cached_parse(64)  # phones of one model ask for the same, and their bindings share the number
def parse_seconds(text: str | None, default: int) -> int:
    """Parse delta-seconds; a value that is not valid gives `default` (§10.3 step 7, §20.19)."""
    seconds = None if text is None else bounded_number(text, MAX_SECONDS)
    return default if seconds is None else min(seconds, MAX_SECONDS)


_Q = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def parse_q(text: str | None) -> int:
    """Parse a q value; return thousandths, 1000 if there is none (§20.10)."""
    if text is None:
        return 1000
    if not _Q.fullmatch(text):
        raise BadMessage(f"{text[:20]!r} is not a q value")
    return round(float(text) * 1000)


@dataclass(slots=True)
class Credentials:
    """An Authorization or Proxy-Authorization value, or a challenge (§20.7, §20.44).

    `scheme` is in lower case, `params` have unquoted values.
    """

    scheme: str
    params: dict[str, str]


def parse_credentials(field: str) -> Credentials:
    """Parse credentials or a challenge: a scheme and comma-separated parameters."""
    scheme, text = _scheme_and_params(field)
    if "\\" in text:
        return scan_credentials(field)
    params: dict[str, str] = {}
    items = text.split(", ")
    quotes = 0
    for item in items:
        name, equals, value = item.partition("=")
        if value[:1] == '"' == value[-1:] and len(value) > 1:
            quotes += 2
            value = value[1:-1]
        elif not equals or " " in value or "," in value or "\t" in value:
            return scan_credentials(field)
        params[name] = value
    # Only known parameters, each once, and quotes only around values.
    if len(params) < len(items) or quotes < text.count('"') or not params.keys() <= _DIGEST_PARAMS:
        return scan_credentials(field)
    return Credentials(scheme, params)


def _scheme_and_params(value: str) -> tuple[str, str]:
    value = value.strip(" \t")
    scheme, _, text = value.partition(" ")
    if scheme != "Digest":
        if "\t" in scheme:
            scheme, _, text = value.partition("\t")
        if not is_token(scheme):
            raise BadMessage("credentials without a scheme")
    if text.count("=") > MAX_CREDENTIAL_PARAMS or text.count(",") > MAX_CREDENTIAL_PARAMS:
        # Commas and equals signs may be in quotes, too, but never so many.
        raise BadMessage(f"credentials with more than {MAX_CREDENTIAL_PARAMS} parameters")
    return scheme.lower(), text


# RFC 7616 §3.4.  These names are known to be tokens.
_DIGEST_PARAMS = frozenset(
    {"algorithm", "cnonce", "nc", "nonce", "opaque", "qop", "realm", "response", "uri", "username"}
)


def _set_once(params: dict[str, str], name: str, value: str) -> None:
    name = name.strip(" \t").lower()
    if name in params or (name not in _DIGEST_PARAMS and not is_token(name)):
        raise BadMessage("a parameter of the credentials occurs twice, or is not a token")
    params[name] = value


_CREDENTIAL = re.compile(
    rf"[ \t]*+([^ \t,=\"\\]++)[ \t]*+=[ \t]*+(?:{QUOTED}[ \t]*+|([^\",\\]*+))(?:,|\Z)", re.DOTALL
)
_NOTHING = re.compile(r"[ \t]*+(?:,|\Z)")


def scan_credentials(value: str) -> Credentials:
    """Parse credentials or a challenge exactly, with escapes in quoted strings."""
    scheme, text = _scheme_and_params(value)
    params: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _CREDENTIAL.match(text, at)
        if match:
            plain, quoted = match[3], match[2]
            _set_once(params, match[1], plain.strip(" \t") if quoted is None else unquote(quoted))
        else:
            match = _NOTHING.match(text, at)
            if match is None:
                raise BadMessage("cannot read the credentials")
        at = match.end()
    return Credentials(scheme, params)


def format_name_addr(display_name: str, uri: str) -> str:
    """Return a name-addr."""
    return f"{quote(display_name)} <{uri}>" if display_name else f"<{uri}>"
