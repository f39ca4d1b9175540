"""Calls that ring or talk are hung up, for the pages and for the API."""

from sip.monitor.calls import Call, Side
from sip.store.audit import Act
from webadmin.context import AppContext


def hang_up(context: AppContext, number: int) -> Call | None:
    """Hang up the call with an id, and return it; None if it has ended already."""
    call = context.calls.find(number)
    if call is None or not context.hang_up(call.call_id, call.from_tag):
        return None
    caller, callee = (number_of(context, side) for side in (call.caller, call.callee))
    context.record(Act.CALL_HUNG_UP, f"{caller} to {callee}")
    return call


def number_of(context: AppContext, side: Side) -> str:
    """Return the user name of one side of a call, else its URI without scheme and parameters."""
    if side.username:
        return side.username
    short = side.uri.partition(":")[2].partition(";")[0] or side.uri
    return short.removesuffix(f"@{context.config.sip_realm}")
