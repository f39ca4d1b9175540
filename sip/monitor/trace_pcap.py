"""A trace as a pcap file, for Wireshark and tshark (draft-ietf-opsawg-pcap).

The packets are made again from the messages: IP headers with the right addresses and checksums,
UDP, or TCP with a handshake and sequence numbers.  The content of an encrypted connection is
written as datagrams between its addresses, because Wireshark would take a stream for cipher text.
"""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from sip.monitor.events import Address, MessagePassed
from sip.monitor.trace_redaction import redact
from sip.monitor.traces import Trace

_MAGIC = 0xA1B2C3D4  # microseconds
_SNAPLEN = 262_144
_LINKTYPE_RAW = 101  # packets begin with an IPv4 or IPv6 header
_UDP, _TCP = 17, 6
# Transports whose messages are written as a stream.
_STREAMS = frozenset({"TCP"})
_SYN, _ACK, _PSH = 0x02, 0x10, 0x08
# Octets of a TCP segment, as on an Ethernet; and of the largest datagram that IPv4 can carry.
_SEGMENT = 1460
_MAX_DATAGRAM = 65_507
_WINDOW = 65_535
_FIRST_SEQUENCE = 1000

_IP = IPv4Address | IPv6Address
_BLANK_LINE = b"\r\n\r\n"


def pcap_of(trace: Trace, *, secrets: bool = False) -> bytes:
    """Return the pcap file of a trace; without credentials unless `secrets`."""
    file = bytearray(struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW))
    streams: dict[tuple[Address, Address], _Stream] = {}
    for passed in trace.messages:
        octets = passed.octets if secrets else redact(passed.octets)
        for packet in _packets(passed, octets, streams):
            seconds, fraction = divmod(round(passed.at * 1_000_000), 1_000_000)
            file += struct.pack("<IIII", seconds, fraction, len(packet), len(packet)) + packet
    return bytes(file)


def _packets(
    passed: MessagePassed, octets: bytes, streams: dict[tuple[Address, Address], "_Stream"]
) -> Iterable[bytes]:
    local, remote = _addresses(passed.local[0], passed.remote[0])
    is_in = passed.direction == "in"
    if passed.transport not in _STREAMS and len(octets) <= _MAX_DATAGRAM:
        ends = (remote, passed.remote[1], local, passed.local[1])
        if not is_in:
            ends = (local, passed.local[1], remote, passed.remote[1])
        yield _datagram(*ends, octets)
        return
    key = passed.local, passed.remote
    stream = streams.get(key)
    if stream is None:
        stream = streams[key] = _Stream((local, passed.local[1]), (remote, passed.remote[1]))
        yield from stream.handshake(by_remote=is_in)
    yield from stream.segments(with_length(octets), by_remote=is_in)


def with_length(octets: bytes) -> bytes:
    """Add Content-Length to a message of a stream that was recorded before it was added."""
    head, blank_line, body = octets.partition(_BLANK_LINE)
    names = (line.partition(b":")[0].strip().lower() for line in head.split(b"\r\n")[1:])
    if not blank_line or any(name in (b"content-length", b"l") for name in names):
        return octets
    return b"%s\r\nContent-Length: %d%s%s" % (head, len(body), blank_line, body)


def _addresses(*hosts: str) -> tuple[_IP, _IP]:
    """Return two addresses of one family, IPv4 ones as IPv6 if the other is IPv6."""
    found: list[_IP] = []
    for host in hosts:
        try:
            found.append(ip_address(host.partition("%")[0]))
        except ValueError:  # no address of a socket: in tests
            found.append(IPv4Address(0))
    if found[0].version != found[1].version:
        found = [
            IPv6Address(b"\0" * 10 + b"\xff\xff" + each.packed) if each.version == 4 else each
            for each in found
        ]
    return found[0], found[1]


class _Stream:
    """The segments of one connection, in both directions."""

    def __init__(self, local: tuple[_IP, int], remote: tuple[_IP, int]) -> None:
        self._ends = {False: local, True: remote}
        self._next = {False: _FIRST_SEQUENCE, True: _FIRST_SEQUENCE}

    def handshake(self, *, by_remote: bool) -> Iterable[bytes]:
        """Open the connection from the side of the first message."""
        yield self._segment(by_remote, _SYN, b"")
        self._next[by_remote] += 1
        yield self._segment(not by_remote, _SYN | _ACK, b"")
        self._next[not by_remote] += 1
        yield self._segment(by_remote, _ACK, b"")

    def segments(self, octets: bytes, *, by_remote: bool) -> Iterable[bytes]:
        """Send a message, and acknowledge it."""
        for at in range(0, len(octets), _SEGMENT):
            part = octets[at : at + _SEGMENT]
            is_last = at + _SEGMENT >= len(octets)
            yield self._segment(by_remote, _ACK | (_PSH if is_last else 0), part)
            self._next[by_remote] = (self._next[by_remote] + len(part)) % 2**32
        yield self._segment(not by_remote, _ACK, b"")

    def _segment(self, by_remote: bool, flags: int, part: bytes) -> bytes:
        (source, source_port), (target, target_port) = (
            self._ends[by_remote],
            self._ends[not by_remote],
        )
        acknowledged = self._next[not by_remote] if flags & _ACK else 0
        ports_and_numbers = source_port, target_port, self._next[by_remote], acknowledged
        fields = (*ports_and_numbers, 5 << 4, flags, _WINDOW)
        header = struct.pack("!HHIIBBHHH", *fields, 0, 0)
        check = _checksum(_pseudo(source, target, _TCP, len(header) + len(part)) + header + part)
        header = struct.pack("!HHIIBBHHH", *fields, check, 0)
        return _packet(source, target, _TCP, header + part)


def _datagram(source: _IP, source_port: int, target: _IP, target_port: int, octets: bytes) -> bytes:
    length = 8 + len(octets)
    header = struct.pack("!HHHH", source_port, target_port, length, 0)
    check = _checksum(_pseudo(source, target, _UDP, length) + header + octets)
    # 0 would mean that there is no checksum (RFC 768).
    header = struct.pack("!HHHH", source_port, target_port, length, check or 0xFFFF)
    return _packet(source, target, _UDP, header + octets)


def _pseudo(source: _IP, target: _IP, protocol: int, length: int) -> bytes:
    """Return the pseudo header that the checksum covers (RFC 9293 §3.1, RFC 8200 §8.1)."""
    if source.version == 4:
        return source.packed + target.packed + struct.pack("!BBH", 0, protocol, length)
    return source.packed + target.packed + struct.pack("!IHBB", length, 0, 0, protocol)


def _packet(source: _IP, target: _IP, protocol: int, payload: bytes) -> bytes:
    if source.version == 6:
        header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
        return header + source.packed + target.packed + payload
    fields = 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol
    addresses = source.packed + target.packed
    check = _checksum(struct.pack("!BBHHHBBH", *fields, 0) + addresses)
    return struct.pack("!BBHHHBBH", *fields, check) + addresses + payload


def _checksum(octets: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(octets) % 2:
        octets += b"\0"
    # Modulo 2^16 - 1 is the sum with end-around carry.
    total = int.from_bytes(octets, "big") % 0xFFFF
    return 0xFFFF - total if total else (0 if any(octets) else 0xFFFF)
