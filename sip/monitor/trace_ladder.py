"""The ladder of a trace: its parties, and its messages as rows between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sip.monitor.events import Address, MessagePassed
from sip.monitor.trace_message import Kind, ShownMessage, user_of
from sip.monitor.trace_sentences import forwarding_of, sentence_of
from sip.monitor.traces import Note, Trace

# Messages on one page.
MAX_ROWS = 200
# Transports on which senders repeat what was lost; on others equal messages are two messages.
_REPEATING = frozenset({"UDP"})
# Columns; all further addresses share the last one.
MAX_PARTIES = 20


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
        return (
            f"{self.transport} [{host}]:{port}"
            if ":" in host
            else f"{self.transport} {host}:{port}"
        )


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


def ladder_of(trace: Trace, first: int = 0) -> Ladder:
    """Return the ladder of a trace, from its message number `first`, counted from 0."""
    passed = trace.messages[first : first + MAX_ROWS]
    ladder = Ladder([], [], first, len(trace.messages))
    if not passed:
        return ladder
    columns = _Columns(trace.messages[0])
    server = columns.server
    seen: dict[tuple[str, Address, bytes], Row] = {}
    before = passed[0].at
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
        if message.kind == Kind.FAILURE:
            row.why = sentence_of(message)
        elif each.direction == "out":
            row.why = forwarding_of(message)
        before = each.at
    ladder.parties = columns.parties
    if trace.note is not None:
        _explain(ladder.rows, trace.note)
    return ladder


def _explain(rows: Sequence[Row], note: Note) -> None:
    """Give the cause of the end to the last response of this server with that status."""
    for row in reversed(rows):
        message = row.message
        if message.status == note.status >= 300 and message.passed.direction == "out":
            cause = f"{note.cause[:1].upper()}{note.cause[1:]}."
            # Where another side has failed, its response has the better sentence.
            if note.result == "refused" or note.cure or not row.why:
                row.why = f"{cause} {note.cure}".strip()
            return


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
