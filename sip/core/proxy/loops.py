"""Max-Forwards, Max-Breadth and loop detection (RFC 3261 §16.3, RFC 5393)."""

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, bounded_number, value_of
from sip.message.message import Request
from sip.transaction.tokens import fingerprint

# Branches that one request may have at a time, wherever it has forked before (RFC 5393 §5.3.2).
MAX_BREADTH = 60


def breadth_left(request: Request) -> int:
    """Into how many branches at once a request may still be split (RFC 5393 §5.3).

    Raises BadMessage.
    """
    if "max-breadth" not in request.present:
        return MAX_BREADTH
    breadth = bounded_number(request.required("max-breadth"), MAX_BREADTH)
    if breadth is None:
        raise BadMessage("Malformed Max-Breadth")
    return min(breadth, MAX_BREADTH)


def has_looped(request: Request, mark: str) -> bool:
    """Tell whether a request has been here with all the same that leads it on (RFC 5393 §4.2.1).

    `mark` is in each branch of ours that it got; it is keyed, so nobody else writes it.
    """
    vias = [line for name, line in zip(request.names, request.lines, strict=True) if name == "via"]
    return any(mark in via for via in vias)


def loop_mark(request: Request) -> str:
    """What tells a loop from a spiral: all that a request is led on by, as it came (RFC 5393 §4.2).

    The same for a CANCEL as for its INVITE.  Raises BadMessage.
    """
    tag, number = request.from_.tag, str(request.cseq[0])
    routes = request.fields("route") if "route" in request.present else ()
    return "." + fingerprint(request.uri_text, *routes, request.call_id, tag, number)


def hops_left(request: Request) -> int:
    """Max-Forwards (§16.3, step 3); where there is none, such that 70 goes on (§16.6, step 3).

    Raises BadMessage.
    """
    if "max-forwards" not in request.present:
        return 71
    line = request.lines[request.names.index("max-forwards")]
    return _cached_hops(line) if len(line) <= _LONGEST_HOPS else _hops(line)


def _hops(line: str) -> int:
    hops = bounded_number(value_of(line), 255)
    if hops is None or hops > 255:
        raise BadMessage("Malformed Max-Forwards")
    return hops


_LONGEST_HOPS = 32
_cached_hops = cached_parse(512)(_hops)
