"""A socket phone with sound: it sends RTP packets, and returns those that come."""

import re
import socket
import struct
import time

from tests.support.server import Server
from tests.support.socket_phone import Call, SocketPhone, value

HEADER = struct.Struct("!BBHII")


class RtpPhone(SocketPhone):
    """One phone with a UDP socket for RTP, at an address of its own."""

    def __init__(self, server: Server, user: str, seconds: float = 5.0) -> None:
        super().__init__(server, user, seconds)
        self.sound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sound.bind(("127.0.0.1", 0))
        self.sound.settimeout(seconds)
        self.sequence = 0
        self.robot = ("", 0)  # where the robot receives
        self.offer = self.description()

    def description(self, host: str = "127.0.0.1", port: int = 0, media: str = "") -> str:
        """A session description of this phone, or with another address."""
        port = port or self.sound.getsockname()[1]
        media = media or f"m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        return f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n{media}"

    def calls_robot(self, name: str) -> Call:
        """Call the robot, and take its answer."""
        call, branch = self.dials(f"<sip:{name}@{self.server.domain}>")
        answer = self.final(branch)
        assert answer.startswith("SIP/2.0 200 "), answer
        call.peer, call.target = value("To", answer), value("Contact", answer)[1:-1]
        call.routes = re.findall(r"(?m)^Record-Route: (.*)\r$", answer)[::-1]
        self.robot = re.search(r"(?m)^c=IN IP4 (\S+)", answer)[1], self.port_in(answer)
        self.sends("ACK", call.target, call)
        return call

    @staticmethod
    def port_in(answer: str) -> int:
        """The port of the audio stream in a description."""
        return int(re.search(r"(?m)^m=audio (\d+) ", answer)[1])

    def ends(self, call: Call) -> None:
        """Hang up."""
        assert self.final(self.sends("BYE", call.target, call)).startswith("SIP/2.0 200 ")

    def says(self, payload: bytes, *, kind: int = 0, ssrc: int = 7) -> None:
        """Send one packet of 20 ms."""
        self.sequence += 1
        head = HEADER.pack(0x80, kind, self.sequence, 160 * self.sequence, ssrc)
        self.sound.sendto(head + payload, self.robot)

    def packets(self, seconds: float) -> list[tuple[int, int, int, int, bytes]]:
        """All packets that come within this time: type, sequence, timestamp, SSRC, payload."""
        until, found = time.monotonic() + seconds, []
        while (left := until - time.monotonic()) > 0:
            self.sound.settimeout(left)
            try:
                data = self.sound.recv(2048)
            except TimeoutError:
                break
            _, kind, sequence, timestamp, ssrc = HEADER.unpack_from(data)
            found.append((kind & 0x7F, sequence, timestamp, ssrc, data[HEADER.size :]))
        return found

    def close(self) -> None:
        super().close()
        self.sound.close()
