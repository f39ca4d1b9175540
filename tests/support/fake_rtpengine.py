"""An rtpengine in memory: it answers at once, when it is told to, or never."""

import re

from sip.core.media import read_description
from sip.transport.bencode import decode, encode
from tests.support.world import World

RELAY = "203.0.113.9"
SETTINGS = {"media_rtpengine": ("127.0.0.1", 2223)}
# The protocols of a description, and lines that show which one it is.
OF_KIND = {
    "r": ("RTP/AVP", ()),
    "s": ("RTP/SAVP", ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40,)),
    "w": ("UDP/TLS/RTP/SAVPF", ("a=ice-ufrag:abcd", "a=fingerprint:sha-256 AA:BB")),
}


def sdp(host: str, port: int = 4000, kind: str = "r") -> bytes:
    """Return a description of one audio stream."""
    protocol, more = OF_KIND[kind]
    lines = [
        "v=0",
        f"o=- 1 1 IN IP4 {host}",
        "s=-",
        f"c=IN IP4 {host}",
        "t=0 0",
        f"m=audio {port} {protocol} 0",
        *more,
    ]
    return "\r\n".join([*lines, ""]).encode()


def kind_of(body: bytes) -> str:
    """Return the kind of a description: r, s or w."""
    found = read_description(body)
    return found.kind if found else ""


class FakeRtpEngine:
    """Answers the commands of a world's server, and keeps them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.commands: list[dict] = []  # but pings
        self.octets: list[bytes] = []  # all that came, pings and repeated commands too
        self.is_silent = False
        self.is_slow = False
        self.error = ""
        self._kept: list[bytes] = []
        self._offers: dict[tuple[bytes, bytes], str] = {}  # the protocol of each offer
        self._seen: set[bytes] = set()
        self._ports = 30_000
        self.attach()

    def attach(self) -> None:
        """Take the commands of the server, which may have been started again."""
        self.engine = self.world.server.proxy.media.engine
        self.engine.send = self.receive

    def receive(self, datagram: bytes) -> None:
        self.octets.append(datagram)
        if self.is_silent:
            return
        cookie, _, octets = datagram.partition(b" ")
        command = decode(octets)
        if command[b"command"] == b"ping":
            self.engine.receive(cookie + b" " + encode({"result": "pong"}))
            return
        if cookie not in self._seen:
            self._seen.add(cookie)
            self.commands.append(command)
        reply = cookie + b" " + encode(self._reply(command))
        if self.is_slow:
            self._kept.append(reply)
        else:
            self.engine.receive(reply)

    def answers_one(self) -> None:
        """Send the oldest reply that was kept."""
        self.engine.receive(self._kept.pop(0))
        self.world.settle()

    def _reply(self, command: dict) -> dict:
        if self.error:
            return {"result": "error", "error-reason": self.error}
        if command[b"command"] == b"delete":
            return {"result": "ok"}
        self._ports += 2
        body = command[b"sdp"].decode()
        name = command[b"call-id"], command[b"from-tag"]
        if command[b"command"] == b"offer":
            self._offers[name] = re.search(r"m=\w+ \d+ (\S+)", body)[1]
            protocol = command.get(b"transport-protocol", b"").decode() or self._offers[name]
        else:
            protocol = self._offers[name]
        body = re.sub(r"c=IN IP4 \S+", f"c=IN IP4 {RELAY}", body)
        body = re.sub(r"m=(\w+) \d+ \S+", rf"m=\1 {self._ports} {protocol}", body)
        return {"result": "ok", "sdp": body}

    def takes(self) -> list[tuple[str, str, str, str]]:
        """Take the commands since the last time: name, call, from-tag and to-tag."""
        commands, self.commands = self.commands, []
        keys = (b"command", b"call-id", b"from-tag", b"to-tag")
        return [tuple(each.get(key, b"").decode() for key in keys) for each in commands]
