"""Calls through a media relay: a browser, and descriptions that phones send and answer."""

from sip.message.message import Request, Response
from tests.support.fake_transport import MemoryCarrier
from tests.support.world import (
    REALM,
    Dialog,
    Phone,
    TcpPhone,
    World,
    dialog_of_callee,
    dialog_of_caller,
)

SDP_TYPE = "Content-Type: application/sdp"


class Browser(TcpPhone):
    """A phone on a WebSocket."""

    transport = "WS"

    def __init__(self, world: World, name: str, number: int, carrier: MemoryCarrier) -> None:
        self._carrier = carrier
        super().__init__(world, name, (f"192.0.2.{number}", 40_000 + number), 9)
        self.moves_behind_nat("abc.invalid")
        world.at[self.address] = self
        world.users.add(name, "secret")
        self.registers()

    @property
    def carrier(self) -> MemoryCarrier:
        return self._carrier


def invites(caller: Phone, callee: str, body: bytes, **more) -> Request:
    headers = (SDP_TYPE, *more.pop("headers", ()))
    return caller.sends("INVITE", f"sip:{callee}@{REALM}", body=body, headers=headers, **more)


def answers(phone: Phone, request: Request, status: int, body: bytes, *headers: str) -> Response:
    return phone.answers(request, status, body=body, headers=(SDP_TYPE, *headers))


def talk(caller: Phone, callee: Phone, offer: bytes, answer: bytes) -> tuple[Dialog, Dialog]:
    """Let a phone call another one; return the dialogs of both."""
    call = invites(caller, callee.name, offer)
    received = callee.gets("INVITE")
    response = answers(callee, received, 200, answer)
    heard = caller.gets(200)
    here = dialog_of_caller(call, heard)
    caller.sends_within("ACK", here, cseq=call.cseq[0])
    callee.gets("ACK")
    return here, dialog_of_callee(received, response)
