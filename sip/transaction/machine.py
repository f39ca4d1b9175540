"""What all transactions share: their states, their intervals, a deadline (RFC 3261 §17)."""

from typing import Final

from sip.transport.flow import Flow

T1 = 0.5  # the round trip that is reckoned with
T2 = 4.0  # the longest pause between repeats of a request that is no INVITE, or of a response
T4 = 5.0  # how long the network may hold a message
TIMEOUT = 64 * T1  # timers B, F, H, J, L and M: what has not been heard by then never will be
TRYING_AFTER = (
    7 * T1
)  # when a client's timer E is set to T2: then, not before, a 100 helps (RFC 4320)
TIMER_D = 32.0  # for repeats of a failure that our ACK did not reach; at least 32 s on UDP
TIMER_C = (
    181.0  # an INVITE may ring that long after its last sign of life; more than 3 minutes (§16.6)
)


class State:
    """The states of §17, with Accepted of RFC 6026.

    Plain constants: a member of an Enum takes three times as long to look up, and each message
    asks for a few.
    """

    TRYING: Final = "trying"  # of an INVITE client transaction it is called Calling
    PROCEEDING: Final = "proceeding"
    ACCEPTED: Final = "accepted"
    COMPLETED: Final = "completed"
    CONFIRMED: Final = "confirmed"
    TERMINATED: Final = "terminated"


class Machine:
    """A transaction as a state machine, which neither sends nor looks at a clock.

    `now` is seconds on a monotonic clock wherever it is an argument, and what a method returns is
    to be sent along `flow`.  `deadline` is when `tick` next has work, None when never; `slot` is
    where the wheel of timers keeps it.
    """

    __slots__ = ("deadline", "flow", "slot", "state")

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.state: str = State.TRYING
        self.deadline: float | None = None
        self.slot: int | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.state is State.TERMINATED

    def end(self) -> None:
        """Be over at once: nothing more is due."""
        self.state = State.TERMINATED
        self.deadline = None

    def tick(self, now: float) -> bytes | None:
        """Do what has fallen due: where a machine knows nothing better, it is over.

        Calling it early is harmless.
        """
        if self.deadline is not None and now >= self.deadline:
            self.end()
        return None
