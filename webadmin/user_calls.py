"""The last calls of a user, for its page."""

from collections.abc import Sequence
from typing import NamedTuple

from sip.monitor.calls import CallResult
from webadmin.context import AppContext, PastCall
from webadmin.language import N_, _
from webadmin.templates import counter, ladder_link, span

# Calls on the page; a link shows all.
SOME_CALLS = 8

# The text and the class of the pill of each result.
_PILLS = {
    CallResult.ANSWERED: (N_("Answered"), "on"),
    CallResult.MISSED: (N_("Missed"), "ring"),
    CallResult.BUSY: (N_("Busy"), "off"),
    CallResult.DECLINED: (N_("Declined"), "off"),
    CallResult.CANCELLED: (N_("Cancelled"), "off"),
    CallResult.REFUSED: (N_("Refused"), "bad"),
    CallResult.FAILED: (N_("Failed"), "bad"),
}


class UserCall(NamedTuple):
    """One row: the other side, the result and its cause, and how long it lasted."""

    is_outgoing: bool
    name: str
    number: str
    result: str
    pill: str
    lasted: str
    cause: str
    cure: str
    started_at: float
    ladder: str


def last_calls(context: AppContext, user_id: int) -> Sequence[UserCall]:
    """Return the last calls of an account, the newest first."""
    return [_row(context, call, user_id) for call in context.last_calls(user_id, SOME_CALLS)]


def _row(context: AppContext, call: PastCall, user_id: int) -> UserCall:
    is_outgoing = call.caller.user_id == user_id
    other = call.callee if is_outgoing else call.caller
    number = other.number(context.users.realm)
    result, pill = _PILLS.get(call.result, (call.result, "off"))
    if call.talked_seconds:
        lasted = counter(call.talked_seconds)
    else:
        lasted = (
            _("rang {span}").format(span=span(call.rang_seconds)) if call.rang_seconds >= 1 else ""
        )
    is_answered = call.result == CallResult.ANSWERED
    return UserCall(
        is_outgoing,
        other.name or number,
        number if other.name else "",
        _(result),
        pill,
        lasted,
        "" if is_answered else call.cause,
        "" if is_answered else call.cure,
        call.started_at,
        ladder_link(call.call_id),
    )
