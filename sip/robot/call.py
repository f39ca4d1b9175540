"""One call of the robot after its INVITE: its deadlines (RFC 3261 §13.3.1.4, §15)."""

from dataclasses import dataclass

from sip.message.message import Request, Response
from sip.robot.dialog import Dialog
from sip.robot.media import Sound
from sip.robot.sdp import Stream
from sip.transaction.layer import Layer
from sip.transaction.machine import T1, T2, TIMEOUT
from sip.transaction.server import ServerTransaction

# The longest call, in seconds; then the robot hangs up.
MAX_CALL_SECONDS = 120.0


@dataclass(slots=True)
class Unacknowledged:
    """A 2xx of ours that waits for its ACK (§13.3.1.4).

    `number` is the CSeq of its INVITE.  With `has_offer` the ACK has to answer our offer.
    """

    data: bytes
    transaction: ServerTransaction
    number: int
    has_offer: bool
    again_at: float
    give_up_at: float
    interval: float = T1

    def is_due(self, now: float) -> bool:
        """Return True if it has to be sent again; T1, doubled up to T2."""
        if now < self.again_at:
            return False
        self.interval = min(2 * self.interval, T2)
        self.again_at += self.interval
        return True


class Call:
    """One call: its dialog, its sound, and its deadlines.

    `number` and `version` are those of the o= line of our descriptions.  `user_id` is
    the account that has called the robot, 0 if the robot is the caller.
    """

    def __init__(
        self, dialog: Dialog, sound: Sound, host: str, number: int, now: float, user_id: int = 0
    ) -> None:
        self.dialog = dialog
        self.sound = sound
        self.host = host
        self.number = number
        self.user_id = user_id
        self.version = 1
        self.stream: Stream | None = None
        self.waiting: Unacknowledged | None = None
        self.is_confirmed = False
        self.greeting: Request | None = None  # sent when the ACK has come
        self.ends_at = now + MAX_CALL_SECONDS
        self.end = f"the limit of {MAX_CALL_SECONDS / 60:.0f} min"

    def agree(self, stream: Stream) -> None:
        """Take the session description of the phone."""
        self.stream = stream
        self.sound.agree(stream)

    def wait_for_ack(
        self,
        data: bytes,
        transaction: ServerTransaction,
        number: int,
        now: float,
        *,
        has_offer: bool,
    ) -> None:
        """Repeat this 2xx until its ACK comes, 32 s at most."""
        self.waiting = Unacknowledged(data, transaction, number, has_offer, now + T1, now + TIMEOUT)

    def tick(self, layer: Layer, now: float) -> str:
        """Repeat a 2xx that is due; return why the call has to end now, "" if it goes on."""
        waiting = self.waiting
        if waiting is not None:
            if now >= waiting.give_up_at:
                self.waiting = None
                return "no ACK came within 32 s"
            if waiting.is_due(now):
                layer.transports.send(waiting.data, waiting.transaction.flow)
        return self.end if now >= self.ends_at else ""


class Unheard:
    """The user of a request whose response makes no difference: a BYE of ours, or a MESSAGE."""

    def on_response(self, response: Response, is_first: bool) -> None:
        """Take a response."""

    def on_failure(self, status: int) -> None:
        """Take the end without a response."""
