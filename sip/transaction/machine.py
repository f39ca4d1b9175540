"""The base of all transactions: states, intervals and a deadline (RFC 3261 §17)."""

from typing import Final

from sip.transport.flow import Flow
from sip.transport.transport_names import UDP

# Seconds.
T1 = 0.5  # estimate of the round trip
T2 = 4.0  # longest pause between retransmissions of a response, or of a request but INVITE
T4 = 5.0  # longest time that a message stays in the network
TIMEOUT = 64 * T1  # timers B, F, H, J, L and M: no message is expected after that
# RFC 4320 §4.1: a 100 is not allowed before the client's timer E is set to T2.
TRYING_AFTER = 7 * T1
# Time for retransmissions of a failure whose ACK was lost; at least 32 s on UDP.
TIMER_D = 32.0
# How long an INVITE may ring after its last provisional response; more than 3 minutes (§16.6).
TIMER_C = 181.0


class State:
    """The states of §17, with Accepted of RFC 6026.

    Plain constants: an Enum member takes three times as long to look up, and each message does
    several look-ups.
    """

    TRYING: Final = "trying"  # an INVITE client transaction calls it Calling
    PROCEEDING: Final = "proceeding"
    ACCEPTED: Final = "accepted"
    COMPLETED: Final = "completed"
    CONFIRMED: Final = "confirmed"
    TERMINATED: Final = "terminated"


class TimerSlot:
    """One slot of the timer wheel: the machines whose deadline is in it."""

    __slots__ = ("machines", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.machines: list[Machine] = []


class Machine:
    """A transaction as a state machine that neither sends nor reads a clock.

    An argument `now` is in seconds on a monotonic clock; the caller sends what a method returns
    along `flow`.  `is_reliable` is that of the flow, kept because it is asked for each message.
    `deadline` is the time at which `tick` has work next, None for never; `slot` is the slot of the
    timer wheel that holds the machine.
    """

    __slots__ = ("deadline", "flow", "is_reliable", "slot", "state")

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.is_reliable = flow.transport != UDP
        self.state: str = State.TRYING
        self.deadline: float | None = None
        self.slot: TimerSlot | None = None

    @property
    def is_over(self) -> bool:
        """Return True if the transaction is terminated."""
        return self.state is State.TERMINATED

    def end(self) -> None:
        """Terminate at once: no timer is due any more."""
        self.state = State.TERMINATED
        self.deadline = None

    def tick(self, now: float) -> bytes | None:
        """Terminate if the deadline has passed; subclasses have more timers.

        An early call does nothing.
        """
        if self.deadline is not None and now >= self.deadline:
            self.end()
        return None
