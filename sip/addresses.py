"""Addresses that operators write: where to listen, what to advertise, name servers."""

import ipaddress
import re
from dataclasses import dataclass

from sip.operator_values import HOST_NAME

# Scheme, host and port of a web site, as browsers write them in Origin (RFC 6454 §7).
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Address:
    """A listening address; host None means all IPv4 and IPv6 addresses of the machine."""

    host: str | None
    port: int

    def __str__(self) -> str:
        return host_port(self.host or "", self.port)

    @property
    def is_loopback(self) -> bool:
        """Return True if the address cannot be reached from another machine."""
        return self.host is not None and ipaddress.ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True)
class Advertised:
    """The host[:port] advertised in Via and Record-Route; port None means the listening port."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return host_port(self.host, self.port)


def host_port(host: str, port: int | None) -> str:
    """Write host and port the way a SIP URI does, IPv6 in brackets."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def _split(text: str) -> tuple[str, str]:
    """Split `host:port`, or `[IPv6]:port`; either part may be empty.  Raises ValueError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError(text)
        return host, rest[1:]
    host, _, port = text.partition(":")
    return host, port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise ValueError(text)
    return int(text)


def parse_address(text: str) -> Address:
    """Parse `:5060`, `127.0.0.1:5060` or `[::1]:5060`; with port 0 the system chooses the port.

    Raises ValueError.
    """
    try:
        host, port = _split(text)
        if host == "localhost":
            host = "127.0.0.1"
        listening = str(ipaddress.ip_address(host)) if host else None
        if (":" in host) != text.startswith("["):
            raise ValueError(text)
        return Address(listening, _port(port))
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address; write it like :5060, 127.0.0.1:5060 or [::1]:5060"
        ) from None


def parse_optional_address(text: str) -> Address | None:
    """Parse an address as `parse_address` does; `off` is None.  Raises ValueError."""
    return None if text.lower() in ("", "off") else parse_address(text)


def parse_origins(text: str) -> tuple[str, ...]:
    """Parse the origins of web sites, separated by commas (RFC 6454 §7).  Raises ValueError."""
    origins = tuple(each.strip().rstrip("/").lower() for each in text.split(",") if each.strip())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} must be like https://office.example.com")
    return origins


def parse_advertised(text: str) -> Advertised | None:
    """Parse `host` or `host:port`; an empty text is None: advertise the local address.

    Raises ValueError.
    """
    if not text:
        return None
    try:
        host, port = _split(text)
        if ":" in host:
            ipaddress.IPv6Address(host)
        elif not HOST_NAME.fullmatch(host):
            raise ValueError(text)
        return Advertised(host, _port(port) if port or text.endswith(":") else None)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a host with an optional port; write it like sip.example.com:5060"
        ) from None


def parse_relay(text: str) -> tuple[str, int] | None:
    """Parse `host:port` of a media relay; an empty text is None.  Raises ValueError."""
    try:
        relay = parse_advertised(text)
        if relay is None:
            return None
        if not relay.port:
            raise ValueError(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not the address of a media relay; write it like 127.0.0.1:2223"
        ) from None
    return relay.host, relay.port


def parse_name_servers(text: str) -> tuple[tuple[str, int], ...]:
    """Parse addresses of DNS servers; the default port is 53.  Raises ValueError."""
    servers: list[tuple[str, int]] = []
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            bare = f"[{part}]" if part.count(":") > 1 and part[0] != "[" else part
            host, port = _split(bare)
            server = str(ipaddress.ip_address(host)), _port(port or "53")
            if server[1] == 0:
                raise ValueError(part)
            servers.append(server)
        except ValueError:
            raise ValueError(
                f"{part!r} is not the address of a DNS server;"
                " write it like 192.0.2.53 or [::1]:5353"
            ) from None
    return tuple(servers)
