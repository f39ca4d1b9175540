"""SIP, SIPS, tel and other URIs (RFC 3261 §19.1, RFC 3966)."""

import re
import string
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, has_bad_escape, unescape
from sip.message.names import NAMES

# Parsed URIs are kept: the same few stand in every message of a phone.  Both numbers bound
# what strangers can make us keep: 4096 URIs of at most 200 characters are about 6 MB.
_CACHED_URIS = 4096
_LONGEST_CACHED = 200
# Of longer ones a few: the contacts of one REGISTER are compared each with all others.  40 are at
# most 1,000 characters long and take about 40 kB then.
_CACHED_LONG_URIS = 64
_LONGEST_CACHED_LONG = 1000

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_USER = re.compile(r"[^\s@<>\"\x00-\x1f\x7f]+")
# RFC 1035 §2.3.4, with the dot at the end.
MAX_HOST_LENGTH = 254
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._\-]*[A-Za-z0-9_])?\.?")
# A quick reading of most SIP URIs: nothing escaped, no password, no headers.
_USUAL_SIP = re.compile(
    r"(?:([A-Za-z0-9_.!~*'()&=+$,?/-]++)@)?([A-Za-z0-9.:-]++)(?:;([A-Za-z0-9_.!~*'()\[\]/:&+$;=-]++))?"
)
_PORT = re.compile(r"0*[0-9]{1,5}")
_REST = re.compile(r"[^\s<>\"@\x00-\x1f\x7f]*")
# §19.1.4: what RFC 2396 reserves is not the same as its escape, which stays, in upper case.  So
# does an escaped % or octet beyond ASCII; all else is undone.
_ESCAPED = frozenset(";/?:@&=+$,%[]")
_NORMAL_ESCAPES = {
    first + second: f"%{first}{second}".upper() if character in _ESCAPED else character
    for first in string.hexdigits
    for second in string.hexdigits
    for character in [chr(int(first + second, 16)) if first in "234567" else "%"]
}
_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")

# §19.1.4: these never match when only one of two URIs has them.
_NEVER_IGNORED = frozenset({"user", "ttl", "method", "maddr", "transport"})


def normal_escapes(text: str) -> str:
    """Bring escapes to one form: reserved characters upper-case, others plain (§19.1.4)."""
    if "%" not in text:
        return text
    first, *pieces = text.split("%")
    known = _NORMAL_ESCAPES.get
    return first + "".join([known(piece[:2], "%" + piece[:2]) + piece[2:] for piece in pieces])


@dataclass(slots=True, unsafe_hash=True)
class Uri:
    """Any URI.  `text` is the URI as it came, `scheme` is in lower case."""

    text: str
    scheme: str

    def equals(self, other: "Uri") -> bool:
        """Compare as the scheme asks; URIs that we can't read are equal when their text is."""
        return self.text == other.text

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True, unsafe_hash=True)
class SipUri(Uri):
    """A SIP or SIPS URI (RFC 3261 §19.1.1).

    `user` and `password` are None or the text as it came, escapes included; `host` is in lower
    case, an IPv6 address without its brackets; `port` is None where the URI names none.
    Parameters are pairs: the name unescaped and in lower case, the value as it came or None.
    Headers are pairs of text.
    """

    user: str | None
    password: str | None
    host: str
    port: int | None
    params: tuple[tuple[str, str | None], ...]
    headers: tuple[tuple[str, str], ...]
    _compared: "_Compared | None" = field(default=None, init=False, repr=False, compare=False)

    def param(self, name: str) -> str | None:
        """Give a parameter's value, unescaped: "" where it has none, None where it is missing."""
        for known, value in self.params:
            if known == name:
                return unescape(value) if value else ""
        return None

    @property
    def username(self) -> str:
        """The user part, unescaped; "" where there is none (§10.3, step 5)."""
        return unescape(self.user) if self.user else ""

    def equals(self, other: Uri) -> bool:
        """Compare by the rules of §19.1.4.  Equality is not transitive."""
        if self.text == other.text:
            return True
        if not isinstance(other, SipUri):
            return False
        if self.host != other.host or self.port != other.port or self.scheme != other.scheme:
            return False
        whole, params = self._as_compared()
        other_whole, other_params = other._as_compared()
        return whole == other_whole and _same_params(params, other_params)

    def _as_compared(self) -> "_Compared":
        """In the one form that all who are equal have; found once, for many to be compared with."""
        if self._compared is None:
            headers = [(_long_name(name), normal_escapes(value)) for name, value in self.headers]
            whole = (
                None if self.user is None else normal_escapes(self.user),
                None if self.password is None else normal_escapes(self.password),
                sorted(headers),
            )
            params = {name: normal_escapes(value or "").lower() for name, value in self.params}
            self._compared = whole, params
        return self._compared


# User, password and headers, which have to be the same; and parameters, which may be missing.
_Compared = tuple[tuple[str | None, str | None, list[tuple[str, str]]], dict[str, str]]


def is_same_contact(one: Uri, other: Uri) -> bool:
    """Return True where two Contacts are one: by §19.1.4, but for `transport=udp` of one alone.

    UDP is the transport of a URI that names none (§19.1.1), and phones add it at will.
    """
    if one.text == other.text:
        return True
    if not isinstance(one, SipUri) or not isinstance(other, SipUri):
        return one.equals(other)
    if one.host != other.host or one.port != other.port or one.scheme != other.scheme:
        return False
    (whole, params), (other_whole, other_params) = one._as_compared(), other._as_compared()
    if whole != other_whole:
        return False
    return _same_params(_without_udp(params), _without_udp(other_params))


def _without_udp(params: dict[str, str]) -> dict[str, str]:
    if params.get("transport") != "udp":
        return params
    return {name: value for name, value in params.items() if name != "transport"}


def _same_params(a: dict[str, str], b: dict[str, str]) -> bool:
    if (a.keys() ^ b.keys()) & _NEVER_IGNORED:
        return False
    return all(a[name] == b[name] for name in a.keys() & b.keys())


def _long_name(header: str) -> str:
    lower = normal_escapes(header).lower()
    return NAMES.get(lower, lower)


@dataclass(slots=True, unsafe_hash=True)
class TelUri(Uri):
    """A telephone number (RFC 3966).  `number` has lost its visual separators."""

    number: str
    params: tuple[tuple[str, str | None], ...]
    _compared: "frozenset[tuple[str, str]] | None" = field(
        default=None, init=False, repr=False, compare=False
    )

    def equals(self, other: Uri) -> bool:
        """Compare by RFC 3966 §4: numbers without separators, parameters in any order."""
        if not isinstance(other, TelUri):
            return False
        is_same = self.number.lower() == other.number.lower()
        return is_same and self._as_compared() == other._as_compared()

    def _as_compared(self) -> frozenset[tuple[str, str]]:
        if self._compared is None:
            pairs = [(name, _tel_value(name, value or "")) for name, value in self.params]
            self._compared = frozenset(pairs)
        return self._compared


def _tel_value(name: str, value: str) -> str:
    if name == "ext" or (name == "phone-context" and value.startswith("+")):
        value = value.translate(_VISUAL_SEPARATORS)
    return normal_escapes(value).lower()


def parse_uri(text: str) -> Uri:
    """Read a URI, without the angle brackets around it.  Raises BadMessage (400)."""
    if len(text) <= _LONGEST_CACHED:
        return _cached_parse(text)
    return _cached_parse_long(text) if len(text) <= _LONGEST_CACHED_LONG else read_uri(text)


def read_uri(text: str) -> Uri:
    """The same for a URI that will not be seen again, such as one with a ticket."""
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise BadMessage(f"{text[:60]!r} is not a URI")
    scheme = scheme.lower()
    if scheme in ("sip", "sips"):
        return _parse_sip(text, scheme, rest)
    if scheme == "tel":
        return _parse_tel(text, rest)
    if not rest or not _REST.fullmatch(rest.replace("@", "")):
        raise BadMessage(f"{text[:60]!r} is not a URI")
    return Uri(text, scheme)


_cached_parse = cached_parse(_CACHED_URIS)(read_uri)
_cached_parse_long = cached_parse(_CACHED_LONG_URIS)(read_uri)


def _parse_sip(text: str, scheme: str, rest: str) -> SipUri:
    usual = _USUAL_SIP.fullmatch(rest)
    if usual is not None:
        user, place, more = usual.groups()
        host, port = parse_host_port(place)
        return SipUri(text, scheme, user, None, host, port, _uri_params(more) if more else (), ())
    user = password = None
    userinfo, at, host_and_more = rest.rpartition("@")
    if at:
        user, colon, password = userinfo.partition(":")
        if not colon:
            password = None
        if "@" in userinfo:  # elements would not agree on where the host begins
            raise BadMessage(f"{text[:60]!r} has an @ in its user part that is not escaped")
        if not _USER.fullmatch(userinfo) or not user or has_bad_escape(userinfo):
            raise BadMessage(f"{text[:60]!r} has a user part that no SIP URI can hold")
    if not _REST.fullmatch(host_and_more):
        raise BadMessage(f"{text[:60]!r} holds a character that no SIP URI can hold")
    before_headers, question, header_text = host_and_more.partition("?")
    host_port, semicolon, param_text = before_headers.partition(";")
    host, port = parse_host_port(host_port)
    params = _uri_params(param_text) if semicolon else ()
    headers = _uri_headers(header_text) if question else ()
    return SipUri(text, scheme, user, password, host, port, params, headers)


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Read `host`, `host:port`, `[v6]` or `[v6]:port` (§25.1 `hostport`).  Raises BadMessage.

    The host comes back in lower case, IPv6 without brackets and in its shortest form.
    """
    return _cached_host_port(text) if len(text) <= _LONGEST_CACHED else _host_port(text)


def is_address(host: str) -> bool:
    """Tell whether a host is written as an IPv4 or IPv6 address."""
    if ":" in host:
        return True
    return host[-1:].isdigit() and host.replace(".", "").isdigit()


def _host_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise BadMessage(f"{text[:60]!r} lacks the bracket that closes an IPv6 address")
        try:
            # RFC 5118 §4.10: by a slip in the grammar of RFC 3261 a colon may be one too many.
            host = str(IPv6Address(inside.replace(":::", "::") if "." in inside else inside))
        except AddressValueError:
            raise BadMessage(f"{inside[:60]!r} is not an IPv6 address") from None
        if "%" in inside or (rest and not rest.startswith(":")):
            raise BadMessage(f"{text[:60]!r} is not a host")
        port_text = rest[1:] if rest else None
    else:
        host, colon, after = text.partition(":")
        port_text = after if colon else None
        if len(host) > MAX_HOST_LENGTH or not _HOST.fullmatch(host):
            raise BadMessage(f"{host[:60]!r} is not a host")
        host = host.lower()
    if port_text is None:
        return host, None
    if not _PORT.fullmatch(port_text) or not 0 < int(port_text) < 65536:
        raise BadMessage(f"{port_text[:20]!r} is not a port")
    return host, int(port_text)


_cached_host_port = cached_parse(_CACHED_URIS)(_host_port)


def format_host(host: str) -> str:
    """Write a host as a URI or Via wants it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def format_host_port(host: str, port: int | None) -> str:
    """Write `host:port`, IPv6 in brackets; without a port the host alone."""
    return format_host(host) if port is None else f"{format_host(host)}:{port}"


def _uri_params(text: str) -> tuple[tuple[str, str | None], ...]:
    params: dict[str, str | None] = {}
    if has_bad_escape(text):
        raise BadMessage(f"{text[:60]!r} has a % without two hexadecimal digits")
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = (unescape(name) if "%" in name else name).lower()
        if not name or name in params:
            raise BadMessage(f"{part[:60]!r} is not a parameter of a URI, or stands there twice")
        params[name] = value if equals else None
    return tuple(params.items())


def _uri_headers(text: str) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    if has_bad_escape(text):
        raise BadMessage(f"{text[:60]!r} has a % without two hexadecimal digits")
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise BadMessage(f"{part[:60]!r} is not a header of a URI")
        headers.append((name, value))
    return tuple(headers)


def _parse_tel(text: str, rest: str) -> TelUri:
    written, semicolon, param_text = rest.partition(";")
    if has_bad_escape(written):
        raise BadMessage(f"{text[:60]!r} has a % without two hexadecimal digits")
    number = unescape(written).translate(_VISUAL_SEPARATORS)  # RFC 3966 §3: %23 is a #
    if not re.fullmatch(r"\+[0-9]+|[0-9A-Fa-f*#]+", number) or not _REST.fullmatch(param_text):
        raise BadMessage(f"{text[:60]!r} is not a telephone number")
    return TelUri(text, "tel", number, _uri_params(param_text) if semicolon else ())
