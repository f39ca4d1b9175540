"""Why a branch failed, in words: by the response of the called side, or without one."""

from sip.core import causes
from sip.core.domains import Domains, username_of
from sip.core.errors import Cause
from sip.core.explain import answer_of
from sip.core.trunk import Trunk
from sip.message.message import Response
from sip.message.names import REASONS
from sip.message.uri import Uri, format_host_port


def called_side(uri: Uri, domains: Domains, trunk: Trunk | None) -> str:
    """Return the called side for a cause: a gateway, the phone of a user, or an address."""
    if trunk is not None:
        gateway = trunk.gateway
        return f"the gateway {format_host_port(gateway.host, gateway.port)}"
    name = username_of(uri)
    if name and domains.realm_of(uri) is not None:
        return f"{name}'s phone"
    return uri.text.partition(":")[2].partition(";")[0]


def cause_of_response(peer: str, response: Response, method: str) -> Cause:
    """Return the cause that a failure response of `peer` stands for."""
    return answer_of(
        peer,
        response.status,
        REASONS.get(response.status, response.reason),
        method=method,
        warning=", ".join(response.fields("warning")),
        reason=", ".join(response.fields("reason")),
    )


def cause_without_response(peer: str, status: int, *, is_silent: bool) -> Cause:
    """Return the cause for a branch that has ended with a status but without a response."""
    if status == 408:
        kind = causes.NO_RESPONSE if is_silent else causes.NO_ANSWER
    elif status == 513:
        kind = causes.TOO_LARGE_FOR_UDP
    else:
        kind = causes.UNREACHABLE if status == 503 else causes.INTERNAL_ERROR
    return kind.of(peer=peer)
