"""The page of past calls: filters, chart, list, and the same rows as a CSV file."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import NamedTuple
from urllib.parse import quote

from bottle import Bottle, request, response

from sip.message.names import REASONS
from sip.monitor.calls import CallResult
from sip.store.audit import Act
from sip.store.csv_file import FORMULA
from sip.store.history import DAY, CallFilter, PastCall, Summary
from sip.store.history_search import RESULTS
from webadmin.context import AppContext
from webadmin.language import N_, _, ngettext
from webadmin.pager import by_cursor, cursor
from webadmin.routes import route
from webadmin.templates import as_sentence, link, moment, time_element

_PATH = "/history"
_MAX_TEXT = 300  # characters of a user or number in the query
_BYTE_ORDER_MARK = "\ufeff"  # for spreadsheets, which do not detect UTF-8
# The pill of each result.
_PILLS = {
    CallResult.ANSWERED: "on",
    CallResult.MISSED: "ring",
    CallResult.REFUSED: "bad",
    CallResult.FAILED: "bad",
}
# Days of the periods on offer, with today.
_PERIODS = ((N_("Today"), 1), (N_("7 days"), 7), (N_("30 days"), 30))
# Pixels of the chart; it is stretched to the width of the page.
_CHART_WIDTH, _CHART_HEIGHT = 1000, 100

_COLUMNS = (
    *("started_at", "from", "from_name", "to", "to_name", "result", "status"),
    *("rang_seconds", "talked_seconds", "ended_by", "cause", "from_device", "from_address"),
    *("to_device", "to_address", "call_id"),
)


@dataclass(frozen=True, slots=True)
class _Question:
    """The query of the page.  Dates are UTC; `last` is included, unlike `CallFilter.until`."""

    user: str
    number: str
    result: str
    first: date | None
    last: date | None

    def link(self, path: str = _PATH, **changes: object) -> str:
        """Return the URL of this question with some parameters changed."""
        parameters: dict[str, object] = {
            "user": self.user,
            "number": self.number,
            "result": self.result,
            "from": self.first or "",
            "to": self.last or "",
        }
        return link(path, [*(parameters | changes).items()])

    @property
    def is_filtered(self) -> bool:
        """True if it does not ask for all calls."""
        return any((self.user, self.number, self.result, self.first, self.last))

    @property
    def filter(self) -> CallFilter:
        """The filter of the history."""
        return CallFilter(
            self.user,
            self.number,
            tuple(self.result.split(",")) if self.result else (),
            _midnight(self.first) if self.first else 0.0,
            _midnight(self.last) + DAY if self.last else 0.0,
        )


class _Column(NamedTuple):
    """A bar of the chart: its rectangles, in pixels from the top left, and its text."""

    x: float
    width: float
    answered_y: float
    answered_height: float
    other_y: float
    other_height: float
    label: str
    shown: str
    calls: int
    answered: int


def mount(app: Bottle, context: AppContext) -> None:
    """Add /history and /history/export.csv to `app`."""
    page = HistoryPage(context)
    route(app, "GET", _PATH, page.show)
    route(app, "GET", f"{_PATH}/export.csv", page.export)


class HistoryPage:
    """The page at /history."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def show(self) -> str:
        """Return the page that the query asks for; invalid values are ignored."""
        context, question = self._context, _question()
        before = cursor()
        found, summary = context.history.view(question.filter, context.clock(), before)
        today = datetime.fromtimestamp(context.clock(), UTC).date()
        return context.page(
            "history.tpl",
            section=_PATH,
            question=question,
            found=found,
            summary=summary,
            columns=_columns(summary),
            chart_title=_chart_title(summary.step),
            chart_label=_chart_label(summary.step),
            realm=context.users.realm,
            results=RESULTS,
            periods=[(name, today - timedelta(days - 1), today) for name, days in _PERIODS],
            is_first=before is None,
            pager=by_cursor(
                question.link(),
                question.link(before=found.next) if found.next else "",
                is_first=before is None,
                older_text=_("Search older calls") if found.searched_to else _("Older"),
            ),
            keep=context.config.calls_keep if context.config.calls_keep_rows else 0,
            pill=lambda call: _PILLS.get(call.result, "off"),
            why=_why,
            ladder=lambda call: f"/traces/{quote(call.call_id, safe='')}",
        )

    def export(self) -> Iterable[str]:
        """Return all calls of the filter as a CSV file (RFC 4180)."""
        question = _question()
        blocks = self._blocks(question.filter)
        # The first blocks are read before the response starts, so that an error can still be shown.
        start = next(blocks) + next(blocks, "")
        about = question.link("").removeprefix("?") or "all calls"
        self._context.record(Act.HISTORY_EXPORTED, about)
        response.content_type = "text/csv; charset=UTF-8"
        response.set_header("Content-Disposition", 'attachment; filename="calls.csv"')
        return chain([_BYTE_ORDER_MARK + start], blocks)

    def _blocks(self, wanted: CallFilter) -> Iterator[str]:
        yield ",".join(_COLUMNS) + "\r\n"
        realm = self._context.users.realm
        for calls in self._context.history.pieces(wanted):
            text = io.StringIO()
            csv.writer(text).writerows(_cells(call, realm) for call in calls)
            yield text.getvalue()


def _question() -> _Question:
    """Read the query of the URL; invalid values are ignored."""
    query = request.query
    results = [each for each in query.get("result", "").split(",") if each in RESULTS]
    return _Question(
        user=(query.getunicode("user") or "").strip()[:_MAX_TEXT],
        number=(query.getunicode("number") or "").strip()[:_MAX_TEXT],
        result=",".join(dict.fromkeys(results)),
        first=_date(query.get("from", "")),
        last=_date(query.get("to", "")),
    )


def _date(text: str) -> date | None:
    """Return a date written as 2026-11-30, None for anything else or a year that is far away."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1971 <= day.year <= 9000 else None


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _columns(summary: Summary) -> list[_Column]:
    """Return the bars of the chart of a summary."""
    most = max((bar.calls for bar in summary.bars), default=0)
    pitch = _CHART_WIDTH / max(1, len(summary.bars))
    unit = _CHART_HEIGHT / most if most else 0.0
    columns = []
    for number, bar in enumerate(summary.bars):
        answered, others = bar.answered * unit, (bar.calls - bar.answered) * unit
        columns.append(
            _Column(
                round(number * pitch + pitch * 0.1, 2),
                round(pitch * 0.8, 2),
                round(_CHART_HEIGHT - answered, 2),
                round(answered, 2),
                round(_CHART_HEIGHT - answered - others, 2),
                round(others, 2),
                _label(bar.start, summary.step),
                _shown(bar.start, summary.step),
                bar.calls,
                bar.answered,
            )
        )
    return columns


def _label(start: int, step: int) -> str:
    """Return the hour or day at which a bar begins."""
    day, _, time = moment(start).partition("T")
    return f"{day} {time[:5]}" if step < DAY else day


def _shown(start: int, step: int) -> str:
    """Return a label that scripts show in the zone of the browser; a day is one of UTC."""
    return time_element(start) if step < DAY else _label(start, step)


def _chart_title(step: int) -> str:
    """Return the title of the chart, with tags and a place for the most calls."""
    if step < DAY:
        return _(
            "Calls for each hour, at most {count}: <answered>answered</answered> and"
            " <other>all others</other>"
        )
    days = step // DAY
    return ngettext(
        "Calls for each day, at most {count}: <answered>answered</answered> and"
        " <other>all others</other>",
        "Calls for each {days} days, at most {count}: <answered>answered</answered> and"
        " <other>all others</other>",
        days,
    ).replace("{days}", str(days))


def _chart_label(step: int) -> str:
    if step < DAY:
        return _("Calls for each hour; the table after the chart has the numbers")
    days = step // DAY
    return ngettext(
        "Calls for each day; the table after the chart has the numbers",
        "Calls for each {days} days; the table after the chart has the numbers",
        days,
    ).format(days=days)


def _why(call: PastCall) -> str:
    """Return a sentence that says how a call ended, and why."""
    if call.result == CallResult.ANSWERED and call.ended_by in ("caller", "callee"):
        return _("The caller hung up.") if call.ended_by == "caller" else _("The callee hung up.")
    return as_sentence(call.cause or REASONS.get(call.status, "unknown"))


def _cells(call: PastCall, realm: str) -> list[object]:
    caller, callee = call.caller, call.callee
    cells = (
        *(moment(call.started_at), caller.number(realm), caller.name, callee.number(realm)),
        *(callee.name, call.result, call.status, round(call.rang_seconds, 1)),
        *(round(call.talked_seconds, 1), call.ended_by, call.cause, caller.device),
        *(caller.address, callee.device, callee.address, call.call_id),
    )
    return [f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell for cell in cells]
