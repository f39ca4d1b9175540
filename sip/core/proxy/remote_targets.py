"""Remote targets: addresses that the sides of dialogs have named in requests (RFC 3261 §12.2).

A ticket says where a side was when its dialog began.  Later addresses are stored here, within
bounds and in memory only; after a restart the bindings of the user lead to the phone.
"""

from collections import OrderedDict
from typing import NamedTuple

from sip.core.proxy.route_ticket import DialogSide
from sip.core.target import Target
from sip.core.trunk import Trunk
from sip.transport.flow import Endpoint, Flow

# Sides of dialogs that have named another address than their ticket says.  Some 400 octets each.
MAX_SIDES = 20_000
# Addresses of one side: the latest, and earlier ones that a request on its way may still name.
MAX_TARGETS_OF_SIDE = 4
# Answered INVITEs whose ACK may come without a Route.  It comes within seconds; the callee gives up
# after 32 s (§13.3.1.4).
MAX_ANSWERED = 4096
# Longest Contact and Routes of such an answer together, in characters.
MAX_STORED_LENGTH = 1000


class RemoteTarget(NamedTuple):
    """An address that one side has named.

    `key_hash` is the hash of its `address_key`; `flow` is the only flow to it, None if its URI can
    be resolved; `source` is the address and port that the message with it came from.
    """

    key_hash: int
    flow: Flow | None
    source: Endpoint


class AnsweredCall(NamedTuple):
    """The destination of the ACK of a 2xx, by the Contact and the Record-Route of that 2xx.

    `caller_tag` is hashed; `caller` is the host that the INVITE came from; `callee` is the side
    that has answered; `trunk` is the trunk of a call through a gateway.
    """

    uri_text: str
    flow: Flow | None
    routes: tuple[str, ...]
    caller_tag: int
    caller: str
    callee: DialogSide
    trunk: Trunk | None


class RemoteTargets:
    """Remote targets by the hash of Call-ID and tag, because these texts may be of any length."""

    def __init__(self) -> None:
        self._targets: OrderedDict[int, tuple[RemoteTarget, ...]] = OrderedDict()
        self._answered: OrderedDict[int, AnsweredCall] = OrderedDict()

    def __len__(self) -> int:
        return len(self._targets) + len(self._answered)

    def add(
        self, call_id: str, tag: str, address: str, flow: Flow | None, source: Endpoint
    ) -> None:
        """Store an address, as `address_key` writes it, that the side with this tag has named."""
        key, new = hash((call_id, tag)), RemoteTarget(hash(address), flow, source)
        known = [old for old in self._targets.pop(key, ()) if old.key_hash != new.key_hash]
        self._targets[key] = (*known[1 - MAX_TARGETS_OF_SIDE :], new)
        if len(self._targets) > MAX_SIDES:
            self._targets.popitem(last=False)

    def of_side(self, call_id: str, tag: str) -> tuple[RemoteTarget, ...]:
        """Return the addresses that the side with this tag has named, the latest last."""
        return self._targets.get(hash((call_id, tag)), ()) if self._targets else ()

    def add_answer(self, call_id: str, callee_tag: str, answered: AnsweredCall) -> None:
        """Store the destination of the ACK of a 2xx."""
        if len(answered.uri_text) + sum(map(len, answered.routes)) > MAX_STORED_LENGTH:
            return
        key = hash((call_id, callee_tag))
        self._answered.pop(key, None)
        self._answered[key] = answered  # the latest are last
        if len(self._answered) > MAX_ANSWERED:
            self._answered.popitem(last=False)

    def move_answer(self, call_id: str, tag: str, uri_text: str, flow: Flow | None) -> None:
        """Update the destination of the ACK, if the side with this tag is a callee stored here."""
        key = hash((call_id, tag))
        known = self._answered.get(key)
        if known is not None and len(uri_text) <= MAX_STORED_LENGTH:
            self._answered[key] = known._replace(uri_text=uri_text, flow=flow)

    def answered(
        self, call_id: str, callee_tag: str, caller_tag: str, caller: str
    ) -> AnsweredCall | None:
        """Return the destination of the ACK of a caller at a host; None for an unknown call."""
        known = self._answered.get(hash((call_id, callee_tag)))
        if known is None or (known.caller_tag, known.caller) != (hash(caller_tag), caller):
            return None
        return known


def is_still_there(named: RemoteTarget, moved: Target | None) -> bool:
    """Return False if a phone has registered from another address since it named a target."""
    if moved is None:
        return True
    phone = moved.phone
    if named.flow is None or phone is None or phone.flow is None:
        return moved.source == named.source[0]
    return phone.flow.remote == named.source
