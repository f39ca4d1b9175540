"""An attacker that registers with guessed passwords, from an address of its own."""

import hashlib
import os
import re
import socket
from contextlib import suppress

from tests.support.programs import own_address
from tests.support.server import Server

# Datagrams that a request is sent in until it is answered, each waited for half a second.
REPEATS = 4


class PasswordGuesser:
    """Registers with passwords, each in a request and Call-ID of its own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.host = own_address()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.host, 0))
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.settimeout(0.5)

    def asks(self, user: str, authorization: str = "") -> str:
        """Send a REGISTER; gives the answer, or nothing."""
        domain, unique = self.server.domain, os.urandom(6).hex()
        lines = [
            f"REGISTER sip:{domain} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host};branch=z9hG4bK{unique};rport",
            "Max-Forwards: 70",
            f"From: <sip:{user}@{domain}>;tag={unique}",
            f"To: <sip:{user}@{domain}>",
            f"Call-ID: {unique}",
            "CSeq: 1 REGISTER",
            f"Contact: <sip:{user}@{self.host}>",
            *filter(None, [authorization]),
            "Content-Length: 0",
        ]
        request = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
        for _ in range(REPEATS):  # as any client on UDP does: a busy machine may take its time
            self.socket.send(request)
            with suppress(TimeoutError):
                while unique not in (answer := self.socket.recv(65535).decode()):
                    pass  # the late answer of an earlier request
                return answer
        return ""

    def guesses(self, user: str, password: str = "1234") -> str:
        """Try one password."""
        found = re.search('nonce="([^"]+)"', self.asks(user))
        if found is None:
            return ""
        domain = self.server.domain
        ha1, ha2 = (
            hashlib.md5(text.encode()).hexdigest()
            for text in (f"{user}:{domain}:{password}", f"REGISTER:sip:{domain}")
        )
        answer = hashlib.md5(f"{ha1}:{found[1]}:{ha2}".encode()).hexdigest()
        return self.asks(
            user,
            f'Authorization: Digest username="{user}", realm="{domain}", nonce="{found[1]}",'
            f' uri="sip:{domain}", response="{answer}"',
        )

    def is_heard(self) -> bool:
        return self.asks("anybody").startswith("SIP/2.0 401 ")

    def close(self) -> None:
        self.socket.close()
