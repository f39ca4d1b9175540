"""A transaction layer by itself: a socket in memory, a clock to turn, and a handler to script."""

import weakref

import gevent

from sip.message.message import Message, Request, parse
from sip.monitor.events import Bus
from sip.transaction.layer import Layer
from sip.transaction.upstream import Upstream
from sip.transport.flow import Endpoint, Flow
from sip.transport.transports import Transports

US: Endpoint = ("192.0.2.1", 5060)
ALICE: Endpoint = ("192.0.2.7", 5060)
BOB: Endpoint = ("192.0.2.8", 5060)
FROM_ALICE = Flow("UDP", US, ALICE)
TO_BOB = Flow("UDP", US, BOB)


class Datagrams:
    """The socket of a hop: what it says by datagrams is kept with all else that it says."""

    is_ipv6 = False
    is_wildcard = False
    local = US

    def __init__(self, hop: "Hop") -> None:
        self.hop = hop

    def send(self, data: bytes, flow: Flow) -> None:
        self.hop.send(data, flow)

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Hop:
    """One hop: what it hears is written out, what it says is kept for the test to take.

    It carries what goes by connections itself.  A new request is handed to `handler`, or merely
    kept in `served`.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.is_broken = False
        self.instead = 0  # the connection that is opened where another is gone
        self.sent: list[tuple[Message, Endpoint]] = []
        self.served: list[tuple[Request, Upstream]] = []
        self.acks: list[Request] = []
        self.handler = lambda request, upstream: None
        self.transports = Transports(lambda: self.now, Bus())
        self.transports.add(Datagrams(self))
        self.transports.streams = self
        self.layer = Layer(self.transports, lambda: self.now)
        self.layer.on_request = self.serve
        self.layer.on_ack = lambda request, flow: self.acks.append(request)

    def serve(self, request: Request, upstream: Upstream) -> None:
        self.served.append((request, upstream))
        self.handler(request, upstream)

    # What connections do

    def send(self, data: bytes, flow: Flow) -> Flow:
        if self.is_broken:
            raise OSError("no way")
        self.sent.append((parse(data), flow.remote))
        return flow._replace(connection=self.instead or flow.connection)

    def open(self, local: Endpoint, remote: Endpoint) -> Flow:
        return Flow("TCP", local, remote, connection=1)

    def is_open(self, flow: Flow) -> bool:
        return not self.is_broken

    def leads_on(self, flow: Flow) -> bool:
        return not self.is_broken

    def start(self) -> None: ...

    def stop(self) -> None: ...

    # What a test does

    def hears(self, text: str, source: Endpoint = ALICE) -> None:
        """Take a message, in a greenlet of its own as a reader would be."""
        data = text.replace("\n", "\r\n").encode()
        gevent.spawn(self.transports.receive, data, Flow("UDP", US, source))
        self.settles()

    def hears_message(self, message: Message, flow: Flow) -> None:
        """Take a message that has been parsed and stamped."""
        gevent.spawn(self.layer.deliver, message, flow)
        self.settles()

    def settles(self) -> None:
        """Let every greenlet run until it waits."""
        for _ in range(4):
            gevent.sleep(0)

    def passes(self, seconds: float) -> None:
        """Turn the clock, in steps that floats and the timers of the RFC both divide by."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 1 / 32, until)
            self.layer.run_due(self.now)
            self.settles()

    def says(self) -> Message:
        """The next message that was sent, whatever it is and wherever to."""
        assert self.sent, "nothing was sent"
        return self.sent.pop(0)[0]

    @property
    def is_quiet(self) -> bool:
        """Nothing is held, nothing waits, nothing was said that nobody has taken."""
        return not (self.layer.servers or self.layer.clients or len(self.layer.timers) or self.sent)


def read(text: str) -> Message:
    """The message that a text stands for."""
    return parse(text.replace("\n", "\r\n").encode())


class Lines(list[str]):
    """The lines of a message, whose end can be seen."""


def traced_by_its_lines(message: Message) -> weakref.ref[Lines]:
    """What tells whether a message is still held, by whomever: its lines are nobody else's."""
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
    """The text of a request from Alice."""
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
    """The text of Bob's answer to a request that reached him; `via` in place of all its Vias."""
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


def sent_on(proxy: Hop, method: str = "INVITE", **more) -> Request:
    """Alice's request as it reaches Bob."""
    proxy.hears(request(method, **more))
    message = proxy.says()
    assert isinstance(message, Request)
    return message


def answers(proxy: Hop, to: Request, status: int, **more) -> None:
    """Bob answers a request that reached him."""
    proxy.hears(response(to, status, **more), source=BOB)
