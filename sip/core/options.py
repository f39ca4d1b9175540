"""OPTIONS to the server itself (RFC 3261 §11.2)."""

from sip.core.stateless import respond_statelessly
from sip.core.uas import ACCEPTED, OWN_METHODS, SUPPORTED, check_content, check_required, sip_date
from sip.message.message import Request
from sip.transaction.upstream import Upstream

# What this server supports (§11.2); Date is added.
_CAPABILITIES = (
    ("Allow", OWN_METHODS),
    ("Accept", ACCEPTED),
    ("Accept-Encoding", "identity"),
    ("Accept-Language", "en"),
    ("Supported", ", ".join(sorted(SUPPORTED))),
)


def answer_options(request: Request, upstream: Upstream, unix_now: float) -> None:
    """Answer with what this server supports.  Raises Refused (420, 415), see `uas`."""
    check_required(request)
    check_content(request)
    extra = (*_CAPABILITIES, ("Date", sip_date(int(unix_now))))
    respond_statelessly(request, upstream, 200, extra)
