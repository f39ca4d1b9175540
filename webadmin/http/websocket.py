"""The opening handshake of a WebSocket for SIP, on a port of the web (RFC 7118 §4, RFC 6455 §4.2).

After it the socket belongs to SIP: the server of pages hands it over with its TLS.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sip.transport.websocket_connection import Upgraded

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_SUBPROTOCOL = "sip"  # RFC 7118 §4.1
_VERSION = "13"  # RFC 6455 §4.1
# RFC 6455 §1.3.  The answer to a key proves that the server knows WebSocket.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_OCTETS = 16


# Takes the socket of a WebSocket; closes it when there is no room.
Adopt = Callable[[Upgraded], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a handshake; `text` is the body of a refusal."""

    status: HTTPStatus
    fields: tuple[tuple[str, str], ...] = ()
    text: str = ""

    @property
    def accepts(self) -> bool:
        """Return True if the socket is a WebSocket from now on."""
        return self.status is HTTPStatus.SWITCHING_PROTOCOLS

    def encode(self) -> bytes:
        """Return the octets of the response."""
        body = f"{self.text}\n".encode() if self.text else b""
        fields = list(self.fields)
        if not self.accepts:
            fields += [
                ("Connection", "close"),
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
            ]
        lines = [f"HTTP/1.1 {self.status} {self.status.phrase}", *map(": ".join, fields)]
        return "\r\n".join([*lines, "", ""]).encode() + body


class Handshake:
    """Answers the requests that open a WebSocket for SIP; `adopt` gets their sockets.

    A page of another site could make the browsers of its visitors speak SIP with this server; so
    the page must be of the same host, and of the same port with `is_strict`, or of one of
    `origins`, such as "https://pbx.example.com" (RFC 6455 §10.2).  Programs send no Origin.
    """

    def __init__(
        self, adopt: Adopt, origins: Iterable[str] = (), *, is_strict: bool = True
    ) -> None:
        self.adopt = adopt
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._is_strict = is_strict

    def answer(self, environ: "WSGIEnvironment") -> Answer | None:
        """Return the answer to a request; None if it does not open a WebSocket for SIP."""
        if not _asks_for_websocket(environ):
            return None
        if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != _VERSION:
            return Answer(
                HTTPStatus.UPGRADE_REQUIRED,
                (("Sec-WebSocket-Version", _VERSION),),
                f"This server speaks version {_VERSION} of WebSocket.",
            )
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
        offered = _tokens(environ, "HTTP_SEC_WEBSOCKET_PROTOCOL")
        if not _is_key(key) or _SUBPROTOCOL not in offered:
            return None
        if not self._allows(environ):
            text = "This page belongs to another site: `-ws.origins` can allow it."
            return Answer(HTTPStatus.FORBIDDEN, text=text)
        accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())  # noqa: S324
        return Answer(
            HTTPStatus.SWITCHING_PROTOCOLS,
            (
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", accept.decode()),
                ("Sec-WebSocket-Protocol", _SUBPROTOCOL),
            ),
        )

    def _allows(self, environ: "WSGIEnvironment") -> bool:
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or origin.lower() in self._origins:
            return True
        try:
            theirs, ours = urlsplit(origin), urlsplit(f"//{environ.get('HTTP_HOST', '')}")
            default = {"http": 80, "https": 443}.get(theirs.scheme)
            same_port = (theirs.port or default) == (ours.port or default)
        except ValueError:
            return False
        same_host = bool(theirs.hostname) and theirs.hostname == ours.hostname
        return same_host and (same_port or not self._is_strict)


def _asks_for_websocket(environ: "WSGIEnvironment") -> bool:
    """Return True for a GET without a body that asks for WebSocket (RFC 6455 §4.2.1)."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        and environ.get("CONTENT_LENGTH", "0") == "0"
        and "websocket" in map(str.lower, _tokens(environ, "HTTP_UPGRADE"))
        and "upgrade" in map(str.lower, _tokens(environ, "HTTP_CONNECTION"))
    )


def _tokens(environ: "WSGIEnvironment", name: str) -> list[str]:
    return [token.strip() for token in environ.get(name, "").split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_OCTETS
    except (binascii.Error, ValueError):
        return False


def no_pages(environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
    """Answer a request for a page on a port that is for WebSockets alone."""
    body = b"This port is for SIP over WebSocket; the web admin has another one.\n"
    fields = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(body))),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
    ]
    start_response("426 Upgrade Required", fields)
    return [body]
