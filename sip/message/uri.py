"""SIP, SIPS, tel and other URIs (RFC 3261 §19.1, RFC 3966)."""

import re
import string
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, has_bad_escape, unescape
from sip.message.names import NAMES

# Parsed URIs are cached, because all messages of a phone have the same few.  These bounds limit the
# memory that hostile messages can use: 4096 URIs of at most 200 characters are about 6 MB.
_CACHED_URIS = 4096
_LONGEST_CACHED = 200
# A few longer URIs are cached, too, because each contact of a REGISTER is compared with all others.
# 40 of them have at most 1,000 characters each, about 40 kB.
_CACHED_LONG_URIS = 64
_LONGEST_CACHED_LONG = 1000

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_USER = re.compile(r"[^\s@<>\"\x00-\x1f\x7f]+")
# RFC 1035 §2.3.4, with a dot at the end.
MAX_HOST_LENGTH = 254
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._\-]*[A-Za-z0-9_])?\.?")
# Quick parser for most SIP URIs: no escapes, no password, no headers.
_USUAL_SIP = re.compile(
    r"(?:([A-Za-z0-9_.!~*'()&=+$,?/-]++)@)?([A-Za-z0-9.:-]++)(?:;([A-Za-z0-9_.!~*'()\[\]/:&+$;=-]++))?"
)
_PORT = re.compile(r"0*[0-9]{1,5}")
_REST = re.compile(r"[^\s<>\"@\x00-\x1f\x7f]*")
# §19.1.4: a character reserved in RFC 2396 differs from its escape, so these escapes stay, in upper
# case, like escapes of % and of octets beyond ASCII; all other escapes are decoded.
_ESCAPED = frozenset(";/?:@&=+$,%[]")
_NORMAL_ESCAPES = {
    first + second: f"%{first}{second}".upper() if character in _ESCAPED else character
    for first in string.hexdigits
    for second in string.hexdigits
    for character in [chr(int(first + second, 16)) if first in "234567" else "%"]
}
_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")

# §19.1.4: two URIs never match if only one of them has such a parameter.
_NEVER_IGNORED = frozenset({"user", "ttl", "method", "maddr", "transport"})


def normal_escapes(text: str) -> str:
    """Normalize escapes: reserved characters escaped in upper case, others decoded (§19.1.4)."""
    if "%" not in text:
        return text
    first, *pieces = text.split("%")
    known = _NORMAL_ESCAPES.get
    return first + "".join([known(piece[:2], "%" + piece[:2]) + piece[2:] for piece in pieces])


@dataclass(slots=True, unsafe_hash=True)
class Uri:
    """Any URI.  `text` is the URI as received, `scheme` is in lower case."""

    text: str
    scheme: str

    def equals(self, other: "Uri") -> bool:
        """Compare by the rules of the scheme; URIs of unknown schemes are compared as text."""
        return self.text == other.text

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True, unsafe_hash=True)
class SipUri(Uri):
    """A SIP or SIPS URI (RFC 3261 §19.1.1).

    `user` and `password` are None or the text as received, with escapes; `host` is in lower case,
    an IPv6 address without brackets; `port` is None if the URI has none.  Parameters are pairs of
    the name, unescaped and in lower case, and the value as received or None.  Headers are pairs of
    text.
    """

    user: str | None
    password: str | None
    host: str
    port: int | None
    params: tuple[tuple[str, str | None], ...]
    headers: tuple[tuple[str, str], ...]
    _compared: "_Compared | None" = field(default=None, init=False, repr=False, compare=False)

    def param(self, name: str) -> str | None:
        """Return the unescaped value of a parameter: "" without a value, None if it is missing."""
        for known, value in self.params:
            if known == name:
                return unescape(value) if value else ""
        return None

    @property
    def username(self) -> str:
        """The user part, unescaped; "" if there is none (§10.3, step 5)."""
        return unescape(self.user) if self.user else ""

    def equals(self, other: Uri) -> bool:
        """Compare by the rules of §19.1.4.  Equality is not transitive."""
        if self.text == other.text:
            return True
        if not isinstance(other, SipUri):
            return False
        if self.host != other.host or self.port != other.port or self.scheme != other.scheme:
            return False
        whole, params = self._comparison_key()
        other_whole, other_params = other._comparison_key()
        return whole == other_whole and _same_params(params, other_params)

    def _comparison_key(self) -> "_Compared":
        """Return the normalized form for comparison, computed once."""
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


# Normalized user, password and headers, which must be equal, and parameters, which may be missing.
_Compared = tuple[tuple[str | None, str | None, list[tuple[str, str]]], dict[str, str]]


def is_same_contact(one: Uri, other: Uri) -> bool:
    """Return True if two Contacts are equal by §19.1.4, ignoring `transport=udp`.

    UDP is the default transport (§19.1.1), and phones add it or not.
    """
    if one.text == other.text:
        return True
    if not isinstance(one, SipUri) or not isinstance(other, SipUri):
        return one.equals(other)
    if one.host != other.host or one.port != other.port or one.scheme != other.scheme:
        return False
    (whole, params), (other_whole, other_params) = one._comparison_key(), other._comparison_key()
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
    """A telephone number (RFC 3966).  `number` is without visual separators."""

    number: str
    params: tuple[tuple[str, str | None], ...]
    _compared: "frozenset[tuple[str, str]] | None" = field(
        default=None, init=False, repr=False, compare=False
    )

    def equals(self, other: Uri) -> bool:
        """Compare numbers without separators, and parameters in any order (RFC 3966 §4)."""
        if not isinstance(other, TelUri):
            return False
        is_same = self.number.lower() == other.number.lower()
        return is_same and self._comparison_key() == other._comparison_key()

    def _comparison_key(self) -> frozenset[tuple[str, str]]:
        if self._compared is None:
            pairs = [(name, _tel_value(name, value or "")) for name, value in self.params]
            self._compared = frozenset(pairs)
        return self._compared


def _tel_value(name: str, value: str) -> str:
    if name == "ext" or (name == "phone-context" and value.startswith("+")):
        value = value.translate(_VISUAL_SEPARATORS)
    return normal_escapes(value).lower()


def parse_uri(text: str) -> Uri:
    """Parse a URI, without the angle brackets around it.  Raises BadMessage (400)."""
    if len(text) <= _LONGEST_CACHED:
        return _cached_parse(text)
    return _cached_parse_long(text) if len(text) <= _LONGEST_CACHED_LONG else read_uri(text)


def read_uri(text: str) -> Uri:
    """Parse a URI without caching it, for URIs that occur only once.  Raises BadMessage (400)."""
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
        user, hostport, more = usual.groups()
        host, port = parse_host_port(hostport)
        return SipUri(text, scheme, user, None, host, port, _uri_params(more) if more else (), ())
    user = password = None
    userinfo, at, host_and_more = rest.rpartition("@")
    if at:
        user, colon, password = userinfo.partition(":")
        if not colon:
            password = None
        if "@" in userinfo:  # other elements could read another host
            raise BadMessage(f"{text[:60]!r} has an unescaped @ in its user part")
        if not _USER.fullmatch(userinfo) or not user or has_bad_escape(userinfo):
            raise BadMessage(f"{text[:60]!r} has an invalid user part")
    if not _REST.fullmatch(host_and_more):
        raise BadMessage(f"{text[:60]!r} has a character that is not allowed in a SIP URI")
    before_headers, question, header_text = host_and_more.partition("?")
    host_port, semicolon, param_text = before_headers.partition(";")
    host, port = parse_host_port(host_port)
    params = _uri_params(param_text) if semicolon else ()
    headers = _uri_headers(header_text) if question else ()
    return SipUri(text, scheme, user, password, host, port, params, headers)


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Parse `host`, `host:port`, `[v6]` or `[v6]:port` (§25.1 `hostport`).  Raises BadMessage.

    The host is returned in lower case, IPv6 without brackets and in its shortest form.
    """
    return _cached_host_port(text) if len(text) <= _LONGEST_CACHED else _host_port(text)


def is_address(host: str) -> bool:
    """Return True if a host is an IPv4 or IPv6 address."""
    if ":" in host:
        return True
    return host[-1:].isdigit() and host.replace(".", "").isdigit()


def _host_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise BadMessage(f"{text[:60]!r} has no closing bracket after the IPv6 address")
        try:
            # RFC 5118 §4.10: an error in the grammar of RFC 3261 allows one colon too many.
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
    """Return a host for a URI or Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def format_host_port(host: str, port: int | None) -> str:
    """Return `host:port`, IPv6 in brackets; only the host if there is no port."""
    return format_host(host) if port is None else f"{format_host(host)}:{port}"


def _uri_params(text: str) -> tuple[tuple[str, str | None], ...]:
    params: dict[str, str | None] = {}
    if has_bad_escape(text):
        raise BadMessage(f"{text[:60]!r} has a % without two hexadecimal digits")
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = (unescape(name) if "%" in name else name).lower()
        if not name or name in params:
            raise BadMessage(f"{part[:60]!r} is not a parameter of a URI, or occurs twice")
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
