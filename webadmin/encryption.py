"""Encryption checks: is the traffic between a browser and the web admin encrypted?"""

from bottle import request

from sip.config import Config
from webadmin.client_address import is_from_proxy, is_on_this_machine


def is_exposed(config: Config) -> bool:
    """Return True if other machines can reach the pages, and without TLS."""
    return not config.web_cert and not config.web_addr.is_loopback


def is_encrypted() -> bool:
    """Return True if the browser uses HTTPS, also through a proxy that terminates TLS.

    X-Forwarded-Proto counts only from this machine and from the proxies of -web.proxies.  Origin
    is set by the browser itself.
    """
    return (
        request.environ.get("wsgi.url_scheme") == "https"
        or request.headers.get("Origin", "").startswith("https:")
        or (request.headers.get("X-Forwarded-Proto") == "https" and is_from_proxy())
    )


def is_private() -> bool:
    """Return True if the request itself came by TLS, or from a client on this machine.

    A proxy says by X-Forwarded-Proto if the client used TLS.  Unlike `is_encrypted` this trusts no
    header that a client on another machine could send.
    """
    if request.environ.get("wsgi.url_scheme") == "https":
        return True
    usual = "https" if is_on_this_machine() else "http"
    return is_from_proxy() and request.headers.get("X-Forwarded-Proto", usual) == "https"
