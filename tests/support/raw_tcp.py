"""A plain TCP connection to the server, with the few SIP messages that tests need."""

import contextlib
import hashlib
import os
import re
import socket
import struct

from tests.support.programs import PATIENCE
from tests.support.server import Server

PING, PONG = b"\r\n\r\n", b"\r\n"


class TcpClient:
    """One TCP connection to the server, and the SIP messages on it."""

    def __init__(self, server: Server, host: str = "127.0.0.1") -> None:
        self.server = server
        self.socket = socket.create_connection(
            ("127.0.0.1", server.port), PATIENCE, source_address=(host, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def request(self, method: str, *more: str, uri: str = "", user: str = "alice") -> bytes:
        """A request that the server itself answers, with a Call-ID of its own."""
        host, port = self.socket.getsockname()
        unique = os.urandom(8).hex()
        lines = [
            f"{method} {uri or f'sip:{self.server.domain}'} SIP/2.0",
            f"Via: SIP/2.0/TCP {host}:{port};branch=z9hG4bK{unique}",
            "Max-Forwards: 70",
            f"From: <sip:{user}@{self.server.domain}>;tag={unique}",
            f"To: <sip:{user}@{self.server.domain}>",
            f"Call-ID: {unique}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{user}@{host}:{port};transport=tcp>",
            *more,
        ]
        if not any(line.startswith("Content-Length") for line in more):
            lines.append("Content-Length: 0")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    def says(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hears(self) -> bytes:
        """One message, by its Content-Length."""
        while PING not in self.pending:
            self._read()
        head, _, rest = self.pending.partition(PING)
        length = int(re.search(rb"(?im)^content-length:\s*(\d+)", head)[1])
        while len(rest) < length:
            self._read()
            rest = self.pending.partition(PING)[2]
        self.pending = rest[length:]
        return head + PING + rest[:length]

    def hears_status(self) -> int:
        return int(self.hears().split(b" ", 2)[1])

    def _read(self) -> None:
        data = self.socket.recv(65_536)
        assert data, f"the server closed the connection behind {self.pending!r}"
        self.pending += data

    def is_closed(self) -> bool:
        """Wait for octets; return True if the connection ends instead."""
        with contextlib.suppress(ConnectionResetError):
            return self.socket.recv(65_536) == b""
        return True

    def asks(self, method: str = "OPTIONS", *more: str, **how: str) -> int:
        self.says(self.request(method, *more, **how))
        return self.hears_status()

    def registers(self, user: str) -> int:
        """REGISTER twice, the second time with the answer to the challenge."""
        self.says(self.request("REGISTER", user=user))
        answer = self._answer("REGISTER", f"sip:{self.server.domain}", user)
        return self.asks("REGISTER", answer, user=user)

    def calls(self, callee: str, user: str = "alice") -> None:
        """INVITE twice, likewise; the answers are still to be read."""
        uri = f"sip:{callee}@{self.server.domain}"
        self.says(self.request("INVITE", uri=uri, user=user))
        answer = self._answer("INVITE", uri, user)
        self.says(self.request("INVITE", answer, uri=uri, user=user))

    def _answer(self, method: str, uri: str, user: str) -> str:
        """The field with the answer to a challenge (RFC 2617)."""
        challenge = self.hears().decode()
        status = challenge.split()[1]
        offers = re.findall(r"(?im)-Authenticate: Digest (.*MD5.*)\r$", challenge)
        nonce = re.search(r'nonce="([^"]+)"', offers[0])[1]
        realm = self.server.domain

        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode()).hexdigest()

        ha1 = md5(user, realm, self.server.password_of(user))
        response = md5(ha1, nonce, "00000001", "c", "auth", md5(method, uri))
        name = {"401": "Authorization", "407": "Proxy-Authorization"}[status]
        return (
            f'{name}: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5, cnonce="c", qop=auth, nc=00000001'
        )

    def answers(self, request: bytes, status: int) -> None:
        """Answer a request that has been heard."""
        copied = re.findall(rb"(?m)^((?:Via|Record-Route|From|Call-ID|CSeq): .*\r\n)", request)
        to = re.search(rb"(?m)^To: (.*)\r$", request)[1]
        host, port = self.socket.getsockname()
        contact = f"Contact: <sip:{host}:{port};transport=tcp>\r\nContent-Length: 0\r\n\r\n"
        head = b"SIP/2.0 %d Reason\r\n%sTo: %s;tag=callee\r\n" % (status, b"".join(copied), to)
        self.says(head + contact.encode())

    def resets(self) -> None:
        """End it as a crash does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.socket.close()
