"""RTP packets, and the address that sound may go to."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.robot.rtp import Echo, Peer, Sender, read_packet
from sip.robot.sdp import Stream
from tests.support.cases import cases

PHONE, OTHER = "192.0.2.7", "198.51.100.9"


def packet(sequence: int = 1, timestamp: int = 0, payload: bytes = b"x" * 160, ssrc: int = 5):
    return struct.pack("!BBHII", 0x80, 0, sequence, timestamp, ssrc) + payload


def stream(host: str, port: int = 4000) -> Stream:
    return Stream(host, port, 0, "PCMU", None, receives=True, sends=True)


# Packets


def test_a_packet_is_read():
    read = read_packet(packet(7, 160))
    assert read is not None
    assert (read.payload_type, read.sequence, read.timestamp, read.ssrc) == (0, 7, 160, 5)
    assert read.payload == b"x" * 160


def test_sources_extension_and_padding_are_skipped():
    """RFC 3550 §5.1, §5.3.1."""
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 0x80, 1, 0, 5) + b"c" * 8
    read = read_packet(head + b"\xbe\xde\0\1eeee" + b"sound" + b"\0\0\3")
    assert read is not None
    assert (read.marker, read.payload) == (True, b"sound")


@cases(
    "data",
    [
        b"",
        packet()[:11],
        b"\x40" + packet()[1:],
        b"\x80\xc8" + packet()[2:],  # RTCP on the same port (RFC 5761 §4)
        b"\xa0" + packet(payload=b"\xff")[1:],  # more padding than octets
        b"\x90" + packet(payload=b"\0\0\xff\xff")[1:],  # a longer extension than the packet
        b"\xa0" + packet(payload=b"ab\0")[1:],  # padding of no octet
    ],
)
def test_other_datagrams_are_no_packets(data: bytes):
    assert read_packet(data) is None


@given(st.binary(max_size=64))
def test_any_octets_are_read_or_refused(data: bytes):
    read = read_packet(data)
    assert read is None or len(read.payload) <= len(data) - 12


# The echo


def echoed(*received: bytes) -> list[tuple[int, int]]:
    """Sequence and timestamp of each packet that is sent back."""
    echo, sent = Echo(Sender(lambda size: bytes(size))), []
    for data in received:
        read = read_packet(data)
        assert read is not None
        if answer := echo.answer(read):
            back = read_packet(answer)
            assert back is not None
            sent.append((back.sequence, back.timestamp))
    return sent


def test_the_echo_keeps_the_pauses_of_the_phone():
    """The timestamps move as those of the phone do, the sequence by one (RFC 3550 §5.1)."""
    sent = echoed(packet(1, 0), packet(2, 160), packet(9, 1120))
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(sent)]
    assert steps == [(1, 160), (1, 960)]


def test_a_packet_that_came_twice_or_late_is_not_echoed():
    assert len(echoed(packet(5), packet(5), packet(4), packet(6, 160))) == 2


def test_the_numbers_of_a_phone_wrap():
    sent = echoed(packet(65_535, 2**32 - 160), packet(0, 0))
    assert sent[1][1] - sent[0][1] == 160


def test_a_phone_that_starts_anew_is_echoed():
    """Another SSRC, or a leap of its clock, moves our clock by one packet."""
    sent = echoed(packet(5, 0), packet(1, 9_000_000, ssrc=6), packet(2, 0, ssrc=6))
    assert [b[1] - a[1] for a, b in pairwise(sent)] == [160, 160]


# The address


def test_sound_goes_to_the_described_port_of_the_verified_host():
    peer = Peer(frozenset({PHONE}))
    peer.described(stream(PHONE))
    assert peer.destination == (PHONE, 4000)
    assert all(peer.may_send() for _ in range(1000))


def test_sound_follows_its_source_behind_a_nat():
    """The description has a private address; the NAT has chosen another port."""
    peer = Peer(frozenset({PHONE}))
    peer.described(stream("192.168.1.20"))
    assert peer.destination is None
    assert not peer.may_send()
    assert peer.accepts((PHONE, 61_000), 0.0)
    assert peer.destination == (PHONE, 61_000)
    assert all(peer.may_send() for _ in range(1000))


def test_a_third_host_receives_nothing_by_a_description():
    peer = Peer(frozenset({PHONE}))
    peer.described(stream(OTHER))
    assert peer.destination is None
    assert not any(peer.may_send() for _ in range(100))


def test_a_described_host_gets_a_packet_for_a_packet():
    """Its address is not verified: a forged datagram must not open a stream to it."""
    peer = Peer(frozenset({PHONE}))
    peer.described(stream(OTHER))
    for _ in range(20):
        assert peer.accepts((OTHER, 4000), 0.0)
        assert [peer.may_send() for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("source", [(OTHER, 4000), ("203.0.113.1", 9000), (PHONE, 53)])
def test_sound_of_other_sources_is_discarded(source: tuple[str, int]):
    peer = Peer(frozenset({PHONE}))
    peer.described(stream(PHONE))
    assert not peer.accepts(source, 0.0)
    assert peer.destination == (PHONE, 4000)


def test_a_source_is_kept_while_it_sends():
    """Another port of the same host takes over only after 2 s of silence."""
    peer = Peer(frozenset({PHONE}))
    peer.described(stream(PHONE))
    assert peer.accepts((PHONE, 4000), 10.0)
    assert not peer.accepts((PHONE, 4002), 11.9)
    assert peer.accepts((PHONE, 4002), 12.0)
    assert peer.destination == (PHONE, 4002)


def test_a_new_description_moves_the_sound():
    peer = Peer(frozenset({PHONE}))
    peer.described(stream(PHONE))
    assert peer.accepts((PHONE, 4000), 10.0)
    peer.described(stream(PHONE, 4002))
    assert peer.destination == (PHONE, 4002)
    assert peer.accepts((PHONE, 4002), 10.1)


def test_the_rate_of_a_phone_is_bounded():
    """Of 1,000 packets a second some 110 are heard, and a burst of 25."""
    peer = Peer(frozenset({PHONE}))
    peer.described(stream(PHONE))
    heard = sum(peer.accepts((PHONE, 4000), 100 + number / 1000) for number in range(10_000))
    assert 1100 <= heard <= 1130


def test_the_addresses_of_loopback_are_one_host():
    peer = Peer(frozenset({"127.0.0.5"}))
    peer.described(stream("127.0.0.5"))
    assert peer.accepts(("127.0.0.1", 4000), 0.0)
    assert peer.may_send()
