"""Request validation (RFC 3261 §16.3), and refusals of requests that lead nowhere."""

from sip.core import causes
from sip.core.errors import Cause, Refused
from sip.core.proxy.loops import has_looped, hops_left
from sip.core.proxy.route_ticket import DialogSide
from sip.core.uas import OWN_METHODS, check_secure_scheme
from sip.message.headers import METHODS
from sip.message.message import Request
from sip.transaction.upstream import Upstream
from sip.transport.flow import Flow
from sip.transport.transports import Transports

SCHEMES = frozenset({"sip", "tel"})  # by any transport


def outside_cause(request: Request, side: DialogSide | None) -> Cause:
    """Return the reason why a request with the tags of a dialog belongs to no dialog here."""
    if side is None:
        return causes.NO_TICKET.of()
    routes = request.fields("route") if "route" in request.present else [request.uri_text]
    return causes.FOREIGN_TARGET.of(uri=routes[0])


def not_served_here(method: str) -> Refused:
    """Return the refusal of a request to the server itself (§8.2.1)."""
    if method in METHODS:
        cause = causes.METHOD_NOT_ALLOWED.of(method=method)
        return Refused(405, cause, extra=(("Allow", OWN_METHODS),))
    return Refused(501, causes.UNKNOWN_METHOD.of(method=method))


def check_ack(request: Request, flow: Flow, transports: Transports) -> None:
    """Validate an ACK (§16.3, steps 2 and 3).  Raises Refused or BadMessage."""
    if (scheme := request.uri.scheme) not in SCHEMES:
        check_secure_scheme(scheme, flow, transports)
    if hops_left(request) == 0:
        raise Refused(483, causes.TOO_MANY_HOPS.of())


def check_forwardable(request: Request, mark: str, upstream: Upstream) -> None:
    """Validate a request before any look-up (§16.3).

    `mark` is its `loop_mark`.  Raises Refused or BadMessage.
    """
    if (scheme := request.uri.scheme) not in SCHEMES:
        check_secure_scheme(scheme, upstream.flow, upstream.layer.transports)
    if hops_left(request) == 0:
        raise Refused(483, causes.TOO_MANY_HOPS.of())
    if has_looped(request, mark):
        raise Refused(482, causes.LOOP.of())
    required = request.values("proxy-require")
    if required:
        raise Refused(
            420,
            causes.UNSUPPORTED_EXTENSION.of(tags=", ".join(required)),
            extra=(("Unsupported", ", ".join(required)),),
        )
