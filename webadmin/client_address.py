"""The address of the client of a request, also behind a proxy that -web.proxies names.

A proxy appends the address of its peer to X-Forwarded-For.  All in that field but the part that our
own proxies have added was written by the client, so it is read from its end: the first address that
is no proxy of ours is the client.
"""

import ipaddress
import logging
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from bottle import request

from sip.operator_values import Network
from webadmin.http.compression import WSGIApp

log = logging.getLogger(__name__)

# The entry of the environment that says if a proxy may have sent the request.
_FROM_PROXY = "sipserver.from_proxy"
# Proxies behind one another; a longer field is not read further.
_MAX_PROXIES = 10

_Address = IPv4Address | IPv6Address


def with_client_addresses(app: WSGIApp, proxies: Callable[[], tuple[Network, ...]]) -> WSGIApp:
    """Return `app` with the client's address as REMOTE_ADDR if one of `proxies` sends a request."""
    has_warned = False

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        nonlocal has_warned
        peer, field = environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR", "")
        environ[_FROM_PROXY] = _is_loopback(peer) or is_within(peer, proxies())
        if field and proxies():
            environ["REMOTE_ADDR"] = client_address(peer, field, proxies())
        elif field and not has_warned and _is_loopback(peer):
            has_warned = True
            log.warning(
                "a proxy on this machine sends X-Forwarded-For, but -web.proxies does not name it:"
                " all its clients share the limit of wrong passwords. Set -web.proxies %s",
                peer,
            )
        return app(environ, start_response)

    return serve


def client_address(peer: str, field: str, proxies: tuple[Network, ...]) -> str:
    """Return the client's address by X-Forwarded-For, `peer` if no proxy has sent the request."""
    client, parts = peer, field.rsplit(",", _MAX_PROXIES)
    while parts and is_within(client, proxies):
        found = _parsed(parts.pop())
        if found is None:
            break
        client = str(found)
    return client


def is_within(address: str, networks: tuple[Network, ...]) -> bool:
    """Return True if an address is in one of the networks."""
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def is_from_proxy() -> bool:
    """Return True if the current request came from this machine, or from one of the proxies."""
    return bool(request.environ.get(_FROM_PROXY))


def is_on_this_machine() -> bool:
    """Return True if the client of the current request is on this machine, and no proxy is known.

    A proxy that is not named may write X-Forwarded-For, too.
    """
    return _is_loopback(client_of_request()) and "HTTP_X_FORWARDED_FOR" not in request.environ


def client_of_request() -> str:
    """Return the address of the client of the current request."""
    return str(request.environ.get("REMOTE_ADDR", ""))


def _is_loopback(address: str) -> bool:
    found = _parsed(address)
    return found is not None and found.is_loopback


def _parsed(text: str) -> _Address | None:
    """Return an address, also one with a port as some proxies write it; None for another text."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
