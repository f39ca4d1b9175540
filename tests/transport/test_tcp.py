"""TCP on the loopback addresses of this machine: real sockets, gevent's loop, no server."""

import errno
import resource
import socket as plain_socket
from contextlib import suppress

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from sip.transport import tcp as stream
from sip.transport import tcp_listener as listener
from sip.transport.tcp import MESSAGE_SECONDS
from tests.support.tcp_fixture import HOST, ListeningCarrier, listens, message
from tests.support.udp_client import until

# In


def test_messages_carry_the_flow_of_their_connection(place: ListeningCarrier):
    one, other = place.connect(), place.connect("127.0.0.2")
    one.sendall(message("a") + message("b", b"body"))
    other.sendall(message("c"))
    assert sorted(place.hears(3)) == [message("a"), message("b", b"body"), message("c")]
    flows = {flow for data, flow in place.heard if data != message("c")}
    assert len(flows) == 1
    flow = flows.pop()
    assert flow[:3] == ("TCP", (HOST, place.port), one.getsockname())
    assert flow.connection
    assert {flow.remote for _, flow in place.heard} == {one.getsockname(), other.getsockname()}


def test_a_waiting_handler_delays_no_other_message(place: ListeningCarrier):
    """Neither messages in the same segment, nor later ones, nor other connections."""
    done = Event()
    place.handler = lambda data, flow: data.startswith(b"wait") and done.wait()
    one = place.connect()
    one.sendall(message("wait") + message("a") + message("wait") + message("b"))
    place.hears(4)
    one.sendall(message("c"))
    place.connect().sendall(message("d"))
    place.hears(6)
    done.set()


def test_a_failing_handler_ends_no_connection(place: ListeningCarrier, caplog):
    def fails(data, flow):
        raise RuntimeError("a fault of ours")

    place.handler = fails
    one = place.connect()
    one.sendall(message("a") + message("b"))
    assert place.hears(2)
    one.sendall(message("c"))
    assert place.hears(3)
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 3
    caplog.clear()


def test_a_ping_is_answered(place: ListeningCarrier):
    """RFC 5626 §3.5.1: a CRLF for two."""
    one = place.connect()
    one.sendall(message("a") + b"\r\n\r\n")
    assert one.recv(65_536) == b"\r\n"
    one.sendall(b"\r\n\r\n\r\n\r\n" + message("b"))
    place.hears(2)
    assert one.recv(65_536) == b"\r\n\r\n"
    place.streams.allows = lambda flow: False  # in an overload it counts as a message
    one.sendall(b"\r\n\r\n" + message("c"))
    place.hears(3)
    place.streams.allows = lambda flow: True
    one.sendall(b"\r\n\r\n")
    one.shutdown(socket.SHUT_WR)
    with one.makefile("rb") as answers:
        assert answers.read() == b"\r\n"


def test_a_broken_stream_gets_a_response_and_is_closed(place: ListeningCarrier):
    """The rest would be read as something that its sender did not mean."""
    one = place.connect()
    one.sendall(b"hello SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n" + message("smuggled") + b"x" * 400_000)
    assert one.recv(65_536) == b"refused"
    assert one.recv(65_536) == b""
    assert [bad.status for bad in place.refused] == [400]
    assert place.heard == []
    place.now += MESSAGE_SECONDS
    place.streams.close_expired(place.now)
    until(lambda: place.held == 0)


# Time


@pytest.mark.parametrize("said", [b"", b"x", b"\r\n\r\n", b"OPTIONS sip:x SIP/2.0\r\n", b"\0"])
def test_a_partial_message_ends_the_connection_in_time(place: ListeningCarrier, said: bytes):
    one = place.connect()
    one.sendall(said)
    until(lambda: place.held == 1)
    place.now += MESSAGE_SECONDS - 0.1
    place.streams.close_expired(place.now)
    until(lambda: place.held == 1)
    place.now += 0.1
    place.streams.close_expired(place.now)
    until(lambda: place.held == 0)


def test_an_octet_now_and_then_wins_no_time(place: ListeningCarrier):
    one = place.connect()
    one.sendall(message("a") + b"O")
    place.hears(1)
    until(lambda: place.held == 1)
    for _ in range(3):
        place.now += 10.0
        place.streams.close_expired(place.now)
        one.sendall(b"P")
        until(lambda: place.held == 1)
    place.now += 2.0
    place.streams.close_expired(place.now)
    until(lambda: place.held == 0)


def test_a_connection_that_has_said_something_may_be_silent(place: ListeningCarrier):
    one = place.connect()
    one.sendall(message("a") + b"hel")
    place.hears(1)
    one.sendall(message("lo")[2:])
    place.hears(2)
    place.now += 100_000.0
    place.streams.close_expired(place.now)
    one.sendall(message("b"))
    place.hears(3)


# Bounds


def test_connections_per_address_are_limited(place: ListeningCarrier, monkeypatch):
    monkeypatch.setattr(stream, "MAX_CONNECTIONS_FROM_ADDRESS", 3)
    ours = [place.connect() for _ in range(3)]
    until(lambda: place.held == 3)
    assert place.connect().recv(1) == b""
    place.connect("127.0.0.2").sendall(message("a"))
    place.hears(1)
    ours[0].close()
    until(lambda: place.held == 3)
    place.connect().sendall(message("b"))
    place.hears(2)


def test_all_together_hold_so_many(place: ListeningCarrier):
    place.streams._max_connections = 2
    place.connect(), place.connect("127.0.0.2")
    until(lambda: place.held == 2)
    assert place.connect("127.0.0.3").recv(1) == b""
    with pytest.raises(OSError, match="too many"):
        place.streams.open((HOST, place.port), ("127.0.0.4", 5060))


def test_without_descriptors_accepting_pauses(place, monkeypatch):
    monkeypatch.setattr(listener, "SECONDS_WITHOUT_DESCRIPTORS", 0.05)
    listening = place.streams.listen((HOST, 0))
    listening.start()
    port, calls = listening.local[1], []

    class Full:
        def accept(self):
            calls.append(1)
            raise OSError(errno.EMFILE, "no descriptor")

    real, listening.sock = listening.sock, Full()
    peer = socket.create_connection((HOST, port), 10.0)
    until(lambda: len(calls) == 1)
    gevent.sleep(0.03)
    assert len(calls) == 1
    listening.sock = real
    peer.sendall(message("a"))
    place.hears(1)
    peer.close()


# Out


def test_a_connection_is_opened_once_and_sends_its_messages(place: ListeningCarrier):
    server, remote = listens()
    flow = place.streams.open((HOST, place.port), remote)
    place.streams.send(b"one", flow)
    assert place.streams.open((HOST, place.port), remote) == flow
    place.streams.send(b"two", flow)
    peer, _ = server.accept()
    peer.settimeout(10.0)
    until(lambda: place.streams.connections[flow.connection]._sent == 0)
    assert peer.recv(6) == b"onetwo"
    assert flow[:3] == ("TCP", (HOST, place.port), remote)
    peer.sendall(message("answer"))
    assert place.hears(1) == [message("answer")]
    assert place.heard[0][1] == flow
    place.now += 1000.0
    place.streams.close_expired(place.now)
    until(lambda: place.held == 1)  # it has been opened, and may be silent
    peer.close()
    server.close()
    until(lambda: place.held == 0)
    assert place.closed == [flow.connection]
    with suppress(OSError):  # the system may report the refusal at once
        again = place.streams.send(b"three", flow)
        assert again.remote == remote
        until(lambda: place.closed == [flow.connection, again.connection])


def test_a_refused_connection_is_reported(place: ListeningCarrier):
    server, remote = listens()
    server.close()
    try:
        flow = place.streams.open((HOST, place.port), remote)
        place.streams.send(b"one", flow)
        place.streams.send(b"two", flow)
    except OSError:
        return  # the system said so at once
    until(lambda: place.closed == [flow.connection])
    until(lambda: place.held == 0)


def test_a_hop_that_does_not_take_the_connection_is_given_up(place: ListeningCarrier):
    """So that the next one is tried before the caller gives up."""
    server = socket.socket()
    server.bind((HOST, 0))
    server.listen(0)
    fill = [plain_socket.socket() for _ in range(8)]  # its queue is full
    for one in fill:
        one.setblocking(False)
        one.connect_ex(server.getsockname())
    flow = place.streams.open((HOST, place.port), server.getsockname())
    place.streams.send(b"one", flow)
    until(lambda: place.held == 1)
    place.now += stream.CONNECT_SECONDS
    place.streams.close_expired(place.now)
    assert place.closed == [flow.connection]
    until(lambda: place.held == 0)
    for one in (*fill, server):
        one.close()


def test_a_response_opens_a_connection_to_the_via_port(place: ListeningCarrier):
    """§18.2.2."""
    server, remote = listens()
    one = place.connect()
    one.sendall(message("a"))
    place.hears(1)
    flow = place.heard[0][1]
    one.close()
    until(lambda: place.held == 0)
    assert not place.streams.is_reachable(flow)
    again = flow._replace(port=remote[1])
    assert place.streams.is_reachable(again)
    went = place.streams.send(b"answer", again)
    assert went == (*again[:2], remote, went.connection, remote[1])
    assert place.streams.send(b"", went) == went
    peer, _ = server.accept()
    peer.settimeout(10.0)
    assert peer.recv(65_536) == b"answer"
    peer.close()
    server.close()


def test_a_peer_that_does_not_read_is_closed(place: ListeningCarrier):
    """Messages to it wait within a bound; the rest has failed."""
    slow, quick = place.connect(), place.connect()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(message("slow"))
    place.hears(1)
    quick.sendall(message("quick"))
    place.hears(2)
    (_, to_slow), (_, to_quick) = place.heard
    big = b"x" * 100_000

    def send_much() -> None:
        for _ in range(200):
            place.streams.send(big, to_slow)
            gevent.sleep(0)

    with pytest.raises(OSError):  # noqa: PT011  # which one is the system's affair
        send_much()
    assert place.closed == [to_slow.connection]
    place.streams.send(b"answer", to_quick)
    assert quick.recv(65_536) == b"answer"
    until(lambda: place.held == 1)


def test_unsent_octets_go_out_when_the_peer_reads(place: ListeningCarrier):
    one = place.connect()
    one.sendall(message("a"))
    place.hears(1)
    flow = place.heard[0][1]
    parts = [bytes([65 + number]) * 90_000 for number in range(40)]
    got = b""
    for part in parts:
        place.streams.send(part, flow)
        if len(place.streams.connections[flow.connection]._unsent) > 2:
            got += one.recv(200_000)
            gevent.sleep(0.001)
    while len(got) < 40 * 90_000:
        got += one.recv(200_000)
    assert got == b"".join(parts)
    until(lambda: not place.streams.connections[flow.connection]._unsent)


def test_thousands_of_idle_connections_cost_little(place: ListeningCarrier, monkeypatch):
    """No greenlet and no buffer waits for what may never come."""
    monkeypatch.setattr(stream, "MAX_CONNECTIONS_FROM_ADDRESS", 10_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        for _ in range(500):
            place.connect().sendall(message("a"))
        place.hears(500)
        assert len(place.streams.pool._idle) <= 2
    finally:
        for peer in place.peers:
            peer.close()
        until(lambda: place.held == 0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
