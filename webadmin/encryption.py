"""Whether somebody on the way can read what passes between a browser and us."""

import ipaddress

from bottle import request

from sip.config import Config


def is_exposed(config: Config) -> bool:
    """Tell whether the pages leave this machine without TLS."""
    return not config.web_cert and not config.web_addr.is_loopback


def is_encrypted() -> bool:
    """Tell whether the browser came by HTTPS, also through a proxy that ends TLS before us.

    A proxy is believed on this machine alone.  The Origin is the browser's own word.
    """
    return (
        request.environ.get("wsgi.url_scheme") == "https"
        or request.headers.get("Origin", "").startswith("https:")
        or (request.headers.get("X-Forwarded-Proto") == "https" and _is_from_here())
    )


def _is_from_here() -> bool:
    try:
        return ipaddress.ip_address(request.environ.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
