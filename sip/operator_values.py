"""Values that operators write: IP networks and addresses, on and off."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

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
