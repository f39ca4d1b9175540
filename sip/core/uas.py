"""Checks and header fields for requests that this server answers itself (RFC 3261 §8.2)."""

from email.utils import formatdate
from functools import lru_cache

from sip.core import causes
from sip.core.errors import Refused
from sip.message.datagram import is_padding
from sip.message.message import Request
from sip.transport.flow import Flow
from sip.transport.transport_names import TLS
from sip.transport.transports import Transports

# Option tags that a REGISTER may require: Path (RFC 3327).
SUPPORTED = frozenset({"path"})
# The body type that a request to the server itself may have; the body is not read.
ACCEPTED = "application/sdp"


@lru_cache(maxsize=1)  # formatted once per second
def sip_date(unix_second: int) -> str:
    """Return the value of Date (§20.17)."""
    return formatdate(unix_second, usegmt=True)


def check_secure_scheme(scheme: str, flow: Flow, transports: Transports) -> None:
    """Check the scheme of a Request-URI that is not sip: (§8.2.2.1, §26.2.2).  Raises Refused.

    A sips: URI is served over TLS only (400), and not at all if this server has no TLS (416).
    """
    if scheme != "sips" or not transports.speaks(TLS):
        raise Refused(416, causes.UNSUPPORTED_SCHEME.of(scheme=scheme))
    if not flow.is_secure:
        cause = causes.SIPS_WITHOUT_TLS.of(transport=flow.transport)
        raise Refused(400, cause, reason="SIPS Needs TLS")


def check_required(request: Request) -> None:
    """Refuse unknown option tags in Require (§8.2.2.3).  Raises Refused (420)."""
    unknown = [tag for tag in request.values("require") if tag.lower() not in SUPPORTED]
    if unknown:
        extra = (("Unsupported", ", ".join(unknown)),)
        raise Refused(420, causes.UNSUPPORTED_EXTENSION.of(tags=", ".join(unknown)), extra=extra)


def check_content(request: Request) -> None:
    """Refuse a body of an unknown type that is not optional (§8.2.3).  Raises Refused (415)."""
    is_counted = "content-length" in request.present
    if not request.body or (not is_counted and is_padding(request.body)):
        return
    content_type = (request.value("content-type") or "").partition(";")[0].strip(" \t").lower()
    encoding = (request.value("content-encoding") or "identity").lower()
    disposition = (request.value("content-disposition") or "").replace(" ", "").lower()
    if "handling=optional" in disposition or (content_type, encoding) == (ACCEPTED, "identity"):
        return
    extra = (("Accept", ACCEPTED), ("Accept-Encoding", "identity"))
    raise Refused(415, causes.UNSUPPORTED_BODY.of(type=content_type or "?"), extra=extra)


# The Allow of the server itself, for OPTIONS and 405 (§11.2, §21.4.6).
OWN_METHODS = "ACK, CANCEL, OPTIONS, REGISTER"
