"""One connection among others: its turn, its end, and what it may hold."""

import resource
import struct
from contextlib import suppress

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from sip.transaction.mailbox import Mailbox
from sip.transport import tcp as stream
from sip.transport import tcp_connection as connection
from sip.transport.flow import Flow
from sip.transport.tcp import MAX_CONNECTIONS_FROM_ADDRESS, MESSAGE_SECONDS, TcpCarrier
from sip.transport.tcp_connection import (
    MAX_UNSENT_WHILE_CONNECTING,
    MESSAGES_PER_TURN,
    Layers,
)
from sip.transport.tcp_listener import PlainSocket, granted_descriptors
from tests.support.tcp_fixture import HOST, ListeningCarrier, listens, message
from tests.support.udp_client import until

BAD = b"hello SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n"
BIG = b"x" * 200_000


def resets(peer: socket.socket) -> None:
    """End a connection as a crash does, with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def fill(place: ListeningCarrier, flow: Flow) -> int:
    """Send until something waits for the peer to read; how many octets have been sent."""
    kept, sent = place.streams.connections[flow.connection], 0
    while not kept._unsent:
        place.streams.send(BIG, flow)
        sent += len(BIG)
    return sent


def flow_of(place: ListeningCarrier, peer: socket.socket) -> Flow:
    """The flow that a peer's message comes by."""
    count = len(place.heard)
    peer.sendall(message("a"))
    place.hears(count + 1)
    return place.heard[-1][1]


def read_all(peer: socket.socket) -> bytes:
    parts = []
    while part := peer.recv(1_000_000):
        parts.append(part)
    return b"".join(parts)


# Turns


def test_a_busy_connection_takes_turns_with_others(place: ListeningCarrier):
    """With other connections, and with timers."""
    talker, other = place.connect(), place.connect("127.0.0.2")
    until(lambda: place.held == 2)
    heard_by_timer = []

    def begins_all(data: bytes, flow: Flow) -> None:
        if len(place.heard) == 1:
            other.sendall(message("one"))
            gevent.spawn_later(0, lambda: heard_by_timer.append(len(place.heard)))

    place.handler = begins_all
    talker.sendall(message("much") * 1000)
    heard = place.hears(1001)
    assert heard.index(message("one")) < 100
    assert heard_by_timer[0] < 100
    assert heard.count(message("much")) == 1000


def test_messages_after_a_waiting_handler_are_handled_once(place: ListeningCarrier):
    """Each by another reader, and in its order."""
    done = Event()
    place.handler = lambda data, flow: done.wait()
    texts = [message(str(number)) for number in range(3 * MESSAGES_PER_TURN)]
    place.connect().sendall(b"".join(texts))
    assert place.hears(len(texts)) == texts
    done.set()
    until(lambda: place.held == 1)
    assert place.hears(len(texts)) == texts


def test_a_request_waits_for_handlers_that_responses_have_woken(place: ListeningCarrier):
    """RFC 6665 §4.2.2: a NOTIFY follows its 200 at once, and both may be in one segment."""
    box, order = Mailbox(), []

    def handle(data, flow):
        box.put(data) if data.startswith(b"200") else order.append(data)

    def relay():
        while True:
            order.append(box.get())

    relaying = gevent.spawn(relay)
    gevent.sleep(0)
    place.handler = handle
    sent = [message(text) for text in ("200", "NOTIFY", "200", "BYE")]
    place.connect().sendall(b"".join(sent))
    place.hears(len(sent))
    relaying.kill()
    assert order == sent


def test_a_message_may_end_where_a_read_ends(place: ListeningCarrier, monkeypatch):
    monkeypatch.setattr(connection, "READ_SIZE", len(message("a")))
    place.connect().sendall(message("a") + message("b") + message("c", b"body") + message("d"))
    assert place.hears(4)[2:] == [message("c", b"body"), message("d")]


def test_octet_by_octet_in_segments_of_their_own(place: ListeningCarrier):
    peer = place.connect()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in message("a", b"body") + b"\r\n\r\n" + message("b"):
        peer.sendall(bytes([octet]))
        gevent.sleep(0)
    assert place.hears(2) == [message("a", b"body"), message("b")]
    assert peer.recv(10) == b"\r\n"


# Ends


@pytest.mark.parametrize("said", [b"", b"OPTI", message("a"), message("a") + b"OPTI", BAD])
def test_a_reset_at_any_moment_does_no_harm(place: ListeningCarrier, said: bytes, caplog):
    peer = place.connect()
    peer.sendall(said)
    until(lambda: place.held == 1)
    resets(peer)
    until(lambda: place.held == 0)
    assert len(place.closed) == 1
    assert not place.streams._deadlines
    assert not place.streams._per_network
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_connection_closed_during_its_handler_is_removed(place: ListeningCarrier):
    """With the half message behind it, and the time that this had."""
    done = Event()
    place.handler = lambda data, flow: done.wait()
    peer = place.connect()
    peer.sendall(message("a") + b"hel")
    place.hears(1)
    until(lambda: place.held == 1)
    resets(peer)
    until(lambda: place.held == 0)
    done.set()
    until(lambda: place.held == 0)
    assert not place.streams._deadlines
    assert not place.streams._scheduled
    assert place.streams._buffered == 0


def test_a_half_closed_peer_gets_the_unsent_octets(place: ListeningCarrier):
    """And nothing after it: a flow of it leads nowhere from then on."""
    peer = place.connect()
    flow = flow_of(place, peer)
    sent = fill(place, flow)
    peer.shutdown(socket.SHUT_WR)
    until(lambda: not place.streams.is_reachable(flow))
    with pytest.raises(OSError, match="closed"):
        place.streams.send(b"late", flow)
    assert len(read_all(peer)) == sent
    until(lambda: place.held == 0)


def test_a_half_closed_peer_that_does_not_read_is_closed(place: ListeningCarrier):
    peer = place.connect()
    flow = flow_of(place, peer)
    fill(place, flow)
    peer.shutdown(socket.SHUT_WR)
    until(lambda: place.held == 1)
    assert place.closed == []
    place.now += MESSAGE_SECONDS
    place.streams.close_expired(place.now)
    until(lambda: place.held == 0)
    assert place.closed == [flow.connection]


def test_a_refusal_is_sent_after_unsent_octets(place: ListeningCarrier):
    peer = place.connect()
    flow = flow_of(place, peer)
    sent = fill(place, flow)
    peer.sendall(BAD)
    until(lambda: place.refused)
    assert not place.streams.is_reachable(flow)
    everything = read_all(peer)
    assert len(everything) == sent + len(b"refused")
    assert everything.endswith(b"refused")
    peer.close()
    until(lambda: place.held == 0)


def test_a_broken_connection_is_replaced_while_sending(place: ListeningCarrier):
    """§18.2.2: even before the loop has reported the end."""
    server, remote = listens()
    peer = place.connect()
    flow = flow_of(place, peer)
    resets(peer)
    assert place.streams.is_reachable(flow)  # the loop has not run since
    place.streams.send(b"answer", flow._replace(port=remote[1]))
    again, _ = server.accept()
    again.settimeout(10.0)
    assert again.recv(10) == b"answer"
    again.close()
    server.close()


def test_a_number_from_before_a_restart_names_no_connection(place: ListeningCarrier):
    """Were it to come again, an old flow would lead to a stranger."""
    flow = flow_of(place, place.connect())
    stale = flow._replace(remote=("127.0.0.9", 5060))
    assert place.streams.is_reachable(flow)
    assert not place.streams.is_reachable(stale)
    with pytest.raises(OSError, match="closed"):
        place.streams.send(b"answer", stale)


def test_unacknowledged_octets_end_the_connection(place: ListeningCarrier):
    """§17.1.1.2: no later than a transaction; by itself it would try for a quarter of an hour."""
    server, remote = listens()
    opened = place.streams.open((HOST, place.port), remote)
    for flow in (opened, flow_of(place, place.connect())):
        sock = place.streams.connections[flow.connection].sock
        patience = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert patience == 1000 * MESSAGE_SECONDS
    server.close()


def test_a_silent_peer_is_probed_by_the_kernel(place: ListeningCarrier):
    """So routers remember the connection, and a phone that has vanished ends it."""
    server, remote = listens()
    opened = place.streams.open((HOST, place.port), remote)
    for flow in (opened, flow_of(place, place.connect())):
        sock = place.streams.connections[flow.connection].sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 20
    server.close()


# Bounds


def test_a_ping_behind_which_a_message_begins_wins_no_time(place: ListeningCarrier):
    peer = place.connect()
    flow_of(place, peer)
    peer.sendall(b"\r\n\r\nOPT")
    assert peer.recv(10) == b"\r\n"
    place.now += MESSAGE_SECONDS
    place.streams.close_expired(place.now)
    until(lambda: place.held == 0)


def test_pongs_are_not_buffered_for_a_peer_that_does_not_read(place: ListeningCarrier):
    """RFC 5626 §3.5.1: pongs are only for peers that read."""
    peer = place.connect()
    flow = flow_of(place, peer)
    kept = place.streams.connections[flow.connection]
    fill(place, flow)
    before = kept.buffered
    peer.sendall(b"\r\n\r\n" * 50_000 + message("b"))
    place.hears(2)
    assert kept.buffered <= before


def test_a_burst_while_connecting_fails_only_in_part(place: ListeningCarrier):
    server, remote = listens()
    flow = place.streams.open((HOST, place.port), remote)
    call, failed = b"x" * 1400, 0
    for _ in range(400):
        try:
            place.streams.send(call, flow)
        except OSError:
            failed += 1
    assert failed == 400 - MAX_UNSENT_WHILE_CONNECTING // len(call)
    peer, _ = server.accept()
    peer.settimeout(10.0)
    octets = 0
    while octets < (400 - failed) * len(call):
        octets += len(peer.recv(1_000_000))
    assert place.closed == []
    place.streams.send(b"and on", flow)
    assert peer.recv(10) == b"and on"
    peer.close()
    server.close()


def test_over_the_buffer_limit_the_largest_is_closed(place: ListeningCarrier, monkeypatch):
    monkeypatch.setattr(stream, "MAX_BUFFERED", 100_000)
    small, large, other = (place.connect(f"127.0.0.{number}") for number in (1, 2, 3))
    half = message("half", b"x" * 120_000)
    small.sendall(half[:10_000])
    large.sendall(half[:60_000])
    until(lambda: place.streams._buffered == 70_000)
    other.sendall(half[:40_000])
    with suppress(ConnectionResetError):
        assert large.recv(1) == b""
    until(lambda: place.held == 2)
    assert place.streams._buffered == 50_000
    small.sendall(message("half", b"y" * 20_000)[10_000:])
    other.close()
    until(lambda: place.streams._buffered < 40_000)


def test_unsent_octets_count_as_buffered(place: ListeningCarrier, monkeypatch):
    peer = place.connect()
    flow = flow_of(place, peer)
    fill(place, flow)
    assert place.streams._buffered == len(BIG)
    monkeypatch.setattr(stream, "MAX_BUFFERED", 300_000)
    with pytest.raises(OSError, match="all buffers are full"):
        place.streams.send(BIG, flow)
    until(lambda: place.held == 0)
    assert place.streams._buffered == 0


def test_we_open_so_many_connections_to_one_address(place: ListeningCarrier):
    """A peer could fill our table by naming many of its ports in Vias or Contacts."""
    server, remote = listens()
    for port in range(20_000, 20_000 + MAX_CONNECTIONS_FROM_ADDRESS):
        place.streams.open((HOST, place.port), (HOST, port))
    with pytest.raises(OSError, match="too many"):
        place.streams.open((HOST, place.port), remote)
    until(lambda: place.held == 0)  # no process listens at any of them
    place.streams.open((HOST, place.port), remote)
    server.close()


def test_an_ipv6_network_shares_one_limit(place: ListeningCarrier, monkeypatch):
    """One host may have each address of a /64."""
    monkeypatch.setattr(stream, "MAX_CONNECTIONS_FROM_NETWORK", 3)
    listening, remote = listens()

    def comes(host: str) -> bool:
        peer = socket.create_connection(remote)
        place.peers.append(peer)
        place.streams.accept(PlainSocket(fileno=listening.accept()[0].detach()), (host, 5), 5060)
        gevent.sleep(0)
        return any(c.flow.remote[0] == host for c in place.streams.connections.values())

    assert [comes(f"2001:db8::{number:x}") for number in range(4)] == [True] * 3 + [False]
    assert comes("2001:db8:0:1::1")
    next(iter(place.streams.connections.values())).close("enough")
    assert comes("2001:db8::ffff:5")
    listening.close()


def test_refused_connections_are_logged_rarely(place: ListeningCarrier, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(stream, "MAX_CONNECTIONS_FROM_ADDRESS", 0)
    for _ in range(3):
        assert place.connect("127.0.0.5").recv(1) == b""
    place.streams.close_expired(place.now)
    place.streams.close_expired(place.now)
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert lines == ["refused connections, the last from 127.0.0.5 (3 so far)"]


def test_descriptors_are_asked_for_and_fewer_are_made_do_with(monkeypatch):
    limits = [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, new: limits.__setitem__(0, new[0]))
    assert granted_descriptors(2000) == 2000
    assert granted_descriptors(20_000) == 4096
    assert granted_descriptors(1000) == 1000
    assert limits[0] == 4096


class Scrambled:
    """A wire that turns each octet around, as TLS would encrypt it."""

    is_ready = True
    has_ended = False
    identities: frozenset[str] = frozenset()

    def begin(self) -> None: ...

    def take(self, octets: bytes) -> bytes:
        return scrambled(octets)

    def wrap(self, plain: bytes) -> bytes:
        return scrambled(plain)

    def owed(self) -> bytes:
        return b""

    end = owed


def scrambled(data: bytes) -> bytes:
    return bytes(octet ^ 0xFF for octet in data)


class Lines:
    """A framer with lines as messages."""

    def __init__(self) -> None:
        self._octets = b""

    @property
    def has_partial_message(self) -> bool:
        return b"\n" not in self._octets and self._octets != b""

    @property
    def buffered(self) -> int:
        return len(self._octets)

    def feed(self, data: bytes) -> None:
        self._octets += data

    def next(self) -> bytes | None:
        line, end, rest = self._octets.partition(b"\n")
        if not end:
            return None
        self._octets = rest
        return line


def test_a_transport_brings_its_own_wire_and_framer():
    """So TLS and WebSocket need nothing else of a connection."""
    heard: list[tuple[bytes, Flow]] = []
    carrier = TcpCarrier(
        lambda data, flow: heard.append((data, flow)),
        lambda number: None,
        lambda bad, flow: None,
        lambda flow: True,
        lambda flow: False,
        lambda: 100.0,
    )
    made: list[tuple[bool, str]] = []
    carrier.add_transport("TEST", Layers(Lines, lambda *kind: made.append(kind) or Scrambled()))
    port = carrier.listen((HOST, 0), "TEST").local[1]
    carrier.start()
    with socket.create_connection((HOST, port), 10.0) as peer:
        peer.sendall(scrambled(b"one\ntwo\nth"))
        until(lambda: len(heard) == 2)
        assert [data for data, _ in heard] == [b"one", b"two"]
        flow = heard[0][1]
        assert flow.transport == "TEST"
        assert carrier.send(b"hello", flow) is flow
        assert peer.recv(100) == scrambled(b"hello")
        (incoming,) = carrier.connections.values()
        assert made == [(True, "")]
        until(lambda: incoming.buffered == 2)
    server, address = listens()
    with server:
        opened = carrier.open((HOST, port), address, "TEST", "example.com")
        carrier.send(b"there", opened)
        sock, _ = server.accept()
        with sock:
            assert sock.recv(100) == scrambled(b"there")
        assert made[1:] == [(False, "example.com")]
        assert opened.transport == "TEST"
    carrier.stop()
    gevent.sleep(0)
