"""A simple phone: it registers, sends single requests, and measures OPTIONS."""

import hashlib
import itertools
import os
import re
import socket
import time

_branches = itertools.count(1)
_PREFIX = os.urandom(4).hex()
Address = tuple[str, int]


class Phone:
    """One socket that sends requests of any user, one after the other."""

    def __init__(
        self, server: Address, domain: str, seconds: float = 5.0, here: Address = ("", 0)
    ) -> None:
        """Send by UDP to `server` from `here`, and wait at most `seconds` for a response."""
        self.domain = domain
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(here)
        self.sock.settimeout(seconds)
        self.sock.connect(server)
        self.here = "{}:{}".format(*self.sock.getsockname())
        self.number = 0
        self.call = os.urandom(4).hex()  # RFC 3261 §10.2.4: all REGISTERs of a start have one

    def __enter__(self) -> "Phone":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, method: str, uri: str, user: str, more: str = "") -> str:
        """Send a request of `user` to itself, and return the final response."""
        self.number += 1
        branch = f"z9hG4bK{_PREFIX}{next(_branches)}"
        self.sock.send(
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {self.here};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}@{self.domain}>;tag={branch[7:]}\r\n"
            f"To: <sip:{user}@{self.domain}>\r\nCall-ID: {user}-{self.call}@{self.here}\r\n"
            f"CSeq: {self.number} {method}\r\n{more}Content-Length: 0\r\n\r\n".encode()
        )
        while True:
            answer = self.sock.recv(65535).decode()
            if branch in answer and not answer.startswith("SIP/2.0 1"):
                return answer

    def register(self, user: str, password: str, contact: str) -> int:
        """Bind `contact` for an hour, with digest; return the status of the last response."""
        uri = f"sip:{self.domain}"
        wanted = f"Contact: <{contact}>;expires=3600\r\n"
        challenge = self.ask("REGISTER", uri, user, wanted)
        if not challenge.startswith("SIP/2.0 401"):
            return int(challenge[8:11])
        realm, nonce = (
            re.search(rf'{name}="([^"]*)"', challenge)[1] for name in ("realm", "nonce")
        )
        ha1, ha2 = _md5(f"{user}:{realm}:{password}"), _md5(f"REGISTER:{uri}")
        answer = (
            f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{uri}", algorithm=MD5, '
        )
        if "qop=" in challenge:
            response = _md5(f"{ha1}:{nonce}:00000001:abcd:auth:{ha2}")
            answer += f'response="{response}", qop=auth, nc=00000001, cnonce="abcd"\r\n'
        else:
            answer += f'response="{_md5(f"{ha1}:{nonce}:{ha2}")}"\r\n'
        return int(self.ask("REGISTER", uri, user, wanted + answer)[8:11])

    def options(self) -> float:
        """Send an OPTIONS to the server, and return the seconds until its response."""
        began = time.perf_counter()
        uri = "sip:{}:{}".format(*self.sock.getpeername())
        answer = self.ask("OPTIONS", uri, "probe")
        assert answer.startswith("SIP/2.0 200"), answer
        return time.perf_counter() - began


def answers_options(server: Address) -> bool:
    """Return True if a server answers an OPTIONS at once."""
    try:
        with Phone(server, "probe.test", 0.2) as phone:
            return phone.options() >= 0
    except OSError:
        time.sleep(0.05)
        return False


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
