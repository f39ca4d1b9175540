"""The feed of the overview: the latest events, one sentence each."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sip.monitor.calls import Call, CallFinished, CallResult, Side
from sip.monitor.events import (
    UNREGISTERED_BY_ADMIN,
    UNREGISTERED_BY_CLOSE,
    UNREGISTERED_BY_PHONE,
    UNREGISTERED_BY_TIME,
    AdminActed,
    Banned,
    Overload,
    Registered,
    Unbanned,
    Unregistered,
)
from sip.monitor.recent_events import MAX_SHOWN, Recent
from sip.monitor.refusals import Refusal
from sip.store.accounts import full_name
from sip.store.audit import Act
from webadmin.context import AppContext
from webadmin.templates import ladder_link, span

# Refusals in the feed; /trouble has all of them.
MAX_REFUSALS = 10


class FeedRow(NamedTuple):
    """One sentence: `subject`, printed bold, and `text`; then its details, and a link."""

    at: float
    subject: str
    text: str
    detail: str = ""
    label: str = ""
    href: str = ""


def feed(context: AppContext) -> list[FeedRow]:
    """Return the latest rows, the newest first."""
    rows = [_row(context, recent) for recent in context.recent.latest(context.clock())]
    rows += [_refusal(row) for row in context.refusals.latest()[:MAX_REFUSALS]]
    return sorted(rows, key=lambda row: row.at, reverse=True)[:MAX_SHOWN]


def _row(context: AppContext, recent: Recent) -> FeedRow:
    row = _SENTENCES[type(recent.event)](context, recent.event)
    text = row.text
    if recent.count > 1:
        text += f", {recent.count:,} times"
    if recent.more:
        text += f", and {recent.more:,} others in the same minute"
    return row._replace(at=recent.at, text=text)


def _name(context: AppContext, username: str, realm: str) -> str:
    return full_name(username, context.users.key_realm(realm))


def _registered(context: AppContext, event: Registered) -> FeedRow:
    return FeedRow(
        event.at,
        _name(context, event.username, event.realm),
        f"registered with {event.device or 'a phone'}",
        f"{event.address[0]}, {event.transport}{', behind NAT' if event.behind_nat else ''}",
        "user",
        f"/users/{event.user_id}",
    )


_GONE = {
    UNREGISTERED_BY_PHONE: "signed off",
    UNREGISTERED_BY_TIME: "is gone: the registration expired",
    UNREGISTERED_BY_CLOSE: "is gone: the connection was closed",
    UNREGISTERED_BY_ADMIN: "was signed off by an administrator",
}


def _unregistered(context: AppContext, event: Unregistered) -> FeedRow:
    return FeedRow(
        event.at,
        _name(context, event.username, event.realm),
        _GONE.get(event.reason, event.reason),
        ", ".join(filter(None, (event.device, event.address[0]))),
        "user",
        f"/users/{event.user_id}",
    )


def _finished(context: AppContext, event: CallFinished) -> FeedRow:
    call = event.call
    subject, text = _call_sentence(call, side_name(context, call.caller), context)
    return FeedRow(call.ended_at, subject, text, "", "ladder", ladder_link(call.call_id))


def _call_sentence(call: Call, caller: str, context: AppContext) -> tuple[str, str]:
    """Return the subject and the rest of the sentence about a call that is over."""
    callee = side_name(context, call.callee)
    match call.result:
        case CallResult.ANSWERED:
            return caller, f"talked to {callee} for {span(call.talked_seconds)}"
        case CallResult.MISSED:
            return callee, f"did not answer a call from {caller}"
        case CallResult.BUSY:
            return callee, f"was busy for a call from {caller}"
        case CallResult.DECLINED:
            return callee, f"declined a call from {caller}"
        case CallResult.CANCELLED:
            return caller, f"hung up before {callee} answered"
    return caller, f"called {callee}: {call.cause or call.status}"


def side_name(context: AppContext, side: Side) -> str:
    """Return the name of one side of a call, as on all pages; that of its URI for no user here."""
    if side.username:
        return _name(context, side.username, side.realm or context.users.realm)
    uri = side.uri.partition(":")[2] or side.uri
    return uri.partition(";")[0]


def _banned(context: AppContext, event: Banned) -> FeedRow:
    text = f"was banned for {span(event.until - event.at)}: {event.reason}"
    return FeedRow(event.at, event.network, text, "", "bans", "/trouble#banned")


def _unbanned(context: AppContext, event: Unbanned) -> FeedRow:
    return FeedRow(event.at, event.network, "is no longer banned")


def _overload(context: AppContext, event: Overload) -> FeedRow:
    return FeedRow(event.at, "Overload:", f"{event.dropped:,} messages were dropped")


def _acted(context: AppContext, event: AdminActed) -> FeedRow:
    about = f", {event.about}" if event.about else ""
    text = f"{Act(event.act).text}{about}, by {event.name or 'a user that is not signed in'}"
    return FeedRow(event.at, "Web admin:", text, event.host, "audit", "/audit")


_SENTENCES: dict[type, Callable[[AppContext, Any], FeedRow]] = {
    Registered: _registered,
    Unregistered: _unregistered,
    CallFinished: _finished,
    Banned: _banned,
    Unbanned: _unbanned,
    Overload: _overload,
    AdminActed: _acted,
}


def _refusal(row: Refusal) -> FeedRow:
    what = "could not register" if row.method == "REGISTER" else f"could not call {row.to}"
    times = f", {row.count:,} times" if row.count > 1 else ""
    detail = ", ".join(filter(None, (row.address, row.device)))
    text = f"{what}{times}: {row.cause}"
    return FeedRow(row.last_at, row.user or "unknown", text, detail, "what to do", "/trouble")
