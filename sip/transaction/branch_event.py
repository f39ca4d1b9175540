"""What a handler finds in its mailbox."""

from typing import TYPE_CHECKING

from sip.message.message import Response

if TYPE_CHECKING:
    from sip.transaction.upstream import Branch


class BranchEvent:
    """What a branch brought: a final response, or a status in its stead; or a CANCEL.

    `branch` is None for a CANCEL from upstream, whose Reason is `reason`, "" where it has none.
    `response` is None where nobody sent one: 408 for silence, 503 for a next hop that could not be
    reached, 513 for a request that no datagram holds (§8.1.3.1, §16.9).
    """

    __slots__ = ("branch", "reason", "response", "status")

    def __init__(
        self, branch: "Branch | None", status: int, response: Response | None, reason: str = ""
    ) -> None:
        self.branch = branch
        self.status = status
        self.response = response
        self.reason = reason
