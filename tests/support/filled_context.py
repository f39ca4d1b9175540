"""Calls, messages, refusals, waits and bans, put into the context of the pages."""

from sip.core.guard.guard import Guard
from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from sip.monitor.calls import Calls
from sip.monitor.events import (
    Bus,
    CallAnswered,
    CallStarted,
    MessagePassed,
    Party,
    Refused,
    Sender,
)
from sip.monitor.refusals import Refusals
from sip.monitor.traces import Traces
from sip.store.bans import Ban

SERVER, PHONE, THIEF = ("192.0.2.1", 5060), ("192.0.2.10", 5060), ("192.0.2.66", 5060)
SECRET = "0123456789abcdef"
CALL_ID = "one@host/x"


class FilledContext:
    """The context of a server that runs, on the clock of the pages."""

    def __init__(self, context, clock) -> None:
        self.context = context
        self.clock = clock
        self.hung_up: list[tuple[str, str]] = []
        context.bus.now = clock
        context.calls, context.traces = Calls(context.bus), Traces(context.bus)
        context.refusals = Refusals()
        context.bus.listen(Refused, context.refusals.add)
        context.guard = Guard(clock, clock, (), lambda *user: False, lambda rules: False, Bus())
        context.hang_up = self.hang_up

    def hang_up(self, call_id: str, from_tag: str) -> bool:
        self.hung_up.append((call_id, from_tag))
        return True

    def starts_call(self, call_id: str = CALL_ID) -> int:
        """Begin a call from alice to a number, and return its id."""
        alice = Party("sip:alice@example.com", 1, "alice", "example.com", "Alice")
        callee = Party("sip:+49301234@example.com;user=phone", 0, "", "")
        event = CallStarted(self.clock.now, call_id, "a", alice, callee, PHONE, "UDP", "Desk 1")
        self.context.bus.publish(event)
        return self.context.calls.now()[0].id

    def is_answered(self, call_id: str = CALL_ID) -> None:
        event = CallAnswered(self.clock.now, call_id, "a", "b", 200, THIEF, "UDP", "Gateway")
        self.context.bus.publish(event)

    def passes_message(self, call_id: str | bytes = CALL_ID) -> None:
        """Let an INVITE with credentials pass."""
        named = call_id if isinstance(call_id, bytes) else call_id.encode()
        head = (
            b"INVITE sip:bob@example.com SIP/2.0\r\nFrom: <sip:alice@example.com>;tag=a\r\n"
            b"To: <sip:bob@example.com>\r\nAuthorization: Digest response=" + SECRET.encode()
        )
        octets = head + b"\r\nCall-ID: " + named + b"\r\nCSeq: 1 INVITE\r\n\r\n"
        values = self.clock.now, "in", SERVER, PHONE, "UDP", octets
        self.context.bus.publish(MessagePassed(*values))

    def refuses(self, user: str = "alice", to: str = "", address: str = PHONE[0]) -> None:
        """Refuse a request of a user."""
        event = Refused(
            at=self.clock.now,
            sender=Sender.USER,
            method="INVITE" if to else "REGISTER",
            status=401,
            cause=f"wrong password for {user}",
            cure="Type it again.",
            username=user,
            realm="example.com",
            user=user,
            to=to,
            address=(address, 5060),
            network=address,
            transport="UDP",
            device="Desk 1",
            call_id=CALL_ID,
            from_tag="a",
            code="wrong_password",
        )
        self.context.bus.publish(event)

    def has_to_wait(self, user: str = "alice", address: str = PHONE[0]) -> None:
        """Let a user type its password wrong until it has to wait."""
        for _ in range(MAX_FAILURES_OF_USER):
            self.context.guard.login_failed(address, user, nonce_is_ours=True)

    def bans(self, address: str = THIEF[0], seconds_ago: int = 60) -> None:
        """Ban an address for ten minutes."""
        at = int(self.clock.now) - seconds_ago
        self.context.bans.save(Ban(address, "guessed passwords", at, at + 600, 1))
