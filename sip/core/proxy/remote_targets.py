"""Remote targets that the sides of dialogs have told through us (RFC 3261 §12.2).

A ticket says where a side was when its dialog began.  What a side says later is remembered here,
within bounds, and forgotten by a restart: then the bindings of its user lead to it.
"""

from collections import OrderedDict
from typing import NamedTuple

from sip.core.proxy.route_ticket import DialogSide
from sip.core.trunk import Trunk
from sip.transport.flow import Endpoint, Flow

# Sides of dialogs that have named another place than their tickets say.  Some 400 octets each.
MAX_SIDES = 20_000
# Places of one side: the latest, and earlier ones that a request under way may still name.
MAX_PLACES_OF_SIDE = 4
# Answered INVITEs whose ACK may come without a Route.  It comes within seconds; 32 at most pass
# until the callee gives up (§13.3.1.4).
MAX_ANSWERED = 4096
# Characters of a Contact and of the Routes that are kept of such an answer.
MAX_KEPT_LENGTH = 1000


class RemoteTarget(NamedTuple):
    """A place that one side has told.

    `place` is as `address_key` writes it, hashed; `flow` the only way to it, None where its URI says
    the way; `source` is where it was told from.
    """

    place: int
    flow: Flow | None
    source: Endpoint


class AnsweredCall(NamedTuple):
    """Where the ACK of a 2xx goes, by the Contact and the Record-Route of that 2xx.

    `caller_tag` is hashed; `caller` is the host that the INVITE came from; `callee` is the side
    that has answered; `trunk` is that of a call by a gateway.
    """

    uri_text: str
    flow: Flow | None
    routes: tuple[str, ...]
    caller_tag: int
    caller: str
    callee: DialogSide
    trunk: Trunk | None


class RemoteTargets:
    """What is remembered, by hashes of Call-ID and tag: neither has a bound of its own."""

    def __init__(self) -> None:
        self._places: OrderedDict[int, tuple[RemoteTarget, ...]] = OrderedDict()
        self._answered: OrderedDict[int, AnsweredCall] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places) + len(self._answered)

    def add(self, call_id: str, tag: str, place: str, flow: Flow | None, source: Endpoint) -> None:
        """Remember that the side with a tag has told a place."""
        key, new = hash((call_id, tag)), RemoteTarget(hash(place), flow, source)
        known = [old for old in self._places.pop(key, ()) if old.place != new.place]
        self._places[key] = (*known[1 - MAX_PLACES_OF_SIDE :], new)
        if len(self._places) > MAX_SIDES:
            self._places.popitem(last=False)

    def of_side(self, call_id: str, tag: str) -> tuple[RemoteTarget, ...]:
        """Return what the side with a tag has told, the latest last."""
        return self._places.get(hash((call_id, tag)), ()) if self._places else ()

    def add_answer(self, call_id: str, callee_tag: str, answered: AnsweredCall) -> None:
        """Remember where the ACK of a 2xx goes."""
        if len(answered.uri_text) + sum(map(len, answered.routes)) > MAX_KEPT_LENGTH:
            return
        key = hash((call_id, callee_tag))
        self._answered.pop(key, None)
        self._answered[key] = answered  # the latest are last
        if len(self._answered) > MAX_ANSWERED:
            self._answered.popitem(last=False)

    def move_answer(self, call_id: str, tag: str, uri_text: str, flow: Flow | None) -> None:
        """Remember the later target of a callee that has answered, if it is one."""
        key = hash((call_id, tag))
        known = self._answered.get(key)
        if known is not None and len(uri_text) <= MAX_KEPT_LENGTH:
            self._answered[key] = known._replace(uri_text=uri_text, flow=flow)

    def answered(
        self, call_id: str, callee_tag: str, caller_tag: str, caller: str
    ) -> AnsweredCall | None:
        """Return where the ACK of a caller at a host goes, None if no such call is known."""
        known = self._answered.get(hash((call_id, callee_tag)))
        if known is None or (known.caller_tag, known.caller) != (hash(caller_tag), caller):
            return None
        return known
