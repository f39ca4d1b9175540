"""Errors of ICMP and the kernel about sent datagrams (RFC 3261 §18.4)."""

import logging
import socket as plain_socket
import struct

import gevent
import pytest
from gevent import socket

from sip.transport import udp
from sip.transport.flow import Flow
from sip.transport.udp import RECEIVE_BUFFER_BYTES
from tests.support.cases import cases
from tests.support.udp_client import CLOSED, OddError, needs_ipv6, until

# ICMP, §18.4


@pytest.mark.parametrize(
    ("host", "closed"),
    [
        ("127.0.0.1", CLOSED),
        ("0.0.0.0", CLOSED),
        pytest.param("::1", ("::1", 9), marks=needs_ipv6),
        pytest.param("::", ("::1", 9), marks=needs_ipv6),
    ],
)
def test_an_icmp_error_brings_back_the_beginning_of_our_datagram(ears, host, closed):
    """From a port without a listener, on all kinds of sockets."""
    ear = ears(host)
    invite = b"INVITE sip:bob@example.com SIP/2.0\r\n" + b"x" * 3000
    ear.socket.send(invite, Flow("UDP", ear.socket.local, closed))
    until(lambda: ear.lost)
    assert len(ear.lost) == 1
    assert len(ear.lost[0]) >= 500
    assert invite.startswith(ear.lost[0])


def test_there_is_no_busy_loop_while_errors_come_back(ears):
    """The kernel calls the socket readable as long as an error is queued."""
    ear = ears()
    for _ in range(20):
        ear.socket.send(b"INVITE", Flow("UDP", ear.socket.local, CLOSED))
    until(lambda: len(ear.lost) == 20)
    woken = ear.wakes
    assert woken <= 25
    gevent.sleep(0.05)
    assert ear.wakes == woken


def test_errors_of_others_do_not_keep_datagrams_back(ears, peers):
    """The next send or receive gets the error of an earlier datagram."""
    ear, peer = ears(), peers()
    for number in range(10):
        ear.socket.send(b"INVITE", Flow("UDP", ear.socket.local, CLOSED))
        ear.socket.send(b"%d" % number, Flow("UDP", ear.socket.local, peer.getsockname()))
        peer.sendto(b"%d" % number, ("127.0.0.1", ear.port))
    assert [peer.recv(100) for _ in range(10)] == [b"%d" % number for number in range(10)]
    assert ear.hears(10) == [b"%d" % number for number in range(10)]
    until(lambda: len(ear.lost) == 10)


def test_datagrams_are_handled_before_icmp_errors(ears, peers):
    """A response that has come outweighs an error, which a busy socket reads all the same."""
    ear, peer = ears(), peers()
    order = []
    ear.handler = lambda data, flow: order.append(data)
    ear.socket.unreachable = lambda data: order.append("error")
    ear.socket.send(b"INVITE", Flow("UDP", ear.socket.local, CLOSED))
    peer.sendto(b"response", ("127.0.0.1", ear.port))
    until(lambda: len(order) == 2)
    assert order == [b"response", "error"]
    assert ear.wakes == 1


def test_a_failing_error_handler_does_not_stop_reading(ears, peers, caplog):
    """With every kind of exception."""
    ear, peer = ears(), peers()

    def breaks(data):
        ear.lost.append(data)
        raise OddError

    ear.socket.unreachable = breaks
    ear.socket.send(b"INVITE", Flow("UDP", ear.socket.local, CLOSED))
    until(lambda: ear.lost)
    assert "Traceback" in caplog.text
    peer.sendto(b"next", ("127.0.0.1", ear.port))
    assert ear.hears(1) == [b"next"]


def extended_error(origin: int, kind: int, code: int) -> bytes:
    """A sock_extended_err, and the address that the kernel puts behind it."""
    return struct.pack("@IBBBBII", 111, origin, kind, code, 0, 0, 0) + b"\0" * 16


@cases(
    ("packed", "is_failure"),
    [
        (extended_error(2, 3, 0), True),  # ICMP: network, host, protocol, port unreachable
        (extended_error(2, 3, 1), True),
        (extended_error(2, 3, 2), True),
        (extended_error(2, 3, 3), True),
        (extended_error(2, 3, 13), True),  # prohibited
        (extended_error(2, 12, 0), True),  # parameter problem
        (extended_error(2, 3, 4), False),  # too big: the next one is cut into fragments
        (extended_error(2, 4, 0), False),  # source quench
        (extended_error(2, 11, 0), False),  # time exceeded
        (extended_error(3, 1, 4), True),  # ICMPv6: unreachable, parameter problem
        (extended_error(3, 4, 0), True),
        (extended_error(3, 2, 0), False),  # too big
        (extended_error(3, 3, 0), False),  # time exceeded
        (extended_error(1, 3, 3), False),  # of this machine itself
        (b"\0\0", False),
    ],
)
def test_only_errors_that_lose_a_datagram_are_reported(packed: bytes, is_failure: bool):
    """§18.4: source quench and TTL exceeded are ignored."""
    assert udp._means_failure(packed) is is_failure


def test_an_error_that_loses_nothing_goes_no_further(ears):
    """§18.4: a router had no hops left for one copy; the next may find a shorter way."""
    ear = ears()
    queue = [(b"INVITE", [(0, 11, extended_error(2, 11, 0))], 0, CLOSED)]
    queue += [(b"OPTIONS", [(0, 11, extended_error(2, 3, 3))], 0, CLOSED)]

    class Queue:
        def recvmsg(self, *args):
            if not queue:
                raise BlockingIOError
            return queue.pop(0)

    real, ear.socket.socket = ear.socket.socket, Queue()
    ear.socket._drain_errors()
    ear.socket.socket = real
    assert ear.lost == [b"OPTIONS"]


def test_the_path_may_cut_our_datagrams_into_fragments(ears):
    """An INVITE with the "don't fragment" bit would be lost in a tunnel."""
    ear = ears()
    assert ear.socket.socket.getsockopt(socket.IPPROTO_IP, udp._IP_MTU_DISCOVER) == 0


# Sending


class Refusing:
    """A socket with sends that fail, as often and with the error that the test sets."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.sent: list[bytes] = []

    def sendto(self, data: bytes, address) -> None:
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, "refused")
        self.sent.append(data)

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("errors", "arrives", "raises"),
    [
        ((), True, False),
        ((111,), True, False),  # ECONNREFUSED: the ICMP error of another datagram
        ((113,), True, False),  # EHOSTUNREACH, likewise
        ((113, 111), True, False),
        ((111, 111, 111), False, False),  # never about this datagram: lost, and repeated later
        ((11,), False, False),  # EAGAIN: the send buffer is full
        ((105,), False, False),  # ENOBUFS: the queue of the interface is full
        ((101, 101, 101), False, True),  # ENETUNREACH, time and again: there is no way
        ((90, 90, 90), False, True),  # EMSGSIZE
    ],
)
def test_a_failed_send_raises_or_loses_the_datagram(ears, errors, arrives, raises):
    """Lost, tried again, or no way."""
    ear = ears()
    real, ear.socket.socket = ear.socket.socket, Refusing(*errors)
    try:
        flow = Flow("UDP", ear.socket.local, CLOSED)
        if raises:
            with pytest.raises(OSError, match="refused"):
                ear.socket.send(b"x", flow)
        else:
            ear.socket.send(b"x", flow)
        assert bool(ear.socket.socket.sent) is arrives
    finally:
        ear.socket.socket = real


def test_a_datagram_that_is_too_long_or_has_no_way_raises(ears):
    """The layer above makes it a 503."""
    ear = ears()
    with pytest.raises(OSError, match="too long"):
        ear.socket.send(b"x" * 65_508, Flow("UDP", ear.socket.local, CLOSED))
    with pytest.raises(OSError, match=r"."):
        ear.socket.send(b"x", Flow("UDP", ear.socket.local, ("255.255.255.255", 5060)))


def test_a_buffer_for_bursts_is_asked_for(ears, caplog):
    """PERFORMANCE, 6; the granted size is logged."""
    caplog.set_level(logging.INFO)
    probe = plain_socket.socket(socket.AF_INET, plain_socket.SOCK_DGRAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    granted = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    probe.close()
    assert ears().socket.granted_buffer_bytes == granted
    assert granted > 0
