"""The page of the calls that ring or talk now, and of those that have just failed."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from bottle import Bottle, HTTPError, request, response

from sip.monitor.calls import Call, CallResult, CallState, Side
from sip.monitor.sdp import read_sdp
from sip.store.database import DatabaseError
from webadmin import call_service
from webadmin.context import AppContext
from webadmin.language import N_, _, translated
from webadmin.live_streams import LiveStreams
from webadmin.pager import by_cursor, cursor
from webadmin.request_checks import COOKIE
from webadmin.routes import Result, route
from webadmin.templates import as_sentence, link

# Calls on one page.
PAGE_SIZE = 50
# Seconds between two loads of the page without scripts.
REFRESH_SECONDS = 5
# Characters of the name of a device.
_MAX_DEVICE = 60

_RESULTS = {
    CallResult.MISSED: N_("Missed"),
    CallResult.BUSY: N_("Busy"),
    CallResult.DECLINED: N_("Declined"),
    CallResult.CANCELLED: N_("Cancelled"),
    CallResult.REFUSED: N_("Refused"),
    CallResult.FAILED: N_("Failed"),
}


@dataclass(frozen=True, slots=True)
class Person:
    """One side of a call as the page shows it; `path` is the page of the user, "" for no user."""

    name: str
    number: str
    path: str
    device: str
    address: str
    behind_nat: bool


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call as the page shows it.

    `seconds` are those since its start or its answer.  `sound` is the codec in use, or the codecs
    that are offered; `sentences` say why a call has failed and what to do.
    """

    id: int
    caller: Person
    callee: Person
    pill: str
    state: str
    seconds: int
    sound: str
    offered: str
    phones: tuple[Person, ...]
    hold: str
    sentences: str
    trace: str

    @property
    def name(self) -> str:
        """The call in words, for the labels of its buttons."""
        return _("{caller} to {callee}").format(caller=self.caller.name, callee=self.callee.name)


class CallsOnPage(NamedTuple):
    """One page of the calls that ring or talk; `first` counts its first call from 1.

    `older` and `newer` are the cursors of the pages beside it: 0 if there is none, or if the newer
    one has the newest calls and needs no cursor.
    """

    calls: list[Call]
    first: int
    older: int
    newer: int


def mount(app: Bottle, context: AppContext) -> None:
    """Add /calls, its events and the button to hang up to `app`."""
    page = CallsPage(context)
    route(app, "GET", "/calls", page.show)
    route(app, "GET", "/calls/events", page.stream)
    route(app, "POST", "/calls/<number:int>/hang-up", page.hang_up)


class CallsPage:
    """The page at /calls."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self.streams = LiveStreams(self._version, self._is_signed_in)

    def show(self) -> str:
        """Return the page."""
        calls, before = self._context.calls.now(), cursor()
        talking = sum(call.state is CallState.TALKING for call in calls)
        page = page_of(calls, before)
        failed = self._context.calls.failed() if before is None else []
        return self._context.page(
            "calls.tpl",
            section="/calls",
            talking=talking,
            ringing=len(calls) - talking,
            rows=call_rows(self._context, page.calls),
            failed=call_rows(self._context, failed[:PAGE_SIZE]),
            here=link("/calls", [("before", before)]),
            before=before,
            first=page.first,
            pager=by_cursor(
                "/calls",
                link("/calls", [("before", page.older)]) if page.older else "",
                is_first=before is None,
                newer=link("/calls", [("before", page.newer)]),
            ),
            refresh=REFRESH_SECONDS,
        )

    def stream(self) -> Iterable[str]:
        """Return the events of the page: `changed`, and `ended` at the end of the session."""
        session = self._context.session
        if session is None or self.streams.is_full:
            raise HTTPError(503, "Too many pages are live. This one refreshes itself instead.")
        response.content_type = "text/event-stream; charset=UTF-8"
        response.set_header("X-Accel-Buffering", "no")  # nginx would collect the events
        return self.streams.events(session.id, request.get_cookie(COOKIE) or "")

    def hang_up(self, number: int) -> Result:
        """Hang up a call."""
        context = self._context
        here = link("/calls", [("before", cursor())])
        call = call_service.hang_up(context, number)
        if call is None:
            return context.flash(here, _("This call has ended already."))
        caller, callee = person_of(context, call.caller), person_of(context, call.callee)
        text = _("The call from {caller} to {callee} was ended.")
        return context.flash(here, text.format(caller=caller.name, callee=callee.name))

    def _version(self) -> Hashable:
        calls = self._context.calls
        return calls.version, len(calls.failed())

    def _is_signed_in(self, token: str) -> bool:
        try:
            return self._context.sessions.find(token, self._context.clock()) is not None
        except DatabaseError:
            return False


def page_of(calls: list[Call], before: int | None) -> CallsOnPage:
    """Return the page of calls, the newest first, whose ids are below `before`."""
    start = 0
    if before is not None:
        start = next((at for at, call in enumerate(calls) if call.id < before), len(calls))
    end = start + PAGE_SIZE
    older = calls[end - 1].id if end < len(calls) else 0
    newer = calls[start - PAGE_SIZE - 1].id if start > PAGE_SIZE else 0
    return CallsOnPage(calls[start:end], start + 1, older, newer)


def call_rows(context: AppContext, calls: Iterable[Call]) -> list[CallRow]:
    """Return calls as the page shows them."""
    return [_row(context, call) for call in calls]


def _row(context: AppContext, call: Call) -> CallRow:
    pill, state, since = "ring", _("Ringing"), call.started_at
    sentences = ""
    if call.state is CallState.TALKING:
        pill, state, since = "talk", _("Talking"), call.answered_at
        if call.held_by:
            state = _("On hold")
    elif call.state is CallState.ENDED:
        pill, state = "bad", _(_RESULTS.get(call.result, _RESULTS[CallResult.FAILED]))
        sentences = (
            f"{as_sentence(call.cause) if call.cause else ''} {translated(call.cure)}".strip()
        )
    until = call.ended_at or context.clock()
    offered = read_sdp(call.offer).codecs
    return CallRow(
        call.id,
        person_of(context, call.caller),
        person_of(context, call.callee),
        pill,
        state,
        max(0, int(until - since)),
        call.codecs[0] if call.answer and call.codecs else "",
        ", ".join(offered),
        tuple(
            Person("", "", "", each.device[:_MAX_DEVICE], each.address[0], each.behind_nat)
            for each in call.phones
        ),
        _hold_of(context, call),
        sentences,
        f"/traces/{quote(call.call_id, safe='')}",
    )


def _hold_of(context: AppContext, call: Call) -> str:
    """Return the sentence about the hold of a call, "" without one."""
    sides = {"caller": call.caller, "callee": call.callee}
    held_by = [side for name, side in sides.items() if name in call.held_by]
    names = [person_of(context, side).name for side in held_by]
    if len(names) == 2:
        return _("held by {name} and {other}").format(name=names[0], other=names[1])
    return _("held by {name}").format(name=names[0]) if names else ""


def person_of(context: AppContext, side: Side) -> Person:
    """Return one side of a call as the page shows it."""
    account = context.users.find(side.username, side.realm) if side.username else None
    number = call_service.number_of(context, side)
    return Person(
        (account.display_name if account else "") or number,
        number,
        f"/users/{side.user_id}" if side.user_id else "",
        side.device[:_MAX_DEVICE],
        side.address[0],
        side.behind_nat,
    )
