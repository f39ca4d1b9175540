"""A virtual world: a whole server, scripted phones, a transport in memory, and a test clock.

The server is complete except for its sockets and its database.  Phones parse with the server's own
parser, and compute digests by themselves.
"""

import hashlib
import itertools
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import quote

import gevent

from sip.config import Config
from sip.message.framing import PING
from sip.message.headers import parse_credentials, parse_name_addr
from sip.message.message import Message, Request, Response, parse
from sip.monitor.events import Bus
from sip.server import SipServer
from sip.transport.flow import Endpoint, Flow
from tests.support.accounts import MemoryBindingStore, MemoryUsers
from tests.support.fake_dns import FakeDns
from tests.support.fake_transport import SERVER, MemoryCarrier, MemorySocket

REALM = "example.com"
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


@dataclass
class World:
    """The server, its phones, and the time."""

    now: float = 1000.0
    unix_start: float = 1_700_000_000.0
    settings: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.users = MemoryUsers(REALM)
        self.bindings = MemoryBindingStore()
        self.zone = FakeDns()
        self.at: dict[Endpoint, Phone] = {}
        self.dead: set[Endpoint] = set()
        self.lost: list[bytes] = []
        self.pings: list[Endpoint] = []  # where keep-alives went
        self.sent = 0
        self._numbers = itertools.count(1)
        self._starts = itertools.count(1)
        self.start_server()

    def start_server(self, *, loads: bool = True) -> None:
        """Start the server, or start it again; the stored bindings are read if `loads`."""
        self.config = Config(**({"sip_realm": REALM} | self.settings))
        self.bus = Bus(lambda: self.now + self.unix_start)
        self.server = SipServer(
            self.config,
            self.users,
            self.bindings,
            b"a secret of 16 octets or more",
            self.bus,
            clock=lambda: self.now,
            unix_clock=lambda: self.now + self.unix_start,
            ask=self.zone,
            hosts=lambda name: (),
        )
        self.server.transports.add(MemorySocket(self, SERVER))
        self.streams = MemoryCarrier(self, 1000 * next(self._starts))
        self.server.transports.add_carrier(self.streams.transport, self.streams)
        self.server.trunks.refresh()
        if loads:
            self.finish_loading()

    def finish_loading(self) -> None:
        """Read the stored bindings, and let the server serve all requests."""
        self.server.location.load(self.bindings.load(self.now + self.unix_start))
        self.server.dispatcher.finish_loading()
        self.settle()

    def phone(
        self,
        name: str,
        *,
        registered: bool = True,
        host: str = "",
        port: int = 5060,
        transport: str = "UDP",
    ):
        """Make a phone with its account; it registers unless told not to.

        By TCP it calls from another port than the one that it listens on.
        """
        number = next(self._numbers)
        if (name, REALM) not in self.users.accounts:
            self.users.add(name, "secret")
        host = host or f"192.0.2.{100 + number}"
        if transport == "UDP":
            phone = Phone(self, name, (host, port))
        else:
            phone = TcpPhone(self, name, (host, 40_000 + number), port)
        self.at[phone.address] = phone
        if registered:
            phone.registers()
        return phone

    def phones(self, *names: str) -> list["Phone"]:
        """Make several registered phones."""
        return [self.phone(name) for name in names]

    def deliver(self, data: bytes, source: Endpoint | Flow) -> None:
        """Let the server receive a message, and run until it waits."""
        flow = source if isinstance(source, Flow) else Flow("UDP", SERVER, source)
        gevent.spawn(self.server.receiver.receive, data, flow)
        self.settle()

    def settle(self) -> None:
        """Let every greenlet run until it waits."""
        callbacks = gevent.get_hub().loop._callbacks  # of greenlets that are ready
        while callbacks:
            gevent.sleep(0)
        if self.zone.is_at_work():  # greenlets that a look-up has woken
            self.settle()

    def carry(self, data: bytes, flow: Flow) -> None:
        if data == PING:
            self.pings.append(flow.remote)
            return
        self.sent += 1
        if flow.remote in self.dead:
            self.server.layer.unreachable(data)
        elif phone := self.at.get(flow.remote):
            phone.inbox.append(data)
        else:
            self.lost.append(data)

    def passes(self, seconds: float, step: float = 0.05) -> None:
        """Advance the clock."""
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += step
            if self.now > until - 1e-6:  # or the sum of steps would end just before `until`
                self.now = until
            self.server.tick()
            self.settle()
        self.server.location.sweep(self.now)

    @property
    def is_quiet(self) -> bool:
        """Return True if there is no transaction and no unread message."""
        layer = self.server.layer
        return (
            not layer.servers
            and not layer.clients
            and not any(phone.inbox for phone in self.at.values())
        )


class Phone:
    """A scripted phone at an address of its own."""

    transport = "UDP"
    scheme = "sip"  # of the Request-URI of its REGISTER

    def __init__(self, world: World, name: str, address: Endpoint) -> None:
        self.world = world
        self.name = name
        self.address = address
        self.inbox: deque[bytes] = deque()
        user = quote(name, safe="-_.!~*'()&=+$,;?/")  # §25.1
        self.aor = f"sip:{user}@{REALM}"
        self.contact = f"<sip:{user}@{address[0]}:{address[1]}>"
        self.sent_by = f"{address[0]}:{address[1]}"
        self.listens_at: Endpoint | None = None  # for connections
        self._count = itertools.count(1)
        self.cseq = itertools.count(1)

    # Asking

    def request(
        self,
        method: str,
        uri: str,
        *,
        to: str = "",
        call_id: str = "",
        cseq: int | None = None,
        from_tag: str = "",
        headers: tuple[str, ...] = (),
        body: bytes = b"",
        branch: str = "",
        sent_by: str = "",
        from_uri: str = "",
    ) -> Request:
        """Write a request, without sending it."""
        number = next(self._count)
        unique = f"{self.name}-{self.address[0]}-{self.address[1]}-{number}"
        host = sent_by or self.sent_by
        lines = [
            f"Via: SIP/2.0/{self.transport} {host};branch={branch or 'z9hG4bK' + unique};rport",
            f"From: <{from_uri or self.aor}>;tag={from_tag or 't' + unique}",
            f"To: {to or f'<{uri}>'}",
            f"Call-ID: {call_id or unique}",
            f"CSeq: {next(self.cseq) if cseq is None else cseq} {method}",
            "Max-Forwards: 70",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        head = "\r\n".join([f"{method} {uri} SIP/2.0", *lines, "", ""])
        message = parse(head.encode() + body)
        assert isinstance(message, Request)
        return message

    def transmits(self, message: Message) -> Message:
        """Send a message unchanged, for example as a retransmission."""
        self.world.deliver(message.encode(), self.source)
        return message

    @property
    def source(self) -> Endpoint | Flow:
        """The source address of its messages."""
        return self.address

    def sends(self, method: str, uri: str, *, answers_challenge: bool = True, **more) -> Request:
        """Send a request outside a dialog, and answer a challenge to it."""
        contact = (
            () if method in ("MESSAGE", "OPTIONS", "PUBLISH") else (f"Contact: {self.contact}",)
        )
        headers = more.pop("headers", ()) + contact
        body = more.pop("body", SDP if method == "INVITE" else b"")
        request = self.request(method, uri, headers=headers, body=body, **more)
        self.transmits(request)
        if not answers_challenge or not self.inbox:
            return request
        first = parse(self.inbox[-1])
        if not isinstance(first, Response) or first.status not in (401, 407):
            return request
        self.inbox.pop()
        if method == "INVITE":
            self.acknowledges(request, first)
        return self.transmits(self.with_credentials(request, first))

    def with_credentials(
        self, request: Request, challenge: Response, password: str = "secret", username: str = ""
    ) -> Request:
        """Return the request with credentials for the first challenge, as a new transaction."""
        user = username or self.name
        name = "www-authenticate" if challenge.status == 401 else "proxy-authenticate"
        realm = parse_credentials(challenge.fields(name)[0]).params["realm"]
        return self.with_ha1(request, challenge, user, _md5(f"{user}:{realm}:{password}"))

    def with_ha1(self, request: Request, challenge: Response, user: str, ha1: str) -> Request:
        """Return the request with credentials of an HA1 instead of a password."""
        name = "www-authenticate" if challenge.status == 401 else "proxy-authenticate"
        title = "Authorization" if challenge.status == 401 else "Proxy-Authorization"
        params = parse_credentials(challenge.fields(name)[0]).params
        realm, nonce = params["realm"], params["nonce"]
        ha2 = _md5(f"{request.method}:{request.uri_text}")
        response = _md5(f"{ha1}:{nonce}:00000001:abc:auth:{ha2}")
        again = request.copy()
        again.remove(title.lower())
        again.set(
            title.lower(),
            f'{title}: Digest username="{user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{request.uri_text}", response="{response}", algorithm=MD5, '
            'qop=auth, nc=00000001, cnonce="abc"',
        )
        number, method = request.cseq
        again.set("cseq", f"CSeq: {max(number + 1, next(self.cseq))} {method}")
        host, port = self.address
        branch = f"z9hG4bK{self.name}{host}{port}again{next(self._count)}"
        sent_by = request.via.sent_by
        again.set("via", f"Via: SIP/2.0/{self.transport} {sent_by};branch={branch};rport")
        return parse(again.encode())  # type: ignore[return-value]

    def registers(self, *contacts: str, expires: int | None = 3600, **more) -> Response:
        """Register, and return the final response."""
        headers = more.pop("headers", ())
        lines = tuple(f"Contact: {contact}" for contact in contacts or (self.contact,))
        if expires is not None:
            lines += (f"Expires: {expires}",)
        uri = f"{self.scheme}:{REALM}"
        request = self.request("REGISTER", uri, to=f"<{self.aor}>", headers=lines + headers, **more)
        self.transmits(request)
        challenge = self.gets(401)
        self.transmits(self.with_credentials(request, challenge))
        answer = self.takes()
        assert isinstance(answer, Response)
        return answer

    def acknowledges(self, request: Request, response: Response) -> None:
        """Acknowledge a failure, as the transaction does (§17.1.1.3)."""
        ack = self.request(
            "ACK",
            request.uri_text,
            to=response.value("to") or "",
            call_id=request.call_id,
            cseq=request.cseq[0],
            from_tag=request.from_.tag,
            branch=request.via.branch,
            sent_by=request.via.sent_by,
        )
        self.transmits(ack)

    def cancels(self, request: Request) -> Request:
        """Cancel an INVITE (§9.1)."""
        cancel = self.request(
            "CANCEL",
            request.uri_text,
            to=request.value("to") or "",
            call_id=request.call_id,
            cseq=request.cseq[0],
            from_tag=request.from_.tag,
            branch=request.via.branch,
            sent_by=request.via.sent_by,
        )
        self.transmits(cancel)
        return cancel

    def sends_within(
        self,
        method: str,
        dialog: "Dialog",
        *,
        headers: tuple[str, ...] = (),
        body: bytes = b"",
        cseq=None,
    ) -> Request:
        """Send a request inside a dialog, along its route set (§12.2.1.1)."""
        routes = tuple(f"Route: {route}" for route in dialog.routes)
        contact = (f"Contact: {self.contact}",) if method != "ACK" else ()
        request = self.request(
            method,
            dialog.target,
            to=f"<{dialog.remote}>;tag={dialog.remote_tag}",
            call_id=dialog.call_id,
            from_tag=dialog.local_tag,
            headers=routes + contact + headers,
            body=body,
            cseq=cseq,
        )
        self.transmits(request)
        return request

    # Hearing

    def takes(self) -> Message:
        """Take the next message."""
        assert self.inbox, f"{self.name} at {self.address} has received nothing"
        return parse(self.inbox.popleft())

    def gets(self, what: int | str, of: Request | None = None):
        """Take the next message, which must be that request or response; a 100 is skipped."""
        message = self.takes()
        while what != 100 and isinstance(message, Response) and message.status == 100:
            message = self.takes()
        got = message.status if isinstance(message, Response) else message.method  # type: ignore[attr-defined]
        assert got == what, (
            f"{self.name} at {self.address} got {got} and not {what}:\n{message.encode().decode()}"
        )
        if of is not None:
            assert message.call_id == of.call_id
        return message

    def hears_nothing(self) -> bool:
        """Return True if no message is unread."""
        return not self.inbox

    # Answering

    def answers(
        self,
        request: Request,
        status: int,
        *,
        tag: str = "",
        headers: tuple[str, ...] = (),
        body: bytes = b"",
    ) -> Response:
        """Answer a request; the To tag is made from the phone's address."""
        names, lines = [], []
        for name, line in zip(request.names, request.lines, strict=True):
            if name in ("via", "from", "call-id", "cseq", "record-route"):
                names.append(name)
                lines.append(line)
        to = request.value("to") or ""
        if not request.to.tag and status != 100:
            to += f";tag={tag or 'callee' + self.address[0].replace('.', '')}"
        lines.append(f"To: {to}")
        if status in range(101, 300) and request.method in ("INVITE", "SUBSCRIBE", "UPDATE"):
            lines.append(f"Contact: {self.contact}")
        lines += [*headers, f"Content-Length: {len(body)}"]
        head = "\r\n".join([f"SIP/2.0 {status} Reason", *lines, "", ""])
        response = parse(head.encode() + body)
        assert isinstance(response, Response)
        self.transmits(response)
        return response


class TcpPhone(Phone):
    """A phone that keeps a connection, from which it calls, and listens for others."""

    transport = "TCP"

    def __init__(self, world: World, name: str, address: Endpoint, port: int) -> None:
        super().__init__(world, name, address)
        self.sent_by = f"{address[0]}:{port}"
        self.contact = f"<sip:{name}@{self.sent_by};transport={self.transport.lower()}>"
        self.listens_at = address[0], port
        self._flow = self.carrier.take(self)

    @property
    def carrier(self) -> MemoryCarrier:
        """The connections of its transport."""
        return self.world.streams

    @property
    def source(self) -> Flow:
        """Its connection."""
        return self._flow

    def moves_behind_nat(self, address: str) -> None:
        """Use a private address only, which other phones cannot reach."""
        self.sent_by, self.listens_at = address, None
        self.contact = f"<sip:{self.name}@{address};transport={self.transport.lower()}>"

    def hangs_up(self, *, listens: bool = True) -> None:
        """Close its connection, and all others; perhaps listen no more."""
        if not listens:
            self.listens_at = None
        self.carrier.close(self)
        self.world.settle()

    def connects(self) -> None:
        """Open a new connection, from another port."""
        self.address = self.address[0], self.address[1] + 1000
        self._flow = self.carrier.take(self)


@dataclass
class Dialog:
    """One side's view of a dialog (§12)."""

    call_id: str
    local_tag: str
    remote_tag: str
    target: str
    routes: list[str]
    remote: str = f"sip:peer@{REALM}"  # the URI that To says of it


def dialog_of_caller(request: Request, response: Response) -> Dialog:
    """The caller's dialog after a 2xx (§12.1.2)."""
    return Dialog(
        request.call_id,
        request.from_.tag,
        response.to.tag,
        parse_name_addr(response.values("contact")[0]).uri_text,
        list(reversed(response.values("record-route"))),
        request.to.uri_text,
    )


def dialog_of_callee(request: Request, response: Response) -> Dialog:
    """The callee's dialog after its 2xx (§12.1.1)."""
    return Dialog(
        request.call_id,
        response.to.tag,
        request.from_.tag,
        parse_name_addr(request.values("contact")[0]).uri_text,
        request.values("record-route"),
        request.from_.uri_text,
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
