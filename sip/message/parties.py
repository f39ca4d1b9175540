"""The two parties of a request as short text, for log lines and pages."""

from sip.message.grammar import BadMessage
from sip.message.message import Request
from sip.message.uri import SipUri, Uri, format_host_port

# Maximum characters of one party: a log line has two of them, and the peer chooses both.
MAX_PARTY = 80
UNREADABLE = "?"


def sender_of(request: Request) -> str:
    """Return the From address as `user@host`, or `?` if it is not valid."""
    try:
        return _short(request.from_.uri)
    except BadMessage:
        return UNREADABLE


def recipient_of(request: Request) -> str:
    """Return the called address as `user@host`: To of a REGISTER, else the Request-URI."""
    try:
        return _short(request.to.uri if request.method == "REGISTER" else request.uri)
    except BadMessage:
        return UNREADABLE


def _short(uri: Uri) -> str:
    """Return a URI without scheme and parameters, fit for one line."""
    text = uri.text
    if isinstance(uri, SipUri):
        host = format_host_port(uri.host, uri.port)
        text = f"{uri.user}@{host}" if uri.user else host
    return "".join(c if c.isprintable() and c != " " else "?" for c in text[:MAX_PARTY])
