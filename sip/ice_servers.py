"""STUN and TURN servers for phones in browsers, as operators write them (RFC 7064, RFC 7065)."""

import re
from collections.abc import Mapping
from typing import NamedTuple

# Scheme, then name and password, then host, port and transport.
_SERVER = re.compile(
    r"(?P<scheme>stuns?|turns?):(?:(?P<name>[^:@\s]+):(?P<password>[^@\s]+)@)?"
    r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:\d{1,5})?"
    r"(?P<transport>\?transport=(?:udp|tcp))?",
)


class IceServer(NamedTuple):
    """A STUN or TURN server; `username` and `password` are "" for STUN."""

    url: str
    username: str = ""
    password: str = ""

    def as_json(self) -> Mapping[str, str]:
        """Return it as browsers take it: an RTCIceServer (W3C WebRTC §4.2.2)."""
        if not self.username:
            return {"urls": self.url}
        return {"urls": self.url, "username": self.username, "credential": self.password}


def parse_ice_servers(text: str) -> tuple[IceServer, ...]:
    """Parse servers separated by commas, like `turn:NAME:PASSWORD@turn.example.com:3478`.

    Raises ValueError; its text does not repeat a password.
    """
    servers = []
    for part in filter(None, map(str.strip, text.split(","))):
        match = _SERVER.fullmatch(part)
        if match is None:
            raise ValueError(
                "each server must be like stun:HOST:PORT or turn:NAME:PASSWORD@HOST:PORT"
            )
        name, password = match["name"] or "", match["password"] or ""
        if match["scheme"].startswith("turn") != bool(name):
            raise ValueError("a TURN server needs NAME:PASSWORD@ before its host, STUN has none")
        url = f"{match['scheme']}:{match['host']}{match['port'] or ''}{match['transport'] or ''}"
        servers.append(IceServer(url, name, password))
    return tuple(servers)
