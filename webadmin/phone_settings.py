"""What to type into a phone so that it registers here."""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from bottle import request

from sip.config import Config, host_port
from sip.listening import ListeningAddress, is_wildcard
from sip.transport.transport_names import TRANSPORTS

_SIP_PORT = 5060
_OF_EVERY_SERVER = tuple(TRANSPORTS)  # for pages without a running server
_UNESCAPED = "-_.!~*'()&=+$,;?/"  # RFC 3261 §25.1, user


class PhoneSettings(NamedTuple):
    """The fields of a phone's account, by the names that most phones give them."""

    username: str
    domain: str  # a host, and its port where it isn't the one that every phone takes by itself
    proxy: str  # where to send what is for that domain; none where its name leads here by itself
    realm: str
    address: str  # what others dial
    transport: str  # the choice there is, in words
    escaped: str = ""  # the user name as an address has it, where that is another text


def phone_settings(
    config: Config, listening: Sequence[ListeningAddress], username: str, realm: str
) -> PhoneSettings:
    """Work out the settings for an account, from the addresses that SIP listens on.

    In the main realm this server's own address will do for a domain.  To register in another one
    the phone has to say so, and who would find this server by that name is not known here.
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
    return PhoneSettings(username, domain, proxy, realm, f"sip:{user}@{domain}", transport, escaped)


def _transports(listening: Sequence[ListeningAddress], usual_port: int) -> str:
    """Name each transport, and its port where it is another than that of the others."""
    names = [
        each.transport + (f" (port {each.port})" if each.port != usual_port else "")
        for each in listening
    ]
    return " or ".join(dict.fromkeys(names or _OF_EVERY_SERVER))


def _reachable_host() -> str:
    """Give an address of this machine that a phone can reach.

    The one that the browser came by is best, unless it works on this machine alone.
    """
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        host = ""
    if host and host != "localhost" and not _is_loopback(host):
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the system only picks the interface
            return str(probe.getsockname()[0])
        except OSError:
            return host or "localhost"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
