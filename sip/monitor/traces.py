"""The latest messages in memory, by Call-ID: the source of ladders, texts and pcap files.

Problem: each message is to be found again for a while, at almost no cost when it passes, and a
    sender must not be able to push out the messages of the others.
Model: a message that passes is only appended to a queue.  A full queue is sorted into traces, one
    for each Call-ID, by one search of the octets.  A trace belongs to one of four shares: calls,
    registrations, a pinned user, and all that the server has not admitted.
    The last share never exceeds its part, so that a flood takes little memory.
Invariant: if memory is short, the share that is most above its part loses its oldest trace.  If one
    source fills more than half of that share, it loses its own oldest trace.
Bounds: `limit` octets, overhead included, and one queue; MAX_TRACE octets of one Call-ID.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from itertools import islice
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote_to_bytes

from sip.monitor.calls import CallFinished
from sip.monitor.events import Bus, MessageFields, MessagePassed, RefusalSent, Refused, Sender

MIB: Final = 1024 * 1024
# Messages that are sorted at one time.
BATCH = 256
# Octets that a message and a trace take in memory beside the octets of the messages, as measured.
MESSAGE_OVERHEAD = 230
TRACE_OVERHEAD = 1050
# Octets of the messages of one Call-ID; beyond them it loses messages, but not the first ones.
MAX_TRACE = 2 * MIB
FIRST_MESSAGES = 100
# The same for a registration, whose Call-ID is used as long as the phone runs: some six refreshes.
MAX_REGISTRATION = 24 * 1024
# Traces that a search looks at.
MAX_SEARCHED = 5000
# Octets that are freed at one time.
_ROOM = 2 * MIB
# Notes that wait for their messages.
_MAX_NOTES = 1000
# Causes of the latest responses of this server that a trace keeps, and the octets that each takes.
MAX_CAUSES = 10
CAUSE_OVERHEAD = 700

_USUAL = b"\r\nCall-ID: "
_END = b"\r\n"
_BLANK_LINE = b"\r\n\r\n"
# The places of MessageFields.
_DIRECTION: Final = 1
_REMOTE: Final = 3
_OCTETS: Final = 5
# Octets of a message that are searched for the pinned user.
MAX_HEAD = 8192
# A Call-ID in any spelling, and an empty line in any of them.
_ANY_CALL_ID = re.compile(rb"[\r\n](?:call-id|i)[ \t]*:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.I)
_HEAD_END = re.compile(rb"\n\r?\n|\r\r")
_PARTY = re.compile(
    rb"[\r\n](?:from|f|to|t)[ \t]*:[^\r\n]{0,500}?\bsips?:([^@>;\r\n]{1,300}+)@", re.I
)


class Note(NamedTuple):
    """How a call or a request ended: the words of CallFinished, Refused or RefusalSent.

    `device` is that of the phone which has answered or rung last, "" without one.
    """

    status: int
    cause: str
    cure: str
    result: str
    code: str = ""
    device: str = ""
    rang_seconds: float = 0.0
    talked_seconds: float = 0.0


class _Share:
    """A part of the memory: its traces, the oldest first."""

    __slots__ = ("is_admitted", "octets", "part", "sources", "traces")

    def __init__(self, part: float, *, is_admitted: bool = True) -> None:
        self.part = part  # of the limit: it can count on that much
        self.is_admitted = is_admitted
        self.octets = 0
        self.traces: dict[bytes, Trace] = {}
        self.sources: dict[str, int] = {}  # the number of traces of each source

    def add(self, trace: "Trace") -> None:
        self.octets += trace.octets
        self.traces[trace.call_id] = trace
        self.sources[trace.source] = self.sources.get(trace.source, 0) + 1

    def remove(self, trace: "Trace") -> None:
        self.octets -= trace.octets
        del self.traces[trace.call_id]
        left = self.sources[trace.source] - 1
        if left:
            self.sources[trace.source] = left
        else:
            del self.sources[trace.source]

    def oldest(self, octets: int) -> list["Trace"]:
        """Return traces to remove, with that many octets: the oldest, or those of a flood.

        The source of more than half of the traces loses its own, until it has half of them.
        """
        source, most = max(self.sources.items(), key=lambda item: item[1])
        surplus = 2 * most - len(self.traces)
        found = []
        for trace in self.traces.values():
            if surplus > 0 and trace.source != source:
                continue
            surplus -= 1
            found.append(trace)
            octets -= trace.octets
            if octets <= 0:
                break
        return found


class Trace:
    """The messages of one Call-ID, in the order in which they passed.

    `omitted` messages were removed after the first FIRST_MESSAGES, or before all of a registration.
    `octets` counts the overhead.  `note` is None before an end is known.  `causes` are those of
    responses of this server, by CSeq and status.
    """

    __slots__ = (
        *("call_id", "causes", "limit", "note", "octets", "omitted", "passed", "share"),
        "source",
    )

    def __init__(self, call_id: bytes, source: str, limit: int, share: _Share) -> None:
        self.call_id = call_id
        self.source = source
        self.limit = limit
        self.share = share
        self.passed: list[MessageFields] = []
        self.octets = TRACE_OVERHEAD + 2 * len(call_id)
        self.omitted = 0
        self.note: Note | None = None
        self.causes: dict[tuple[str, int], Note] = {}

    def copy(self) -> "Trace":
        """Return a copy with the present messages, for another thread."""
        trace = Trace(self.call_id, self.source, self.limit, _Share(0.0))
        trace.passed, trace.omitted, trace.note = list(self.passed), self.omitted, self.note
        trace.causes = dict(self.causes)
        return trace

    @property
    def messages(self) -> list[MessagePassed]:
        """The messages; of those that came since the last reading, the fields are named now."""
        passed = self.passed
        if passed and type(passed[-1]) is tuple:
            passed[:] = map(MessagePassed._make, passed)
        return cast("list[MessagePassed]", passed)

    @property
    def is_registration(self) -> bool:
        """Return True if the Call-ID is that of a registration."""
        return self.limit == MAX_REGISTRATION

    @property
    def first_kept(self) -> int:
        """The number of messages that stay at the beginning when others are removed."""
        return FIRST_MESSAGES if self.limit == MAX_TRACE else 0


class Traces:
    """The latest messages, from the events on `bus`, in at most `limit` octets; 0 keeps none."""

    def __init__(self, bus: Bus, limit: int = 64 * MIB) -> None:
        self.limit = 0
        self._bus = bus
        self.pinned = ""  # the name of the user whose messages are kept longer
        self._pending: list[MessageFields] = []
        self._notes: deque[CallFinished | Refused | RefusalSent] = deque(maxlen=_MAX_NOTES)
        self._traces: dict[bytes, Trace] = {}
        self._calls, self._registrations = _Share(0.5), _Share(0.2)
        self._pinned, self._rest = _Share(0.2), _Share(0.1, is_admitted=False)
        self._shares = (self._rest, self._registrations, self._calls, self._pinned)
        self._unplaced = _Share(0.0, is_admitted=False)  # of the traces that began in this batch
        self._listeners: Sequence[tuple[type, Callable[[Any], object]]] = (
            (MessagePassed, self._on_message),
            *((event, self._notes.append) for event in (CallFinished, Refused, RefusalSent)),
        )
        self.set_limit(limit)

    def set_limit(self, limit: int) -> None:
        """Change the limit; 0 removes all messages, and the bus builds no further events."""
        was_on, self.limit = self.limit > 0, limit
        for event_class, listener in self._listeners:
            if limit and not was_on:
                self._bus.listen(event_class, listener)
            if was_on and not limit:
                self._bus.remove_listener(event_class, listener)
        if was_on:
            self.sort()

    def __len__(self) -> int:
        self.sort()
        return len(self._traces)

    def find(self, call_id: bytes) -> Trace | None:
        """Return the trace of a Call-ID; b"" has the messages without one.  None: there is none."""
        self.sort()
        return self._traces.get(call_id)

    def latest(self, search: str = "") -> Iterator[Trace]:
        """Yield the traces, the latest begun first; with a text, those whose first message has it.

        A search looks at the latest MAX_SEARCHED ones, and ignores the case.
        """
        self.sort()
        if not search:
            yield from list(reversed(self._traces.values()))
            return
        wanted = search.encode("utf-8", "surrogateescape").lower()
        for trace in list(islice(reversed(self._traces.values()), MAX_SEARCHED)):
            if wanted in trace.passed[0][_OCTETS].lower():
                yield trace

    def pin(self, username: str) -> None:
        """Keep the messages of a user longer, instead of those of the user before; "" of none."""
        self.sort()
        self.pinned = username
        for trace in list(self._pinned.traces.values()):
            self._move(trace, self._registrations if trace.is_registration else self._calls)
        if username:
            for trace in list(self._traces.values()):
                if trace.share.is_admitted and self._is_of_pinned(trace):
                    self._move(trace, self._pinned)

    def _on_message(self, message: MessageFields) -> None:
        self._pending.append(message)
        if len(self._pending) >= BATCH:
            self.sort()

    def sort(self) -> None:
        """Sort the pending messages into their traces, and remove old traces if memory is short."""
        pending, self._pending = self._pending, []
        parts: defaultdict[bytes, list[MessageFields]] = defaultdict(list)
        for message in pending:
            # `partition` costs half as much as `find` with its bounds and a slice.
            before, _, after = message[_OCTETS].partition(_USUAL)
            call_id = after.partition(_END)[0]
            if not call_id or before.find(_BLANK_LINE) >= 0:
                call_id = _call_id_of(message[_OCTETS])
            parts[call_id].append(message)
        added = []
        for call_id, messages in parts.items():
            trace = self._traces.get(call_id)
            if trace is None:
                trace = self._traces[call_id] = self._begin(call_id, messages[0])
                added.append(trace)
            self._extend(trace, messages)
        for trace in added:
            if trace.share is self._unplaced:
                self._move(trace, self._rest)
        while self._notes:
            self._take_note(self._notes.popleft())
        if self.octets > self.limit or self._rest.octets > self._rest.part * self.limit:
            self._make_room()

    def _extend(self, trace: Trace, messages: list[MessageFields]) -> None:
        trace.passed += messages
        size = MESSAGE_OVERHEAD * len(messages)
        for message in messages:
            size += len(message[_OCTETS])
        trace.octets += size
        trace.share.octets += size
        for message in messages:
            if trace.share.is_admitted:
                break
            if message[_DIRECTION] == "out":
                self._admit(trace, message[_OCTETS])
        if trace.octets > trace.limit:
            self._trim(trace)

    @property
    def octets(self) -> int:
        """The octets of all sorted messages, overhead included."""
        return sum(share.octets for share in self._shares)

    def _begin(self, call_id: bytes, message: MessageFields) -> Trace:
        limit = MAX_TRACE
        if not call_id or message[_OCTETS].startswith(b"REGISTER "):
            limit = MAX_REGISTRATION
        return Trace(call_id, _network(message[_REMOTE][0]), limit, self._unplaced)

    def _admit(self, trace: Trace, octets: bytes) -> None:
        """Move a trace to a share of admitted ones if this message shows that it was admitted.

        A registration is admitted by a 2xx, all else by a request that this server has sent.
        """
        is_response = octets.startswith(b"SIP/2.0 ")
        if trace.is_registration:
            if trace.call_id and is_response and octets[8:9] == b"2":
                self._move(trace, self._registrations)
        elif not is_response and not octets.startswith(b"OPTIONS "):
            self._move(trace, self._calls)

    def _move(self, trace: Trace, share: _Share) -> None:
        # Only admitted ones: a stranger may write the name of the pinned user into any message.
        can_be_pinned = self.pinned and share.is_admitted and share is not self._pinned
        if can_be_pinned and self._is_of_pinned(trace):
            share = self._pinned
        if trace.share is not self._unplaced:
            trace.share.remove(trace)
        share.add(trace)
        trace.share = share

    def _is_of_pinned(self, trace: Trace) -> bool:
        if not trace.passed:
            return False
        octets = trace.passed[0][_OCTETS]
        wanted = self.pinned.encode()
        return any(unquote_to_bytes(name) == wanted for name in _PARTY.findall(octets, 0, MAX_HEAD))

    def _trim(self, trace: Trace) -> None:
        """Remove messages of a trace that is too long; a quarter, so that this is rare."""
        before = trace.octets
        for first in (trace.first_kept, 0):  # the first messages alone may be too long
            number, messages = first, trace.passed
            while trace.octets > trace.limit * 3 // 4 and number < len(messages) - 1:
                trace.octets -= len(messages[number][_OCTETS]) + MESSAGE_OVERHEAD
                number += 1
            trace.omitted += max(0, number - first)
            del messages[first:number]
        trace.share.octets -= before - trace.octets

    def _take_note(self, event: CallFinished | Refused | RefusalSent) -> None:
        about = event.call if isinstance(event, CallFinished) else event
        trace = self._traces.get(about.call_id.encode("utf-8", "replace"))
        if trace is None:
            return
        words = about.status, about.cause, about.cure
        if isinstance(event, CallFinished):
            call = event.call
            times = call.rang_seconds, call.talked_seconds
            note = Note(*words, call.result, call.code, call.callee.device, *times)
        else:
            note = Note(*words, "refused", about.code)
        if isinstance(event, RefusalSent):
            self._add_cause(trace, (event.cseq, event.status), note)
            return
        trace.note = note
        if trace.share is self._rest and isinstance(event, Refused) and event.sender is Sender.USER:
            self._move(trace, self._registrations if trace.is_registration else self._calls)

    def _add_cause(self, trace: Trace, key: tuple[str, int], note: Note) -> None:
        count = len(trace.causes)
        trace.causes.pop(key, None)
        trace.causes[key] = note
        if len(trace.causes) > MAX_CAUSES:
            del trace.causes[next(iter(trace.causes))]
        added = CAUSE_OVERHEAD * (len(trace.causes) - count)
        trace.octets += added
        trace.share.octets += added

    def _make_room(self) -> None:
        """Remove old traces until there is room for some more messages.

        Room is made at once for many messages, because each search for the oldest takes a while.
        """
        octets, wanted = self.octets, max(0, self.limit - min(self.limit // 32, _ROOM))
        rest = self._rest
        if rest.octets > rest.part * self.limit:
            octets -= self._remove_oldest(rest, int(rest.octets - rest.part * wanted))
        while octets > wanted:
            share = max(self._shares, key=lambda each: each.octets - each.part * wanted)
            surplus = int(share.octets - share.part * wanted)
            octets -= self._remove_oldest(share, min(octets - wanted, max(1, surplus)))

    def _remove_oldest(self, share: _Share, octets: int) -> int:
        """Remove the oldest traces of a share, with that many octets; return how many they had."""
        removed = 0
        for trace in share.oldest(octets):
            share.remove(trace)
            removed += trace.octets
            del self._traces[trace.call_id]
        return removed


def _call_id_of(octets: bytes) -> bytes:
    """Return the Call-ID in any spelling, b"" if there is none."""
    end = _HEAD_END.search(octets)
    found = _ANY_CALL_ID.search(octets, 0, end.start() + 1 if end else len(octets))
    return b" ".join(found[1].split()) if found else b""


@lru_cache(4096)
def _network(host: str) -> str:
    """Return the /64 of an IPv6 address, or the address of IPv4."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    return host if address.version == 4 else str(ip_network((address, 64), strict=False))
