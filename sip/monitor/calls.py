"""The calls that ring or talk now, and those that have just failed, by the events of the core.

Problem: a proxy keeps no dialog, so no table of it says which calls there are.
Model: a Call is made by CallStarted, changed by CallRinging, PhonesRinging, CallAnswered and
    CallUpdated, and ended by CallEnded; a refused INVITE is a Call that has ended already.  Each
    change is published as a CallChanged, the end also as a CallFinished.  `version` grows with
    each change, so that a page notices one without being sent any.
Invariant: routing needs nothing from here: a lost Call is a lost row on a page, never a lost call.
Bounds: MAX_CALLS; the oldest is removed.  A failed call stays for FAILED_SECONDS after its end.
    Session descriptions are stored unchanged, MAX_SDP_BYTES each, and read by the pages only.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from sip.monitor.events import (
    Address,
    Bus,
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    CallUpdated,
    Party,
    PhonesRinging,
    Refused,
    RingingPhone,
    Sender,
)
from sip.monitor.sdp import codecs_of

# Calls in the table, about 2 kB each.
MAX_CALLS = 20_000
# Seconds that a failed call stays in the table after its end, and calls that may do so.
FAILED_SECONDS = 10.0
MAX_FAILED = 200
# Ended calls that are remembered, so that the refusal that ended one is no second row.
MAX_ENDED = 200


class CallState:
    """The states of a call, in the words of pages and JSON."""

    RINGING: Final = "ringing"  # from the INVITE on, even before the first 180
    TALKING: Final = "talking"
    ENDED: Final = "ended"


class CallResult:
    """The results of a call, in the words of pages, JSON and history."""

    ANSWERED: Final = "answered"
    MISSED: Final = "missed"  # no phone is reachable, or none answered in time
    BUSY: Final = "busy"
    DECLINED: Final = "declined"
    CANCELLED: Final = "cancelled"  # the caller hung up before the answer
    REFUSED: Final = "refused"  # by this server: wrong password, not allowed
    FAILED: Final = "failed"


_RESULTS = {
    403: CallResult.DECLINED,
    408: CallResult.MISSED,
    480: CallResult.MISSED,
    486: CallResult.BUSY,
    487: CallResult.CANCELLED,
    600: CallResult.BUSY,
    603: CallResult.DECLINED,
}
_REFUSED = frozenset({401, 403, 407})


@dataclass(slots=True)
class Side:
    """The caller or the callee of a call.

    `uri` is its URI as written in From or the Request-URI.  `user_id`, `username`, `realm`
    and display `name` are those of the account; 0 and "" where it is no user here.  `device`,
    `address`, `transport` and `behind_nat` are those of the phone; "", ("", 0), "" and False before
    one has answered or rung.
    """

    uri: str
    user_id: int = 0
    username: str = ""
    realm: str = ""
    name: str = ""
    device: str = ""
    address: Address = ("", 0)
    transport: str = ""
    behind_nat: bool = False


@dataclass(slots=True, eq=False)
class Call:
    """One call.  Times are Unix seconds, 0.0 before the event.

    `id` is the microsecond of the start, or the next free one; it is also that of the history.

    `result`, `status`, `cause`, `cure`, `code` and `ended_by` are "" or 0 until the end: see
    CallResult, the final status of the INVITE, a clause that says why, what an administrator can
    do, the key of both, and "caller", "callee" or "server".

    `phones` are those that ring now, `held_by` the sides that hold the call, "caller" and "callee".
    `offer` and `answer` are the latest session descriptions, b"" without one.
    """

    id: int
    call_id: str
    from_tag: str
    caller: Side
    callee: Side
    started_at: float
    state: str = CallState.RINGING
    to_tag: str = ""
    ringing_at: float = 0.0
    answered_at: float = 0.0
    ended_at: float = 0.0
    result: str = ""
    status: int = 0
    cause: str = ""
    cure: str = ""
    code: str = ""
    ended_by: str = ""
    phones: tuple[RingingPhone, ...] = ()
    held_by: frozenset[str] = frozenset()
    offer: bytes = b""
    answer: bytes = b""

    @property
    def codecs(self) -> tuple[str, ...]:
        """The codecs in order of preference: those of the answer, without one of the offer."""
        return codecs_of(self.offer, self.answer)

    @property
    def rang_seconds(self) -> float:
        """The seconds from the first ring to the answer or the end; 0 if no phone has rung."""
        if not self.ringing_at:
            return 0.0
        return max(0.0, (self.answered_at or self.ended_at) - self.ringing_at)

    @property
    def talked_seconds(self) -> float:
        """The seconds from the answer to the end; 0 while there is no end."""
        if not self.answered_at or not self.ended_at:
            return 0.0
        return max(0.0, self.ended_at - self.answered_at)


class CallChanged(NamedTuple):
    """A call has begun, rings, was answered or has ended.

    `event` is "call.started", "call.ringing", "call.answered" or "call.ended".
    """

    event: str
    call: Call


class CallFinished(NamedTuple):
    """A call is over, refused ones included; `call` changes no more."""

    call: Call


_Key = tuple[str, str]  # Call-ID and From tag


class Calls:
    """The calls that ring or talk now, by the events on `bus`."""

    def __init__(self, bus: Bus) -> None:
        self.results: Counter[str] = Counter()  # of all calls that have ended
        self._bus = bus
        self._calls: OrderedDict[_Key, Call] = OrderedDict()
        self._failed: OrderedDict[int, Call] = OrderedDict()
        self._ended: OrderedDict[_Key, None] = OrderedDict()
        self.version = 0
        self._last_id = 0
        self._changed = bus.topic(CallChanged)
        self._finished = bus.topic(CallFinished)
        listeners: tuple[tuple[type, Callable[..., None]], ...] = (
            (CallStarted, self._on_started),
            (CallRinging, self._on_ringing),
            (PhonesRinging, self._on_phones),
            (CallAnswered, self._on_answered),
            (CallUpdated, self._on_updated),
            (CallEnded, self._on_ended),
            (Refused, self._on_refused),
        )
        for event_class, listener in listeners:
            bus.listen(event_class, listener)

    def __len__(self) -> int:
        return len(self._calls)

    def now(self) -> list[Call]:
        """Return the calls that ring or talk, the newest first."""
        return list(reversed(self._calls.values()))

    def failed(self) -> list[Call]:
        """Return the calls that failed in the last FAILED_SECONDS, the newest first."""
        since = self._bus.now() - FAILED_SECONDS
        while self._failed:
            oldest = next(iter(self._failed.values()))
            if oldest.ended_at >= since and len(self._failed) <= MAX_FAILED:
                break
            self._failed.popitem(last=False)
        return list(reversed(self._failed.values()))

    def find(self, id_: int) -> Call | None:
        """Return the call with an id that rings or talks, None without one."""
        return next((call for call in self._calls.values() if call.id == id_), None)

    def of_call_id(self, call_id: str) -> Call | None:
        """Return the latest call with a Call-ID that rings or talks, None without one."""
        return next((c for c in reversed(self._calls.values()) if c.call_id == call_id), None)

    def _on_started(self, event: CallStarted) -> None:
        callee, key = event.callee, (event.call_id, event.from_tag)
        caller = Side(*event.caller, event.device, event.address, event.transport)
        caller.behind_nat = event.behind_nat
        call = Call(
            self._new_id(event.at), event.call_id, event.from_tag, caller, Side(*callee), event.at
        )
        call.offer = event.offer
        self._calls.pop(key, None)
        self._calls[key] = call
        if len(self._calls) > MAX_CALLS:
            self._calls.popitem(last=False)
        self._publish("call.started", call)

    def _on_ringing(self, event: CallRinging) -> None:
        call = self._calls.get((event.call_id, event.from_tag))
        if call is not None and not call.ringing_at:
            call.ringing_at = event.at
            phone = RingingPhone(event.address, event.transport, event.device, event.behind_nat)
            call.phones = (phone,)
            _set_phone(call.callee, event)
            self._publish("call.ringing", call)

    def _on_phones(self, event: PhonesRinging) -> None:
        call = self._calls.get((event.call_id, event.from_tag))
        if call is not None:
            call.phones = event.phones
            _set_phone(call.callee, event.phones[0])
            self.version += 1

    def _on_answered(self, event: CallAnswered) -> None:
        call = self._calls.get((event.call_id, event.from_tag))
        if call is not None and not call.answered_at:
            call.state, call.answered_at, call.to_tag = CallState.TALKING, event.at, event.to_tag
            call.phones, call.answer = (), event.answer
            _set_phone(call.callee, event)
            self._publish("call.answered", call)

    def _on_updated(self, event: CallUpdated) -> None:
        call = self._calls.get((event.call_id, event.from_tag))
        if call is not None:
            call.offer, call.answer, call.held_by = event.offer, event.answer, event.held_by
            self.version += 1

    def _on_ended(self, event: CallEnded) -> None:
        key = (event.call_id, event.from_tag)
        call = self._calls.pop(key, None)
        if call is None:
            if event.ended_by:
                return  # it is unknown here, because there were more than MAX_CALLS
            # It began before this process: all that is known is its end.
            caller = Side(*(event.caller or Party(event.from_uri, 0, "", "")))
            callee = Side(*(event.callee or Party(event.to_uri, 0, "", "")))
            call = Call(
                self._new_id(event.at), event.call_id, event.from_tag, caller, callee, event.at
            )
            call.answered_at = event.at
        elif event.ended_by == "server":
            self._remember(key)
        result = CallResult.ANSWERED if call.answered_at else result_of(event.status)
        self._finish(call, event, result, event.ended_by)

    def _on_refused(self, event: Refused) -> None:
        """Add a call that was refused at once, so that it has ended already.

        A call that rings or talks is ended by a CallEnded alone: a refusal with its Call-ID is that
        of another INVITE, perhaps forged.
        """
        if event.method != "INVITE" or event.is_in_dialog or event.sender is Sender.UNVERIFIED:
            return  # an unverified one may come from any sender, with any address
        key = (event.call_id, event.from_tag)
        if key in self._calls or key in self._ended:
            return
        caller = Side(*(event.caller or Party(event.user, 0, "", "")), event.device, event.address)
        caller.transport = event.transport
        callee = Side(*(event.callee or Party(event.to, 0, "", "")))
        call = Call(self._new_id(event.at), *key, caller, callee, event.at)
        result = CallResult.REFUSED if event.status in _REFUSED else result_of(event.status)
        self._finish(call, event, result, "server")

    def _new_id(self, at: float) -> int:
        """Return the microsecond of a start, or the next free one.

        So no restart gives the id of a call to another one.
        """
        id_ = max(1, int(at * 1e6))
        if self._last_id - 1_000_000 < id_ <= self._last_id:  # else the clock was set
            id_ = self._last_id + 1
        self._last_id = id_
        return id_

    def _remember(self, key: _Key) -> None:
        self._ended[key] = None
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)

    def _finish(self, call: Call, event: CallEnded | Refused, result: str, ended_by: str) -> None:
        call.state, call.ended_at, call.result = CallState.ENDED, event.at, result
        call.status, call.ended_by = event.status, ended_by
        call.cause, call.cure, call.code = event.cause, event.cure, event.code
        call.phones, call.held_by = (), frozenset()
        self.results[result] += 1
        is_of_stranger = isinstance(event, Refused) and event.sender is not Sender.USER
        if result != CallResult.ANSWERED and not is_of_stranger:
            self._failed[call.id] = call
            if len(self._failed) > MAX_FAILED:
                self._failed.popitem(last=False)
        self._publish("call.ended", call)
        if self._finished.listeners:
            self._finished.publish(CallFinished(call))

    def _publish(self, name: str, call: Call) -> None:
        self.version += 1
        if self._changed.listeners:
            self._changed.publish(CallChanged(name, call))


def result_of(status: int) -> str:
    """Return the result of a call that was not answered, by the final status of its INVITE."""
    return _RESULTS.get(status, CallResult.FAILED)


def _set_phone(side: Side, event: CallRinging | CallAnswered | RingingPhone) -> None:
    side.device = event.device or side.device
    side.address, side.transport = event.address, event.transport
    side.behind_nat = event.behind_nat
