"""The sound of the robot's calls: pairs of UDP ports, and one timer that paces all calls.

A phone's packets are read and echoed in the hub, where nothing waits.  The timer fires each 20 ms
while there are calls, and sends as many packets as the clock demands, so no call drifts.
"""

import errno
import logging
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from random import randrange
from typing import Any

import gevent
from gevent import monkey

from sip.message.uri import is_address
from sip.operator_values import PortRange
from sip.robot.rtp import (
    MAX_PAYLOAD,
    OCTETS_PER_PACKET,
    SECONDS_PER_PACKET,
    Echo,
    Packet,
    Peer,
    Sender,
    read_packet,
)
from sip.robot.sdp import Stream
from sip.robot.tone import tone

log = logging.getLogger(__name__)

# The class from before gevent's patch: recvfrom must raise BlockingIOError, not wait.
PlainSocket: type[socket.socket] = monkey.get_original("socket", "socket")

# Packets of one call that are read in a row, before others have a turn.
_BATCH = 16
_MAX_DATAGRAM = 2048
# Packets that the timer sends at once after a delay; what is missing beyond these is left out.
_MAX_CATCH_UP = 5


class NoPort(Exception):
    """All ports of the range are in use."""


class Sound:
    """The RTP of one call; `close` must be called.

    It echoes, or plays the tone if `has_tone`, or is silent.  `sent` and `received` count packets.
    The octets of RTCP are left to the kernel, which discards them: the robot needs no reports.
    """

    def __init__(
        self, pair: tuple[socket.socket, socket.socket], peer: Peer, clock: Callable[[], float]
    ) -> None:
        self._rtp, self._rtcp = pair
        self._peer = peer
        self._clock = clock
        self._sender = Sender()
        self._echo: Echo | None = None
        self._tone: tuple[bytes, ...] = ()
        self._tone_begins_at = 0.0
        self._tone_sent = 0
        self._stream: Stream | None = None
        self.port: int = self._rtp.getsockname()[1]
        self.sent = self.received = 0
        self._watcher = gevent.get_hub().loop.io(self._rtp.fileno(), 1)
        self._watcher.start(self._readable)

    def echo(self) -> None:
        """Send back each packet from now on."""
        self._echo = Echo(self._sender)

    def play_tone(self) -> None:
        """Play the tone from now on; the encoding is that of the description."""
        self._tone = tone("PCMU")
        self._tone_begins_at, self._tone_sent = self._clock(), 0

    def agree(self, stream: Stream) -> None:
        """Take the session description of the phone; sound goes there from now on."""
        self._peer.described(stream)
        self._stream = stream
        if self._tone:
            self._tone = tone(stream.encoding)

    def close(self) -> None:
        """Stop, and free both ports."""
        self._watcher.stop()
        self._watcher.close()
        self._rtp.close()
        self._rtcp.close()

    def _readable(self) -> None:
        """Read the packets that have arrived, and echo them; runs in the hub."""
        now = self._clock()
        for _ in range(_BATCH):
            try:
                data, source = self._rtp.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # the ICMP error of a packet that we sent
                continue
            packet = read_packet(data)
            if packet is not None and self._is_sound(packet):
                host = source[0].partition("%")[0]
                if self._peer.accepts((host, source[1]), now):
                    self.received += 1
                    self._hear(packet)

    def _is_sound(self, packet: Packet) -> bool:
        """Return True for a packet of the codec that was agreed; telephone events are no sound."""
        stream = self._stream
        is_agreed = stream is not None and packet.payload_type == stream.payload_type
        return is_agreed and 0 < len(packet.payload) <= MAX_PAYLOAD

    def _hear(self, packet: Packet) -> None:
        stream = self._stream
        if self._echo is not None and stream is not None and stream.receives:
            data = self._echo.answer(packet)
            if data is not None:
                self._send(data)

    def play(self, now: float) -> None:
        """Send the packets of the tone that are due; called each 20 ms."""
        stream = self._stream
        if not self._tone or stream is None:
            return
        due = int((now - self._tone_begins_at) / SECONDS_PER_PACKET)
        missing, self._tone_sent = due - self._tone_sent, due
        left_out = max(0, missing - _MAX_CATCH_UP)
        for number in range(due - missing + left_out, due):
            payload = self._tone[number % len(self._tone)]
            step = OCTETS_PER_PACKET * (1 + left_out)
            is_first, left_out = self.sent == 0, 0
            data = self._sender.packet(stream.payload_type, payload, step, marker=is_first)
            if stream.receives:
                self._send(data)

    def _send(self, data: bytes) -> None:
        destination = self._peer.destination
        if destination is None or not self._peer.may_send():
            return
        try:
            self._rtp.sendto(data, destination)
            self.sent += 1
        except OSError as error:  # a full buffer, or the ICMP error of an earlier packet
            log.debug("cannot send sound to %s: %s", destination, error)


class Studio:
    """The sounds of all calls, the ports of the range, and the timer; `close` ends all."""

    def __init__(self, ports: PortRange, clock: Callable[[], float] = time.monotonic) -> None:
        self._ports = ports
        self._clock = clock
        self._sounds: set[Sound] = set()
        self._timer: Any = None

    def __len__(self) -> int:
        return len(self._sounds)

    def open(self, host: str, verified: frozenset[str]) -> Sound:
        """Open the sound of a call at a local address; `verified` as in `Peer`.  Raises NoPort."""
        sound = Sound(self._open_pair(host), Peer(verified), self._clock)
        self._sounds.add(sound)
        if self._timer is None:
            self._timer = gevent.get_hub().loop.timer(SECONDS_PER_PACKET, SECONDS_PER_PACKET)
            self._timer.start(self._play)
        return sound

    def why_no_port(self, host: str) -> str:
        """Return the reason why the next call would get no ports at a local address, or ""."""
        try:
            pair = self._open_pair(host)
        except NoPort as error:
            return str(error)
        for sock in pair:
            sock.close()
        return ""

    def set_ports(self, ports: PortRange) -> None:
        """Open later calls on these ports."""
        self._ports = ports

    def close(self, sound: Sound) -> None:
        """End the sound of a call, and free its ports."""
        if sound in self._sounds:
            self._sounds.remove(sound)
            sound.close()
        if not self._sounds and self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def address_of(self, name: str, local: str) -> str:
        """Return the address of the name that phones know this server by; may wait for DNS.

        `local` is our local address: the family of the one returned, and returned itself if the
        name is unknown.
        """
        if is_address(name):
            return name
        family = socket.AF_INET6 if ":" in local else socket.AF_INET
        try:
            return str(socket.getaddrinfo(name, None, family, socket.SOCK_DGRAM)[0][4][0])
        except OSError as error:
            log.warning("cannot look up %s, which is advertised: %s", name, error)
            return local

    def _play(self) -> None:
        """Send the packets of all calls that are due; runs in the hub."""
        now = self._clock()
        for sound in tuple(self._sounds):
            try:
                sound.play(now)
            except Exception:
                log.exception("unhandled error while playing a tone")
                self.close(sound)

    def _open_pair(self, host: str) -> tuple[socket.socket, socket.socket]:
        """Return sockets for RTP, at an even port, and for RTCP, at the next (RFC 3550 §11)."""
        first = self._ports.first + self._ports.first % 2
        pairs = (self._ports.last + 1 - first) // 2
        start = randrange(pairs)
        for number in range(pairs):
            port = first + 2 * ((start + number) % pairs)
            with ExitStack() as opened:
                try:
                    rtp = opened.enter_context(_open(host, port))
                    rtcp = opened.enter_context(_open(host, port + 1))
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        continue
                    raise NoPort(f"no UDP port opens on {host}: {error.strerror}") from None
                opened.pop_all()
                return rtp, rtcp
        raise NoPort(f"all ports of -rtp.ports {self._ports} are in use")


def _open(host: str, port: int) -> socket.socket:
    sock = PlainSocket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
