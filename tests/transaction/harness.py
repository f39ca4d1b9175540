"""A transaction layer alone: a socket in memory, a clock to turn, and a handler to script."""

import weakref

import gevent

from sip.core.causes import malformed
from sip.message.message import Message, Request, parse
from sip.monitor.events import Bus
from sip.transaction.layer import Layer
from sip.transaction.upstream import Upstream
from sip.transport.flow import Endpoint, Flow
from sip.transport.receiver import Receiver
from sip.transport.transports import Transports

US: Endpoint = ("192.0.2.1", 5060)
ALICE: Endpoint = ("192.0.2.7", 5060)
BOB: Endpoint = ("192.0.2.8", 5060)
FROM_ALICE = Flow("UDP", US, ALICE)
TO_BOB = Flow("UDP", US, BOB)


class Datagrams:
    """The UDP socket of a harness: it adds each datagram to what the harness has sent."""

    is_ipv6 = False
    is_wildcard = False
    local = US

    def __init__(self, harness: "Harness") -> None:
        self.harness = harness

    def send(self, data: bytes, flow: Flow) -> None:
        self.harness.send(data, flow)

    def start(self) -> None: ...

    def stop(self) -> None: ...


class KeepsNothing:
    """A transaction user that calls a handler with each request, and holds no reference to it."""

    def __init__(self, handler) -> None:
        self.handle_request = handler

    def handle_ack(self, request: Request, flow: Flow) -> None: ...


class Harness:
    """A layer between scripted peers: tests write what it hears and take what it has sent.

    It is the carrier of connections too.  Each new request is kept in `served` and handed to
    `handler`.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.is_broken = False
        self.instead = 0  # number of the connection that replaces a closed one
        self.sent: list[tuple[Message, Endpoint]] = []
        self.served: list[tuple[Request, Upstream]] = []
        self.acks: list[Request] = []
        self.handler = lambda request, upstream: None
        self.transports = Transports(lambda: self.now, Bus())
        self.transports.add(Datagrams(self))
        self.transports.add_carrier("TCP", self)
        self.layer = Layer(self.transports, lambda: self.now)
        self.receiver = Receiver(
            lambda: self.now,
            self.transports,
            lambda flow: True,
            self.layer.deliver,
            Bus(),
            malformed,
        )
        self.layer.start(self)

    def handle_ack(self, request: Request, flow: Flow) -> None:
        self.acks.append(request)

    def handle_request(self, request: Request, upstream: Upstream) -> None:
        self.served.append((request, upstream))
        self.handler(request, upstream)

    # The carrier of connections

    def send(self, data: bytes, flow: Flow) -> Flow:
        if self.is_broken:
            raise OSError("no way")
        self.sent.append((parse(data), flow.remote))
        return flow._replace(connection=self.instead or flow.connection)

    def open(self, local: Endpoint, remote: Endpoint) -> Flow:
        return Flow("TCP", local, remote, connection=1)

    def is_open(self, flow: Flow) -> bool:
        return not self.is_broken

    def is_reachable(self, flow: Flow) -> bool:
        return not self.is_broken

    def start(self) -> None: ...

    def stop(self) -> None: ...

    # For tests

    def hears(self, text: str, source: Endpoint = ALICE) -> None:
        """Deliver a message in a greenlet of its own, as a reader does."""
        data = text.replace("\n", "\r\n").encode()
        gevent.spawn(self.receiver.receive, data, Flow("UDP", US, source))
        self.settles()

    def hears_message(self, message: Message, flow: Flow) -> None:
        """Deliver a message that is parsed and stamped already."""
        gevent.spawn(self.layer.deliver, message, flow)
        self.settles()

    def settles(self) -> None:
        """Let every greenlet run until it waits."""
        for _ in range(4):
            gevent.sleep(0)

    def passes(self, seconds: float) -> None:
        """Turn the clock, in steps of 1/32 s: exact as floats, and they divide all RFC timers."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 1 / 32, until)
            self.layer.run_due(self.now)
            self.settles()

    def says(self) -> Message:
        """Return the next message that was sent, to any peer."""
        assert self.sent, "nothing was sent"
        return self.sent.pop(0)[0]

    @property
    def is_quiet(self) -> bool:
        """Return True if no transaction, timer or message that was sent is left."""
        return not (self.layer.servers or self.layer.clients or len(self.layer.timers) or self.sent)


def read(text: str) -> Message:
    """Parse a message with LF as line ends."""
    return parse(text.replace("\n", "\r\n").encode())


class Lines(list[str]):
    """The lines of a message, as a list that weak references accept."""


def traced_by_its_lines(message: Message) -> weakref.ref[Lines]:
    """Return a reference that dies with the message: its list of lines belongs to it alone."""
    message.lines = lines = Lines(message.lines)
    return weakref.ref(lines)


def request(
    method: str = "INVITE",
    *,
    branch: str = ";branch=z9hG4bKalice1",
    sent_by: str = "192.0.2.7:5060",
    to: str = "<sip:bob@example.com>",
    from_tag: str = ";tag=a",
    cseq: str = "",
    call_id: str = "call-1",
    uri: str = "sip:bob@example.com",
    more: str = "",
) -> str:
    """Write a request from Alice."""
    return (
        f"{method} {uri} SIP/2.0\n"
        f"Via: SIP/2.0/UDP {sent_by}{branch}\n"
        f"{more}"
        f"From: <sip:alice@example.com>{from_tag}\n"
        f"To: {to}\n"
        f"Call-ID: {call_id}\n"
        f"CSeq: {cseq or f'1 {method}'}\n"
        "Content-Length: 0\n\n"
    )


def response(to: Request, status: int, tag: str = "b", *, cseq: str = "", via: str = "") -> str:
    """Write Bob's answer to a request that reached him; `via` replaces all its Vias."""
    vias = via or "\n".join(
        line for name, line in zip(to.names, to.lines, strict=True) if name == "via"
    )
    return (
        f"SIP/2.0 {status} Reason\n"
        f"{vias}\n"
        f"From: {to.value('from')}\n"
        f"To: {to.value('to')};tag={tag}\n"
        f"Call-ID: {to.call_id}\n"
        f"CSeq: {cseq or to.value('cseq')}\n"
        "Content-Length: 0\n\n"
    )


def sent_on(proxy: Harness, method: str = "INVITE", **more) -> Request:
    """Send Alice's request and return it as it reaches Bob."""
    proxy.hears(request(method, **more))
    message = proxy.says()
    assert isinstance(message, Request)
    return message


def answers(proxy: Harness, to: Request, status: int, **more) -> None:
    """Let Bob answer a request that reached him."""
    proxy.hears(response(to, status, **more), source=BOB)
