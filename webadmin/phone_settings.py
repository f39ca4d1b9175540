"""The account settings that a phone needs to register here."""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from bottle import request

from sip.addresses import host_port
from sip.config import Config
from sip.listening import ListeningAddress, is_wildcard
from sip.transport.transport_names import TCP, UDP
from webadmin.language import _

_SIP_PORT = 5060
_OF_EVERY_SERVER = (UDP, TCP)  # for pages without a running server
_UNESCAPED = "-_.!~*'()&=+$,;?/"  # RFC 3261 §25.1, user


class PhoneSettings(NamedTuple):
    """The account settings of a phone, named as most phones name them."""

    username: str
    domain: str  # the host, and the port if it is not 5060
    proxy: str  # the outbound proxy, empty if the domain itself leads here
    realm: str
    address: str  # the SIP address that callers dial
    transport: str  # the transports, in words
    escaped: str = ""  # the user name as escaped in a SIP address, if it differs
    echo: str = ""  # the SIP address of the robot's echo, empty without the robot


def phone_settings(
    config: Config, listening: Sequence[ListeningAddress], username: str, realm: str
) -> PhoneSettings:
    """Return the settings of an account, from the addresses that SIP listens on.

    In the main realm the domain is this server's own address.  In another realm the domain is the
    realm, and an outbound proxy is needed: its name need not resolve to this server.
    """
    own_port = listening[0].port if listening else config.sip_addr.port
    if config.sip_advertise:
        host, port = config.sip_advertise.host, config.sip_advertise.port or own_port
    else:
        own = config.sip_addr.host
        host, port = own if own and not is_wildcard(own) else _reachable_host(), own_port
    here = host_port(host, None if port == _SIP_PORT else port)
    domain, proxy = (here, "") if realm == config.sip_realm else (realm, here)
    user = quote(username, safe=_UNESCAPED)
    escaped = "" if user == username else user
    transport = _transports(listening, own_port)
    address, echo = f"sip:{user}@{domain}", f"sip:echo@{here}" if config.robot else ""
    return PhoneSettings(username, domain, proxy, realm, address, transport, escaped, echo)


def usual_transport(listening: Sequence[ListeningAddress]) -> str:
    """Return the transport of a `transport` parameter that suits most phones: "tcp" or "udp".

    TCP keeps a phone behind NAT reachable without keep-alives, and has room for large messages.
    """
    at_port = {each.transport for each in listening if each.port == listening[0].port}
    return "tcp" if TCP in at_port else "udp"


def _transports(listening: Sequence[ListeningAddress], usual_port: int) -> str:
    """Return the transports in words, each with its port if it is not the usual one."""
    names = [
        each.transport
        + (_(" (port {port})").format(port=each.port) if each.port != usual_port else "")
        for each in listening
    ]
    return _(" or ").join(dict.fromkeys(names or _OF_EVERY_SERVER))


def _reachable_host() -> str:
    """Return an address of this machine that a phone can reach.

    The host in the browser's address bar is the best choice, unless it is a loopback address.
    """
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        host = ""
    if host and host != "localhost" and not _is_loopback(host):
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(
                ("192.0.2.1", 9)
            )  # sends nothing; the kernel only chooses a source address
            return str(probe.getsockname()[0])
        except OSError:
            return host or "localhost"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
