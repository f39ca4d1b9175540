"""The ladder of a trace: its parties, and its messages as rows between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from sip.monitor.events import Address, MessagePassed
from sip.monitor.trace_forwarding import forwarding_of
from sip.monitor.trace_message import MAX_SHOWN, Kind, ShownMessage, user_of
from sip.monitor.traces import Trace

# A branch that this server or the caller has ended (487): no failure of its phone.
_TERMINATED = 487
# Messages on one page.
MAX_ROWS = 200
# Transports on which senders repeat what was lost; on others equal messages are two messages.
_REPEATING = frozenset({"UDP"})
# Columns; all further addresses share the last one.
MAX_PARTIES = 20
# Devices by transport and address.
Devices = Mapping[tuple[str, Address], str]
NO_DEVICES: Devices = MappingProxyType({})


class Explain(Protocol):
    """Turns failures into causes and sentences; see `sip.core.explain`."""

    def answer_of(
        self, peer: str, status: int, phrase: str, *, method: str, warning: str, reason: str
    ) -> tuple[str, str, str]:
        """Return the key, the clause and the cure of a failure that `peer` has answered."""

    def as_sentence(self, clause: str) -> str:
        """Return a clause as a sentence."""


@dataclass(slots=True)
class Party:
    """One column: the server, or an address and transport with a name and a device."""

    name: str
    device: str
    address: Address
    transport: str
    is_server: bool = False

    @property
    def where(self) -> str:
        """The address as text: `UDP 192.0.2.1:5060`; "" of the column of all further ones."""
        host, port = self.address
        if not host:
            return ""
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{self.transport} {where}".strip()


@dataclass(slots=True)
class Row:
    """One message, with those that repeat it; `source` and `target` are indexes of parties.

    `since` is the number of seconds since the row before; `why` is a sentence for a failure, or "".
    """

    message: ShownMessage
    source: int
    target: int
    since: float
    repeats: int = 0
    why: str = ""

    @property
    def at(self) -> float:
        """When the first of the equal messages passed, in Unix seconds."""
        return self.message.passed.at

    @property
    def label(self) -> str:
        """The message, its session description and its repetitions: `INVITE (SDP) x3`."""
        label = self.message.label
        if self.message.has_session:
            label += " (SDP)"
        return f"{label} x{self.repeats + 1}" if self.repeats else label


@dataclass(slots=True)
class Ladder:
    """Parties from left to right, and rows from top to bottom.

    The rows are those of messages `first` to `first + MAX_ROWS` of `total`.
    """

    parties: list[Party]
    rows: list[Row]
    first: int
    total: int

    @property
    def start(self) -> float:
        """When the first row passed, in Unix seconds; 0.0 without one."""
        return self.rows[0].at if self.rows else 0.0


class _Columns:
    """The columns, as they are needed: the caller left of the server, all others right."""

    def __init__(self, first: MessagePassed) -> None:
        self._server = Party("sipserver", "", first.local, "", is_server=True)
        self.parties = [self._server]
        self._by_address: dict[tuple[str, Address], int] = {}
        if first.direction == "in":
            self._by_address[first.transport, first.remote] = 0
            self.parties.insert(0, Party("", "", first.remote, first.transport))

    @property
    def server(self) -> int:
        return self.parties.index(self._server)

    def of(self, message: ShownMessage) -> int:
        """Return the column of the other side of a message; takes its name from the message."""
        passed = message.passed
        key = passed.transport, passed.remote
        number = self._by_address.get(key)
        if number is None:
            if len(self.parties) < MAX_PARTIES:
                self.parties.append(Party("", "", passed.remote, passed.transport))
            elif len(self.parties) == MAX_PARTIES:
                self.parties.append(Party("others", "", ("", 0), ""))
            number = len(self.parties) - 1
            if number < MAX_PARTIES:
                self._by_address[key] = number
        party = self.parties[number]
        if not party.name:
            is_sender = (passed.direction == "in") == (not message.status)
            party.name = user_of(message.field("from" if is_sender else "to"))
        if not party.device and passed.direction == "in":
            party.device = message.device
        return number


def ladder_of(
    trace: Trace, explain: Explain, first: int = 0, devices: Devices = NO_DEVICES
) -> Ladder:
    """Return the ladder of a trace, from its message number `first`, counted from 0.

    `devices` are those of parties that do not name one in their messages.
    """
    passed = trace.messages[first : first + MAX_ROWS]
    ladder = Ladder([], [], first, len(trace.messages))
    if not passed:
        return ladder
    columns = _Columns(trace.messages[0])
    server = columns.server
    seen: dict[tuple[str, Address, bytes], Row] = {}
    before, whys = passed[0].at, _Whys(trace, explain)
    for number, each in enumerate(passed, first + 1):
        key = each.direction, each.remote, each.octets
        if (same := seen.get(key)) is not None and each.transport in _REPEATING:
            same.repeats += 1
            continue
        message = ShownMessage(number, each)
        other = columns.of(message)
        source, target = (other, server) if each.direction == "in" else (server, other)
        row = seen[key] = Row(message, source, target, each.at - before)
        ladder.rows.append(row)
        if message.status >= 300:
            row.why = whys.of(message, columns.parties[other])
        elif each.direction == "out":
            row.why = forwarding_of(message)
        before = each.at
    ladder.parties = columns.parties
    for party in ladder.parties:
        party.device = party.device or devices.get((party.transport, party.address), "")
    return ladder


class _Whys:
    """The causes of the failures in a trace, as sentences."""

    def __init__(self, trace: Trace, explain: Explain) -> None:
        self._causes = trace.causes
        self._end = trace.note
        self._explain = explain
        self._answers: dict[tuple[str, int], str] = {}  # what others have answered, by CSeq

    def of(self, message: ShownMessage, party: Party) -> str:
        """Return why a response has failed, "" if that is not known or no failure.

        A response of this server has the cause by which it refused the request.  One of another
        element has the cause of the call, if that is the same failure, else one by its status.
        """
        key = " ".join(message.field("cseq").split()), message.status
        is_failure = message.kind == Kind.FAILURE  # a challenge alone is none
        if message.passed.direction == "out":
            if (note := self._causes.get(key)) is not None:
                return self._sentences(note.cause, note.cure)
            return self._answers.get(key) or (self._why_ended(message) if is_failure else "")
        why = self._why_ended(message)
        if not why and is_failure and message.status != _TERMINATED:
            why = self._why_answered(message, party)
        self._answers[key] = why
        return why

    def _why_ended(self, message: ShownMessage) -> str:
        """Return the cause of the end of the call, if this response has its status."""
        end = self._end
        if end is None or end.status != message.status or message.cseq_method != "INVITE":
            return ""
        return self._sentences(end.cause, end.cure)

    def _why_answered(self, message: ShownMessage, party: Party) -> str:
        peer = " at ".join(filter(None, (party.name, party.where.partition(" ")[2])))
        _, clause, cure = self._explain.answer_of(
            peer,
            message.status,
            message.reason[:MAX_SHOWN],
            method=message.cseq_method,
            warning=message.field("warning"),
            reason=message.field("reason"),
        )
        return self._sentences(clause, cure)

    def _sentences(self, clause: str, cure: str) -> str:
        return f"{self._explain.as_sentence(clause)} {cure}".strip() if clause else cure


@dataclass(frozen=True, slots=True)
class Outline:
    """A trace in one line: method, parties, and its outcome, or its present state."""

    method: str
    from_: str
    to: str
    outcome: str
    kind: str


def outline_of(trace: Trace) -> Outline:
    """Return the outline of a trace; it looks at few messages."""
    first = ShownMessage(1, trace.messages[0])
    sender, recipient = user_of(first.field("from")), user_of(first.field("to"))
    method = first.cseq_method or "unreadable"
    if trace.note and trace.note.result:
        kind = Kind.SUCCESS if trace.note.result == "answered" else Kind.FAILURE
        return Outline(method, sender, recipient, trace.note.result, kind)
    for passed in reversed(trace.messages):
        if passed.octets.startswith(b"SIP/2.0 "):
            message = ShownMessage(1, passed)
            if message.cseq_method in (method, "BYE"):
                outcome = message.label.removesuffix(f" ({method})")
                return Outline(method, sender, recipient, outcome, message.kind)
    return Outline(method, sender, recipient, "", Kind.REQUEST)
