"""SIP over WebSocket on the port of the pages (RFC 7118)."""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from ssl import create_default_context

import pytest
from wsproto.events import BytesMessage, Ping, Pong

from tests.support.certificates import Certificates
from tests.support.server import Server
from tests.support.socket_phone import SocketPhone
from tests.support.websocket_phone import WebSocketClient, WebSocketPhone


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture(params=["https", "http"])
def flags(request, certificates: Certificates) -> list[str]:
    return certificates.flags("localhost", part="web") if request.param == "https" else []


@pytest.fixture
def phones(server: Server) -> Iterator[tuple[WebSocketPhone, SocketPhone]]:
    """A browser and a desk phone, registered."""
    with ExitStack() as stack:
        browser = stack.enter_context(closing(WebSocketPhone(server, "alice")))
        desk = stack.enter_context(closing(SocketPhone(server, "bob")))
        assert [browser.registers(), desk.registers()] == [200, 200]
        yield browser, desk


def page(server: Server, certificates: Certificates) -> int:
    """Return the status of a page on the same port."""
    context = create_default_context(cafile=certificates.ca)
    url = server.web_url.replace("127.0.0.1", "localhost") + "/login"
    with urllib.request.urlopen(url, timeout=20, context=context) as response:
        return response.status


def test_a_browser_and_a_desk_phone_call_each_other(server: Server, phones, certificates):
    """Both directions; pages are served meanwhile; the binding ends with its socket."""
    browser, desk = phones
    for caller, callee in ((browser, desk), (desk, browser)):
        call, theirs = caller.calls(callee)
        caller.invites_again(call, callee)
        callee.hangs_up(theirs, caller)
    assert page(server, certificates) == 200
    browser.socket.says(Ping(payload=b"7"))
    assert browser.socket.hears() == Pong(payload=b"7")
    browser.close()
    _, branch = desk.dials(browser)
    assert desk.final(branch).startswith("SIP/2.0 480 ")


def test_a_broken_websocket_is_closed_with_its_code(server: Server, phones):
    """RFC 6455 §7.4.1: and its bindings end; other connections go on."""
    browser, desk = phones
    browser.socket.socket.sendall(b"\xff" * 20)
    assert browser.socket.has_been_closed() == 1002
    client = WebSocketClient(server.web_port, is_secure=server.web_url.startswith("https"))
    with closing(client):
        for _ in range(64):
            client.says(BytesMessage(data=b"x", message_finished=False))
        assert client.has_been_closed() == 1009
    assert desk.registers() == 200


def test_a_server_that_stops_says_so(server: Server, phones):
    """RFC 6455 §7.4.1: 1001 is going away; a browser connects again."""
    browser, _ = phones
    server.stop()
    assert browser.socket.has_been_closed() == 1001
