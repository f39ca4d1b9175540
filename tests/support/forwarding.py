"""Compare each forwarded message with the sent one, octet for octet, without our parser."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

from sip.message.message import Request, Response
from tests.support.cases import cases
from tests.support.world import (
    SDP,
    Dialog,
    Phone,
    TcpPhone,
    World,
    dialog_of_callee,
    dialog_of_caller,
)

# What a proxy may or must edit in a request (RFC 3261 §16.6); Max-Breadth is of RFC 5393.
EDITED = {
    *(b"via", b"route", b"record-route", b"max-forwards", b"max-breadth"),
    b"proxy-authorization",
}


def parts(datagram: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Start line, header fields in order with their folds, and body."""
    head, _, body = datagram.partition(b"\r\n\r\n")
    start_line, *fields = re.split(rb"\r\n(?![ \t])", head)
    return start_line, fields, body


def name_of(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()


def next_in(phone: Phone) -> bytes:
    """The next datagram that a phone has got, a 100 passed over; it stays unread."""
    while phone.inbox and phone.inbox[0].startswith(b"SIP/2.0 100 "):
        phone.inbox.popleft()
    assert phone.inbox, f"{phone.name} at {phone.address} has got nothing"
    return phone.inbox[0]


def carried(request: Request, to: Phone) -> Request:
    """The request as it has reached a phone; what no proxy edits is as it was sent."""
    start, fields, body = parts(next_in(to))
    sent_start, sent_fields, sent_body = parts(request.encode())
    assert start.split(b" ")[::2] == sent_start.split(b" ")[::2]  # but for the Request-URI
    assert [f for f in fields if name_of(f) not in EDITED] == [
        f for f in sent_fields if name_of(f) not in EDITED
    ]
    assert body == sent_body
    assert b"Max-Forwards: 69" in fields
    assert [name_of(f) for f in fields].count(b"via") == 2
    return to.gets(request.method)


def answered(request: Request, by: Phone, status: int, to: Phone, **more) -> Response:
    """Answer a request; what reaches the other phone lacks one Via, and nothing else."""
    start, fields, body = parts(by.answers(request, status, **more).encode())
    top = next(at for at, field in enumerate(fields) if name_of(field) == b"via")
    assert parts(next_in(to)) == (start, fields[:top] + fields[top + 1 :], body)
    return to.gets(status)


def exchanged(
    sender: Phone,
    method: str,
    dialog: Dialog,
    receiver: Phone,
    status: int = 200,
    *,
    answer: tuple[str, ...] = (),
    **more,
) -> Response:
    """Send a request inside a dialog, and answer it."""
    request = sender.sends_within(method, dialog, **more)
    got = carried(request, receiver)
    assert not got.values("route")
    return answered(got, receiver, status, sender, headers=answer)


@dataclass
class Call:
    """A call, set up or not yet, with both sides' view of its dialog."""

    caller: Phone
    callee: Phone
    invite: Request  # as the caller sent it
    received: Request  # as the callee got it
    here: Dialog | None = None  # the caller's view
    there: Dialog | None = None

    def rings(self, status: int = 180, **more) -> Response:
        """The callee answers with a provisional response that begins the dialog."""
        response = answered(self.received, self.callee, status, self.caller, **more)
        self.begins(response)
        return response

    def begins(self, response: Response) -> None:
        self.here = dialog_of_caller(self.invite, response)
        self.there = dialog_of_callee(self.received, response)

    def is_answered(self, **more) -> Response:
        """The callee answers with 200, which the caller acknowledges."""
        response = answered(self.received, self.callee, 200, self.caller, **more)
        self.begins(response)
        assert self.here is not None
        ack = self.caller.sends_within("ACK", self.here, cseq=self.invite.cseq[0])
        carried(ack, self.callee)
        return response

    def ends(self) -> None:
        """The callee hangs up."""
        exchanged(self.callee, "BYE", self.there, self.caller)


PLACES = (
    "plain",
    "callee behind NAT",
    "caller behind NAT",
    "caller from outside",
    "callee on TCP",
    "caller on TCP",
    "both on TCP",
    "both on TCP behind NAT",
)


def placed(world: World, place: str) -> tuple[Phone, Phone]:
    """A caller and a callee, in one of the ways that the proxy treats differently."""
    if place == "plain":
        return world.phone("alice"), world.phone("bob")
    if "TCP" in place:
        kinds = ["TCP" if side in place else "UDP" for side in ("caller", "callee")]
        if "both" in place:
            kinds = ["TCP", "TCP"]
        both = [
            world.phone(name, registered=False, transport=kind)
            for name, kind in zip(("alice", "bob"), kinds, strict=True)
        ]
        for number, phone in enumerate(both):
            if "NAT" in place:
                phone.moves_behind_nat(f"192.168.1.{10 * number + 10}:5060")
            phone.registers()
        return both[0], both[1]
    alice = world.phone("alice", registered=False)
    if place == "caller from outside":
        alice.aor = "sip:alice@elsewhere.org"
        return alice, world.phone("bob")
    bob = world.phone("bob", registered=False)
    behind = bob if place == "callee behind NAT" else alice
    behind.contact = f"<sip:{behind.name}@192.168.1.20:5060>"
    alice.registers()
    bob.registers()
    return alice, bob


def each_pair(make: Callable[[World, str], tuple[Phone, Phone]] = placed) -> Callable:
    """Call the test with a `pair` in each of PLACES, as cases of one test."""

    def decorate(test: Callable) -> Callable:
        @functools.wraps(test)
        def run(world: World, where: str, **fixtures) -> None:
            more = {"world": world} if needs_world else {}
            test(pair=make(world, where), **more, **fixtures)

        signature = inspect.signature(test)
        needs_world = "world" in signature.parameters
        kept = [each for name, each in signature.parameters.items() if name not in _OURS]
        own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in _OURS[:2]]
        run.__signature__ = signature.replace(parameters=kept + own)
        return cases("where", PLACES)(run)

    return decorate


_OURS = ("world", "where", "pair")


def started_again(world: World) -> None:
    """Start the server again; phones that were connected come back, and register."""
    world.start_server()
    for phone in list(world.at.values()):
        if isinstance(phone, TcpPhone):
            phone.connects()
            phone.registers()


def calls(pair: tuple[Phone, Phone], **more) -> Call:
    """Send an INVITE, which arrives as it was sent."""
    caller, callee = pair
    invite = caller.sends("INVITE", callee.aor, **more)
    return Call(caller, callee, invite, carried(invite, callee))


def talks(pair: tuple[Phone, Phone], **more) -> Call:
    """Set up a call."""
    call = calls(pair, **more)
    call.is_answered(body=SDP)
    return call
