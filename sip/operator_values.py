"""Values that operators write: IP networks, ports, on and off, names, URLs, seconds."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

from sip.monitor.event_names import EVENT_NAMES
from sip.suggestions import nearest

Network: TypeAlias = IPv4Network | IPv6Network

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?")

# Ports below need a privilege.
_LOWEST_PORT, _HIGHEST_PORT = 1024, 65_535


class PortRange(NamedTuple):
    """The first and the last port of a range."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


_TRUTHS = {"on": True, "true": True, "yes": True, "1": True}
_FALSEHOODS = {"off": False, "false": False, "no": False, "0": False}
_SWITCH = _TRUTHS | _FALSEHOODS


def parse_network(text: str) -> Network:
    """Parse an IP address or network.  Raises ValueError with a sentence for the operator."""
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"{text.strip()[:60]!r} is not an address or network; write it like 192.0.2.7 or"
            " 192.168.0.0/16"
        ) from None


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse networks separated by commas.  Raises ValueError."""
    return tuple(parse_network(part) for part in text.split(",") if part.strip())


def parse_proxies(text: str) -> tuple[Network, ...]:
    """Parse the networks of proxies, whose word is believed.  Raises ValueError."""
    networks = parse_networks(text)
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("every client would be believed; write the addresses of the proxies only")
    return networks


def network_text(network: Network) -> str:
    """Return the text that `parse_network` reads; a single address has no prefix length."""
    return str(network.network_address if network.num_addresses == 1 else network)


def parse_switch(text: str) -> bool:
    """Parse on or off, true or false, yes or no, 1 or 0.  Raises ValueError."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError(f"{text!r} must be on or off") from None


def whole_number(most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers up to `most`, which raises ValueError."""

    def parse(text: str) -> int:
        digits = text.replace(",", "").replace("_", "")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
            raise ValueError(f"{text!r} is not a whole number, or 0 for none")
        if int(digits) > most:
            raise ValueError(f"{text} is more than {most:,}")
        return int(digits)

    return parse


def parse_realm(text: str) -> str:
    """Check a realm: it must not need escapes in a quoted string.  Raises ValueError."""
    if not text or not text.isprintable() or '"' in text or "\\" in text:
        raise ValueError("a realm is a word or a host name, without quotation marks or backslashes")
    return text


_PATH_SECRET = re.compile(r"[A-Za-z0-9_-]{16,100}")


def parse_path_secret(text: str) -> str:
    """Check a secret that is a part of a URL; an empty text means none.  Raises ValueError."""
    if text and not _PATH_SECRET.fullmatch(text):
        raise ValueError("it must have 16 to 100 letters, digits, - or _; nothing else")
    return text


def parse_url(text: str) -> str:
    """Check an HTTP or HTTPS URL; an empty text means none.  Raises ValueError.

    The error does not repeat the URL: its path may contain a password.
    """
    if not text:
        return ""
    wanted = ValueError("it is not a URL like https://example.com/path")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            IPv6Address(host)
        elif not HOST_NAME.fullmatch(host):
            raise wanted
    except ValueError:
        raise wanted from None
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if parts.scheme not in ("http", "https") or port == 0 or not is_plain:
        raise wanted
    if "@" in parts.netloc:
        raise ValueError("the URL contains a user name; it is not supported")
    return text


def parse_event_names(text: str) -> tuple[str, ...]:
    """Parse names of events, separated by commas.  Raises ValueError."""
    names = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    for name in names:
        if name not in EVENT_NAMES:
            raise ValueError(f"there is no event {name!r}{nearest(name, EVENT_NAMES)}")
    return names


def parse_host_names(text: str) -> tuple[str, ...]:
    """Parse host names, separated by commas, in lower case.  Raises ValueError."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    for name in names:
        if not HOST_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a host name; write e.g. example.com,example.net")
    return names


def parse_seconds(text: str) -> int:
    """Parse a number of seconds, at most that of the largest Expires.  Raises ValueError."""
    # 2**32 - 1 is the largest Expires (RFC 3261 §20.19).
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**32):
        raise ValueError(f"{text!r} is not a whole number of seconds above 0")
    return int(text)


def parse_seconds_or_never(text: str) -> int:
    """Parse an interval of at most an hour, or 0 for never.  Raises ValueError."""
    try:
        seconds = 0 if text == "0" else parse_seconds(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number of seconds, or 0 for never") from None
    if seconds > 3600:
        raise ValueError(f"{text} is more than 3600 seconds, too long for any NAT")
    return seconds


def parse_mebibytes(text: str) -> int:
    """Parse a number of MiB, or 0 for none.  Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise ValueError(f"{text!r} is not a whole number of MiB, or 0 for none")
    return int(text)


def parse_ports(text: str) -> PortRange:
    """Parse a range of UDP ports, like 10000-10099.  Raises ValueError.

    A call needs an even port and the next one (RFC 3550 §11), so the range has one such pair.
    """
    first, dash, last = text.partition("-")
    is_range = bool(dash) and all(part.isascii() and part.isdecimal() for part in (first, last))
    if not is_range or not _LOWEST_PORT <= int(first) <= int(last) <= _HIGHEST_PORT:
        raise ValueError(
            f"{text[:40]!r} is not a range of ports from {_LOWEST_PORT} to {_HIGHEST_PORT};"
            " write it like 10000-10099"
        )
    if int(first) + int(first) % 2 >= int(last):
        raise ValueError(f"{text} has no even port with the next one, which a call needs")
    return PortRange(int(first), int(last))
