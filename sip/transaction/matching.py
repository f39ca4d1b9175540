"""What a transaction is known by, and the requests that it makes by itself (RFC 3261 §17, §9.1)."""

from sip.message.grammar import BadMessage, split_list, unfold
from sip.message.headers import MAGIC_COOKIE, parse_name_addr
from sip.message.message import Request, Response
from sip.transaction.server import Key

_COOKIE = MAGIC_COOKIE.lower()  # a branch is a token, and tokens have no case (§7.3.1)


def is_unique(branch: str) -> bool:
    """Tell whether a branch is a client's mark on one transaction (§8.1.1.7).

    The cookie with nothing behind it marks none.
    """
    return len(branch) > len(_COOKIE) and branch[: len(_COOKIE)].lower() == _COOKIE


def transaction_key(request: Request, method: str, to_tag: str | None = None) -> Key:
    """What a repeat of a request, its ACK or its CANCEL is known by (§17.2.3).

    `method` is INVITE for an ACK or CANCEL of one.  Clients of RFC 2543 mark no branch as
    unique; there the fields that repeat, taken together, must do.  Of these the To tag is that of
    the request, unless `to_tag` says another: an ACK has the answer's.
    """
    via = request.via
    branch = via.branch.lower()
    if is_unique(branch):
        return branch, via.sent_by, method
    if to_tag is None:
        to_tag = request.to.tag
    number = str(request.cseq[0])
    params = str(sorted(via.params.items()))
    return (
        request.uri_text, to_tag, request.from_.tag, request.call_id, number,
        via.sent_by, params, method,
    )  # fmt: skip


def way_independent_key(request: Request) -> int:
    """What a request keeps whichever way it comes: From tag, Call-ID and CSeq (§8.2.2.2).

    64 bits in the place of three texts, since it is held as long as the transaction.
    """
    return hash((request.from_.tag, request.call_id, *request.cseq))


def tag_of(line: str) -> str:
    """The tag of a From or To line, "" where there is none or it can't be read."""
    try:
        return parse_name_addr(unfold(line.partition(":")[2]).strip(" \t")).tag
    except BadMessage:
        return ""


def has_way_back(response: Response) -> bool:
    """Tell whether a Via stands below ours; without one a response is not passed on (§16.7)."""
    names = response.names
    return names.count("via") > 1 or len(split_list(response.required("via"))) > 1


def ack_of_failure(request: Request, response: Response) -> Request:
    """Build the ACK that a client transaction sends for 300 to 699 (§17.1.1.3)."""
    return _in_the_name_of(request, "ACK", to_line=response.lines[response.names.index("to")])


def cancel_of(request: Request, reason: str) -> Request:
    """Build the CANCEL of a request of ours (§9.1); its Via is added when it is sent.

    `reason` is a Reason value (RFC 3326), "" for none.
    """
    cancel = _in_the_name_of(request, "CANCEL", to_line=request.lines[request.names.index("to")])
    cancel.remove_top_via()
    if reason:
        cancel.set("reason", f"Reason: {reason}")
    return cancel


def _in_the_name_of(request: Request, method: str, to_line: str) -> Request:
    """A request with the target, top Via, Route, From, Call-ID and number of another."""
    names, lines = ["via"], [request.lines[request.names.index("via")]]
    for name, line in zip(request.names, request.lines, strict=True):
        if name in ("route", "from", "call-id"):
            names.append(name)
            lines.append(line)
    names += ["to", "cseq", "max-forwards", "content-length"]
    lines += [to_line, f"CSeq: {request.cseq[0]} {method}", "Max-Forwards: 70", "Content-Length: 0"]
    return Request(method, request.uri_text, names, lines)
