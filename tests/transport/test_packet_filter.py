"""The packet filter in the kernel, on real sockets."""

import socket
from ipaddress import ip_address, ip_network

import pytest

from sip.monitor.events import Bus
from sip.transport import packet_filter
from sip.transport.packet_filter import SampleRule, program
from sip.transport.transports import Transports
from tests.support.udp_client import needs_ipv6

FLOOD, OTHER = "127.0.0.66", "127.0.0.7"


class Mouth:
    """A socket that receives datagrams, and the sockets of its senders."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sockets: list[socket.socket] = []
        self.socket = self.opened(host)

    def opened(self, host: str) -> socket.socket:
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        self.sockets.append(sock)
        sock.setblocking(False)
        sock.bind((host, 0))
        return sock

    def gets(self, *senders: socket.socket, each: int = 1) -> list[tuple[str, int]]:
        """Let each send so many, and give from where they came."""
        came = []
        for sender in senders:
            for _ in range(each):
                sender.sendto(b"hello", self.socket.getsockname())
                try:
                    data, source = self.socket.recvfrom(100)
                except BlockingIOError:
                    continue
                assert data == b"hello"
                came.append(source[:2])
        return came


@pytest.fixture
def mouth():
    made = []

    def make(host: str = "127.0.0.1") -> Mouth:
        made.append(Mouth(host))
        return made[-1]

    yield make
    for each in made:
        for sock in each.sockets:
            sock.close()


def where(*senders: socket.socket) -> list[tuple[str, int]]:
    return [sender.getsockname()[:2] for sender in senders]


def test_only_datagrams_of_the_filtered_source_are_dropped(mouth):
    mouth = mouth()
    bad, other = mouth.opened(FLOOD), mouth.opened(OTHER)
    assert packet_filter.attach(mouth.socket, [SampleRule(FLOOD, 0.0)])
    assert mouth.gets(bad, other) == where(other)
    assert packet_filter.attach(mouth.socket, [])
    assert mouth.gets(bad, other) == where(bad, other)


def test_of_a_flood_a_part_comes_through(mouth):
    """A quarter: of 2000 it is 500, give or take 100, which is five times the deviation."""
    mouth = mouth()
    bad, other = mouth.opened(FLOOD), mouth.opened(OTHER)
    assert packet_filter.attach(mouth.socket, [SampleRule(FLOOD, 0.25)])
    assert 400 < len(mouth.gets(bad, each=2000)) < 600
    assert len(mouth.gets(other, each=100)) == 100


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_exempt_ports_of_a_filtered_address_get_through(mouth, host):
    mouth = mouth(host)
    bad, first, second = (mouth.opened(host) for _ in range(3))
    ports = (first.getsockname()[1], second.getsockname()[1])
    source = "::/64" if ":" in host else host
    assert packet_filter.attach(mouth.socket, [SampleRule(source, 0.0, ports)])
    assert mouth.gets(bad, first, second) == where(first, second)


def keeps(instructions, datagram: dict[int, int]) -> bool:
    """Run a program as the kernel does, on a datagram of words at given offsets."""
    a = x = at = 0
    memory = [0] * 16
    while True:
        code, if_so, if_not, k = instructions[at]
        at += 1
        match code:
            case 0x20 | 0x28:  # ld, ldh
                a = datagram[k]
            case 0x60:  # ld M[]
                a = memory[k]
            case 0x02:  # st
                memory[k] = a
            case 0x01:  # ldx
                x = k
            case 0x05:  # ja
                at += k
            case 0x15:  # jeq
                at += if_so if a == k else if_not
            case 0x3D:  # jge, by X
                at += if_so if a >= x else if_not
            case 0x06:  # ret
                return bool(k)


def test_an_ipv6_network_differs_from_its_neighbours():
    """Of which the loopback address shows too little: it has no words but zeros."""
    shut_out = ["2001:db8:0:1::/64", "2001:db8:5::/64", "fe80::/64"]
    instructions = program(
        [SampleRule(source, 0.0, (5060,)) for source in shut_out], socket.AF_INET6
    )
    ip = -0x100000
    for host in ("2001:db8:0:1::9", "2001:db8:5::", "fe80::1", "2001:db8::1", "2001:db9:0:1::1"):
        address = ip_address(host).packed
        words = {ip + 8 + at: int.from_bytes(address[at : at + 4]) for at in range(0, 16, 4)}
        is_in = any(ip_address(host) in ip_network(each) for each in shut_out)
        # The lot is drawn at -0x1000 + 56; the port is in the UDP header.
        assert keeps(instructions, {**words, -0x1000 + 56: 0, 0: 5061}) is not is_in, host
        assert keeps(instructions, {**words, -0x1000 + 56: 0, 0: 5060}), host


@needs_ipv6
def test_of_ipv6_both_halves_of_the_network_are_compared(mouth):
    mouth = mouth("::1")
    peer = mouth.opened("::1")
    for source, heard in [("0:0:0:1::/64", 1), ("1::/64", 1), ("::/64", 0)]:
        assert packet_filter.attach(mouth.socket, [SampleRule(source, 0.0)])
        assert len(mouth.gets(peer)) == heard, source


def test_each_of_many_sources_has_its_own_part_and_its_own_ports(mouth):
    """As many as there may ever be, and the first, the last and one between are what they are."""
    mouth = mouth()
    first, between, last = (mouth.opened(f"127.0.1.{number}") for number in (0, 100, 255))
    phone = mouth.opened("127.0.1.100")
    sources = [
        SampleRule(f"127.0.1.{number}", float(number == 255), tuple(range(1, 6)))
        for number in range(256)
    ]
    sources[100] = SampleRule("127.0.1.100", 0.0, (*range(1, 50), phone.getsockname()[1]))
    assert packet_filter.attach(mouth.socket, sources)
    assert mouth.gets(first, between, last, phone) == where(last, phone)


def test_sources_of_the_other_family_are_no_business_of_a_socket(mouth):
    mouth = mouth()
    assert program([SampleRule("2001:db8::/64", 0.0)], socket.AF_INET) == []
    assert program([SampleRule(FLOOD, 0.0)], socket.AF_INET6) == []
    bad = mouth.opened(FLOOD)
    assert packet_filter.attach(
        mouth.socket, [SampleRule("2001:db8::/64", 0.0), SampleRule(FLOOD, 0.0)]
    )
    assert mouth.gets(bad) == []
    assert packet_filter.attach(mouth.socket, [SampleRule("2001:db8::/64", 0.0)])
    assert mouth.gets(bad) == where(bad)


def test_without_kernel_support_nothing_is_filtered(mouth):
    """As when it is longer than a kernel takes: the one before it is gone, too."""
    mouth = mouth()
    bad = mouth.opened(FLOOD)
    assert packet_filter.attach(mouth.socket, [SampleRule(FLOOD, 0.0)])
    many = [SampleRule(f"10.0.{n >> 8}.{n & 255}", 0.0, tuple(range(100))) for n in range(256)]
    assert not packet_filter.attach(mouth.socket, [SampleRule(FLOOD, 0.0), *many])
    assert mouth.gets(bad) == where(bad)

    asked = []

    class OtherSystem:
        family = socket.AF_INET

        def setsockopt(self, level, option, value):
            asked.append(option)
            raise OSError(92, "Protocol not available")

    assert not packet_filter.attach(OtherSystem(), [SampleRule(FLOOD, 0.0)])
    assert asked == [26, 27] * 2  # SO_ATTACH_FILTER, SO_DETACH_FILTER


def test_a_program_without_memory_replaces_the_old_one():
    """The memory for both is that of one socket; older kernels grant 20 kB."""

    class Narrow:
        family = socket.AF_INET
        held = 0

        def setsockopt(self, level, option, value):
            if option == 26 and self.held:
                raise OSError(12, "Cannot allocate memory")
            self.held = option == 26

    narrow = Narrow()
    for _ in range(3):
        assert packet_filter.attach(narrow, [SampleRule(FLOOD, 0.0)])
        assert narrow.held


def test_every_socket_of_the_server_is_thinned(ears):
    """And one that can't be keeps no other from it."""
    transports = Transports(lambda: 100.0, Bus())
    first, second = ears(), ears("127.0.0.2")
    for ear in (first, second):
        transports.add(ear.socket)
    assert transports.set_packet_filter([SampleRule(FLOOD, 0.0)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bad:
        bad.bind((FLOOD, 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as good:
            good.bind((OTHER, 0))
            for ear in (first, second):
                bad.sendto(b"bad", ear.socket.local)
                good.sendto(b"good", ear.socket.local)
    assert first.hears(1) == second.hears(1) == [b"good"]
    first.socket.set_packet_filter = lambda sources: False
    assert not transports.set_packet_filter([])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bad:
        bad.bind((FLOOD, 0))
        bad.sendto(b"bad", second.socket.local)
    assert second.hears(2) == [b"good", b"bad"]
