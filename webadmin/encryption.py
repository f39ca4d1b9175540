"""Encryption checks: is the traffic between a browser and the web admin encrypted?"""

import ipaddress

from bottle import request

from sip.config import Config


def is_exposed(config: Config) -> bool:
    """Return True if other machines can reach the pages, and without TLS."""
    return not config.web_cert and not config.web_addr.is_loopback


def is_encrypted() -> bool:
    """Return True if the browser uses HTTPS, also through a proxy that terminates TLS.

    X-Forwarded-Proto counts only from this machine.  Origin is set by the browser itself.
    """
    return (
        request.environ.get("wsgi.url_scheme") == "https"
        or request.headers.get("Origin", "").startswith("https:")
        or (request.headers.get("X-Forwarded-Proto") == "https" and _is_from_loopback())
    )


def is_private() -> bool:
    """Return True if the request itself came by TLS, or from this machine.

    A proxy on this machine says by X-Forwarded-Proto if the client used TLS.  Unlike `is_encrypted`
    this trusts no header that a client on another machine could send.
    """
    if request.environ.get("wsgi.url_scheme") == "https":
        return True
    return _is_from_loopback() and request.headers.get("X-Forwarded-Proto", "https") == "https"


def _is_from_loopback() -> bool:
    try:
        return ipaddress.ip_address(request.environ.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
