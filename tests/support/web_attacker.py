"""An attacker with a plain socket to the web admin."""

import re
import socket
from contextlib import suppress
from urllib.parse import urlencode

from tests.support.programs import PATIENCE
from tests.support.server import Server
from tests.support.server_load import main_thread_cpu_seconds

PASSWORD = "correct horse battery staple"
FORM = "Content-Type: application/x-www-form-urlencoded"
OURS = "Sec-Fetch-Site: same-origin"


class Attacker:
    """Sends octets, and reads the answers to their end."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookie = ""

    def connects(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.web_port), 10, (source, 0))

    def sends(self, *pieces: bytes, source: str = "127.0.0.1", ends: bool = True) -> bytes:
        """Send them and say that this was all; gives every answer that comes."""
        heard = b""
        with self.connects(source) as connection:
            with suppress(OSError):  # an answer may come, and the end, before all is sent
                for piece in pieces:
                    connection.sendall(piece)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            with suppress(OSError):
                while some := connection.recv(65_536):
                    heard += some
        return heard

    def head(self, method: str, path: str, *fields: str, host: str = "pbx.test") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
        if self.cookie:
            lines.append(f"Cookie: {self.cookie}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    def asks(self, method: str, path: str, *fields: str, **how: str) -> bytes:
        return self.sends(self.head(method, path, "Connection: close", *fields, **how))

    def posts(
        self, path: str, fields: dict[str, str], *more: str, source: str = "127.0.0.1"
    ) -> bytes:
        body = urlencode(fields).encode()
        length = f"Content-Length: {len(body)}"
        head = self.head("POST", path, "Connection: close", FORM, OURS, length, *more)
        return self.sends(head, body, source=source)

    def signs_in(self) -> "Attacker":
        """From here on it has the administrator's cookie."""
        answer = self.posts("/login", {"username": "admin", "password": PASSWORD})
        self.cookie = re.search(rb"Set-Cookie: (sipserver_session=[^;]+)", answer)[1].decode()
        return self


def statuses(heard: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n", heard)]


def work_before_sip(server: Server, times: int = 100) -> float:
    """The most that the server's main thread works before an answer to OPTIONS, in CPU seconds."""
    longest = 0.0
    for _ in range(times):
        before = main_thread_cpu_seconds(server)
        assert server.answers_options(PATIENCE)
        longest = max(longest, main_thread_cpu_seconds(server) - before)
    return longest
