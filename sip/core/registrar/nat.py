"""How who sent a request can be reached: at its Contact, or only the way that it came."""

from ipaddress import ip_address, ip_network

from sip.core.domains import Domains
from sip.message.cache import cached_parse
from sip.message.headers import Via
from sip.message.uri import SipUri, Uri, is_address
from sip.transport.dns.resolver import (
    Resolver,
    is_loopback,
)
from sip.transport.flow import DEFAULT_PORT, Flow

# RFC 1918, 3927, 4193, 4291 §2.5.6, 6598, loopback, and what says no address at all.
_PRIVATE = [
    ip_network(text)
    for text in (
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 100.64.0.0/10 127.0.0.0/8 "
        "0.0.0.0/8 fc00::/7 fe80::/10 ::/127"
    ).split()
]


def needs_flow(contact: SipUri, flow: Flow, resolver: Resolver, *, truthful: bool) -> bool:
    """Return True if a phone can be reached only along the flow that its request came by.

    So it is when its Via does not say the source, when its Contact is a private address that is
    not the source's, and when no look-up can ever lead to its Contact: the host is `.invalid`,
    `.local` or a single label, or the transport is not spoken here.  A Contact elsewhere under a
    truthful Via is meant.
    """
    if not truthful:
        return True
    host = contact.host
    if host != flow.remote[0] and is_address(host) and _is_private(host):
        return True
    if host == flow.remote[0] and not contact.params:  # as most are
        return False
    return not resolver.may_reach(contact, flow.remote[0])


def is_loopback_elsewhere(contact: SipUri, flow: Flow) -> bool:
    """Return True for a Contact that means the phone's own machine, which is not this one."""
    host, source = contact.host, flow.remote[0]
    is_own_machine = host.rpartition(".")[2] == "localhost" or is_loopback(host)
    return is_own_machine and source != flow.local[0] and not is_loopback(source)


def is_hidden(contact: SipUri, seen: str) -> bool:
    """Return True for a Contact that means another host here than it does to its phone.

    `seen` is the address at which the phone was seen.  So it is with a private address told from a
    public one, and with the loopback or link-local address of another machine.  Within a private
    network a phone may well name another address of that network.
    """
    host = contact.host
    if host == seen or not is_address(host):
        return False
    if _is_of_one_link(host):
        return not _is_of_one_link(seen)
    return _is_private(host) and not _is_private(seen)


def is_on_connection_of(contact: SipUri, flow: Flow) -> bool:
    """Return True for a Contact at the other end of a connection, which then leads to it.

    Many phones on a connection leave `transport=tcp` out; one that says `udp` means it.
    """
    is_there = flow.connection > 0 and contact.host == flow.remote[0]
    return is_there and (contact.param("transport") or "").lower() != "udp"


def way_back(
    contact: Uri,
    flow: Flow,
    domains: Domains,
    resolver: Resolver,
    *,
    truthful: bool,
    is_plain: bool,
) -> Flow | None:
    """Return the flow to the sender of a message in a dialog; None where its Contact is meant.

    The message came along `flow`; `truthful` says that its Via shows the address it came from,
    `is_plain` that the sender was reached at its Contact until now.
    """
    source = flow.remote[0]
    if not isinstance(contact, SipUri) or domains.is_local(contact):
        return flow
    if is_on_connection_of(contact, flow):
        return lasting_flow(contact, flow, truthful=truthful)
    if not truthful or is_hidden(contact, source) or not resolver.may_reach(contact, source):
        return flow
    # A docker or VPN address looks like one of the office; only a neighbour's is believed.
    is_foreign = is_address(contact.host) and _is_private(contact.host)
    if is_foreign and not is_plain and not _are_neighbours(contact.host, source):
        return flow
    return None


@cached_parse(1024)
def _is_of_one_link(host: str) -> bool:
    """Return True for a loopback or link-local address."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local


@cached_parse(1024)
def _are_neighbours(one: str, other: str) -> bool:
    """Return True if two addresses are in one small network: a /24, in IPv6 a /64."""
    try:
        first, second = ip_address(one), ip_address(other)
    except ValueError:
        return False
    if first.version != second.version:
        return False
    bits = 8 if first.version == 4 else 64
    return int(first) >> bits == int(second) >> bits


@cached_parse(1024)
def _is_private(host: str) -> bool:
    """Tell whether an address means something else elsewhere.  `ipaddress` counts test nets too."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)


def lasting_flow(
    contact: Uri | None, flow: Flow, *, truthful: bool, via: Via | None = None
) -> Flow:
    """The flow that a phone is reached by, longer than a connection lasts where that can be.

    Who has told the truth, and listens for connections at the address that it called from, may be
    called back there (§18.1.1); behind NAT nobody can.  Of who isn't registered here, a proxy say,
    the Contact or Record-Route often is a name: its `via` tells the port, as it does for answers
    (§18.2.2), unless the address in it is another than the source.  A Contact with the port of the
    connection itself is none that it listens at.
    """
    if flow.transport == "UDP":
        return flow
    if (
        truthful
        and isinstance(contact, SipUri)
        and contact.host == flow.remote[0]
        and (contact.param("transport") or "").upper() == flow.transport
        and (contact.port or DEFAULT_PORT) != flow.remote[1]
    ):
        return flow._replace(port=contact.port or DEFAULT_PORT)
    if via is not None and (truthful or not is_address(via.host_port[0])):
        return flow._replace(port=via.host_port[1] or DEFAULT_PORT)
    return flow
