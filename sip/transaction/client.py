"""Client transactions: our requests until they are answered (RFC 3261 §17.1, RFC 6026 §7.2).

State machines without socket or clock, like those of the server side.  `receive` takes the status
of a response and returns True if the response goes on to the transaction user.
"""

from typing import Protocol

from sip.message.message import Request, Response
from sip.transaction.machine import T1, T2, T4, TIMEOUT, TIMER_C, TIMER_D, Machine, State
from sip.transport.flow import Flow


class TransactionUser(Protocol):
    """The user of a client transaction (§17.1): it gets the responses or a status instead."""

    def on_response(self, response: Response, is_first: bool) -> None:
        """Take a response; `is_first` is False for all that follow a final response."""

    def on_failure(self, status: int) -> None:
        """Take the end without a final response: 408, 503 or 513 (§8.1.3.1), or 500."""


class ClientTransaction(Machine):
    """The client transaction of a request other than INVITE (§17.1.2).

    `user` takes the responses; it is None for a CANCEL, and once it needs no more of them.
    `is_relayed` is True for a proxied request: its responses have a Via below ours (§16.7).
    `timed_out` is True, after a tick, if no final response came in time: that counts as a 408
    (§8.1.3.1).  `has_response` is True once any response has come, so the request has arrived.
    """

    __slots__ = (
        "branch",
        "data",
        "give_up_at",
        "has_response",
        "interval",
        "is_relayed",
        "method",
        "request",
        "sent_by",
        "timed_out",
        "user",
    )

    def __init__(
        self,
        request: Request,
        branch: str,
        sent_by: str,
        flow: Flow,
        user: TransactionUser | None,
    ) -> None:
        super().__init__(flow)
        self.request: Request | None = request
        self.method = request.method
        self.branch = branch
        self.sent_by = sent_by
        self.user: TransactionUser | None = user
        self.is_relayed = False
        self.data: bytes | None = None
        self.interval = T1
        self.give_up_at = 0.0
        self.timed_out = False
        self.has_response = False

    @property
    def key(self) -> tuple[str, str]:
        """The key that matches responses (§17.1.3).  Branches have no case (§7.3.1)."""
        return self.branch.lower(), self.method

    def start(self, request: Request, now: float) -> bytes:
        """Start the timers and return the request as it is sent."""
        self.data = request.encode()
        self.give_up_at = now + TIMEOUT  # timer B or F
        # Timer A or E; a reliable transport needs no retransmission.
        self.deadline = self.give_up_at if self.is_reliable else now + T1
        return self.data

    def receive(self, status: int, now: float) -> bool:
        """Take a response.  Return True if it goes on to the transaction user."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            return False
        self.has_response = True
        if status < 200:
            if self.state is State.TRYING:
                self.state = State.PROCEEDING
                self.interval = T2
            return True
        self.state = State.COMPLETED
        self.deadline = now if self.is_reliable else now + T4  # timer K
        self.data = self.request = None
        return True

    def end(self) -> None:
        """Terminate at once, and free the request: the timer wheel may keep this object longer."""
        super().end()
        self.data = self.request = None

    def tick(self, now: float) -> bytes | None:
        """Fire the timers that are due.  Return the request if it must be sent again."""
        if self.deadline is None or now < self.deadline:
            return None
        if self.state is State.COMPLETED or now >= self.give_up_at:
            self.timed_out = self.state is not State.COMPLETED
            self.end()
            return None
        # Timer E doubles up to T2 in Trying; in Proceeding it is T2 already.
        self.interval = min(2 * self.interval, T2)
        self.deadline = min(now + self.interval, self.give_up_at)
        return self.data


class InviteClientTransaction(ClientTransaction):
    """The client transaction of an INVITE (§17.1.1, RFC 6026 §7.2), with a timer C (§16.6).

    `wants_cancel` is True if a CANCEL must be sent: after the first provisional response, since it
    is not allowed before (§9.1), or because timer C has fired.  `cancel_reason` is the value of its
    Reason (RFC 3326).
    """

    __slots__ = ("ack", "cancel_reason", "cancelled", "wants_cancel")

    def __init__(
        self,
        request: Request,
        branch: str,
        sent_by: str,
        flow: Flow,
        user: TransactionUser | None,
    ) -> None:
        super().__init__(request, branch, sent_by, flow, user)
        self.ack: bytes | None = None  # for a failure; sent again for each retransmission of it
        self.wants_cancel = False
        self.cancel_reason = ""
        self.cancelled = False

    def receive(self, status: int, now: float) -> bool:
        """Take a response.  Return True if it goes on to the user, as each repeated 2xx does."""
        if self.state is State.ACCEPTED:
            return 200 <= status < 300
        if self.state not in (State.TRYING, State.PROCEEDING):
            return False
        self.has_response = True
        if status < 200:
            rings_anew = status > 100 or self.state is State.TRYING
            self.state = State.PROCEEDING
            self.data = None  # a provisional response ends the retransmissions
            if rings_anew and not self.cancelled:
                self.give_up_at = self.deadline = now + TIMER_C
            return True
        if status < 300:
            self.state = State.ACCEPTED
            self.deadline = now + TIMEOUT  # timer M
            self.data = self.request = None
        else:
            self.state = State.COMPLETED
            self.deadline = now if self.is_reliable else now + TIMER_D
        return True

    def cancel(self, now: float, reason: str = "") -> bool:
        """Cancel the INVITE.  Return True if the CANCEL is to be sent now (§9.1)."""
        self.cancel_reason = self.cancel_reason or reason
        if self.state is State.TRYING:
            self.wants_cancel = True
            return False
        if self.state is not State.PROCEEDING or self.cancelled:
            return False
        self.cancelled = True
        self.wants_cancel = False
        self.give_up_at = self.deadline = now + TIMEOUT  # §9.1: after that it counts as cancelled
        return True

    def tick(self, now: float) -> bytes | None:
        """Fire the timers that are due.  Return the request if it must be sent again."""
        if self.deadline is None or now < self.deadline:
            return None
        if self.state is State.TRYING and now < self.give_up_at:
            self.interval *= 2  # timer A
            self.deadline = min(now + self.interval, self.give_up_at)
            return self.data
        if self.state is State.PROCEEDING and not self.cancelled:
            self.wants_cancel = True  # timer C
            self.deadline = None
            return None
        self.timed_out = self.state in (State.TRYING, State.PROCEEDING)
        self.end()
        return None
