"""Max-Forwards, Max-Breadth and loop detection (RFC 3261 §16.3, RFC 5393)."""

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, bounded_number, value_of
from sip.message.message import Request
from sip.transaction.tokens import fingerprint

# Branches that one request may have at a time, wherever it has forked before (RFC 5393 §5.3.2).
MAX_BREADTH = 60


def breadth_left(request: Request) -> int:
    """Return how many branches at once a request may still have (RFC 5393 §5.3).

    Raises BadMessage.
    """
    if "max-breadth" not in request.present:
        return MAX_BREADTH
    breadth = bounded_number(request.required("max-breadth"), MAX_BREADTH)
    if breadth is None:
        raise BadMessage("Malformed Max-Breadth")
    return min(breadth, MAX_BREADTH)


def has_looped(request: Request, mark: str) -> bool:
    """Return True if a request was here before with the same routing fields (RFC 5393 §4.2.1).

    `mark` is its `loop_mark`, which is a part of each branch of ours; it is keyed, so no other host
    can write it.
    """
    names, lines = request.names, request.lines
    if names.count("via") == 1:  # the usual case
        return mark in lines[request.present["via"]]
    return any(name == "via" and mark in line for name, line in zip(names, lines, strict=True))


def loop_mark(request: Request) -> str:
    """Return a keyed hash of all fields that decide the routing of a request, as received.

    It tells a loop (same fields) from a spiral (RFC 5393 §4.2).  A CANCEL has the mark of its
    INVITE.  Raises BadMessage.
    """
    tag, number = request.from_.tag, str(request.cseq[0])
    routes = request.fields("route") if "route" in request.present else ()
    return "." + fingerprint(request.uri_text, *routes, request.call_id, tag, number)


def hops_left(request: Request) -> int:
    """Return Max-Forwards (§16.3, step 3), or 71 without it, so that 70 is sent (§16.6, step 3).

    Raises BadMessage.
    """
    at = request.present.get("max-forwards")
    if at is None:
        return 71
    line = request.lines[at]
    return _cached_hops(line) if len(line) <= _LONGEST_HOPS else _hops(line)


def _hops(line: str) -> int:
    hops = bounded_number(value_of(line), 255)
    if hops is None or hops > 255:
        raise BadMessage("Malformed Max-Forwards")
    return hops


_LONGEST_HOPS = 32
_cached_hops = cached_parse(512)(_hops)
