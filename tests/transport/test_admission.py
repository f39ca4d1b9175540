"""Who is not heard at all, and how the server learns that it is behind."""

import socket as plain_socket

import pytest

from sip.monitor.events import Bus
from sip.transport.flow import Flow, network_of
from sip.transport.transports import Transports
from sip.transport.udp import BEHIND_PART, UdpSocket
from tests.transport.ears import until
from tests.transport.place import Place

LOCAL = ("192.0.2.1", 5060)
GOOD, BAD = "192.0.2.7", "192.0.2.66"


@pytest.fixture
def place():
    place = Place()
    yield place
    place.streams.stop()
    for peer in place.peers:
        peer.close()


@pytest.mark.parametrize("datagram", [b"OPTIONS sip:a SIP/2.0\r\n", b"garbage", b"\r\n\r\n"])
def test_what_is_not_admitted_is_not_read_nor_counted_nor_logged(datagram, caplog):
    """Whatever it is; so a refusal costs next to nothing."""
    transports = Transports(lambda: 100.0, Bus())
    transports.admits = lambda flow: flow.remote[0] != BAD
    transports.receive(datagram, Flow("UDP", LOCAL, (BAD, 5060)))
    assert not transports.counts
    transports.receive(datagram, Flow("UDP", LOCAL, (GOOD, 5060)))
    assert transports.counts


def test_a_connection_that_is_not_admitted_is_closed_at_once(place: Place):
    place.streams.admits = lambda flow: flow.remote[0] != "127.0.0.66"
    refused, taken = place.connect("127.0.0.66"), place.connect("127.0.0.7")
    assert refused.recv(1) == b""
    until(lambda: place.held == 1)
    taken.close()


def test_a_socket_is_behind_when_much_waits_in_it_and_no_longer_when_it_is_read():
    heard = []
    sock = UdpSocket(("127.0.0.1", 0), lambda data, flow: heard.append(data), lambda data: None)
    sock.socket.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_RCVBUF, 64 * 1024)
    room = sock.granted_buffer_bytes * 2
    with plain_socket.socket(plain_socket.AF_INET, plain_socket.SOCK_DGRAM) as peer:
        assert not sock.is_behind
        peer.sendto(b"x" * 100, sock.local)
        assert not sock.is_behind
        for _ in range(room // BEHIND_PART // 512):  # octets of memory that each takes at least
            peer.sendto(b"x" * 100, sock.local)
        assert sock.is_behind
        sock.start()
        until(lambda: not sock.is_behind)
        until(lambda: heard)
    sock.stop()


def test_where_the_kernel_does_not_say_nobody_is_behind():
    class Old:
        def getsockopt(self, *option):
            raise OSError(92, "Protocol not available")

    sock = UdpSocket(("127.0.0.1", 0), lambda data, flow: None, lambda data: None)
    sock.socket, real = Old(), sock.socket
    assert not sock.is_behind
    real.close()


def test_a_network_of_ipv6_is_what_one_machine_has():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert network_of("192.0.2.7") == "192.0.2.7"
