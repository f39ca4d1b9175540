"""Rejected sources, and how the server notices a backlog."""

import socket as plain_socket

import pytest

from sip.core.causes import malformed
from sip.monitor.events import Bus
from sip.transport.flow import Flow, network_of
from sip.transport.receiver import Receiver
from sip.transport.transports import Transports
from sip.transport.udp import BACKLOG_DIVISOR, UdpSocket
from tests.support.tcp_fixture import ListeningCarrier
from tests.support.udp_client import until

LOCAL = ("192.0.2.1", 5060)
GOOD, BAD = "192.0.2.7", "192.0.2.66"


@pytest.fixture
def place():
    place = ListeningCarrier()
    yield place
    place.streams.stop()
    for peer in place.peers:
        peer.close()


STUN = b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)


@pytest.mark.parametrize("datagram", [b"OPTIONS sip:a SIP/2.0\r\n", b"garbage", b"\r\n\r\n", STUN])
def test_a_rejected_message_is_not_parsed_counted_or_logged(datagram, caplog):
    """For every content, so that a rejection costs little."""
    receiver = Receiver(
        lambda: 100.0,
        Transports(lambda: 100.0, Bus()),
        lambda flow: flow.remote[0] != BAD,
        lambda message, flow: None,
        Bus(),
        malformed,
    )
    receiver.receive(datagram, Flow("UDP", LOCAL, (BAD, 5060)))
    assert not receiver.counts
    receiver.receive(datagram, Flow("UDP", LOCAL, (GOOD, 5060)))
    assert receiver.counts


def test_a_rejected_connection_is_closed(place: ListeningCarrier):
    place.streams.allows = lambda flow: flow.remote[0] != "127.0.0.66"
    refused, taken = place.connect("127.0.0.66"), place.connect("127.0.0.7")
    assert refused.recv(1) == b""
    until(lambda: place.held == 1)
    taken.close()


def test_a_socket_has_a_backlog_until_it_is_read():
    heard = []
    sock = UdpSocket(("127.0.0.1", 0), lambda data, flow: heard.append(data), lambda data: None)
    sock.socket.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_RCVBUF, 64 * 1024)
    room = sock.granted_buffer_bytes * 2
    with plain_socket.socket(plain_socket.AF_INET, plain_socket.SOCK_DGRAM) as peer:
        assert not sock.has_backlog
        peer.sendto(b"x" * 100, sock.local)
        assert not sock.has_backlog
        for _ in range(room // BACKLOG_DIVISOR // 512):  # octets of memory that each takes at least
            peer.sendto(b"x" * 100, sock.local)
        assert sock.has_backlog
        sock.start()
        until(lambda: not sock.has_backlog)
        until(lambda: heard)
    sock.stop()


def test_an_old_kernel_reports_no_backlog():
    class Old:
        def getsockopt(self, *option):
            raise OSError(92, "Protocol not available")

    sock = UdpSocket(("127.0.0.1", 0), lambda data, flow: None, lambda data: None)
    sock.socket, real = Old(), sock.socket
    assert not sock.has_backlog
    real.close()


def test_a_network_of_ipv6_is_what_one_machine_has():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert network_of("192.0.2.7") == "192.0.2.7"
