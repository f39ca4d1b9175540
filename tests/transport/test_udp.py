"""UDP on the loopback addresses of this machine: real sockets, gevent's loop, no server."""

import gc
import socket as plain_socket
import weakref

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from greenlet import GreenletExit

from sip.transaction.mailbox import Mailbox
from sip.transport.flow import Flow
from sip.transport.greenlet_pool import MAX_IDLE_GREENLETS
from sip.transport.udp import BATCH, UdpSocket
from tests.support.udp_client import OddError, needs_ipv6, until

# Addresses, §18.2.2, RFC 3581 §4


@pytest.mark.parametrize(
    ("listens", "host", "asked"),
    [
        ("0.0.0.0", "127.0.0.1", "127.0.0.2"),
        ("0.0.0.0", "127.0.0.3", "127.0.0.1"),
        ("127.0.0.4", "127.0.0.1", "127.0.0.4"),
        pytest.param("::", "::1", "::1", marks=needs_ipv6),
        pytest.param("::1", "::1", "::1", marks=needs_ipv6),
    ],
)
def test_an_answer_leaves_from_the_address_that_was_asked(ears, peers, listens, host, asked):
    """RFC 3581 §4: also on a socket that listens on all addresses."""
    ear, peer = ears(listens), peers(host)
    ear.handler = lambda data, flow: ear.socket.send(b"answer", flow)
    peer.sendto(b"question", (asked, ear.port))
    data, source = peer.recvfrom(100)
    assert (data, source[:2]) == (b"answer", (asked, ear.port))
    flow = ear.heard[0][1]
    assert flow == Flow("UDP", (asked, ear.port), peer.getsockname()[:2])


@pytest.mark.parametrize(
    ("wildcard", "host", "asked"),
    [
        ("0.0.0.0", "127.0.0.1", ("127.0.0.2", "127.0.0.3", "127.0.0.2")),
        pytest.param("::", "::1", ("::1", "::1"), marks=needs_ipv6),
    ],
)
def test_one_peer_may_ask_several_of_our_addresses(ears, peers, wildcard, host, asked):
    """Each answer leaves from the address that was asked, whatever was asked before."""
    ear, peer = ears(wildcard), peers(host)
    ear.handler = lambda data, flow: ear.socket.send(b"answer", flow)
    for address in asked:
        peer.sendto(b"question", (address, ear.port))
        assert peer.recvfrom(100)[1][:2] == (address, ear.port)


def test_a_broadcast_is_answered_from_an_address_of_ours(ears, peers):
    """None may send from a broadcast address."""
    ear, peer = ears("0.0.0.0"), peers("127.0.0.1")
    ear.handler = lambda data, flow: ear.socket.send(b"answer", flow)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    peer.sendto(b"question", ("127.255.255.255", ear.port))
    assert peer.recvfrom(100) == (b"answer", ("127.0.0.1", ear.port))


@needs_ipv6
def test_an_ipv6_socket_leaves_ipv4_to_another_on_the_same_port(ears, peers):
    """No peer is ever shown as ::ffff:127.0.0.1."""
    ear = ears("::")
    peer = peers("127.0.0.1", port=ear.port)
    assert peer.getsockname() == ("127.0.0.1", ear.port)
    other = peers("127.0.0.2")
    other.sendto(b"question", ("127.0.0.1", ear.port))
    assert peer.recvfrom(100) == (b"question", other.getsockname())
    gevent.sleep(0.01)
    assert ear.heard == []


@pytest.mark.parametrize(
    ("wildcard", "host"),
    [("0.0.0.0", "127.0.0.1"), pytest.param("::", "::1", marks=needs_ipv6)],
)
def test_a_flow_without_a_local_address_leaves_it_to_the_kernel(ears, peers, wildcard, host):
    """The name of a wildcard socket itself."""
    ear, peer = ears(wildcard), peers(host)
    ear.socket.send(b"hello", Flow("UDP", ear.socket.local, peer.getsockname()[:2]))
    assert peer.recvfrom(100)[0] == b"hello"


def test_a_failed_bind_leaves_no_socket_open(ears):
    """The operator gets to read it."""
    ear = ears()
    for address in (("127.0.0.1", ear.port), ("203.0.113.1", 0)):
        with pytest.raises(OSError, match=r"in use|assign"):
            UdpSocket(address, ear.receive, ear.lost.append)
    gc.collect()  # a socket left open would warn, and warnings are errors


# Reading


def test_a_datagram_of_any_size_is_received_whole(ears, peers):
    """§18.1.1: up to 65,535 octets with its headers."""
    ear, peer = ears(), peers()
    for size in (0, 1, 4, 1500, 65_507):
        peer.sendto(b"x" * size, ("127.0.0.1", ear.port))
        ear.hears(len(ear.heard) + 1)
    assert [len(data) for data, _ in ear.heard] == [0, 1, 4, 1500, 65_507]


@pytest.mark.parametrize(
    "wildcard",
    [
        "127.0.0.1",
        "0.0.0.0",
        pytest.param("::1", marks=needs_ipv6),
        pytest.param("::", marks=needs_ipv6),
    ],
)
def test_all_that_a_phone_sends_comes_along_one_flow(ears, peers, wildcard):
    """One object, so that a hundred thousand bindings don't hold two tuples and an address each."""
    host = "::1" if ":" in wildcard else "127.0.0.1"
    ear, phone, other = ears(wildcard), peers(host), peers(host)
    for peer in (phone, other, phone):
        peer.sendto(b"hello", (host, ear.port))
        ear.hears(len(ear.heard) + 1)
    first, of_other, second = [flow for _, flow in ear.heard]
    assert first is second
    assert first == Flow("UDP", (host, ear.port), phone.getsockname()[:2])
    assert of_other != first


def test_a_burst_larger_than_a_batch_is_received_in_order(ears, peers):
    """Between batches timers have their turn; nothing is lost there."""
    ear, peer = ears(), peers()
    burst = [b"%d" % number for number in range(3 * BATCH + 5)]
    for data in burst:
        plain_socket.socket.sendto(peer._sock, data, ("127.0.0.1", ear.port))
    assert ear.hears(len(burst)) == burst
    assert ear.wakes >= 4


def counted_reads(ear) -> list[bool]:
    """Return a list that gets an item for each read of a socket from now on."""
    reads, receive_one = [], ear.socket._receive_one

    def counted():
        reads.append(True)
        return receive_one()

    ear.socket._receive_one = counted
    return reads


@pytest.mark.parametrize("waits", [False, True])
def test_a_lone_datagram_costs_two_reads(ears, peers, waits):
    """The second says that there is no more; a handler that has waited reads no further."""
    ear, peer = ears(), peers()
    reads = counted_reads(ear)
    ear.handler = lambda data, flow: gevent.sleep(0.001) if waits else None
    peer.sendto(b"x", ("127.0.0.1", ear.port))
    ear.hears(1)
    gevent.sleep(0.005)
    assert len(reads) == 2


def test_a_batch_is_read_before_its_first_is_handled(ears, peers):
    """The processor's caches then hold the code that reads, and after it the code that handles."""
    ear, peer = ears(), peers()
    reads, seen = counted_reads(ear), []
    ear.handler = lambda data, flow: seen.append(len(reads))
    for _ in range(BATCH + 3):
        plain_socket.socket.sendto(peer._sock, b"x", ("127.0.0.1", ear.port))
    ear.hears(BATCH + 3)
    assert seen == [BATCH] * BATCH + [BATCH + 4] * 3


def test_all_that_was_read_is_handled_before_timers_run(ears, peers):
    """Handlers that wait included; so no tick of the guard falls between reading and judging."""
    ear, peer = ears(), peers()
    order: list[object] = []

    def handler(data, flow):
        order.append(data)
        gevent.sleep(0)
        order.append("the hub has run")

    ear.handler = handler
    for _ in range(5):
        plain_socket.socket.sendto(peer._sock, b"x", ("127.0.0.1", ear.port))
    until(lambda: len(order) == 10)
    assert order == [b"x"] * 5 + ["the hub has run"] * 5


def test_a_handler_that_waits_does_not_block_the_next_datagram(ears, peers):
    """Each is handled in blocking style, by a greenlet that may wait."""
    ear, peer = ears(), peers()
    gate, done = Event(), []

    def handler(data, flow):
        if data == b"slow":
            gate.wait()
        done.append(data)

    ear.handler = handler
    for data in (b"slow", b"quick", b"slow", b"quick"):
        peer.sendto(data, ("127.0.0.1", ear.port))
    until(lambda: len(done) == 2)
    assert done == [b"quick", b"quick"]
    gate.set()
    until(lambda: len(done) == 4)


def test_a_request_waits_for_handlers_that_responses_have_woken(ears, peers):
    """RFC 6665 §4.2.2: a NOTIFY follows its 200 at once; a response or CANCEL does not wait."""
    ear, peer = ears(), peers()
    box, done = Mailbox(), []

    def handle(data, flow):
        if data == b"SIP/2.0 200 OK":
            box.put(data)
        else:
            done.append(data)

    def relay():
        while True:
            done.append(box.get())

    ear.handler = handle
    relaying = gevent.spawn(relay)
    gevent.sleep(0)
    batch = (b"SIP/2.0 200 OK", b"CANCEL sip:b", b"SIP/2.0 180 R", b"NOTIFY sip:a", b"BYE sip:a")
    for _ in range(3):
        for data in batch:
            plain_socket.socket.sendto(peer._sock, data, ("127.0.0.1", ear.port))
        ear.hears(len(batch))
        ear.heard.clear()
    relaying.kill()
    assert done == [batch[1], batch[2], batch[0], batch[3], batch[4]] * 3


def test_greenlets_are_reused_up_to_a_limit(ears, peers):
    """One that never waits serves all; after a burst of waiting ones 64 are kept."""
    ear, peer = ears(), peers()
    for number in range(1, 20):
        peer.sendto(b"x", ("127.0.0.1", ear.port))
        ear.hears(number)
    until(lambda: len(ear.socket._pool._idle) == 1)
    gate, crowd = Event(), MAX_IDLE_GREENLETS + 40
    readers: list[weakref.ref] = []

    def handler(data, flow):
        readers.append(weakref.ref(gevent.getcurrent()))
        gate.wait()

    ear.handler = handler
    for _ in range(crowd):
        plain_socket.socket.sendto(peer._sock, b"wait", ("127.0.0.1", ear.port))
    until(lambda: len(readers) == crowd)
    assert len({id(reader()) for reader in readers}) == crowd
    gate.set()
    until(lambda: len(ear.socket._pool._idle) == MAX_IDLE_GREENLETS)
    gevent.sleep(0.01)
    assert sum(reader() is not None for reader in readers) == MAX_IDLE_GREENLETS


@pytest.mark.parametrize(
    "error",
    [ValueError(), OddError(), gevent.Timeout(1), SystemExit(), OSError(), BlockingIOError()],
)
@pytest.mark.parametrize("waits", [False, True])
def test_a_handler_that_raises_does_not_leave_the_port_deaf(ears, peers, caplog, error, waits):
    """One traceback, with the datagram that led to it; the next one is heard."""
    ear, peer = ears(), peers()

    def handler(data, flow):
        if data == b"bad":
            if waits:
                gevent.sleep(0.001)
            raise error

    ear.handler = handler
    for data in (b"bad", b"good", b"bad", b"good"):
        peer.sendto(data, ("127.0.0.1", ear.port))
        gevent.sleep(0.003)
    assert ear.hears(4) == [b"bad", b"good", b"bad", b"good"]
    assert caplog.text.count("while handling the datagram b'bad'") == 2
    assert caplog.text.count("Traceback") == 2


def test_a_handler_that_is_killed_ends_its_reader_alone(ears, peers, caplog):
    """GreenletExit is no fault."""
    ear, peer = ears(), peers()
    waiting = []

    def handler(data, flow):
        if data == b"kill me":
            waiting.append(gevent.getcurrent())
            gevent.get_hub().switch()

    ear.handler = handler
    peer.sendto(b"kill me", ("127.0.0.1", ear.port))
    until(lambda: waiting)
    gevent.kill(waiting[0])
    gevent.sleep(0.001)
    assert waiting[0].dead
    peer.sendto(b"next", ("127.0.0.1", ear.port))
    assert ear.hears(2) == [b"kill me", b"next"]
    assert caplog.text == ""


def test_a_killed_handler_leaves_the_rest_of_its_batch(ears, peers, caplog):
    """Another greenlet handles what was read with its datagram."""
    ear, peer = ears(), peers()

    def handler(data, flow):
        if data == b"kill me":
            raise GreenletExit

    ear.handler = handler
    for data in (b"kill me", b"next", b"kill me", b"last"):
        plain_socket.socket.sendto(peer._sock, data, ("127.0.0.1", ear.port))
    assert ear.hears(4) == [b"kill me", b"next", b"kill me", b"last"]
    assert caplog.text == ""


# Stopping


def test_stop_closes_the_port_and_ends_the_idle_readers(ears, peers):
    """A greenlet that can't be woken any more would stay in memory for ever."""
    ear, peer = ears(), peers()
    peer.sendto(b"x", ("127.0.0.1", ear.port))
    ear.hears(1)
    until(lambda: len(ear.socket._pool._idle) == 1)
    idle = ear.socket._pool._idle[0]
    ear.socket.stop()
    ear.socket.stop()  # twice is harmless
    gevent.sleep(0.001)
    assert idle.dead
    peers("127.0.0.1", port=ear.port)  # the port is free


def test_a_waiting_handler_survives_the_stop(ears, peers, caplog):
    """Its answer has no way any more: an OSError, which the layer above counts."""
    ear, peer = ears(), peers()
    gate, errors = Event(), []

    def handler(data, flow):
        gate.wait()
        try:
            ear.socket.send(b"answer", flow)
        except OSError as error:
            errors.append(error)

    ear.handler = handler
    peer.sendto(b"wait", ("127.0.0.1", ear.port))
    peer.sendto(b"wait", ("127.0.0.1", ear.port))
    ear.hears(2)
    ear.socket.stop()
    gate.set()
    until(lambda: len(errors) == 2)
    gevent.sleep(0.001)
    assert ear.socket._pool._idle == []
    assert caplog.text == ""


def test_a_socket_that_was_never_started_can_be_stopped():
    """As when the next address cannot be bound."""
    sock = UdpSocket(("127.0.0.1", 0), lambda data, flow: None, lambda data: None)
    sock.stop()
