"""How who sent a request can be reached: at its Contact, or only the way that it came."""

from ipaddress import ip_address, ip_network

from sip.core.routing import Domains
from sip.message.headers import Via
from sip.message.kept import kept
from sip.message.uri import SipUri, Uri
from sip.transport.flow import DEFAULT_PORT, Flow
from sip.transport.resolver import is_address

# RFC 1918, 3927, 4193, 4291 §2.5.6, 6598, loopback, and what says no address at all.
_PRIVATE = [
    ip_network(text)
    for text in (
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 100.64.0.0/10 127.0.0.0/8 "
        "0.0.0.0/8 fc00::/7 fe80::/10 ::/127"
    ).split()
]


def needs_flow(contact: SipUri, flow: Flow, *, truthful: bool) -> bool:
    """Tell whether a phone can be reached only along the flow that its request came by.

    So it is when its Via does not say the source, or when its Contact is a private address that
    is not the source's; a Contact elsewhere under a truthful Via is meant.
    """
    if not truthful:
        return True
    host = contact.host
    return host != flow.remote[0] and is_address(host) and _is_private(host)


def is_hidden(contact: SipUri, seen: str) -> bool:
    """Return True if the host of a Contact means nothing here, told by a phone seen at `seen`.

    So it is with a private address that comes from a public one.  Within a private network a phone
    may well name another address of that network.
    """
    host = contact.host
    return host != seen and is_address(host) and _is_private(host) and not _is_private(seen)


def way_back(contact: Uri, flow: Flow, domains: Domains, *, truthful: bool) -> Flow | None:
    """Return the flow to the sender of a message in a dialog; None where its Contact is meant.

    The message came along `flow`; `truthful` says that its Via shows the address it came from.
    """
    if not isinstance(contact, SipUri) or domains.is_us(contact):
        return flow
    if flow.connection and contact.host == flow.remote[0]:
        return lasting_flow(contact, flow, truthful=truthful)
    return flow if not truthful or is_hidden(contact, flow.remote[0]) else None


@kept(1024)
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
    (§18.2.2), unless the address in it is another than the source.
    """
    if flow.transport == "UDP":
        return flow
    if (
        truthful
        and isinstance(contact, SipUri)
        and contact.host == flow.remote[0]
        and (contact.param("transport") or "").upper() == flow.transport
    ):
        return flow._replace(port=contact.port or DEFAULT_PORT)
    if via is not None and (truthful or not is_address(via.host_port[0])):
        return flow._replace(port=via.host_port[1] or DEFAULT_PORT)
    return flow
