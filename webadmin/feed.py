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
from webadmin.audit_text import actor_text, details_text
from webadmin.context import AppContext
from webadmin.language import N_, _, ngettext, translated
from webadmin.numbers import thousands
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
        text += ngettext(", {count} time", ", {count} times", recent.count).format(
            count=thousands(recent.count)
        )
    if recent.more:
        text += ngettext(
            ", and {count} other in the same minute",
            ", and {count} others in the same minute",
            recent.more,
        ).format(count=thousands(recent.more))
    return row._replace(at=recent.at, text=text)


def _name(context: AppContext, username: str, realm: str) -> str:
    return full_name(username, context.users.key_realm(realm))


def _registered(context: AppContext, event: Registered) -> FeedRow:
    return FeedRow(
        event.at,
        _name(context, event.username, event.realm),
        _("registered with {device}").format(device=event.device or _("a phone")),
        ", ".join((event.address[0], event.transport, *[_("behind NAT")] * event.behind_nat)),
        _("user"),
        f"/users/{event.user_id}",
    )


_GONE = {
    UNREGISTERED_BY_PHONE: N_("signed off"),
    UNREGISTERED_BY_TIME: N_("is gone: the registration expired"),
    UNREGISTERED_BY_CLOSE: N_("is gone: the connection was closed"),
    UNREGISTERED_BY_ADMIN: N_("was signed off by an administrator"),
}


def _unregistered(context: AppContext, event: Unregistered) -> FeedRow:
    return FeedRow(
        event.at,
        _name(context, event.username, event.realm),
        _(_GONE.get(event.reason, event.reason)),
        ", ".join(filter(None, (event.device, event.address[0]))),
        _("user"),
        f"/users/{event.user_id}",
    )


def _finished(context: AppContext, event: CallFinished) -> FeedRow:
    call = event.call
    subject, text = _call_sentence(call, side_name(context, call.caller), context)
    return FeedRow(call.ended_at, subject, text, "", _("ladder"), ladder_link(call.call_id))


def _call_sentence(call: Call, caller: str, context: AppContext) -> tuple[str, str]:
    """Return the subject and the rest of the sentence about a call that is over."""
    callee = side_name(context, call.callee)
    match call.result:
        case CallResult.ANSWERED:
            text = _("talked to {name} for {span}")
            return caller, text.format(name=callee, span=span(call.talked_seconds))
        case CallResult.MISSED:
            return callee, _("did not answer a call from {name}").format(name=caller)
        case CallResult.BUSY:
            return callee, _("was busy for a call from {name}").format(name=caller)
        case CallResult.DECLINED:
            return callee, _("declined a call from {name}").format(name=caller)
        case CallResult.CANCELLED:
            return caller, _("hung up before {name} answered").format(name=callee)
    cause = translated(call.cause) or str(call.status)
    return caller, _("called {name}: {cause}").format(name=callee, cause=cause)


def side_name(context: AppContext, side: Side) -> str:
    """Return the name of one side of a call, as on all pages; that of its URI for no user here."""
    if side.username:
        return _name(context, side.username, side.realm or context.users.realm)
    uri = side.uri.partition(":")[2] or side.uri
    return uri.partition(";")[0]


def _banned(context: AppContext, event: Banned) -> FeedRow:
    text = _("was banned for {span}: {reason}").format(
        span=span(event.until - event.at), reason=translated(event.reason)
    )
    return FeedRow(event.at, event.network, text, "", _("bans"), "/trouble#banned")


def _unbanned(context: AppContext, event: Unbanned) -> FeedRow:
    return FeedRow(event.at, event.network, _("is no longer banned"))


def _overload(context: AppContext, event: Overload) -> FeedRow:
    text = ngettext("{count} message was dropped", "{count} messages were dropped", event.dropped)
    return FeedRow(event.at, _("Overload:"), text.format(count=thousands(event.dropped)))


def _acted(context: AppContext, event: AdminActed) -> FeedRow:
    about = details_text(event.act, event.about)
    act = ", ".join(filter(None, (translated(Act(event.act).text), about)))
    name = actor_text(event.name, event.about) or _("a user that is not signed in")
    text = _("{act}, by {name}").format(act=act, name=name)
    return FeedRow(event.at, _("Web admin:"), text, event.host, _("audit"), "/audit")


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
    text = _("could not register") if row.method == "REGISTER" else _("could not call {name}")
    if row.count > 1:
        text += ngettext(", {count} time", ", {count} times", row.count)
    text = text.format(name=row.to, count=thousands(row.count))
    detail = ", ".join(filter(None, (row.address, row.device)))
    text += f": {translated(row.cause)}"
    return FeedRow(row.last_at, row.user or _("unknown"), text, detail, _("what to do"), "/trouble")
