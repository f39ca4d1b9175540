"""A call of the robot to the phones of a user (RFC 3261 §13.2)."""

import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from sip.core.explain import answer_of, as_sentence
from sip.message.grammar import BadMessage
from sip.message.message import Response
from sip.message.names import REASONS
from sip.message.uri import parse_host_port
from sip.robot.call import Call, Unheard
from sip.robot.dialog import METHODS, SDP, Dialog, dialog_of_answer
from sip.robot.media import Sound
from sip.robot.sdp import BadDescription, offer, read_description
from sip.transaction.client import ClientTransaction, InviteClientTransaction
from sip.transaction.layer import Layer
from sip.transaction.mailbox import Mailbox
from sip.transaction.own_request import build_request
from sip.transport.flow import Flow

# Seconds that a phone rings before the robot gives up.
RING_SECONDS = 30.0
# Seconds that the phone plays the tone; then the robot hangs up.
TONE_SECONDS = 5.0
_NAME = "robot"
_UNESCAPED = "-_.!~*'()&=+$,;?/"  # §25.1, user
_UNHEARD = Unheard()


class PhoneToCall(NamedTuple):
    """The phones of a user.

    `flow` leads to the proxy, `domain` is that of the user.  `here` is the host and port that the
    phones know this server by; `hosts` are those that they registered from.
    """

    username: str
    domain: str
    flow: Flow
    here: str
    hosts: frozenset[str]

    @property
    def uri(self) -> str:
        """The address-of-record."""
        return f"sip:{quote(self.username, safe=_UNESCAPED)}@{self.domain}"

    @property
    def host(self) -> str:
        """The host that the phones know this server by."""
        return parse_host_port(self.here)[0]


class Outcome(NamedTuple):
    """The outcome of a call: its final status, and sentences for the administrator."""

    status: int
    text: str

    @property
    def is_answered(self) -> bool:
        """Return True if a phone has answered, and plays the tone."""
        return self.status == 200


class OutgoingCall:
    """One INVITE of ours, the user of its transaction; of several phones the first one counts.

    `adopt` takes the call when a phone has answered.
    """

    def __init__(
        self,
        layer: Layer,
        phone: PhoneToCall,
        sound: Sound,
        host: str,
        adopt: Callable[[Call], None],
    ) -> None:
        self._layer = layer
        self._flow = phone.flow
        self._sound = sound
        self._host = host
        self._adopt = adopt
        self._mailbox = Mailbox()
        self._number = int(time.time())
        self._is_over = False
        self._has_rung = False
        self._until = 0.0
        self._transaction: ClientTransaction | None = None
        self.is_answered = False
        self._dialogs: dict[str, Dialog] = {}  # by the tag of the phone that has answered
        own = f"sip:{_NAME}@{phone.here}"
        self._invite = build_request(
            "INVITE",
            phone.uri,
            from_uri=own,
            from_tag=layer.new_token(),
            to_uri=phone.uri,
            call_id=layer.new_token(),
            extra=(("Contact", f"<{own}>"), ("Allow", METHODS), ("Accept", SDP)),
            content_type=SDP,
            body=offer(host, sound.port, self._number, 1),
        )

    def run(self, now: float) -> Outcome:
        """Ring, and return the outcome.  Waits."""
        self._until = now + RING_SECONDS
        self._transaction = self._layer.start_own_request(self._invite.copy(), self._flow, self)
        outcome: Outcome = self._mailbox.get()
        return outcome

    def tick(self, now: float) -> None:
        """Give up when it has rung for long enough."""
        if now >= self._until:
            outcome = "rang, but was not answered" if self._has_rung else "gave no response"
            self.give_up(f"The phone {outcome} within {RING_SECONDS:.0f} s.")

    def give_up(self, text: str) -> None:
        """Cancel the INVITE (§9.1)."""
        if isinstance(self._transaction, InviteClientTransaction):
            self._layer.cancel(self._transaction, 'SIP;cause=487;text="No answer"')
        self._finish(Outcome(480, text))

    def _finish(self, outcome: Outcome) -> None:
        if not self._is_over:
            self._is_over = True
            self._mailbox.put(outcome)

    def on_response(self, response: Response, is_first: bool) -> None:
        """Take a response: the ACK of a 2xx is sent for each repeat of it (§13.2.2.4)."""
        status = response.status
        if status < 200:
            self._has_rung = self._has_rung or status > 100
        elif status < 300:
            self._take_answer(response)
        else:
            cause = answer_of(
                "the phone",
                status,
                REASONS.get(status, response.reason),
                warning=", ".join(response.fields("warning")),
                reason=", ".join(response.fields("reason")),
            )
            self._finish(Outcome(status, f"{as_sentence(cause.text)} {cause.cure}".rstrip()))

    def on_failure(self, status: int) -> None:
        """Take the end without a final response."""
        self._finish(Outcome(status, f"The phone gave no response: {REASONS.get(status, status)}."))

    def _take_answer(self, response: Response) -> None:
        try:
            tag = response.to.tag
            dialog = self._dialogs.get(tag)
            is_repeat = dialog is not None
            if dialog is None:
                dialog = dialog_of_answer(self._invite, response, self._flow)
                self._dialogs[tag] = dialog
        except BadMessage as bad:
            self._finish(Outcome(488, f"The answer of the phone cannot be read: {bad.reason}."))
            return
        dialog.ack(self._layer, self._invite.cseq[0])
        if is_repeat:
            return
        if self._is_over:  # another phone was faster, or it rang for too long
            self._hang_up(dialog)
            return
        try:
            stream = read_description(response.body).audio()
        except BadDescription as bad:
            self._hang_up(dialog)
            self._finish(Outcome(bad.status, f"A phone answered, without sound: {bad.reason}."))
            return
        now = self._layer.clock()
        call = Call(dialog, self._sound, self._host, self._number, now)
        call.ends_at, call.end = now + TONE_SECONDS, "the tone is over"
        self._sound.play_tone()
        call.agree(stream)
        self.is_answered = True
        call.is_confirmed = True
        self._adopt(call)
        text = f"The phone answered, and plays a tone for {TONE_SECONDS:.0f} s."
        self._finish(Outcome(200, text))

    def _hang_up(self, dialog: Dialog) -> None:
        self._layer.start_own_request(dialog.request("BYE"), dialog.flow, _UNHEARD)
