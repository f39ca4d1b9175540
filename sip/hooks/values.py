"""The values that hooks get: a call that they may forward or refuse, and events."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from sip.core.proxy.call_router import RouteDecision
from sip.message.grammar import BadMessage
from sip.message.uri import parse_uri

# Statuses that a hook may choose.  A challenge would make a phone ask for a password.
_FAILURES = range(400, 700)
_CHALLENGES = (401, 407)
_MAX_TEXT = 200
_SCHEMES = ("sip:", "tel:")
# Characters besides letters and digits that a user part may have (RFC 3261 §25.1).
_SAFE_IN_USER = "-_.!~*'()&=+$,;?/"


@dataclass(slots=True)
class RoutedCall:
    """A call that begins; `route` may forward or refuse it, or let it pass.

    `caller` is the user name of the caller, whose password is right; "" for an external caller.
    `from_uri`, `from_user` and `from_name` are the URI, user and display name in From; an external
    caller may send any.  `to` is the dialled name or number, `to_uri` the whole URI.  `address` is
    the IP address of the caller, `device` its User-Agent.  `at` is the local time.
    """

    caller: str
    from_uri: str
    from_user: str
    from_name: str
    to: str
    to_uri: str
    address: str
    device: str
    call_id: str
    at: datetime
    decision: RouteDecision | None = field(default=None, init=False)

    def forward_to(self, target: str) -> None:
        """Call `target` instead: the name of a user here, a number, or a sip: or tel: URI.

        The rules for the caller stay: an external caller does not reach other domains or gateways.
        Raises ValueError for a text that is neither a name nor a URI.
        """
        if not isinstance(target, str) or not target.strip() or not target.isprintable():
            raise ValueError(f"forward_to({target!r}): a name or a URI is needed")
        if target.lower().startswith(_SCHEMES):
            try:
                parse_uri(target)
            except BadMessage as bad:
                raise ValueError(f"forward_to({target!r}): {bad.reason}") from None
            self.decision = RouteDecision(target)
        else:
            self.decision = RouteDecision(quote(target, safe=_SAFE_IN_USER))

    def refuse(self, status: int = 603, text: str = "refused by a rule of this server") -> None:
        """Refuse the call; `text` says why, for the log and for callers that are users here.

        Raises ValueError for a status that is no failure, or that is a challenge.
        """
        if status not in _FAILURES or status in _CHALLENGES:
            raise ValueError(
                f"refuse({status!r}): a status from 400 to 699 is needed, no challenge"
            )
        self.decision = RouteDecision("", status, str(text)[:_MAX_TEXT])


class RegisterEvent(NamedTuple):
    """A contact of a user was bound or has ended; a refresh is no event.

    `name` is "registered" or "unregistered".  `at` and `expires_at` are Unix seconds; `expires_at`
    is 0 and `reason` says why at the end.
    """

    name: str
    at: float
    username: str
    realm: str
    contact: str
    device: str
    address: str
    transport: str
    expires_at: float = 0.0
    reason: str = ""


class CallEvent(NamedTuple):
    """A call has begun, rings, was answered or has ended.

    `name` is "call.started", "call.ringing", "call.answered" or "call.ended".  `caller` and
    `callee` are user names, "" for a side that is no user here.  Times are Unix seconds, 0
    before the event; the last seven fields are known at the end.  `cause` is a clause, `cure` whole
    sentences or "", `code` the key of both.
    """

    name: str
    call_id: str
    caller: str
    from_uri: str
    callee: str
    to_uri: str
    started_at: float
    ringing_at: float
    answered_at: float
    ended_at: float
    result: str
    status: int
    cause: str
    ended_by: str
    code: str = ""
    cure: str = ""
