"""All sockets together: messages in, messages out (RFC 3261 §18)."""

import errno
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from sip.message.framing import BadStream, with_length
from sip.message.grammar import BadMessage
from sip.message.headers import Via, response_via
from sip.message.message import (
    BadRequest,
    Request,
    Response,
    bad_request,
    make_response,
    parse,
)
from sip.message.parties import recipient_of, sender_of
from sip.message.uri import format_host_port, is_address
from sip.transport.flow import Endpoint, Flow, reply_flow, source_stamp
from sip.transport.packet_filter import Thinned

log = logging.getLogger(__name__)

# Local addresses towards peers that are remembered, and how long: each is a few system calls to
# find out, and a machine may change its address.
KEPT_LOCAL_ADDRESSES = 4096
SECONDS_LOCAL_ADDRESSES_ARE_KEPT = 60.0
# Logged of what strangers send wrong, at most one line in so many seconds.
SECONDS_BETWEEN_COMPLAINTS = 1.0

# What the To tag of such a refusal begins with.
_REFUSAL = "bad"


class Socket(Protocol):
    """What carries datagrams: a UdpSocket, or the memory of a test."""

    local: Endpoint
    is_ipv6: bool
    is_wildcard: bool

    @property
    def is_behind(self) -> bool:
        """Tell whether more waits to be read than a burst brings."""

    def thin(self, sources: Sequence[Thinned]) -> bool:
        """Leave a part of what comes from these to the kernel; False: everything comes in."""

    def send(self, data: bytes, flow: Flow) -> None:
        """Send along a flow.  Raises OSError when there is no way."""

    def start(self) -> None:
        """Begin to read."""

    def stop(self) -> None:
        """Stop and close."""


class Streams(Protocol):
    """What carries messages on connections: stream.Streams, or the memory of a test."""

    def open(self, local: Endpoint, remote: Endpoint) -> Flow:
        """The flow of a connection to `remote`; doesn't wait.  Raises OSError."""

    def is_open(self, flow: Flow) -> bool:
        """Tell whether the connection of a flow can be sent on."""

    def leads_on(self, flow: Flow) -> bool:
        """Tell whether a flow leads to its peer still, or another may be opened in its stead."""

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Send along a flow, and tell by which it went.  Raises OSError when there is no way."""

    def start(self) -> None:
        """Begin to take connections."""

    def stop(self) -> None:
        """Close all of them."""


class Transports:
    """Turns datagrams into messages for `deliver`, and sends what it is given.

    What comes along a flow that `admits` says no to is dropped before anybody has read it.
    `advertised` is the host and port that peers are told instead of the local ones; a port of
    None leaves the real one.
    """

    def __init__(
        self, clock: Callable[[], float], advertised: tuple[str, int | None] | None = None
    ) -> None:
        self.clock = clock
        self.advertised = advertised
        self.deliver: Callable[[Request | Response, Flow], None] = lambda message, flow: None
        self.admits: Callable[[Flow], bool] = lambda flow: True
        self.sockets: list[Socket] = []
        self.streams: Streams | None = None
        self.counts: Counter[str] = Counter()
        self._by_local: dict[Endpoint, Socket] = {}
        self._local_hosts: dict[str, str] = {}
        self._local_hosts_before: dict[str, str] = {}  # for when no socket can be had to ask by
        self._local_hosts_until = 0.0
        self._sent_by: dict[Endpoint, str] = {}
        self._next_complaint_at = 0.0
        self._secret = os.urandom(8)  # of the tags that each repeat gets anew (§8.2.7, §19.3)

    def add(self, sock: Socket) -> None:
        """Take a socket into use."""
        self.sockets.append(sock)
        self._by_local[sock.local] = sock

    # In

    def receive(self, datagram: bytes, flow: Flow) -> None:
        """Take one datagram: parse it, stamp its Via with its source, deliver it (§18.2.1)."""
        if not self.admits(flow):
            return
        if datagram[:1] in b"\r\n\0" and not datagram.strip(b"\r\n\0"):
            self.counts["keep-alives"] += 1
            return
        try:
            message = parse(datagram)
        except BadRequest as refused:
            self._refuse(refused, flow)
            return
        except BadMessage as error:
            self.complain(
                f"dropped a datagram from {format_host_port(*flow.remote)}: {error.reason}"
            )
            return
        if isinstance(message, Request):
            if message.method == "ACK" and self._acknowledges_refusal(message):
                return
            if not self._stamp(message, flow):
                return
        try:
            self.deliver(message, flow)
        except BadMessage as error:  # what is read only when somebody asks for it
            self.complain(
                f"dropped a message from {format_host_port(*flow.remote)}: {error.reason}"
            )

    def refuse_stream(self, bad: BadStream, flow: Flow) -> None:
        """Answer, where that can be, the last message of a stream that nobody can follow."""
        error = bad_request(bad, bad.head)
        if isinstance(error, BadRequest):
            self._refuse(error, flow)
        else:
            self.complain(
                f"closed a connection from {format_host_port(*flow.remote)}: {bad.reason}"
            )

    def _stamp(self, request: Request, flow: Flow) -> bool:
        try:
            stamp = source_stamp(request.via, flow)
        except BadMessage as error:
            self.complain(
                f"dropped a request from {format_host_port(*flow.remote)}: {error.reason}"
            )
            return False
        if stamp:
            request.stamp_top_via(stamp, fills_rport="rport" in request.via.params)
        return True

    def _refuse(self, error: BadRequest, flow: Flow) -> None:
        """Answer a request that breaks the rules, where its answer finds back (§16.3, §18.3)."""
        request = error.request
        self.complain(
            lambda: (
                f"refused {request.method[:20]} {error.status or 400} from {sender_of(request)}"
                f" to {recipient_of(request)} at {format_host_port(*flow.remote)}: {error.reason}"
            )
        )
        if request.method.upper() == "ACK":
            return
        try:
            via = response_via(request.required("via"))
            tag = self._tag_of_refusal(via, request)
            response = make_response(request, error.status or 400, error.reason, to_tag=tag)
            with suppress(BadMessage):  # a Via that can't be read is copied as it came
                if stamp := source_stamp(response.via, flow):
                    response.stamp_top_via(stamp, fills_rport="rport" in response.via.params)
            self.send(response.encode(), reply_flow(via, flow))
        except (BadMessage, OSError):
            self.counts["unanswerable"] += 1

    def _tag_of_refusal(self, via: Via, request: Request) -> str:
        """The To tag of a refusal: the same for each repeat, and nobody guesses it (§8.2.7)."""
        seed = self._secret, via.branch.lower(), request.value("call-id")
        return f"{_REFUSAL}{hash(seed) & (2**64 - 1):016x}"

    def _acknowledges_refusal(self, ack: Request) -> bool:
        """Tell whether an ACK ends here, since it is of a refusal of ours (§17.1.1.3)."""
        tag = ack.to.tag
        return tag.startswith(_REFUSAL) and tag == self._tag_of_refusal(ack.via, ack)

    def complain(self, sentence: str | Callable[[], str]) -> None:
        """Count what a peer did wrong, and log a line a second at most.

        What costs time to say is given as a function.
        """
        self.counts["bad messages"] += 1
        now = self.clock()
        if now >= self._next_complaint_at:
            self._next_complaint_at = now + SECONDS_BETWEEN_COMPLAINTS
            said = sentence if isinstance(sentence, str) else sentence()
            log.info("%s (%d so far)", said, self.counts["bad messages"])

    # Out

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Send along a flow, and tell by which it went.  Raises OSError when there is no way."""
        if flow.transport != "UDP":
            return self._streams().send(with_length(data), flow)
        sock = self._by_local.get(flow.local)
        if sock is None:
            sock = self._socket_for(flow.local, flow.remote)
        sock.send(data, flow)
        return flow

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a flow can be sent on as it is; nobody knows of a datagram."""
        return flow.transport == "UDP" or self._streams().is_open(flow)

    def leads_on(self, flow: Flow) -> bool:
        """Tell whether a flow leads to its peer still, or another may be opened in its stead."""
        return flow.transport == "UDP" or self._streams().leads_on(flow)

    def _streams(self) -> Streams:
        if self.streams is None:
            raise OSError("this server does not speak TCP")
        return self.streams

    def _socket_for(self, local: Endpoint, remote: Endpoint) -> Socket:
        """The wildcard socket that has `local`, else one that can reach `remote`."""
        is_ipv6 = ":" in remote[0]
        for sock in self.sockets:
            if sock.is_ipv6 == is_ipv6 and sock.is_wildcard and sock.local[1] == local[1]:
                return sock
        raise OSError(f"no socket has the address {format_host_port(*local)}")

    def flow_to(self, remote: Endpoint, transport: str = "UDP") -> Flow:
        """The flow by which a new request reaches `remote`.  Raises OSError when there is none."""
        is_ipv6 = ":" in remote[0]
        for sock in self.sockets:
            if sock.is_ipv6 == is_ipv6:
                host, port = sock.local
                if sock.is_wildcard:
                    host = self._local_host_towards(remote, is_ipv6=is_ipv6)
                if transport != "UDP":
                    return self._streams().open((host, port), remote)
                return Flow(transport, (host, port), remote)
        family = "IPv6" if is_ipv6 else "IPv4"
        raise OSError(f"this server has no {family} socket towards {format_host_port(*remote)}")

    def has_family(self, is_ipv6: bool) -> bool:
        """Tell whether anything can be sent to addresses of IPv6, or of IPv4."""
        return any(sock.is_ipv6 == is_ipv6 for sock in self.sockets)

    def _local_host_towards(self, remote: Endpoint, *, is_ipv6: bool) -> str:
        now = self.clock()
        if now >= self._local_hosts_until or len(self._local_hosts) >= KEPT_LOCAL_ADDRESSES:
            self._local_hosts_before, self._local_hosts = self._local_hosts, {}
            self._local_hosts_until = now + SECONDS_LOCAL_ADDRESSES_ARE_KEPT
        host = self._local_hosts.get(remote[0])
        if host is None:
            try:
                host = _ask_routing_table(remote, is_ipv6=is_ipv6)
            except OSError as error:
                host = self._local_hosts_before.get(remote[0])
                if host is None or error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
            self._local_hosts[remote[0]] = host
        return host

    def sent_by(self, flow: Flow) -> str:
        """The host:port that peers on a flow are told: in our Via and in Record-Route."""
        text = self._sent_by.get(flow.local)
        if text is None:
            host, port = flow.local
            if self.advertised and self._is_for_family_of(host, self.advertised[0]):
                host, port = self.advertised[0], self.advertised[1] or port
            if len(self._sent_by) >= KEPT_LOCAL_ADDRESSES:
                self._sent_by.clear()
            text = self._sent_by[flow.local] = format_host_port(host, port)
        return text

    @staticmethod
    def _is_for_family_of(host: str, advertised: str) -> bool:
        """Tell whether who reaches us at `host` can use what is advertised; a name fits both."""
        return not is_address(advertised) or (":" in advertised) == (":" in host)

    @property
    def is_behind(self) -> bool:
        """Tell whether more datagrams wait to be read than a burst brings."""
        return any(sock.is_behind for sock in self.sockets)

    def thin(self, sources: Sequence[Thinned]) -> bool:
        """Leave a part of what comes from these to the kernel; False: not at every socket."""
        done = [sock.thin(sources) for sock in self.sockets]  # each, whatever the others say
        return all(done)

    def start(self) -> None:
        """Begin to read."""
        for sock in self.sockets:
            sock.start()
        if self.streams is not None:
            self.streams.start()

    def stop(self) -> None:
        """Close every socket."""
        for sock in self.sockets:
            sock.stop()
        if self.streams is not None:
            self.streams.stop()


def _ask_routing_table(remote: Endpoint, *, is_ipv6: bool) -> str:
    """The address of ours towards a remote one; sends nothing.  Raises OSError."""
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(remote)
        return str(probe.getsockname()[0])
