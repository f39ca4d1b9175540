"""Outbound: the rules of a registrar for flows that phones keep alive (RFC 5626 §6)."""

from collections.abc import Sequence

from sip.core import causes
from sip.core.errors import Refused
from sip.core.registrar.bindings import Binding
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr
from sip.message.message import Request

# Seconds within which a phone on a connection has to send a keep-alive (§4.4.1).  On UDP it sends
# STUN requests more often by itself.  No connection is closed for a missing one: the system probes
# each that is silent.
FLOW_TIMER = 120


def supports(request: Request, tag: str) -> bool:
    """Return True if the sender of a request supports an extension (RFC 3261 §20.37)."""
    if "supported" not in request.present:
        return False
    return tag in [known.lower() for known in request.values("supported")]


def checked_reg_id(
    request: Request, reg_id: int, path: tuple[str, ...], *, is_proxied: bool
) -> tuple[int, bool]:
    """Return the reg-id of a Contact with an instance id, 0 if it is ignored, and is_outbound.

    Outbound is used if the phone supports it, and if the first hop of its REGISTER does: that is
    this server, or the proxy with the last Path value, which then has an `ob`.  Raises Refused
    (439) if only the phone does.
    """
    is_supported = supports(request, "outbound")
    if is_proxied and not _ends_with_outbound(path):
        if is_supported:
            phrase = "First Hop Lacks Outbound Support"
            raise Refused(439, causes.OUTBOUND_UNSUPPORTED.of(), reason=phrase)
        return 0, False
    return reg_id, is_supported


def _ends_with_outbound(path: tuple[str, ...]) -> bool:
    try:
        return bool(path) and parse_name_addr(path[-1]).sip_uri.param("ob") is not None
    except BadMessage:
        return False


def check_single_flow(wanted: Sequence[Binding], now: float) -> None:
    """Refuse a REGISTER that binds several contacts, one of them as a flow.  Raises BadMessage.

    Contacts that it removes do not count (§6).
    """
    kept = [binding for binding in wanted if binding.expires_at > now]
    if len(kept) > 1 and any(binding.profile.reg_id for binding in kept):
        raise BadMessage("several contacts and a reg-id in one REGISTER")


def claim(wanted: Sequence[Binding], *, is_connection: bool) -> tuple[tuple[str, str], ...]:
    """Return the header fields which say that Outbound is used for the contacts of a REGISTER."""
    own = [binding.profile for binding in wanted if binding.profile.is_outbound]
    if not own:
        return ()
    fields = ("Require", "outbound"), ("Supported", "outbound, path")
    if is_connection and not own[0].is_proxied:
        return *fields, ("Flow-Timer", str(FLOW_TIMER))
    return fields
