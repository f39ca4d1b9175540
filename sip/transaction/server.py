"""Server transactions: what we owe a client (RFC 3261 §17.2, RFC 6026 §7.1).

Machines without socket or clock: `now` is seconds on a monotonic clock, and what a method returns
is to be sent.  Messages are octets here; of what is over, only the last response is kept.
"""

from sip.transaction.machine import T1, T2, T4, TIMEOUT, TRYING_AFTER, Machine, State
from sip.transport.flow import Flow

Key = tuple[str, ...]


class ServerTransaction(Machine):
    """Answers one request that is no INVITE (§17.2.2), and what all server transactions share.

    `key` is what repeats are known by (§17.2.3), `flow` the way of the responses.  `wants_trying`
    says, after a tick, that the client is to be told by a 100 that its request is being served.
    `merge_key` is what the same request is known by if it comes another way, once a UAS here
    serves it (§8.2.2.2).
    """

    __slots__ = ("key", "last", "merge_key", "upstream", "wants_trying")

    def __init__(self, key: Key, flow: Flow, now: float) -> None:
        super().__init__(flow)
        self.key = key
        self.upstream: object = None  # who is to hear of a CANCEL, while a handler is at work
        self.last: bytes | None = None
        self.merge_key: int | None = None
        self.wants_trying = False
        self.deadline = now + TRYING_AFTER  # RFC 4320 §4.1

    @property
    def is_answered(self) -> bool:
        """Tell whether a final response has been sent, or none will be."""
        return self.state not in (State.TRYING, State.PROCEEDING)

    def repeat(self) -> bytes | None:
        """Answer a repeated request: the last response again, if there is one.

        After a 2xx to an INVITE, or the ACK of a failure, there is none.
        """
        return self.last

    def respond(self, status: int, data: bytes, now: float) -> bytes | None:
        """Send what the transaction user answers.  None: it came too late and is dropped.

        So are the responses that RFC 4320 §4 forbids: any provisional one but 100, and 408, with
        which all is over but nothing said.
        """
        if self.state not in (State.TRYING, State.PROCEEDING) or 100 < status < 200:
            return None
        sent = None if status == 408 else data
        self.last = sent or self.last
        if status < 200:
            self.state = State.PROCEEDING
            self.deadline = None
        elif not self.flow.is_reliable:
            self.state = State.COMPLETED
            self.deadline = now + TIMEOUT  # timer J
        else:
            self.end()
        return sent

    def tick(self, now: float) -> bytes | None:
        """Do what has fallen due.  Calling it early is harmless."""
        if self.deadline is None or now < self.deadline:
            return None
        if self.is_answered:
            self.end()
        else:
            self.wants_trying = True
            self.deadline = None
        return None


class InviteServerTransaction(ServerTransaction):
    """Answers one INVITE until the caller has heard (§17.2.1, RFC 6026 §7.1).

    `to_line` is the To of the latest response that may have a tag, "" before there is one: its ACK
    and the answer to a CANCEL go by it (§17.2.3, §9.2).
    """

    __slots__ = ("give_up_at", "interval", "to_line")

    def __init__(self, key: Key, flow: Flow, now: float) -> None:
        super().__init__(key, flow, now)
        self.state = State.PROCEEDING
        self.deadline = None  # its 100 goes out at once
        self.interval = T1
        self.give_up_at = 0.0
        self.to_line = ""

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
        self.deadline = self.give_up_at if self.flow.is_reliable else now + T1  # timer G
        return data

    def acknowledge(self, now: float) -> bool:
        """Take an ACK.  False: it is one for a 2xx, and goes on to the callee."""
        if self.state is State.COMPLETED:
            if not self.flow.is_reliable:
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
