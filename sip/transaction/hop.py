"""What a transaction is known by, and the requests that it makes by itself (RFC 3261 §17, §9.1)."""

import os

from sip.message.grammar import split_list
from sip.message.headers import MAGIC_COOKIE
from sip.message.message import Request, Response
from sip.transaction.server import Key

_COOKIE = MAGIC_COOKIE.lower()  # a branch is a token, and tokens have no case (§7.3.1)
_STATELESS = os.urandom(8)
FINGERPRINT_LENGTH = 16


def fingerprint(*texts: str) -> str:
    """Text that follows from texts: what was answered or passed on without memory is known by it.

    Python's hash is keyed anew at each start, which is all that is needed.
    """
    return format(hash((_STATELESS, *texts)) & (2**64 - 1), "016x")


def transaction_key(request: Request, method: str) -> Key:
    """What a repeat of a request, its ACK or its CANCEL is known by (§17.2.3).

    `method` is INVITE for an ACK or CANCEL of one.  Clients of RFC 2543 mark no branch as
    unique; there the fields that repeat, taken together, must do.  The To tag is none of them,
    since that of an ACK is the answer's.
    """
    via = request.via
    branch = via.branch.lower()
    if branch.startswith(_COOKIE) and len(branch) > len(_COOKIE):
        return branch, via.sent_by, method
    number = str(request.cseq[0])
    params = str(sorted(via.params.items()))
    return (
        request.uri_text, request.from_.tag, request.call_id, number, via.sent_by, params, method
    )  # fmt: skip


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
    del cancel.names[0], cancel.lines[0]
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
