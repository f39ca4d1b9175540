"""Transaction matching keys, and the ACK and CANCEL that we build (RFC 3261 §17, §9.1)."""

from sip.message.grammar import BadMessage, split_list, unfold
from sip.message.headers import MAGIC_COOKIE, parse_name_addr
from sip.message.message import Request, Response
from sip.message.shape import shape_of
from sip.transaction.server import Key

_COOKIE = MAGIC_COOKIE.lower()  # a branch is a token, and tokens have no case (§7.3.1)


def is_unique(branch: str) -> bool:
    """Return True if the branch is unique to one transaction (§8.1.1.7).

    The magic cookie alone is not.
    """
    return len(branch) > len(_COOKIE) and branch[: len(_COOKIE)].lower() == _COOKIE


def transaction_key(request: Request, method: str, to_tag: str | None = None) -> Key:
    """Return the key that matches a request, its retransmissions, its ACK and CANCEL (§17.2.3).

    `method` is INVITE for the ACK or CANCEL of an INVITE.  Clients of RFC 2543 have no unique
    branch; their key is made of the fields that all these requests share.  `to_tag` replaces the
    To tag of the request: an ACK has the tag of the response.  The parts are joined to one text,
    the method last, because a tuple of texts takes twice the memory.
    """
    via = request.via
    branch = via.branch.lower()
    if is_unique(branch):
        return f"{branch}\n{via.sent_by}\n{method}"
    if to_tag is None:
        to_tag = request.to.tag
    number = str(request.cseq[0])
    params = str(sorted(via.params.items()))
    parts = (
        request.uri_text, to_tag, request.from_.tag, request.call_id, number,
        via.sent_by, params, method,
    )  # fmt: skip
    return "\n".join(parts)


def split_key(key: Key) -> tuple[Key, str]:
    """Split a transaction key into the part that its CANCEL has too, and the method."""
    shared, _, method = key.rpartition("\n")
    return shared, method


def merge_key(request: Request) -> int:
    """Return a key that is the same on all paths of a request (§8.2.2.2).

    It is made of From tag, Call-ID and CSeq: a hash of 60 bits instead of three texts, since each
    transaction holds one; 64 bits would take 16 bytes more.
    """
    return hash((request.from_.tag, request.call_id, *request.cseq)) >> 4


def tag_of(line: str) -> str:
    """Return the tag of a From or To line, "" if it has none or cannot be parsed."""
    try:
        return parse_name_addr(unfold(line.partition(":")[2]).strip(" \t")).tag
    except BadMessage:
        return ""


def has_second_via(response: Response) -> bool:
    """Return True if there is a Via below ours; only such a response is relayed (§16.7)."""
    names = response.names
    return names.count("via") > 1 or len(split_list(response.required("via"))) > 1


def ack_of_failure(request: Request, response: Response) -> Request:
    """Build the ACK that a client transaction sends for 300 to 699 (§17.1.1.3)."""
    return _request_like(request, "ACK", to_line=response.lines[response.present["to"]])


def cancel_of(request: Request, reason: str) -> Request:
    """Build the CANCEL of a request of ours (§9.1); its Via is added when it is sent.

    `reason` is a Reason value (RFC 3326), "" for none.
    """
    cancel = _request_like(request, "CANCEL", to_line=request.lines[request.present["to"]])
    cancel.remove_top_via()
    if reason:
        cancel.set("reason", f"Reason: {reason}")
    return cancel


def _request_like(request: Request, method: str, to_line: str) -> Request:
    """Build a request with the Request-URI, top Via, Route, From, Call-ID and number of another."""
    names, lines = ["via"], [request.lines[request.present["via"]]]
    for name, line in zip(request.names, request.lines, strict=True):
        if name in ("route", "from", "call-id"):
            names.append(name)
            lines.append(line)
    names += ["to", "cseq", "max-forwards", "content-length"]
    lines += [to_line, f"CSeq: {request.cseq[0]} {method}", "Max-Forwards: 70", "Content-Length: 0"]
    return Request(method, request.uri_text, shape_of(tuple(names)), lines)
