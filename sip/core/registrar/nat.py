"""NAT detection: whether a phone is reachable at its Contact, or only along its flow.

Problem: a Contact may name a private address of another network, or a host that no look-up finds.
Model: a Via that matches the source shows that no NAT is in between, so such a phone knows its own
    address, and its Contact is used; every other phone is reached along the flow of its request.
Invariant: a request goes to a Contact only if that can mean the same host here as at the phone.
Bounds: one pass over _PRIVATE per host, cached; no function waits for DNS.
"""

from ipaddress import ip_address, ip_network

from sip.core.domains import Domains
from sip.message.cache import cached_parse
from sip.message.headers import Via
from sip.message.uri import SipUri, Uri, is_address
from sip.transport.dns.resolver import (
    Resolver,
    is_loopback,
)
from sip.transport.flow import Flow
from sip.transport.transport_names import is_datagram

# RFC 1918, 3927, 4193, 4291 §2.5.6, 6598, loopback, and unspecified addresses.
_PRIVATE = [
    ip_network(text)
    for text in (
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 100.64.0.0/10 127.0.0.0/8 "
        "0.0.0.0/8 fc00::/7 fe80::/10 ::/127"
    ).split()
]


def is_behind_nat(
    contact: SipUri, flow: Flow, domains: Domains, resolver: Resolver, *, via_is_true: bool
) -> bool:
    """Return True if a phone can be reached only along the flow of its request.

    That is so if its Via does not match the source, if its Contact is a private address other than
    the source, and if no look-up can lead to its Contact: the host is `.invalid`, `.local` or a
    single label, or the transport is not supported here.  A public Contact at another address is
    used as it is if the Via matches the source.  A Contact that names this server is used as it is;
    `localhost` in the Contact of a phone on another machine does not name us.
    """
    host, source = contact.host, flow.remote[0]
    if via_is_true and host == source and not contact.params:  # most phones
        return False
    if domains.is_local(contact) and not is_loopback_elsewhere(contact, flow):
        return False
    if not via_is_true:
        return True
    if host != source and is_address(host) and is_private(host):
        return True
    return not resolver.is_routable(contact, source)


def is_loopback_elsewhere(contact: SipUri, flow: Flow) -> bool:
    """Return True for a loopback Contact of a phone on another machine."""
    host, source = contact.host, flow.remote[0]
    is_own_machine = host.rpartition(".")[2] == "localhost" or is_loopback(host)
    return is_own_machine and source != flow.local[0] and not is_loopback(source)


def is_private_elsewhere(contact: SipUri, seen: str) -> bool:
    """Return True for a Contact whose address means another host here than at the phone.

    `seen` is the source address of the phone.  That is so for a private address sent from a public
    one, and for the loopback or link-local address of another machine.  Within a private network a
    phone may name another address of that network.
    """
    host = contact.host
    if host == seen or not is_address(host):
        return False
    if _is_of_one_link(host):
        return not _is_of_one_link(seen)
    return is_private(host) and not is_private(seen)


def is_on_connection_of(contact: SipUri, flow: Flow) -> bool:
    """Return True if a Contact names the peer of a connection, so the connection leads to it.

    Many phones on a connection omit `transport=tcp`; only `transport=udp` excludes it.
    """
    is_there = flow.connection > 0 and contact.host == flow.remote[0]
    return is_there and not is_datagram(contact.param("transport"))


def flow_to_sender(
    contact: Uri,
    flow: Flow,
    domains: Domains,
    resolver: Resolver,
    *,
    via_is_true: bool,
    is_plain: bool,
) -> Flow | None:
    """Return the flow to the sender of a message in a dialog; None: send to its Contact.

    The message arrived along `flow`.  `via_is_true` says that its Via matches the source address,
    `is_plain` that the sender was reached at its Contact until now.
    """
    source = flow.remote[0]
    if flow.is_only_way or not isinstance(contact, SipUri) or domains.is_local(contact):
        return flow
    if flow.connection and contact.param("ob") is not None:  # RFC 5626 §4.3: by this flow alone
        return flow
    if is_on_connection_of(contact, flow):
        return reusable_flow(contact, flow, via_is_true=via_is_true)
    if (
        not via_is_true
        or is_private_elsewhere(contact, source)
        or not resolver.is_routable(contact, source)
    ):
        return flow
    # A Docker or VPN address looks like one of the office; only one near the source is used.
    is_foreign = is_address(contact.host) and is_private(contact.host)
    if is_foreign and not is_plain and not _are_in_one_network(contact.host, source):
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
def _are_in_one_network(one: str, other: str) -> bool:
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
def is_private(host: str) -> bool:
    """Return True for an address that is not unique; `is_private` would include test networks."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)


def reusable_flow(
    contact: Uri | None, flow: Flow, *, via_is_true: bool, via: Via | None = None
) -> Flow:
    """Return the flow to store.  For a connection, add the port the peer listens on, if known.

    With that port we can reconnect after the connection has closed (§18.1.1); behind NAT we cannot.
    It is the port of a Contact at the source address if the Via matches the source, unless it is
    the port of the connection itself, on which the peer does not listen.  For a peer that is not
    registered here, such as a proxy, the Contact or Record-Route is often a name: then `via` gives
    the port, as for responses (§18.2.2), unless it has another address than the source.
    """
    if not flow.is_connection:
        return flow
    if (
        via_is_true
        and isinstance(contact, SipUri)
        and contact.host == flow.remote[0]
        and (contact.param("transport") or "").upper() == flow.transport
        and (contact.port or flow.default_port) != flow.remote[1]
    ):
        return flow._replace(port=contact.port or flow.default_port)
    if via is not None and (via_is_true or not is_address(via.host_port[0])):
        return flow._replace(port=via.host_port[1] or flow.default_port)
    return flow
