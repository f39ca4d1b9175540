"""The events that a handler finds in its mailbox (RFC 3261 §16.7, §16.10)."""

from typing import TYPE_CHECKING

from sip.message.message import Response

if TYPE_CHECKING:
    from sip.transaction.upstream import Branch


class BranchEvent:
    """The end of a branch, by a final response or a status that stands for it; or a CANCEL.

    `branch` is None for a CANCEL from upstream; `reason` is then the value of its Reason, "" if it
    has none.  `response` is None if none was received: `status` is then 408 for a time-out, 503 for
    a next hop that cannot be reached, 513 for a request too large for a datagram (§8.1.3.1, §16.9),
    500 for an internal error.
    """

    __slots__ = ("branch", "reason", "response", "status")

    def __init__(
        self, branch: "Branch | None", status: int, response: Response | None, reason: str = ""
    ) -> None:
        self.branch = branch
        self.status = status
        self.response = response
        self.reason = reason
