"""TLS on real sockets: handshakes, renewal, bounds, and names that servers prove."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest
from gevent import socket
from gevent.ssl import SSLContext

from sip.monitor.metrics import CLOSED_HANDSHAKE_LIMIT, CLOSED_TIMEOUT, CONNECTIONS_REFUSED
from sip.transport import handshakes
from sip.transport.certificates import ALPN_SIP, Certificate, CertificateError, NextHopContext
from sip.transport.handshakes import HANDSHAKE_SECONDS, MAX_HANDSHAKES_FROM_ADDRESS
from sip.transport.tcp_connection import Layers
from sip.transport.tcp_listener import PlainSocket
from sip.transport.tls import TlsContexts, TlsWire
from tests.support.certificates import Certificates
from tests.support.tcp_fixture import HOST, ListeningCarrier, message
from tests.support.udp_client import until

NAME = "sip.example.com"


class TlsPlace(ListeningCarrier):
    """A carrier that listens for TLS, and clients of it."""

    certificates: Certificates
    contexts: TlsContexts

    def speaks_tls(self, home: Path, **settings: str) -> "TlsPlace":
        self.certificates = Certificates(home)
        files = map(str, self.certificates.issue(NAME, HOST))
        certificate = Certificate(*files, [ALPN_SIP], has_tickets=False, **settings)
        self.contexts = TlsContexts(
            certificate, NextHopContext(str(self.certificates.ca), certificate)
        )
        self.streams.add_transport("TLS", Layers(make_wire=self.contexts.wire))
        listener = self.streams.listen((HOST, 0), "TLS")
        listener.start()
        self.tls_port = listener.local[1]
        return self

    def raw(self, host: str = HOST, port: int = 0) -> socket.socket:
        peer = socket.create_connection((HOST, port or self.tls_port), 10.0, (host, 0))
        self.peers.append(peer)
        return peer

    def encrypted(self, pair: tuple[Path, Path] | None = None, port: int = 0):
        context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(self.certificates.ca))
        if pair:
            context.load_cert_chain(*map(str, pair))
        peer = context.wrap_socket(self.raw(port=port), server_hostname=NAME)
        self.peers.append(peer)
        return peer


@pytest.fixture
def place(tmp_path: Path) -> Iterator[TlsPlace]:
    place = TlsPlace().speaks_tls(tmp_path)
    yield place
    for peer in place.peers:
        with suppress(OSError):
            peer.close()
    place.streams.stop()
    gevent.sleep(0)


def serial(peer) -> str:
    return peer.getpeercert()["serialNumber"]


def test_messages_pass_in_both_directions(place: TlsPlace):
    peer = place.encrypted()
    assert peer.version() == "TLSv1.3"
    big = message("one", b"x" * 40_000)
    peer.sendall(big + message("two"))
    assert place.hears(2) == [big, message("two")]
    flow = place.heard[0][1]
    assert (flow.transport, flow.local, flow.is_secure) == ("TLS", (HOST, place.tls_port), True)
    answer = message("answer", b"y" * 100_000)
    assert place.streams.send(answer, flow) is flow
    heard = b""
    while len(heard) < len(answer):
        heard += peer.recv(65_536)
    assert heard == answer
    peer.unwrap().close()  # its close_notify ends the connection
    until(lambda: place.closed == [flow.connection])


def test_a_renewed_certificate_leaves_connections_open(place: TlsPlace):
    before = place.encrypted()
    place.certificates.issue(NAME, HOST)
    place.contexts.renew()
    after = place.encrypted()
    assert serial(before) != serial(after)
    before.sendall(message("still here"))
    assert place.hears(1) == [message("still here")]


def test_unusable_files_keep_the_old_certificate(place: TlsPlace):
    """One sentence says why: another key, or a certificate that has expired."""
    first = serial(place.encrypted())
    certificate, key = place.certificates.issue(NAME, HOST)
    other = place.certificates.issue("other.example.com")
    key.write_bytes(other[1].read_bytes())
    with pytest.raises(CertificateError, match="belong together"):
        place.contexts.renew()
    place.certificates.issue(NAME, HOST, days=-2)
    with pytest.raises(CertificateError, match=r"expired on 20\d\d-\d\d-\d\d: renew it"):
        place.contexts.renew()
    certificate.unlink()
    with pytest.raises(CertificateError, match="cannot read the certificate"):
        place.contexts.renew()
    assert serial(place.encrypted()) == first


def test_a_phone_that_does_not_trust_us_is_logged(place: TlsPlace, caplog):
    """At most one line in ten seconds."""
    caplog.set_level("INFO")
    for seconds in (0.0, 1.0, 10.0):
        place.now += seconds
        with pytest.raises(ssl.SSLCertVerificationError):
            SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(place.raw(), server_hostname=NAME)
        until(lambda: not place.streams.connections)
    lines = [record.getMessage() for record in caplog.records if "TLS" in record.getMessage()]
    assert [line.partition(" failed: ")[2] for line in lines] == [
        "tlsv1 alert unknown ca (1 so far)",
        "tlsv1 alert unknown ca (3 so far)",
    ]


def test_octets_that_are_no_tls_end_their_connection(place: TlsPlace):
    plain, good = place.raw(), place.encrypted()
    plain.sendall(message("plain"))
    assert plain.recv(100)[:1] in (b"", b"\x15")  # an alert
    assert plain.recv(100) == b""
    good.sendall(message("good"))
    assert place.hears(1) == [message("good")]


def test_an_unfinished_handshake_has_ten_seconds(place: TlsPlace):
    silent, half = place.raw(), place.raw()
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    done = place.encrypted()
    until(lambda: place.held == 3)
    place.now += HANDSHAKE_SECONDS
    place.streams.close_expired(place.now)
    assert silent.recv(1) == b""
    assert half.recv(1) == b""
    assert place.streams.counts[CLOSED_TIMEOUT] == 2
    done.sendall(message("done"))
    assert place.hears(1) == [message("done")]


def test_unfinished_handshakes_of_an_address_are_bounded(place: TlsPlace):
    """Those of another address are still accepted."""
    for _ in range(MAX_HANDSHAKES_FROM_ADDRESS + 3):
        place.raw("127.0.0.2")
    until(lambda: place.streams.counts[CONNECTIONS_REFUSED] == 3)
    assert place.held == MAX_HANDSHAKES_FROM_ADDRESS
    place.encrypted().sendall(message("office"))
    assert place.hears(1) == [message("office")]


def test_the_oldest_handshake_ends_for_a_new_one(place: TlsPlace, monkeypatch):
    """So a flood from many addresses takes no phone's place."""
    monkeypatch.setattr(handshakes, "MAX_HANDSHAKES", 3)
    floods = [place.raw(f"127.0.0.{number}") for number in range(2, 7)]
    until(lambda: place.streams.counts[CLOSED_HANDSHAKE_LIMIT] == 2)
    assert floods[0].recv(1) == floods[1].recv(1) == b""
    place.encrypted().sendall(message("phone"))
    assert place.hears(1) == [message("phone")]
    assert place.held == 3  # of the flood two are left


def test_a_handshake_counts_as_four_messages(place: TlsPlace):
    asked = []
    place.streams.allows = lambda flow: asked.append(flow) or len(asked) < 4
    with pytest.raises(OSError, match=r"."):
        place.encrypted()
    assert len(asked) == 4  # one for the connection, and the third of four was refused


def test_a_connection_is_taken_over_with_its_octets(place: TlsPlace):
    """As the web server hands a connection over: part of a message is read, part is not."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen()
    place.peers.append(listener)
    ready = gevent.spawn(place.encrypted, port=listener.getsockname()[1])
    raw, remote = listener.accept()
    arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = place.contexts.certificate.context.wrap_bio(arrived, leaving, server_side=True)
    is_done = False
    while not is_done:
        try:
            tls.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            raw.sendall(leaving.read())
            arrived.write(raw.recv(65_536))
    raw.sendall(leaving.read())
    peer = ready.get(timeout=10)
    one, two = message("one"), message("two")
    peer.sendall(one[:9])
    first = b""
    while len(first) < 9:
        try:
            first += tls.read(9)
        except ssl.SSLWantReadError:
            arrived.write(raw.recv(65_536))
    peer.sendall(one[9:] + two)
    arrived.write(raw.recv(20))  # a part of a record that no watcher will tell of
    wire = TlsWire.take_over(tls, arrived, leaving)
    sock = PlainSocket(raw.family, raw.type, raw.proto, fileno=raw.detach())
    place.streams.add_transport("WSS", Layers())
    place.streams.adopt(sock, remote, 8080, "WSS", wire, first)
    assert place.hears(2) == [one, two]
    flow = place.heard[0][1]
    assert (flow.transport, flow.local) == ("WSS", (HOST, 8080))
    place.streams.send(message("back"), flow)
    assert peer.recv(1000) == message("back")
    peer.close()
    until(lambda: place.closed)
    back = flow._replace(port=place.port)  # as a response, to the port that its Via names
    assert not place.streams.is_reachable(back)  # RFC 7118: only clients open WebSockets
    with pytest.raises(OSError, match="is closed"):
        place.streams.send(message("late"), back)


class Server:
    """Another server with TLS, for one connection at a time."""

    def __init__(self, place: TlsPlace, name: str) -> None:
        certificate, key = place.certificates.issue(name)
        self.context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(str(certificate), str(key))
        self.sock = socket.socket()
        self.sock.bind((HOST, 0))
        self.sock.listen()
        place.peers.append(self.sock)
        self.sock.settimeout(10.0)
        self.peers = place.peers
        self.address = self.sock.getsockname()

    def accepts(self):
        peer = self.context.wrap_socket(self.sock.accept()[0], server_side=True)
        self.peers.append(peer)
        return peer


def test_a_server_proves_the_name_that_was_asked_for(place: TlsPlace):
    """Messages wait for its proof; a connection for another name is another one."""
    server = Server(place, "far.example.com")
    local = HOST, place.port
    flow = place.streams.open(local, server.address, "TLS", "far.example.com")
    assert flow.local == (HOST, place.tls_port)
    place.streams.send(message("one"), flow)
    peer = server.accepts()
    assert peer.recv(1000) == message("one")
    assert place.streams.open(local, server.address, "TLS", "far.example.com") == flow
    wrong = place.streams.open(local, server.address, "TLS", "bank.example.com")
    assert wrong.connection != flow.connection
    place.streams.send(message("secret"), wrong)
    with suppress(OSError):
        assert server.accepts().recv(1000) == b""
    until(lambda: place.closed == [wrong.connection])
    assert place.streams.is_open(flow)


def test_a_connection_opens_again_for_the_proved_name(place: TlsPlace):
    server = Server(place, "far.example.com")
    flow = place.streams.open((HOST, place.port), server.address, "TLS", "far.example.com")
    place.streams.send(message("one"), flow)
    server.accepts().close()
    until(lambda: place.closed == [flow.connection])
    assert place.streams.is_reachable(flow)
    again = place.streams.send(message("two"), flow)
    peer = server.accepts()
    assert peer.recv(1000) == message("two")
    assert again.connection != flow.connection


def alias(text: str) -> bytes:
    via = f"Via: SIP/2.0/TLS far.example.com:5098;branch=z9hG4bK1{text}"
    return f"OPTIONS sip:x SIP/2.0\r\n{via}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_proved_peer_may_be_an_alias(tmp_path: Path):
    """RFC 5923 §5, §9: requests to it go along its connection, if its certificate names it."""
    ca = str(tmp_path / "ca.pem")
    place = TlsPlace()
    place.certificates = Certificates(tmp_path)
    files = map(str, place.certificates.issue(NAME, HOST))
    certificate = Certificate(*files, [ALPN_SIP], client_ca=ca)
    contexts = TlsContexts(certificate, NextHopContext(ca, certificate))
    place.streams.add_transport("TLS", Layers(make_wire=contexts.wire))
    listener = place.streams.listen((HOST, 0), "TLS")
    listener.start()
    place.tls_port = listener.local[1]
    proved = place.encrypted(place.certificates.issue("far.example.com"))
    proved.sendall(alias(";alias"))
    place.encrypted().sendall(alias(";alias"))  # without a certificate
    place.encrypted(place.certificates.issue("shy.example.com")).sendall(alias(""))
    place.hears(3)
    flows = {flow.connection: flow for data, flow in place.heard}
    remote, local = (HOST, 5098), (HOST, place.port)
    found = place.streams.open(local, remote, "TLS", "far.example.com")
    assert found in flows.values()
    place.streams.send(message("to you"), found)
    assert proved.recv(1000) == message("to you")
    for name in ("shy.example.com", "bank.example.com"):
        assert place.streams.open(local, remote, "TLS", name) not in flows.values()
    for peer in place.peers:
        peer.close()
    place.streams.stop()
    gevent.sleep(0)
