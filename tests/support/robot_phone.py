"""Phones of a world that reach the server at a loopback address, where the robot can open ports."""

import re

from sip.transport.flow import Endpoint, Flow
from tests.support.fake_transport import MemorySocket
from tests.support.world import REALM, Dialog, Phone, World, dialog_of_caller

HERE: Endpoint = ("127.0.0.1", 5060)
OFFER = b"""\
v=0\r
o=- 1 1 IN IP4 127.0.0.1\r
s=-\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio 4000 RTP/AVP 8 0 96\r
a=rtpmap:96 telephone-event/8000\r
"""


class RobotPhone(Phone):
    """A phone on loopback."""

    @property
    def source(self) -> Flow:
        return Flow("UDP", HERE, self.address)

    def request(self, *words: str, headers: tuple[str, ...] = (), body: bytes = b"", **more):
        """Write a request; a body is a session description unless another type is given."""
        if body and not any(header.startswith("Content-Type:") for header in headers):
            headers += ("Content-Type: application/sdp",)
        return super().request(*words, headers=headers, body=body, **more)

    def calls(self, name: str, body: bytes = OFFER, **more) -> tuple[Dialog, bytes]:
        """Call the robot, and acknowledge its answer; gives the dialog and the description."""
        request = self.sends("INVITE", f"sip:{name}@{REALM}", body=body, **more)
        answer = self.gets(200, request)
        dialog = dialog_of_caller(request, answer)
        self.sends_within("ACK", dialog, cseq=request.cseq[0])
        return dialog, answer.body

    def is_refused(self, name: str, status: int, body: bytes = OFFER, **more):
        """Call the robot, which refuses; gives the response."""
        request = self.sends("INVITE", f"sip:{name}@{REALM}", body=body, **more)
        answer = self.gets(status, request)
        self.acknowledges(request, answer)
        return answer


def robot_phone(world: World, name: str, port: int = 7001) -> RobotPhone:
    """Make a phone on loopback, and register it."""
    if len(world.server.transports.sockets) < 2:
        world.server.transports.add(MemorySocket(world, HERE))
    if (name, REALM) not in world.users.accounts:
        world.users.add(name, "secret")
    phone = RobotPhone(world, name, ("127.0.0.1", port))
    world.at[phone.address] = phone
    phone.registers()
    return phone


def media_port(description: bytes) -> int:
    """The port of the audio stream."""
    return int(re.search(rb"m=audio (\d+) ", description)[1])
