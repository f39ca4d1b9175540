"""The pcap files of traces, read by tshark: what Wireshark sees."""

from pathlib import Path

import pytest

from sip.monitor.events import Bus, MessagePassed
from sip.monitor.trace_pcap import pcap_of
from sip.monitor.traces import Traces
from tests.support.tshark import has_no_trouble, read_fields, sip_messages

IPV4 = ("192.0.2.1", 5060), ("192.0.2.10", 40_123)
IPV6 = ("2001:db8::1", 23_370), ("2001:db8::10%eth0", 40_123)


def message(start: str, *fields: str, body: bytes = b"", length: bool = True) -> bytes:
    lines = [
        start,
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-1",
        "From: <sip:alice@example.com>;tag=a",
        "To: <sip:bob@example.com>",
        "Call-ID: one",
        "CSeq: 1 MESSAGE",
        *fields,
    ]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


SMALL = message("MESSAGE sip:bob@example.com SIP/2.0")
# More than the MTU of an Ethernet, and as much as a datagram can hold.
LARGE = message("MESSAGE sip:bob@example.com SIP/2.0", "Content-Type: x/y", body=b"x" * 9000)
LARGEST = message("MESSAGE sip:bob@example.com SIP/2.0", "Content-Type: x/y", body=b"x" * 65_280)
# Only a connection carries it.
HUGE = message("MESSAGE sip:bob@example.com SIP/2.0", "Content-Type: x/y", body=b"x" * 120_000)
ANSWER = message("SIP/2.0 200 OK")
BARE = message("SIP/2.0 202 Accepted", "Content-Type: x/y", body=b"abc", length=False)


@pytest.fixture
def recorded(tmp_path: Path):
    """Return the pcap file of messages that have passed."""

    def record(transport: str, ends, *passed: tuple[str, bytes]) -> Path:
        bus = Bus()
        traces = Traces(bus)
        local, remote = ends
        for number, (direction, octets) in enumerate(passed):
            at = 1_700_000_000.25 + number
            bus.publish(MessagePassed(at, direction, local, remote, transport, octets))
        file = tmp_path / "trace.pcap"
        file.write_bytes(pcap_of(traces.find(b"one")))
        has_no_trouble(file)
        return file

    return record


@pytest.mark.parametrize(
    ("transport", "ends", "first"),
    [
        ("UDP", IPV4, "in"),
        ("UDP", IPV6, "out"),
        ("TCP", IPV4, "in"),
        ("TCP", IPV4, "out"),
        ("TCP", IPV6, "in"),
        ("TLS", IPV4, "out"),
        ("TLS", IPV6, "in"),
    ],
)
def test_each_message_is_read_back(recorded, transport, ends, first):
    then = "out" if first == "in" else "in"
    passed = [(first, SMALL), (then, ANSWER), (first, LARGE), (then, ANSWER), (then, SMALL)]
    file = recorded(transport, ends, *passed)
    lines = [octets.split(b"\r\n")[0].decode() for _, octets in passed]
    assert sip_messages(file) == lines


def test_the_largest_datagram_is_read_back(recorded):
    assert 65_400 < len(LARGEST) <= 65_507
    file = recorded("UDP", IPV4, ("in", LARGEST), ("out", ANSWER))
    assert len(sip_messages(file)) == 2
    assert read_fields(file, "udp.length")[0] == [str(len(LARGEST) + 8)]


def test_a_message_larger_than_a_datagram_is_a_stream(recorded):
    """As they come over TLS."""
    for transport in ("TCP", "TLS"):
        file = recorded(transport, IPV4, ("in", HUGE), ("out", ANSWER))
        assert len(sip_messages(file)) == 2


def test_a_message_that_got_its_length_later_ends_where_it_ends(recorded):
    """Content-Length is added on a connection, after the message was published."""
    file = recorded("TCP", IPV4, ("in", SMALL), ("out", BARE), ("out", ANSWER))
    assert sip_messages(file)[1:] == ["SIP/2.0 202 Accepted", "SIP/2.0 200 OK"]


def test_addresses_ports_and_times_are_those_of_the_messages(recorded):
    file = recorded("UDP", IPV4, ("in", SMALL), ("out", ANSWER))
    fields = "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "frame.time_epoch"
    assert read_fields(file, *fields) == [
        ["192.0.2.10", "40123", "192.0.2.1", "5060", "1700000000.250000000"],
        ["192.0.2.1", "5060", "192.0.2.10", "40123", "1700000001.250000000"],
    ]


def test_credentials_are_in_no_file_unasked(recorded, tmp_path):
    login = 'Authorization: Digest username="bob", realm="x", nonce="SECRET", response="SECRET"'
    file = recorded("TCP", IPV4, ("in", message("REGISTER sip:x SIP/2.0", login)))
    assert b"SECRET" not in file.read_bytes()
    assert read_fields(file, "sip.auth.username") == [['"bob"']]
