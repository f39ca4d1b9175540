"""Networks as operators write them; a single address is one as well."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network


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
