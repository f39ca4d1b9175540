"""Server transactions: what we owe a client (RFC 3261 §17.2, RFC 6026 §7.1).

Machines without socket or clock: `now` is seconds on a monotonic clock, and what a method returns
is to be sent.  Messages are octets here; of what is over, only the last response is kept.
"""

from sip.transaction.machine import T1, T2, T4, TIMEOUT, Machine, State
from sip.transport.flow import Flow

Key = tuple[str, ...]


class ServerTransaction(Machine):
    """Answers one request that is no INVITE (§17.2.2), and what all server transactions share.

    `key` is what repeats are known by (§17.2.3), `flow` the way of the responses.
    """

    __slots__ = ("key", "last", "upstream")

    def __init__(self, key: Key, flow: Flow, upstream: object = None) -> None:
        super().__init__(flow)
        self.key = key
        self.upstream = upstream  # who is to hear of a CANCEL, while a handler is at work
        self.last: bytes | None = None

    def repeat(self) -> bytes | None:
        """Answer a repeated request: the last response again, if there is one."""
        return self.last

    def respond(self, status: int, data: bytes, now: float) -> bytes | None:
        """Send what the transaction user answers.  None: it came too late and is dropped."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            return None
        self.last = data
        if status < 200:
            self.state = State.PROCEEDING
        elif self.flow.transport == "UDP":
            self.state = State.COMPLETED
            self.deadline = now + TIMEOUT  # timer J
        else:
            self.end()
        return data

    def tick(self, now: float) -> bytes | None:
        """Do what has fallen due.  Calling it early is harmless."""
        if self.deadline is not None and now >= self.deadline:
            self.end()
        return None


class InviteServerTransaction(ServerTransaction):
    """Answers one INVITE until the caller has heard (§17.2.1, RFC 6026 §7.1)."""

    __slots__ = ("give_up_at", "interval")

    def __init__(self, key: Key, flow: Flow, upstream: object = None) -> None:
        super().__init__(key, flow, upstream)
        self.state = State.PROCEEDING
        self.interval = T1
        self.give_up_at = 0.0

    def repeat(self) -> bytes | None:
        """Answer a repeated INVITE; after a 2xx or an ACK there is nothing to say."""
        return self.last if self.state in (State.PROCEEDING, State.COMPLETED) else None

    def respond(self, status: int, data: bytes, now: float) -> bytes | None:
        """Send what the transaction user answers.  None: it came too late and is dropped."""
        if self.state is State.ACCEPTED and 200 <= status < 300:
            return data  # the callee repeats its 2xx until it is acknowledged; we only carry it
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
        self.deadline = now + T1 if self.flow.transport == "UDP" else self.give_up_at  # timer G
        return data

    def acknowledge(self, now: float) -> bool:
        """Take an ACK.  False: it is one for a 2xx, and goes on to the callee."""
        if self.state is State.COMPLETED:
            if self.flow.transport == "UDP":
                self.state = State.CONFIRMED
                self.last = None
                self.deadline = now + T4  # timer I
            else:
                self.end()
        return self.state is not State.ACCEPTED

    def tick(self, now: float) -> bytes | None:
        """Do what has fallen due.  Calling it early is harmless."""
        if self.deadline is None or now < self.deadline:
            return None
        if self.state is State.COMPLETED and now < self.give_up_at:
            self.interval = min(2 * self.interval, T2)
            self.deadline = min(now + self.interval, self.give_up_at)  # timer G, then H
            return self.last
        self.end()
        return None
