"""UDP sockets: batched reads, ICMP errors, and the local address of each datagram (RFC 3261 §18).

The hub reads a batch of datagrams, then greenlets handle them, in blocking style: one after the
other in one greenlet, until a handler waits; then another greenlet handles the next.  So the code
that reads, and the code that handles, is in the processor's caches for all but the first.
"""

import errno
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent import monkey
from greenlet import GreenletExit

from sip.message.datagram import for_log
from sip.transport import packet_filter
from sip.transport.flow import Endpoint, Flow, datagram_flow
from sip.transport.greenlet_pool import GreenletPool
from sip.transport.wake_ups import must_wait

log = logging.getLogger(__name__)

# The class from before gevent's patch: recv must raise BlockingIOError, not switch to the hub.
PlainSocket: type[socket.socket] = monkey.get_original("socket", "socket")

# Holds a burst that arrives while Python is busy; the kernel's default holds about 90 datagrams.
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
# Datagrams read in a row, and then handled, before timers and the web run; 4 MB at most.
BATCH = 64
MAX_DATAGRAM = 65_535
# A socket has a backlog when more octets of memory wait in it: some 200 datagrams of usual length,
# which are read in 30 ms; or when this fraction of a smaller buffer is full (1/4).
BACKLOG_BYTES = 512 * 1024
BACKLOG_DIVISOR = 4

# From linux/in.h, in6.h and ipv6.h; the socket module has no names for them in Python 3.11.
_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DONT = 0
_IP_RECVERR = 11
_SO_MEMINFO = 55  # from asm-generic/socket.h; its fields are in sock_diag.h
_MEMINFO = struct.Struct("@2I")  # octets that wait, and octets of buffer
_IPV6_RECVERR = 25
# From linux/errqueue.h: the head of sock_extended_err is errno, origin, type and code.
_EXTENDED_ERROR = struct.Struct("@IBBB")
_ORIGIN_ICMP = 2
_ORIGIN_ICMP6 = 3
# §18.4: unreachable and parameter problem mean failure (RFC 792, RFC 4443); time exceeded, source
# quench and packet too big don't.
_ICMP_UNREACHABLE, _ICMP_PARAMETER_PROBLEM, _FRAGMENTATION_NEEDED = 3, 12, 4
_ICMP6_UNREACHABLE, _ICMP6_PARAMETER_PROBLEM = 1, 4
# A pending ICMP error makes the next send fail, to any address; so a send is tried so many times.
SEND_ATTEMPTS = 3

_RECVERR = (_IP_RECVERR, _IPV6_RECVERR)
# Errors of a full send buffer or, with IP_RECVERR, of the full queue of an interface.
_FULL = (errno.EAGAIN, errno.ENOBUFS)

Receive = Callable[[bytes, Flow], None]
Unreachable = Callable[[bytes], None]


class UdpSocket:
    """One UDP socket, on one address or on all addresses of a family.

    `receive` is called with each datagram and its flow, and may block.  `unreachable` is called
    with the beginning of a datagram that we sent and that ICMP reports as undelivered; it must not
    wait.
    """

    def __init__(self, address: Endpoint, receive: Receive, unreachable: Unreachable) -> None:
        """Bind to `address`; the host "0.0.0.0" or "::" means all addresses.  Raises OSError."""
        self.receive = receive
        self.unreachable = unreachable
        host, port = address
        self.is_ipv6 = ":" in host
        self.is_wildcard = host in ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound to
        self.socket = PlainSocket(
            socket.AF_INET6 if self.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM
        )
        try:
            self._set_options()
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        self.port: int = self.socket.getsockname()[1]
        self.local: Endpoint = (host, self.port)
        self._received: deque[tuple[bytes, Flow]] = deque()  # read, and not handled
        self._is_held = False  # the rest of the batch waits for greenlets that are woken
        self._pool = GreenletPool()
        self._watcher: Any = None
        self._receive_one = self._receive_with_address if self.is_wildcard else self._receive_plain

    def _set_options(self) -> None:
        sock = self.socket
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if self.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            if self.is_wildcard:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            # An INVITE may exceed the MTU of a tunnel on its way: allow routers to fragment it.
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
            if self.is_wildcard:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    @property
    def granted_buffer_bytes(self) -> int:
        """The receive buffer that the kernel granted; the kernel reports twice the size."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2

    @property
    def has_backlog(self) -> bool:
        """Return True if more octets wait in the socket than an ordinary burst brings."""
        try:
            packed = self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:  # a kernel older than 4.12; late ticks still show an overload
            return False
        waiting, room = _MEMINFO.unpack(packed)
        return bool(waiting > min(BACKLOG_BYTES, room // BACKLOG_DIVISOR))

    def set_packet_filter(self, rules: Sequence[packet_filter.SampleRule]) -> bool:
        """Have the kernel drop a part of the datagrams of some sources; False: it can't."""
        return packet_filter.attach(self.socket, rules)

    def start(self) -> None:
        """Begin to read."""
        self._watcher = gevent.get_hub().loop.io(self.socket.fileno(), 1)
        self._watcher.start(self._readable)

    def stop(self) -> None:
        """Stop reading and close."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        self._received.clear()
        self.socket.close()
        self._pool.stop()

    # Reading

    def _readable(self) -> None:
        """Read the socket, which has datagrams or ICMP errors, and handle them; runs in the hub."""
        if self._is_held:
            return
        has_errors = self._read_batch()
        self._handle_all()
        if has_errors:
            self._pool.run(self._drain_errors)

    def _handle_all(self) -> None:
        """Handle what was read; runs in the hub."""
        while self._received and not self._is_held:  # again for each handler that waits
            self._pool.run(self._handle_batch)

    def _go_on(self) -> None:
        self._is_held = False
        self._handle_all()

    def _read_batch(self) -> bool:
        """Read datagrams; return True if no more wait, but ICMP errors do.

        Datagrams come first, since a response outweighs an ICMP error.
        """
        received = self._received
        has_errors = False
        for _ in range(BATCH):
            try:
                received.append(self._receive_one())
            except BlockingIOError:
                return has_errors or not received  # errors make the socket readable too
            except OSError:
                has_errors = True
        return False

    def _handle_batch(self) -> None:
        """Handle datagrams until none is left, or the next one must wait; may wait itself."""
        received = self._received
        while received:
            data, flow = received[0]
            if must_wait(data):
                self._is_held = True
                gevent.get_hub().loop.run_callback(self._go_on)
                return
            received.popleft()
            try:
                self.receive(data, flow)
            except GreenletExit:
                raise
            except BaseException:
                log.exception(
                    "unhandled error while handling the datagram %r from %s", for_log(data), flow
                )

    def _receive_plain(self) -> tuple[bytes, Flow]:
        data, remote = self.socket.recvfrom(MAX_DATAGRAM)
        return data, datagram_flow(self.local, remote[:2])

    def _receive_with_address(self) -> tuple[bytes, Flow]:
        """Receive on a wildcard socket; the kernel reports the destination address."""
        data, ancillary, _, remote = self.socket.recvmsg(MAX_DATAGRAM, 64)
        host = self.local[0]
        for level, kind, packed in ancillary:
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                # The second of three fields, the local address: right for broadcasts too.
                host = socket.inet_ntop(socket.AF_INET, packed[4:8])
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                host = socket.inet_ntop(socket.AF_INET6, packed[:16])
        return data, datagram_flow((host, self.port), (remote[0].partition("%")[0], remote[1]))

    def _drain_errors(self) -> None:
        """Read the queued ICMP errors; while one is queued the socket stays readable."""
        for _ in range(BATCH):
            try:
                data, ancillary, _, _ = self.socket.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            if any(_means_failure(packed) for _, kind, packed in ancillary if kind in _RECVERR):
                self.unreachable(data)

    # Writing

    def send(self, data: bytes, flow: Flow) -> None:
        """Send from the flow's local address.

        With a full send buffer the datagram is lost, as in the network; the sender of a request
        retransmits it.  Raises OSError when the remote address can't be reached.
        """
        for attempt in range(1, SEND_ATTEMPTS + 1):
            try:
                if self.is_wildcard:
                    self.socket.sendmsg([data], self._from_address(flow.local[0]), 0, flow.remote)
                else:
                    self.socket.sendto(data, flow.remote)
            except OSError as error:
                if error.errno in _FULL:
                    return
                # It may be the ICMP error of an earlier datagram, which the next call reports.
                if attempt == SEND_ATTEMPTS and error.errno != errno.ECONNREFUSED:
                    raise
            else:
                return

    def _from_address(self, host: str) -> list[tuple[int, int, bytes]]:
        if self.is_ipv6:
            if host == "::":
                return []
            packed = socket.inet_pton(socket.AF_INET6, host) + struct.pack("@I", 0)
            return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed)]
        packed = struct.pack("@i4s4s", 0, socket.inet_aton(host), b"\0\0\0\0")
        return [(socket.IPPROTO_IP, _IP_PKTINFO, packed)]


def _means_failure(packed: bytes) -> bool:
    """Return True if a sock_extended_err is an ICMP error that means a lost datagram (§18.4)."""
    if len(packed) < _EXTENDED_ERROR.size:
        return False
    _, origin, kind, code = _EXTENDED_ERROR.unpack_from(packed)
    if origin == _ORIGIN_ICMP:
        if kind == _ICMP_UNREACHABLE:
            return bool(code != _FRAGMENTATION_NEEDED)
        return bool(kind == _ICMP_PARAMETER_PROBLEM)
    return origin == _ORIGIN_ICMP6 and kind in (_ICMP6_UNREACHABLE, _ICMP6_PARAMETER_PROBLEM)
