"""The HTTP server on real sockets: limits, refusals and responses."""

import logging
import os
import random
import resource
import socket as plain_socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import ClassVar

import gevent
import pytest
from bottle import Bottle, request
from gevent import socket

from sip.addresses import Address
from sip.config import Config
from sip.operator_values import parse_networks
from tests.support.udp_client import needs_ipv6, until
from tests.support.wsgi_application import BIG, GET, HOST, LINE, LONG, Application, ask, length
from webadmin.http import server as wsgi
from webadmin.http.connections import Limits
from webadmin.http.server import WebServer


class Peer:
    """A client that sends any octets."""

    made: ClassVar[list["Peer"]] = []

    def __init__(self, web: WebServer, source: str = "127.0.0.1", server: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
        self.file = self.socket.makefile("rb")
        self.made.append(self)
        self.socket.settimeout(20)
        self.socket.bind((source, 0))
        self.socket.connect(web.addresses[server])

    def sends(self, data: bytes, *, ends: bool = False) -> "Peer":
        self.socket.sendall(data)
        if ends:
            self.socket.shutdown(socket.SHUT_WR)
        return self

    def gets(self, method: str = "GET") -> tuple[int, bytes]:
        """Read one response: status and body.  No response may name the software."""
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().lower().partition(": ")
            headers[name] = value
        assert not {"server", "x-powered-by", "via"} & headers.keys()
        known = 0 if method == "HEAD" else int(headers.get("content-length", 0))
        body = self.file.read(known)
        assert not any(word in body.lower() for word in (b"gevent", b"python", b"wsgi"))
        return status, body

    def is_served(self) -> bool:
        return self.sends(GET).gets()[0] == 200

    def is_closed(self) -> bool:
        """Wait for the end of the connection; further data fails the test."""
        with suppress(ConnectionResetError):
            return self.file.read() == b""
        return True

    def drips(self, data: bytes) -> None:
        """Send one octet at a time, until the connection is closed."""
        with suppress(OSError):
            for octet in data:
                self.sends(bytes([octet]))
                gevent.sleep(0.01)

    def closes(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def start(application: Application, caplog, capfd) -> Iterator[Callable[..., WebServer]]:
    """Start a server, `start(idle=0.1)`; in the end it has no connections, and the log no lines."""
    caplog.set_level(logging.INFO)
    started = []

    def serving(app=application, host: str | None = "127.0.0.1", **limits) -> WebServer:
        started.append(wsgi.serve(Config(web_addr=Address(host, 0)), app, Limits(**limits)))
        return started[-1]

    yield serving
    application.go_on.set()
    while Peer.made:
        Peer.made.pop().closes()
    for web in started:
        web.stop()
        assert not web._limiter._connections
        assert not web._limiter.handlers
    assert not caplog.get_records("call")
    assert capfd.readouterr().err == ""


def connection_count(web: WebServer) -> int:
    return len(web._limiter._connections)


def test_a_silent_peer_is_closed(start):
    web = start(idle=0.1, head=LONG)
    silent, kept = Peer(web), Peer(web)
    assert kept.is_served()
    assert all(peer.is_closed() for peer in (silent, kept))


@pytest.mark.parametrize("part", [b"G", b"GET / HT", GET[:-4], GET[:-1]])
def test_a_request_that_never_ends_is_not_waited_for(start, part):
    peer = Peer(start(idle=LONG, head=0.1))
    assert peer.is_served()
    assert peer.sends(part).gets()[0] == 408
    assert peer.is_closed()


@pytest.mark.parametrize("path", ["/body", "/"])
def test_a_body_that_never_comes_is_not_waited_for(start, application, path):
    """Whether the application wants it or not.  It isn't told, for bottle would call it a fault."""
    peer = Peer(start(body_pause=0.1)).sends(ask(path, length(9)) + b"part")
    assert peer.gets()[0] == (408 if path == "/body" else 200)
    assert peer.is_closed()
    assert not application.told


@pytest.mark.parametrize("sent", [LINE + b"X: ", ask("/body", length(2000))])
def test_a_dripping_peer_gets_no_extra_time(start, application, sent):
    peer = Peer(start(idle=LONG, head=0.15, body_pause=LONG, body=0.15)).sends(sent)
    dripping = gevent.spawn(peer.drips, b"x" * 100_000)
    assert peer.gets()[0] == 408
    dripping.kill()
    assert not application.told


@pytest.mark.parametrize("sent", [b"GET / HT", GET[:-2], ask("/body", length(9)) + b"part"])
def test_a_request_cut_short_is_not_served(start, application, sent):
    peer = Peer(start()).sends(sent, ends=True)
    assert peer.gets()[0] == 400
    assert peer.is_closed()
    assert application.served == (["/body"] if b"body" in sent else [])
    assert not application.told


def test_a_peer_that_never_reads_is_closed(start):
    web = start(send=0.1)
    peer = Peer(web).sends(ask("/big"))
    until(lambda: connection_count(web) == 1)
    until(lambda: connection_count(web) == 0)
    assert len(peer.file.read()) < len(BIG)


def test_a_slow_reader_gets_the_whole_response(start):
    """The limit is for a piece of the answer."""
    peer = Peer(start(send=1.5)).sends(ask("/big", b"Connection: close\r\n"))
    got = 0
    while data := peer.socket.recv(2_000_000):
        got += len(data)
        gevent.sleep(0.12 if got < 30_000_000 else 0)
    assert got > len(BIG)


def test_an_event_stream_outlives_the_limits(start, application):
    peer = Peer(start(idle=0.05, head=0.05, body=0.05, body_pause=0.05, send=0.05))
    assert peer.sends(ask("/events")).gets()[0] == 200
    gevent.sleep(0.2)
    application.go_on.set()
    assert b"data: last" in peer.file.read(70)


# Requests that are too large, or invalid

REFUSED = {
    "a long target": (414, b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a long header": (431, LINE + HOST + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n"),
    "long headers": (431, LINE + HOST + (b"X: " + b"y" * 9000 + b"\r\n") * 90),
    "many headers": (400, ask("/", b"X: y\r\n" * 101)),
    "a large body": (413, ask("/body", length(2_000_000_000), "POST")),
    "chunks": (411, ask("/body", b"Transfer-Encoding: chunked\r\n") + b"1\r\nx\r\n0\r\n\r\n"),
    "two lengths": (400, ask("/body", length(1) + length(2)) + b"xx"),
    "a length with a sign": (400, ask("/body", b"Content-Length: +2\r\n") + b"xx"),
    "an endless length": (400, ask("/body", b"Content-Length: " + b"9" * 5000 + b"\r\n")),
    "no Host": (400, LINE + b"\r\n"),
    "two HostsFile": (400, ask("/", HOST)),
    "a space before the colon": (400, ask("/", b"Content-Length : 3\r\n") + b"GET"),
    "a header without a colon": (400, ask("/", b"Cookie\r\n" + length(3)) + b"GET"),
    "a header on two lines": (400, ask("/", b"Cookie: a=b\r\n c=d\r\n")),
    "a line that ends in CR": (400, ask("/", b"Cookie: a=b\rContent-Length: 3\r\n") + b"GET"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)),
    "HTTP/0.9": (400, b"GET /\r\n" + HOST + b"\r\n"),
}


@pytest.mark.parametrize(("status", "data"), REFUSED.values(), ids=REFUSED)
def test_an_invalid_request_is_refused_and_ends_the_connection(start, application, status, data):
    """The refusal arrives while the peer still sends; later data is not read as a request."""
    peer = Peer(start()).sends(data)
    assert peer.gets()[0] == status
    assert peer.sends(b"", ends=True).is_closed()
    assert application.served == []


def test_noise_is_never_our_fault(start, application):
    web = start(head=0.05, idle=0.05, body_pause=0.05)
    noise = random.Random(7)
    for _ in range(60):
        data = bytearray(ask("/body", length(3) + b"Cookie: a=b\r\n", "POST") + b"abc")
        for _ in range(noise.randrange(1, 6)):
            data[noise.randrange(20, len(data))] = noise.randrange(256)
        peer = Peer(web).sends(data + noise.randbytes(noise.randrange(200)), ends=True)
        with suppress(ConnectionResetError):
            assert peer.file.read(9) in (b"HTTP/1.1 ", b"")
    assert Peer(web).is_served()
    assert not application.told


@pytest.mark.parametrize("sent", [b"", b"GET /", GET, ask("/big"), ask("/hold")])
def test_a_reset_connection_leaves_nothing_behind(start, application, sent):
    web = start()
    for _ in range(5):
        peer = Peer(web).sends(sent)
        gevent.sleep(0.005)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.closes()
    application.go_on.set()
    until(lambda: connection_count(web) == 0)


def test_silent_connections_do_not_block_their_own_address(start):
    """Each new connection replaces the oldest silent one."""
    web = start(per_address=3)
    elsewhere, silent = [Peer(web, "127.0.0.2") for _ in range(3)], [Peer(web) for _ in range(3)]
    until(lambda: connection_count(web) == 6)
    persons = [Peer(web), Peer(web)]
    assert all(person.is_served() for person in persons)
    assert all(peer.is_closed() for peer in silent[:2])
    assert all(peer.is_served() for peer in (*elsewhere, silent[2], *persons))


def test_a_proxy_has_only_the_total_limit(start):
    """Its connections are those of many browsers."""
    web = start(per_address=1, total=4, proxies=parse_networks("127.0.0.1"))
    browsers = [Peer(web) for _ in range(3)]
    assert all(peer.is_served() for peer in browsers)
    others = [Peer(web, "127.0.0.2") for _ in range(2)]
    assert others[1].is_served()
    assert others[0].is_closed()
    assert all(peer.is_served() for peer in browsers)


def test_at_the_total_limit_the_source_with_most_loses_one(start):
    """A source with one connection keeps it; silent connections go before requests."""
    web = start(total=5)
    person, uploading = Peer(web, "127.0.0.2"), Peer(web).sends(ask("/body", length(2)) + b"x")
    until(lambda: connection_count(web) == 2)
    silent = [Peer(web) for _ in range(3)]
    until(lambda: connection_count(web) == 5)
    assert Peer(web, "127.0.0.3").is_served()
    assert silent[0].is_closed()
    assert person.is_served()
    assert uploading.sends(b"x").gets()[1] == b"2 octets"
    assert connection_count(web) == 5


@pytest.mark.parametrize("slow", [ask("/body", length(9)), ask("/big")])
def test_a_request_whose_peer_is_slow_can_be_closed_too(start, application, slow):
    web = start(total=2)
    peers = [Peer(web).sends(slow) for _ in range(2)]
    until(lambda: application.busy == 2 and all(c.waiting for c in web._limiter._connections))
    assert Peer(web, "127.0.0.2").is_served()
    until(lambda: application.busy == 1)
    assert len(peers[0].file.read()) < len(BIG)


@pytest.mark.parametrize("limit", ["per_address", "total"])
def test_a_served_connection_stays_and_the_surplus_gets_503(start, application, limit):
    web = start(**{limit: 2})
    served = [Peer(web).sends(ask("/hold")) for _ in range(2)]
    until(lambda: application.busy == 2)
    refused = Peer(web)
    assert refused.gets()[0] == 503
    assert refused.is_closed()
    if limit == "per_address":
        assert Peer(web, "127.0.0.2").is_served()
    application.go_on.set()
    assert [peer.gets()[0] for peer in served] == [200, 200]
    assert Peer(web).is_served()


def test_a_flood_of_requests_does_not_block_the_event_loop(start, application):
    turns, at = [0], []
    watcher = gevent.get_hub().loop.check()
    watcher.start(lambda: turns.append(turns[-1] + 1))
    application.hello = lambda *args: at.append(turns[-1]) or Application.hello(application, *args)
    web = start()
    flood = Peer(web)
    flooding = gevent.spawn(flood.sends, GET * 300)
    until(lambda: len(at) > 5)
    assert Peer(web).sends(ask("/", b"User-Agent: person\r\n")).gets()[0] == 200
    assert application.served.index("person") < 100
    assert [flood.gets()[0] for _ in range(300)] == [200] * 300
    flooding.join()
    watcher.close()
    assert len(set(at)) == len(at), "each request had a turn of its own"


def test_without_descriptors_it_waits_and_warns_once(start, caplog):
    web = start(shortage=0.05)
    server = web._servers[0]
    tries, pause = [], server._pause
    server._pause = lambda error: tries.append(error) or pause(error)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    late, taken = socket.socket(), [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 20, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        late.connect(web.addresses[0])
        began = time.monotonic()
        until(lambda: len(tries) > 2)
        # One at once, one after each pause, and one that has begun.
        most = 2 + (time.monotonic() - began) / 0.05
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)
    assert len(tries) <= most
    late.sendall(GET)
    assert late.recv(12) == b"HTTP/1.1 200"
    late.close()
    assert [r.getMessage()[-21:] for r in caplog.records] == [": Too many open files"]
    caplog.clear()


def test_a_connection_serves_many_requests(start, application):
    web = start()
    peer = Peer(web)
    assert peer.is_served()
    assert peer.sends(ask("/", method="HEAD")).gets("HEAD") == (200, b"")
    asked = ask("/body", length(3) + b"Connection: upgrade\r\nUpgrade: websocket\r\n") + b"abc"
    peer.sends(
        asked + ask("/", length(len(GET))) + GET + asked
    )  # a body that the application does not read
    assert [peer.gets()[1] for _ in range(3)] == [b"3 octets", b"GET from 127.0.0.1", b"3 octets"]
    # Else the body of an answer would wait until its head is acknowledged.
    (connection,) = web._limiter._connections
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert peer.sends(ask("/", b"Connection: close\r\n")).gets()[0] == 200
    assert peer.is_closed()


def test_a_body_that_waits_to_be_asked_for_is_asked_for(start):
    peer = Peer(start()).sends(ask("/body", length(3) + b"Expect: 100-continue\r\n"))
    assert peer.gets()[0] == 100
    assert peer.sends(b"abc").gets()[1] == b"3 octets"


@needs_ipv6
def test_without_a_host_it_serves_ipv4_and_ipv6(start, monkeypatch):
    create, own = plain_socket.create_server, {"0.0.0.0": "127.0.0.1", "::": "::1"}
    here = lambda at, **how: create((own[at[0]], at[1]), **how)  # noqa: E731
    monkeypatch.setattr(plain_socket, "create_server", here)
    web = start(host=None)
    assert len({port for _, port in web.addresses}) == 1
    for server, source in enumerate(("127.0.0.7", "::1")):
        assert Peer(web, source, server).sends(GET).gets()[1] == f"GET from {source}".encode()


def test_an_address_in_use_is_one_error_sentence(start):
    port = start().addresses[0][1]
    with pytest.raises(wsgi.WebListenError, match=f"^cannot listen on TCP .*:{port}: Address al"):
        wsgi.serve(Config(web_addr=Address("127.0.0.1", port)), Application())


@pytest.mark.parametrize("path", ["/boom", "/half"])
def test_a_failure_ends_the_answer_and_is_reported_once(start, caplog, path):
    answer = Peer(start()).sends(ask(f"{path}?token=secret")).file.read()
    assert answer.startswith(b"HTTP/1.1 500" if path == "/boom" else b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n" if path == "/boom" else b"the first half\r\n")
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == (
        "webadmin.http.server",
        f"unhandled error while handling 'GET {path}'",
    )
    assert "the application's own" in caplog.text
    caplog.clear()


def test_a_failure_in_bottle_is_logged_once_a_peers_never(start, caplog):
    app = Bottle()
    app.route("/boom", callback=lambda: 1 // 0)
    app.route("/form", "POST", callback=lambda: request.forms.name)
    web = start(app, body_pause=0.1)
    form = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\na\r\n--x--\r\n'
    head = b"Content-Type: multipart/form-data; boundary=x\r\n" + length(len(form))
    peer = Peer(web)
    assert peer.sends(ask("/form", head, "POST") + form).gets()[1] == b"a"
    assert peer.sends(ask("/form", head, "POST") + form[:-1]).gets()[0] == 408
    assert not caplog.records
    assert Peer(web).sends(ask("/boom")).gets()[0] == 500
    (record,) = caplog.records
    assert record.exc_info[0] is ZeroDivisionError
    caplog.clear()


def test_a_stop_waits_for_running_requests_only(start, application):
    web = start(grace=LONG)
    served, kept, events = Peer(web).sends(ask("/hold")), Peer(web), Peer(web).sends(ask("/events"))
    assert kept.is_served()
    others = [Peer(web), Peer(web).sends(b"GET /"), kept]
    assert events.gets()[0] == 200
    until(lambda: connection_count(web) == 5)
    stopping = gevent.spawn(web.stop)
    assert all(peer.is_closed() for peer in others)
    assert b"first" in events.file.read()
    assert application.busy == 1
    with pytest.raises(ConnectionRefusedError):
        Peer(web)
    application.go_on.set()
    assert served.gets()[0] == 200
    assert served.is_closed()
    stopping.join()


@pytest.mark.parametrize("path", ["/hold", "/big", "/body"])
def test_a_stop_does_not_wait_for_ever(start, application, path):
    web = start(grace=0.05)
    peer = Peer(web).sends(ask(path, length(9)))
    until(lambda: application.busy == 1)
    web.stop()
    assert application.busy == 0
    assert len(peer.file.read()) < len(BIG)
