"""Server transactions: our responses to one request (RFC 3261 §17.2, RFC 6026 §7.1).

State machines without socket or clock: `now` is in seconds on a monotonic clock, and the caller
sends what a method returns.  Messages are octets here; only the last response is stored.
"""

from sip.transaction.machine import T1, T2, T4, TIMEOUT, TRYING_AFTER, Machine, State
from sip.transport.flow import Flow

Key = str  # see `transaction_key`


class ServerTransaction(Machine):
    """The server transaction of a request other than INVITE (§17.2.2), and the base of all.

    `key` matches retransmissions (§17.2.3); responses go along `flow`.  `wants_trying` is True,
    after a tick, if a 100 must be sent.  `merge_key` matches the same request when it arrives by
    another path, once a UAS here serves it (§8.2.2.2).
    """

    __slots__ = ("key", "last", "merge_key", "upstream", "wants_trying")

    def __init__(self, key: Key, flow: Flow, now: float) -> None:
        super().__init__(flow)
        self.key = key
        self.upstream: object = None  # its mailbox gets a CANCEL, while the handler runs
        self.last: bytes | None = None
        self.merge_key: int | None = None
        self.wants_trying = False
        self.deadline = now + TRYING_AFTER  # RFC 4320 §4.1

    @property
    def is_answered(self) -> bool:
        """Return True if a final response has been sent, or none will be sent."""
        return self.state not in (State.TRYING, State.PROCEEDING)

    def repeat(self) -> bytes | None:
        """Return the response to a retransmitted request: the last one again, if there is one.

        After a 2xx to an INVITE, or after the ACK of a failure, there is none.
        """
        return self.last

    def respond(self, status: int, data: bytes, now: float) -> bytes | None:
        """Take a response and return it if it is to be sent; a late one is discarded.

        So are the responses that RFC 4320 §4 forbids: a provisional one other than 100, and a 408,
        which ends the transaction all the same.
        """
        if self.state not in (State.TRYING, State.PROCEEDING) or 100 < status < 200:
            return None
        sent = None if status == 408 else data
        self.last = sent or self.last
        if status < 200:
            self.state = State.PROCEEDING
            self.deadline = None
        elif not self.is_reliable:
            self.state = State.COMPLETED
            self.deadline = now + TIMEOUT  # timer J
        else:
            self.end()
        return sent

    def tick(self, now: float) -> bytes | None:
        """Fire the timers that are due.  An early call does nothing."""
        if self.deadline is None or now < self.deadline:
            return None
        if self.is_answered:
            self.end()
        else:
            self.wants_trying = True
            self.deadline = None
        return None


class InviteServerTransaction(ServerTransaction):
    """The server transaction of an INVITE (§17.2.1, RFC 6026 §7.1).

    `to_line` is the To line of the latest response, "" before there is one: the tag in it matches
    the ACK, and the response to a CANCEL has the same tag (§17.2.3, §9.2).
    """

    __slots__ = ("give_up_at", "interval", "to_line")

    def __init__(self, key: Key, flow: Flow, now: float) -> None:
        super().__init__(key, flow, now)
        self.state = State.PROCEEDING
        self.deadline = None  # the handler sends the 100 at once
        self.interval = T1
        self.give_up_at = 0.0
        self.to_line = ""

    def respond(self, status: int, data: bytes, now: float) -> bytes | None:
        """Take a response and return it if it is to be sent; a late one is discarded."""
        if self.state is State.ACCEPTED and 200 <= status < 300:
            return data  # the callee retransmits its 2xx until the ACK; we only relay it
        if self.state is not State.PROCEEDING:
            return None
        if status < 200:
            self.last = data
            return data
        self.give_up_at = now + TIMEOUT  # timer L after a 2xx, else timer H
        if status < 300:
            self.state = State.ACCEPTED
            self.last = None
            self.deadline = self.give_up_at
            return data
        self.state = State.COMPLETED
        self.last = data
        self.deadline = self.give_up_at if self.is_reliable else now + T1  # timer G
        return data

    def acknowledge(self, now: float) -> bool:
        """Take an ACK.  Return False for the ACK of a 2xx, which goes on to the callee."""
        if self.state is State.COMPLETED:
            if not self.is_reliable:
                self.state = State.CONFIRMED
                self.last = None
                self.deadline = now + T4  # timer I
            else:
                self.end()
        return self.state is not State.ACCEPTED

    def tick(self, now: float) -> bytes | None:
        """Fire the timers that are due; return the response if it must be sent again."""
        if self.deadline is None or now < self.deadline:
            return None
        if self.state is State.COMPLETED and now < self.give_up_at:
            self.interval = min(2 * self.interval, T2)
            self.deadline = min(now + self.interval, self.give_up_at)  # timer G, then H
            return self.last
        self.end()
        return None
