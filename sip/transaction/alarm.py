"""An alarm: an event for the mailbox of a handler, at a time."""

from sip.transaction.branch_event import BranchEvent
from sip.transaction.machine import Machine
from sip.transaction.mailbox import Mailbox
from sip.transport.flow import Flow


class Alarm(Machine):
    """Puts an event into a mailbox at `at`, unless it is ended before.

    It is no transaction, and never sends on `flow`: it is in the timer wheel of the transactions,
    whose log lines name a flow.
    """

    __slots__ = ("_event", "_mailbox")

    def __init__(self, mailbox: Mailbox, event: BranchEvent, at: float, flow: Flow) -> None:
        super().__init__(flow)
        self._mailbox = mailbox
        self._event = event
        self.deadline = at

    def tick(self, now: float) -> bytes | None:
        """Put the event if it is due; there is nothing to send."""
        if self.deadline is not None and now >= self.deadline:
            self.end()
            self._mailbox.put(self._event)
        return None
