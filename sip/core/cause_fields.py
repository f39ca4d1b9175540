"""Warning and Reason: a cause, told to peers that have authenticated.

A response of ours has both: Warning (RFC 3261 §20.43) for people; and, to an INVITE, Reason with
the cause value of ITU-T Q.850 that telephone networks use (RFC 6432 allows no other protocol
there).  In a CANCEL or BYE, Reason has a SIP status, too (RFC 3326 §2).
"""

from typing import Final

from sip.core.errors import Fields, printable
from sip.message.grammar import quote
from sip.transaction.upstream import Upstream

# "Miscellaneous warning": text for a person, by which no system acts (§20.43).  The codes below it
# are for faults of a session description, which this server does not read.
_MISCELLANEOUS: Final = 399
# The cause value of a status by RFC 3398 §8.2.6.1.  487 and 488 have none there.
_Q850: Final = (
    dict.fromkeys((404, 485, 604), 1)  # unallocated number
    | dict.fromkeys((486, 600), 17)  # user busy
    | {480: 18}  # no user responding
    | dict.fromkeys((402, 403, 603), 21)  # call rejected
    | {410: 22}  # number changed
    | dict.fromkeys((482, 483), 25)  # exchange routing error
    | {484: 28}  # invalid number format
    | {502: 38}  # network out of order
    | dict.fromkeys((400, 481, 500, 503), 41)  # temporary failure
    | {405: 63}  # service or option unavailable
    | dict.fromkeys((406, 415, 501), 79)  # service or option not implemented
    | dict.fromkeys((408, 504), 102)  # recovery on timer expiry
    | dict.fromkeys((413, 414, 416, 420, 421, 423, 505, 513), 127)  # interworking
)


def cause_fields(upstream: Upstream, status: int, text: str) -> Fields:
    """Return Warning and Reason of a response of ours, none for a sender that is not verified.

    An unverified sender must not learn the cause: the text has names of users, settings and states.
    """
    if not upstream.is_verified or not text:
        return ()
    quoted = quote(printable(text))
    warning = "Warning", f"{_MISCELLANEOUS} {upstream.sent_by} {quoted}"
    number, request = _Q850.get(status), upstream.request
    if number is None or request is None or request.method != "INVITE":
        return (warning,)
    return warning, ("Reason", f"Q.850;cause={number};text={quoted}")


def reason_of(status: int, text: str | None, *, protocol: str = "SIP") -> str:
    """Return the value of Reason for a request of ours; `text` is a cause or a phrase, or None."""
    return f"{protocol};cause={status}" + (f";text={quote(printable(text))}" if text else "")
