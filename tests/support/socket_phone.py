"""A phone of plain sockets: it registers, calls, hangs up, and fails when no message comes."""

import os
import re
import socket
from dataclasses import dataclass, field

from sip.store.accounts import md5
from tests.support.server import Server


@dataclass
class Call:
    """The dialog as one side knows it (RFC 3261 §12)."""

    call_id: str
    own: str  # name-addr and tag
    peer: str
    target: str = ""  # the peer's Contact
    routes: list[str] = field(default_factory=list)
    number: int = 0  # CSeq of our last request


class NoMessage(AssertionError):
    """The expected message has not come."""


class SocketPhone:
    """One phone on UDP, with a socket of its own."""

    transport = "UDP"

    def __init__(self, server: Server, user: str, seconds: float = 5.0) -> None:
        self.server = server
        self.user = user
        self.seconds = seconds  # that it waits for a message
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect((server.hosts[0], server.port))
        self.here = "{}:{}".format(*self.socket.getsockname())
        self.address = f"<sip:{user}@{server.domain}>"
        self.contact = f"<sip:{user}@{self.here}>"
        self.offer = ""  # the session description of its INVITEs
        self.registration = Call(os.urandom(8).hex(), f"{self.address};tag=reg", self.address)

    # Messages

    def sends(self, method: str, uri: str, call: Call, *more: str, via: str = "") -> str:
        """Send one request within `call`, and return its branch."""
        branch = via or f"z9hG4bK{os.urandom(8).hex()}"
        if method not in ("ACK", "CANCEL"):
            call.number += 1
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} {self.here};branch={branch};rport",
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in call.routes),
            f"From: {call.own}",
            f"To: {call.peer}",
            f"Call-ID: {call.call_id}",
            f"CSeq: {call.number} {method}",
            *more,
        ]
        body = self.offer if method == "INVITE" else ""
        lines += ["Content-Type: application/sdp"] if body else []
        lines.append(f"Content-Length: {len(body)}")
        head = "".join(f"{line}\r\n" for line in [*lines, ""])
        self.socket.send((head + body).encode())
        return branch

    def hears(self, beginning: str, seconds: float | None = None) -> str:
        """Wait for a message that begins so; skip all others."""
        self.socket.settimeout(self.seconds if seconds is None else seconds)
        others = []
        while True:
            try:
                message = self.socket.recv(65_535).decode()
            except OSError as error:
                raise NoMessage(f"{self.user} never heard {beginning}, but {others}") from error
            if message.startswith(beginning):
                return message
            others.append(message.partition("\r\n")[0])

    def answers(self, request: str, status: int) -> None:
        """Answer a request as a UAS does (§8.2.6)."""
        copied = re.findall(r"(?m)^((?:Via|Record-Route|From|Call-ID|CSeq): .*\r\n)", request)
        to = value("To", request)
        tag = "" if ";tag=" in to else f";tag=of-{self.user}"
        self.socket.send(
            f"SIP/2.0 {status} Reason\r\n{''.join(copied)}To: {to}{tag}\r\n"
            f"Contact: {self.contact}\r\nContent-Length: 0\r\n\r\n".encode()
        )

    def final(self, branch: str, seconds: float | None = None) -> str:
        """The final response to a request."""
        while True:
            message = self.hears("SIP/2.0 ", seconds)
            if branch in message and message[8] != "1":
                return message

    def authorized(
        self, method: str, uri: str, call: Call, *more: str, seconds: float | None = None
    ) -> tuple[str, str]:
        """Send a request, and again with an answer to its challenge; gives branch and response."""
        challenge = self.final(self.sends(method, uri, call, *more))
        name = {"401": "Authorization", "407": "Proxy-Authorization"}.get(challenge[8:11])
        if name is None:
            return "", challenge
        if method == "INVITE":
            self.acknowledges(challenge, uri, call)
        nonce = re.search(r'nonce="([^"]+)"', challenge)[1]
        realm = self.server.domain
        secret = md5(f"{self.user}:{realm}:{self.server.password_of(self.user)}".encode())
        asked = md5(f"{method}:{uri}".encode())
        response = md5(f"{secret}:{nonce}:00000001:c:auth:{asked}".encode())
        answer = (
            f'{name}: Digest username="{self.user}", realm="{realm}", nonce="{nonce}", uri="{uri}",'
            f' response="{response}", algorithm=MD5, cnonce="c", qop=auth, nc=00000001'
        )
        branch = self.sends(method, uri, call, answer, *more)
        return branch, "" if method == "INVITE" else self.final(branch, seconds)

    def acknowledges(self, failure: str, uri: str, call: Call) -> None:
        """§17.1.1.3."""
        branch = re.search(r"branch=([^;\s]+)", failure)[1]
        self.sends("ACK", uri, Call(call.call_id, call.own, value("To", failure)), via=branch)

    # What a user does

    def registers(self, *contacts: str, seconds: float | None = None) -> int:
        """Bind contacts, its own where none is given; the status of the answer."""
        fields = [f"Contact: {contact}" for contact in contacts or [self.contact]]
        uri = f"sip:{self.server.domain}"
        _, response = self.authorized(
            "REGISTER", uri, self.registration, *fields, "Expires: 3600", seconds=seconds
        )
        return int(response[8:11])

    def dials(self, callee: "SocketPhone | str") -> tuple[Call, str]:
        """Send an INVITE with a password; gives the call and its branch."""
        peer = callee if isinstance(callee, str) else callee.address
        call = Call(os.urandom(8).hex(), f"{self.address};tag={os.urandom(4).hex()}", peer)
        uri = peer[1:-1]
        branch, _ = self.authorized("INVITE", uri, call, f"Contact: {self.contact}")
        return call, branch

    def is_answered(self, call: Call, branch: str) -> None:
        """Wait for the 2xx, and acknowledge it."""
        response = self.final(branch)
        assert response[8:11] == "200", response
        call.peer = value("To", response)
        call.target = value("Contact", response)[1:-1]
        call.routes = call.routes or re.findall(r"(?m)^Record-Route: (.*)\r$", response)[::-1]
        self.sends("ACK", call.target, call)

    def takes(self, invite: str) -> Call:
        """Answer an INVITE; gives the call as it is from here."""
        self.answers(invite, 200)
        return Call(
            value("Call-ID", invite),
            f"{value('To', invite)};tag=of-{self.user}",
            value("From", invite),
            value("Contact", invite)[1:-1],
            re.findall(r"(?m)^Record-Route: (.*)\r$", invite),
        )

    def calls(self, callee: "SocketPhone") -> tuple[Call, Call]:
        """Set a call up; gives what either side knows of it."""
        call, branch = self.dials(callee)
        theirs = callee.takes(callee.hears("INVITE "))
        self.is_answered(call, branch)
        callee.hears("ACK ")
        return call, theirs

    def invites_again(self, call: Call, callee: "SocketPhone") -> None:
        """§14: a re-INVITE, answered and acknowledged."""
        branch = self.sends("INVITE", call.target, call, f"Contact: {self.contact}")
        callee.answers(callee.hears("INVITE "), 200)
        self.is_answered(call, branch)
        callee.hears("ACK ")

    def hangs_up(self, call: Call, callee: "SocketPhone") -> None:
        branch = self.sends("BYE", call.target, call)
        callee.answers(callee.hears("BYE "), 200)
        assert self.final(branch).startswith("SIP/2.0 200 ")

    def close(self) -> None:
        self.socket.close()


def value(name: str, message: str) -> str:
    """The first field of this name."""
    return re.search(rf"(?m)^{name}: (.*)\r$", message)[1]
