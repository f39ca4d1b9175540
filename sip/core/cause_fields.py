"""Warning and Reason: a cause, told to peers that have authenticated.

A response of ours has both: Warning (RFC 3261 §20.43) for people; and, to an INVITE, Reason with
the cause value of ITU-T Q.850 that telephone networks use (RFC 6432 allows no other protocol
there).  In a CANCEL or BYE, Reason has a SIP status, too (RFC 3326 §2).
"""

from typing import Final

from sip.core.errors import Fields, printable
from sip.core.q850 import Q850_OF_STATUS
from sip.message.grammar import quote
from sip.transaction.upstream import Upstream

# "Miscellaneous warning": text for a person, by which no system acts (§20.43).  The codes below it
# are for faults of a session description, which this server does not read.
_MISCELLANEOUS: Final = 399
# Characters of a text, so that a response stays smaller than a datagram.
_MAX_TEXT: Final = 300


def cause_fields(upstream: Upstream, status: int, text: str) -> Fields:
    """Return Warning and Reason of a response of ours, none for a sender that is not verified.

    An unverified sender must not learn the cause: the text has names of users, settings and states.
    """
    if not upstream.is_verified or not text:
        return ()
    quoted = quote(printable(text[:_MAX_TEXT]))
    warning = "Warning", f"{_MISCELLANEOUS} {upstream.sent_by} {quoted}"
    number, request = Q850_OF_STATUS.get(status), upstream.request
    if number is None or request is None or request.method != "INVITE":
        return (warning,)
    return warning, ("Reason", f"Q.850;cause={number};text={quoted}")


def reason_of(status: int, text: str | None, *, protocol: str = "SIP") -> str:
    """Return the value of Reason for a request of ours; `text` is a cause or a phrase, or None."""
    return f"{protocol};cause={status}" + (f";text={quote(printable(text))}" if text else "")
