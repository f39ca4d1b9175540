"""Values as operators write them: networks and addresses, on and off."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

_TRUTHS = {"on": True, "true": True, "yes": True, "1": True}
_FALSEHOODS = {"off": False, "false": False, "no": False, "0": False}
_SWITCH = _TRUTHS | _FALSEHOODS


def parse_network(text: str) -> Network:
    """Read an address or a network.  Raises ValueError with a sentence for what is neither."""
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"{text.strip()[:60]!r} is no address or network; write it like 192.0.2.7 or"
            " 192.168.0.0/16"
        ) from None


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read networks with commas between.  Raises ValueError."""
    return tuple(parse_network(part) for part in text.split(",") if part.strip())


def network_text(network: Network) -> str:
    """Write it as `parse_network` reads it, a single address without its length."""
    return str(network.network_address if network.num_addresses == 1 else network)


def parse_switch(text: str) -> bool:
    """Read on or off, in the words people use for them."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither on nor off") from None
