"""Request validation (RFC 3261 §16.3): the checks before any look-up of a target."""

from sip.core import causes
from sip.core.errors import Refused
from sip.core.proxy.loops import has_looped, hops_left
from sip.message.message import Request

SCHEMES = frozenset({"sip", "tel"})


def check_forwardable(request: Request, mark: str) -> None:
    """Validate a request before any look-up (§16.3).

    `mark` is its `loop_mark`.  Raises Refused or BadMessage.
    """
    scheme = request.uri.scheme
    if scheme not in SCHEMES:
        raise Refused(416, causes.UNSUPPORTED_SCHEME.of(scheme=scheme))
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
