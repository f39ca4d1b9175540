"""RTP packets, the streams of the robot, and the address that it may send to (RFC 3550).

The problem: a session description names any address, and a datagram may have any source; so a robot
that believes either of them sends sound to a third party for an attacker.

The model: sound goes to the host that has signed in (its SIP messages came from there), at the port
in its description or at the one that its sound comes from.  Any other host of the description is
served only in exchange: one packet for each packet of its own.

The invariant: a host that has not proved its address never receives more packets, or more octets,
than were sent in its name.  The bounds: MAX_PAYLOAD octets, PACKETS_PER_SECOND, no port below 1024.

Pure: the time is an argument.
"""

import os
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

from sip.message.cache import cached_parse
from sip.robot.sdp import LOWEST_PORT, Stream
from sip.transport.flow import Endpoint

# 20 ms of G.711: 8,000 samples per second, one octet each (RFC 3551 §4.5.14).
SAMPLES_PER_SECOND = 8000
SECONDS_PER_PACKET = 0.02
OCTETS_PER_PACKET = 160
# The longest payload that is echoed: 160 ms.
MAX_PAYLOAD = 8 * OCTETS_PER_PACKET
# The most packets that one call echoes: phones send 50, those with 10 ms in each send 100.
PACKETS_PER_SECOND = 110.0
_BURST = 25.0
# A phone whose sound comes from another port or host after so many seconds of silence has moved.
SECONDS_BEFORE_MOVE = 2.0
# Timestamps further apart than this are a new start of the phone's clock: 10 s.
_LONGEST_GAP = 10 * SAMPLES_PER_SECOND

_HEADER = struct.Struct("!BBHII")
_VERSION = 0x80


class Packet(NamedTuple):
    """The fields of a packet that the robot uses (RFC 3550 §5.1)."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def read_packet(data: bytes) -> Packet | None:
    """Read a packet; None if it is no RTP of version 2, or is RTCP (RFC 5761 §4)."""
    if len(data) < _HEADER.size or data[0] & 0xC0 != _VERSION or 192 <= data[1] <= 223:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    start, end = _HEADER.size + 4 * (first & 0x0F), len(data)
    if first & 0x10:  # a header extension (§5.3.1)
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    if first & 0x20:  # padding: its last octet counts it
        end -= data[-1]
    if start > end or (first & 0x20 and not data[-1]):
        return None
    return Packet(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[start:end])


class Sender:
    """The packets that the robot sends in one call: SSRC, sequence and timestamp of its own."""

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        start = struct.unpack("!IHI", random(10))
        self._ssrc: int = start[0]
        self._sequence: int = start[1]
        self._timestamp: int = start[2]

    def packet(self, payload_type: int, payload: bytes, step: int, *, marker: bool) -> bytes:
        """Return the next packet, whose sampling began `step` samples after the last one's."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + step) & 0xFFFFFFFF
        second = payload_type | (0x80 if marker else 0)
        head = _HEADER.pack(_VERSION, second, self._sequence, self._timestamp, self._ssrc)
        return head + payload


class Echo:
    """Sends each packet back: the same octets, in the robot's own stream."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._last: Packet | None = None

    def answer(self, packet: Packet) -> bytes | None:
        """Return the packet to send back; None for one that came twice or too late."""
        last = self._last
        step = len(packet.payload)
        if last is not None and last.ssrc == packet.ssrc:
            if not 0 < (packet.sequence - last.sequence) & 0xFFFF < 0x8000:
                return None
            gap = (packet.timestamp - last.timestamp) & 0xFFFFFFFF
            step = gap if gap <= _LONGEST_GAP else step
        self._last = packet
        return self._sender.packet(
            packet.payload_type, packet.payload, step, marker=packet.marker or last is None
        )


@cached_parse(64)
def _host(address: str) -> str:
    """Return an address, or one word for all loopback addresses."""
    try:
        return "loopback" if ip_address(address).is_loopback else address
    except ValueError:
        return address


class Peer:
    """The address that a call's sound comes from and goes to, by the rule of this module.

    `verified` are the hosts whose SIP messages have shown the password of this user.  All loopback
    addresses are one host: a phone on this machine may use several.
    """

    def __init__(self, verified: frozenset[str]) -> None:
        self._verified = frozenset(map(_host, verified))
        self.source: Endpoint | None = None
        self._described = ""
        self._port = 0
        self._heard_at = 0.0
        self._credit = 0
        self._tokens = _BURST
        self._filled_at = 0.0

    def described(self, stream: Stream) -> None:
        """Take the address of a new description; the phone may have moved with it."""
        if (stream.host, stream.port) != (self._described, self._port):
            self.source = None
            self._credit = 0
        self._described, self._port = stream.host, stream.port

    @property
    def destination(self) -> Endpoint | None:
        """The address to send to, None before there is one."""
        if self.source is not None:
            return self.source
        is_verified = _host(self._described) in self._verified
        return (self._described, self._port) if is_verified else None

    def accepts(self, source: Endpoint, now: float) -> bool:
        """Return True if a packet is of the phone of this call, and within its rate."""
        if source != self.source:
            host, port = source
            may_move = self.source is None or now - self._heard_at >= SECONDS_BEFORE_MOVE
            is_of_call = _host(host) in self._verified or host == self._described
            if not may_move or not is_of_call or port < LOWEST_PORT:
                return False
            self.source, self._credit = source, 0
        self._tokens += (now - self._filled_at) * PACKETS_PER_SECOND
        self._tokens = min(_BURST, self._tokens)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        self._heard_at = now
        self._credit = 1
        return True

    def may_send(self) -> bool:
        """Return True if one more packet may be sent to `destination`, and count it."""
        if self.source is None or _host(self.source[0]) in self._verified:
            return self.destination is not None
        has_credit = self._credit > 0
        self._credit = 0
        return has_credit
