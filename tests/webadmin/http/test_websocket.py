"""The handshake of a WebSocket on the web port, and the hand-over of its socket."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest
from gevent import socket
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from sip.addresses import Address
from sip.config import Config
from sip.transport.websocket_connection import Upgraded
from tests.support.wsgi_application import Application, ask, length
from webadmin.http.connections import Limits
from webadmin.http.server import serve

# The example of RFC 6455 §1.2 and §1.3, with the subprotocol of RFC 7118 §4.2.
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
UPGRADE = b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
SUBPROTOCOL = b"Sec-WebSocket-Protocol: chat, sip\r\n"
WHOLE = UPGRADE + KEY + VERSION + SUBPROTOCOL


class Site:
    """A web server, and the sockets that it has handed over."""

    def __init__(
        self, origins: tuple[str, ...] = (), *, has_own_port: bool = False, proxies=()
    ) -> None:
        self.upgraded: list[Upgraded] = []
        here = Address("127.0.0.1", 0)
        config = Config(
            web_addr=here,
            ws_addr=here if has_own_port else None,
            ws_origins=origins,
            web_proxies=proxies,
        )
        self.web = serve(
            config, Application(), Limits(idle=5.0, proxies=proxies), self.upgraded.append
        )

    def gets(self, data: bytes) -> bytes:
        """Return what the server sends back at once, on the port for WebSockets if it has one."""
        self.client = socket.create_connection(self.web._servers[-1].address)
        self.client.settimeout(10)
        self.client.sendall(data)
        return self.client.recv(65_536)


@pytest.fixture
def start() -> Iterator[Callable[..., Site]]:
    """Start a server."""
    started = []

    def starting(*arguments, **more) -> Site:
        started.append(Site(*arguments, **more))
        return started[-1]

    yield starting
    for site in started:
        site.client.close()
        for upgraded in site.upgraded:
            upgraded.socket.close()
        site.web.stop()


def test_a_client_of_another_hand_opens_it(start):
    """RFC 7118 §4.2; the octets that follow reach SIP, and the place of a guest is free again."""
    site = start()
    client = WSConnection(ConnectionType.CLIENT)
    answer = site.gets(client.send(Request("example.com", "/ws", subprotocols=["sip"])))
    client.receive_data(answer)
    (event,) = client.events()
    assert isinstance(event, AcceptConnection)
    assert event.subprotocol == "sip"
    (upgraded,) = site.upgraded
    assert upgraded.remote == site.client.getsockname()
    assert (upgraded.tls, upgraded.first) == (None, b"")
    site.client.sendall(b"frame")
    upgraded.socket.setblocking(True)
    assert upgraded.socket.recv(100) == b"frame"
    assert not site.web._limiter._connections


def test_octets_that_came_with_the_request_are_handed_over(start):
    """A client may not send before the answer; if one does, nothing is lost, nothing waits."""
    site = start()
    assert ACCEPT in site.gets(ask("/", WHOLE) + b"early")
    assert site.upgraded[0].first == b"early"


@pytest.mark.parametrize(
    "request_",
    [
        ask("/", UPGRADE + VERSION + SUBPROTOCOL),
        ask("/", UPGRADE + VERSION + SUBPROTOCOL + b"Sec-WebSocket-Key: c2hvcnQ=\r\n"),
        ask("/", UPGRADE + VERSION + SUBPROTOCOL + b"Sec-WebSocket-Key: \xfc\r\n"),
        ask("/", UPGRADE + KEY + VERSION),
        ask("/", UPGRADE + KEY + VERSION + b"Sec-WebSocket-Protocol: chat\r\n"),
        ask("/", KEY + VERSION + SUBPROTOCOL + b"Upgrade: websocket\r\n"),
        ask("/", KEY + VERSION + SUBPROTOCOL + b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
        ask("/", WHOLE + length(3)) + b"abc",
        ask("/", WHOLE, method="POST"),
        ask("/", WHOLE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_another_request_gets_a_page(start, request_: bytes):
    """RFC 6455 §4.2.1: these open no WebSocket for SIP."""
    site = start()
    assert site.gets(request_).startswith(b"HTTP/1.1 200 OK\r\n")
    assert site.upgraded == []


def test_another_version_is_told_ours(start):
    """RFC 6455 §4.2.2, §4.4."""
    answer = start().gets(ask("/", WHOLE.replace(b"13", b"8")))
    assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n")


@pytest.mark.parametrize(
    ("origin", "has_own_port", "is_allowed"),
    [
        (b"", False, True),
        (b"http://example.com", False, True),
        (b"HTTPS://Example.com", False, True),
        (b"http://example.com:8081", False, False),
        (b"http://example.com:8081", True, True),
        (b"http://evil.example", True, False),
        (b"http://example.com.evil.example", True, False),
        (b"null", True, False),
        (b"http://example.com:port", True, False),
        (b"http://[", True, False),
        (b"https://office.example:8443", False, True),
        (b"https://office.example", False, False),
    ],
)
def test_a_page_of_another_site_may_not_open_it(start, origin, has_own_port, is_allowed):
    """RFC 6455 §10.2, unless the administrator has named its origin.

    A port for WebSockets alone has no pages, so it serves those of any port of its host.
    """
    site = start(("https://office.example:8443",), has_own_port=has_own_port)
    field = b"Origin: " + origin + b"\r\n" if origin else b""
    answer = site.gets(ask("/", WHOLE + field))
    assert answer.startswith(b"HTTP/1.1 101 " if is_allowed else b"HTTP/1.1 403 ")
    assert len(site.upgraded) == is_allowed


def test_a_port_of_its_own_has_no_pages(start):
    answer = start(has_own_port=True).gets(ask("/"))
    assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"the web admin has another one" in answer


def test_behind_a_named_proxy_the_browser_is_the_peer(start):
    """Limits and bans are for it, and not for the proxy."""
    site = start(proxies=(ip_network("127.0.0.1"),))
    site.gets(ask("/", WHOLE + b"X-Forwarded-For: 203.0.113.7\r\n"))
    assert site.upgraded[0].remote == ("203.0.113.7", site.client.getsockname()[1])
