"""Warning: the cause of a refusal, told to peers that have authenticated (RFC 3261 §20.43)."""

from sip.core.errors import Fields, printable
from sip.message.grammar import quote
from sip.transaction.upstream import Upstream

# "Miscellaneous warning": text for a person, by which no system acts (§20.43).  The codes below it
# are for faults of a session description, which this server does not read.
_MISCELLANEOUS = 399


def warning_of(upstream: Upstream, text: str) -> Fields:
    """Return the Warning of a response of ours, nothing for a sender that is not verified.

    An unverified sender must not learn the cause: the text has names of users, settings and states.
    """
    if not upstream.is_verified or not text:
        return ()
    return (("Warning", f"{_MISCELLANEOUS} {upstream.sent_by} {quote(printable(text))}"),)
