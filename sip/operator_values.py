"""Values that operators write: IP networks and addresses, ranges of ports, on and off."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

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


def network_text(network: Network) -> str:
    """Return the text that `parse_network` reads; a single address has no prefix length."""
    return str(network.network_address if network.num_addresses == 1 else network)


def parse_switch(text: str) -> bool:
    """Parse on or off, true or false, yes or no, 1 or 0.  Raises ValueError."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError(f"{text!r} must be on or off") from None


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
