"""A world whose calls are followed by the table of calls, and a call in it."""

from dataclasses import dataclass

from sip.message.message import Request
from sip.monitor.calls import Call, CallFinished, Calls
from sip.monitor.events import Unregistered
from tests.support.world import (
    REALM,
    Dialog,
    Phone,
    World,
    dialog_of_callee,
    dialog_of_caller,
)

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 96 8 101\r\na=rtpmap:96 opus/48000/2\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\n"
)
ANSWER = OFFER.replace(b"RTP/AVP 96 8 101", b"RTP/AVP 8")


class FollowedCalls:
    """The table of calls of a world's server, as it is put together in `sipserver.py`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.control = world.server.proxy.call_control
        self.table = Calls(world.bus)
        self.finished: list[Call] = []
        world.bus.listen(CallFinished, lambda event: self.finished.append(event.call))
        world.bus.listen(Unregistered, self.control.note_unregistered)

    def the_one(self) -> Call:
        """Return the only call that rings or talks."""
        (call,) = self.table.now()
        return call

    def hangs_up(self) -> bool:
        """Hang up the only call as an administrator."""
        call = self.the_one()
        done = self.control.hang_up(call.call_id, call.from_tag)
        self.world.settle()
        return done

    def passes(self, seconds: int) -> None:
        """Advance the clock; each second the server sweeps, as a running one does."""
        for _ in range(seconds):
            self.world.passes(1.0, step=0.5)
            self.control.sweep()
            self.world.settle()


@dataclass
class Talk:
    """A call between two phones that talk, with the dialog of each."""

    invite: Request
    caller: Phone
    callee: Phone
    of_caller: Dialog
    of_callee: Dialog

    def clears(self) -> "Talk":
        """Discard what both phones have not read."""
        self.caller.inbox.clear()
        self.callee.inbox.clear()
        return self

    def caller_hangs_up(self) -> None:
        self.caller.sends_within("BYE", self.of_caller)
        self.callee.answers(self.callee.gets("BYE"), 200)
        self.caller.gets(200)


def talks(
    caller: Phone,
    callee: Phone,
    *,
    to: str = "",
    headers: tuple[str, ...] = (),
    answer_headers: tuple[str, ...] = (),
    offer: bytes = OFFER,
    outer_routes: int = 0,
) -> Talk:
    """Set up a call, with its ACK.

    `outer_routes` are those of the proxies between the caller and the server.
    """
    invite = caller.sends("INVITE", to or f"sip:{callee.name}@{REALM}", headers=headers, body=offer)
    at_callee = callee.gets("INVITE")
    callee.answers(at_callee, 180)
    ok = callee.answers(at_callee, 200, headers=answer_headers, body=ANSWER)
    caller.gets(180)
    answer = caller.gets(200)
    dialog = dialog_of_caller(invite, answer)
    del dialog.routes[:outer_routes]
    caller.sends_within("ACK", dialog, cseq=invite.cseq[0])
    callee.gets("ACK")
    return Talk(invite, caller, callee, dialog, dialog_of_callee(at_callee, ok))
