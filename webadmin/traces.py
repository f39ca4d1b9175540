"""The pages of SIP messages: the latest Call-IDs, and the ladder of each as page, text and pcap."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from bottle import Bottle, HTTPError, HTTPResponse, request, response

from sip.core import explain
from sip.monitor.trace_ladder import MAX_ROWS, Devices, Ladder, Outline, Row, ladder_of, outline_of
from sip.monitor.trace_message import ShownMessage, as_text
from sip.monitor.trace_text import one_line, shown
from sip.monitor.traces import MAX_SEARCHED, MIB, Trace
from sip.store.audit import Act
from webadmin.context import AppContext, form_value, is_full_page
from webadmin.ladder_svg import drawing_of
from webadmin.language import _
from webadmin.pager import by_cursor, page_number
from webadmin.routes import Result, route
from webadmin.templates import link
from webadmin.trace_head import PILLS, devices_of, head_of
from webadmin.trace_service import NoSuchTrace, TraceService

PAGE_SIZE = 50
# Seconds after the last message during which a ladder looks for more.
FOLLOWED_SECONDS = 40.0
# Messages to compare with, in the list of a page.
_MAX_CHOICES = 500
_MAX_LINES = 2000

_NUMBER = re.compile(r"[0-9]{1,6}")
_UNSAFE_IN_FILE = re.compile(r"[^A-Za-z0-9._-]+")


def trace_path(call_id: bytes, suffix: str = "") -> str:
    """Return the path of the ladder of a Call-ID; with ".txt" or ".pcap", that of the file.

    It has a query if the Call-ID cannot stand in a path, see `needs_query`.
    """
    if needs_query(call_id):
        form = f"&format={suffix[1:]}" if suffix else ""
        return f"/traces?call_id={quote(call_id, safe='')}{form}"
    return f"/traces/{quote(call_id, safe='')}{suffix}"


def needs_query(call_id: bytes) -> bool:
    """Return True if a path cannot hold a Call-ID.

    A browser resolves dots, the server refuses octets that are not UTF-8, a suffix means a file.
    """
    try:
        text = call_id.decode()
    except UnicodeDecodeError:
        return True
    return text in ("", ".", "..") or text.endswith((".txt", ".pcap")) or "\0" in text


# The parameter of the query with which a ladder shows credentials.
_WITH_SECRETS = ("secrets", "true")


def _is_text(call_id: bytes) -> bool:
    """Return True if a form can send a Call-ID."""
    try:
        call_id.decode()
    except UnicodeDecodeError:
        return False
    return True


class Line(NamedTuple):
    """One line of a message on a page: the name of a header field, the rest, and if it differs."""

    name: str
    rest: str
    differs: bool


class Panel(NamedTuple):
    """One message in full, with the row that it belongs to."""

    message: ShownMessage
    row: Row | None
    head: list[Line]
    body: list[Line]
    is_cut: bool


class _View(NamedTuple):
    """The options of a request for a ladder, from its query."""

    first: int
    chosen: tuple[int, ...]
    secrets: bool

    def link(self, call_id: bytes, **changes: object) -> str:
        """Return the URL of the same ladder with other options."""
        options: dict[str, object] = {"from": self.first or "", "secrets": self.secrets and "true"}
        options.update(changes)
        query = "&".join(f"{name}={value}" for name, value in options.items() if value)
        path = trace_path(call_id)
        return f"{path}{'&' if '?' in path else '?'}{query}" if query else path


def mount(app: Bottle, context: AppContext) -> None:
    """Add the routes below /traces to `app`."""
    pages = TracePages(context)
    route(app, "GET", "/traces", pages.show_list, secrets=_WITH_SECRETS)
    route(app, "POST", "/traces/pin", pages.pin)
    route(app, "GET", "/traces/<name:path>", pages.show_path, secrets=_WITH_SECRETS)


class TracePages:
    """The handlers below /traces."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._service = TraceService(context)

    def show_list(self) -> Result | Iterable[str]:
        """Show the latest Call-IDs; with `call_id`, the ladder of that one."""
        context, query = self._context, request.query
        if "call_id" in query:
            return self._show(_raw_call_id(), query.get("format", ""))
        search = (query.getunicode("q") or "").strip()[:200]
        page = page_number()
        found = context.traces.latest(search)
        traces = list(islice(found, (page - 1) * PAGE_SIZE, page * PAGE_SIZE + 1))
        rows = [_list_row(trace) for trace in traces[:PAGE_SIZE]]
        has_more = len(traces) > PAGE_SIZE
        return context.page(
            "traces.tpl",
            section="/calls",
            rows=rows,
            search=search,
            pager=by_cursor(
                link("/traces", [("q", search)]),
                link("/traces", [("q", search), ("page", page + 1)]) if has_more else "",
                is_first=page == 1,
                newer=link("/traces", [("q", search), ("page", page - 1)]) if page > 1 else "",
            ),
            searched=MAX_SEARCHED,
            memory=context.traces.limit // MIB,
            pinned=context.traces.pinned,
        )

    def show_path(self, name: str) -> Result | Iterable[str]:
        """Show the ladder of a Call-ID, or its file if the path ends with .txt or .pcap."""
        call_id = name.encode("utf-8", "surrogateescape")
        stem, dot, ending = name.rpartition(".")
        if dot and ending in ("txt", "pcap"):
            # Another page may link to a Call-ID that ends like this.
            if self._context.traces.find(stem.encode("utf-8", "surrogateescape")):
                return self._show(stem.encode("utf-8", "surrogateescape"), ending)
            if self._context.traces.find(call_id) is None:
                return self._show(stem.encode("utf-8", "surrogateescape"), ending)
        return self._show(call_id, "")

    def pin(self) -> Result:
        """Keep the messages of a user longer, or of none."""
        context = self._context
        username, back = form_value("username")[:300], form_value("back")
        context.traces.pin(username)
        if username:
            context.record(Act.TRACE_PINNED, username)
            text = _("Messages of {name} are now kept longer, until the server restarts.")
            text = text.format(name=username)
        else:
            context.record(Act.TRACE_UNPINNED)
            text = _("Messages of all users are now kept equally long.")
        is_own = back.startswith(("/traces", "/users/")) and back.isprintable() and "\\" not in back
        return context.flash(back if is_own and back.isascii() else "/traces", text)

    def _show(self, call_id: bytes, form: str) -> Result | Iterable[str]:
        context = self._context
        try:
            trace = self._service.find(call_id)
        except NoSuchTrace as error:
            raise HTTPError(404, str(error)) from None
        view = _view()
        if view.secrets:
            context.leave_uncompressed()
            self._service.record_secrets(call_id)
        if form == "txt":
            return self._file(trace, "txt", self._service.text(trace, secrets=view.secrets))
        if form == "pcap":
            return self._file(trace, "pcap", self._service.pcap(trace, secrets=view.secrets))
        outline = outline_of(trace)
        devices = devices_of(context, trace, outline)
        call = context.calls.of_call_id(as_text(call_id))
        is_live = call is not None or context.clock() - trace.messages[-1].at < FOLLOWED_SECONDS
        seen = request.query.get("seen", "")
        if request.headers.get("HX-Request") and is_live and seen == _version(trace):
            return HTTPResponse(status=204)  # nothing new: the page stays
        values = context.drawing.run(lambda: _values(trace, view, outline, devices))
        return context.page(
            "trace.tpl",
            section="/calls",
            refresh=3 if is_live and not view.secrets and is_full_page() else None,
            is_live=is_live and not view.secrets,
            pinned=context.traces.pinned,
            head=head_of(trace, outline, call),
            **values,
        )

    def _file(self, trace: Trace, ending: str, content: bytes) -> HTTPResponse:
        """Return a file, named after the Call-ID as far as every file system allows it."""
        name = _UNSAFE_IN_FILE.sub("_", one_line(trace.call_id))[:80].strip("._") or "trace"
        answer = response.copy(cls=HTTPResponse)  # keeps the headers that were set
        answer.body = content
        if ending == "pcap":
            answer.set_header("Content-Type", "application/vnd.tcpdump.pcap")
            answer.set_header("Content-Disposition", f'attachment; filename="{name}.pcap"')
        else:
            answer.set_header("Content-Type", "text/plain; charset=UTF-8")
            answer.set_header("Content-Disposition", f'inline; filename="{name}.txt"')
        return answer


def _raw_call_id() -> bytes:
    """Return the Call-ID in the query as octets: it may be no UTF-8."""
    for part in request.query_string.split("&"):
        name, _, value = part.partition("=")
        if name == "call_id":
            return unquote_to_bytes(value.replace("+", " "))
    return b""


def _number(text: str) -> int:
    return int(text) if _NUMBER.fullmatch(text) else 0


def _view() -> _View:
    query = request.query
    chosen = [_number(each) for each in query.get("compare", "").split(",")[:2]]
    if not any(chosen):
        chosen = [_number(query.get("m", "")), _number(query.get("with", ""))]
    first = _number(query.get("from", "")) // MAX_ROWS * MAX_ROWS
    return _View(
        first, tuple(filter(None, chosen)), query.get(_WITH_SECRETS[0]) == _WITH_SECRETS[1]
    )


def _list_row(trace: Trace) -> dict[str, Any]:
    outline = outline_of(trace)
    return {
        "path": trace_path(trace.call_id),
        "call_id": one_line(trace.call_id)[:200],
        "outline": outline,
        "at": trace.messages[0].at,
        "number": len(trace.messages) + trace.omitted,
        "pill": PILLS.get(outline.kind, "off"),
    }


def _version(trace: Trace) -> str:
    """Return a text that changes with the page of a trace."""
    return f"{len(trace.messages)}{'' if trace.note is None else '-ended'}"


def _values(trace: Trace, view: _View, outline: Outline, devices: Devices) -> dict[str, Any]:
    """Return the values for the template of a ladder."""
    view = view._replace(first=view.first if view.first < len(trace.messages) else 0)
    ladder = ladder_of(trace, explain, view.first, devices)
    chosen = view.chosen or _first_choice(ladder)
    panels = _panels(trace, ladder, chosen, secrets=view.secrets)
    numbers = [panel.message.number for panel in panels]

    def link(number: int) -> str:
        return view.link(trace.call_id, m=number)

    picked = {"m": numbers[0] if numbers else "", "with": numbers[1] if len(numbers) > 1 else ""}
    here = view.link(trace.call_id, **picked)
    return {
        "trace": trace,
        "call_id": one_line(trace.call_id),
        "outline": outline,
        "title": _title(outline),
        "ladder": ladder,
        "drawing": drawing_of(ladder, link, numbers),
        "panels": panels,
        "choices": _choices(ladder, panels, is_text=_is_text(trace.call_id)),
        "here": here,
        "poll": f"{here}{'&' if '?' in here else '?'}seen={_version(trace)}",
        "secrets": view.secrets,
        "hidden": _hidden(trace.call_id, view),
        "text_file": _with_secrets(trace_path(trace.call_id, ".txt"), view),
        "pcap_file": _with_secrets(trace_path(trace.call_id, ".pcap"), view),
        "with_secrets": view.link(trace.call_id, secrets="true", **picked),
        "without_secrets": view.link(trace.call_id, secrets="", **picked),
        "parts": _parts(trace, view),
        "action": trace_path(trace.call_id).partition("?")[0],
    }


def _title(outline: Outline) -> str:
    names = [outline.from_, outline.to] if outline.to != outline.from_ else [outline.from_]
    return " → ".join(filter(None, names)) or _("Messages")


def _with_secrets(path: str, view: _View) -> str:
    if not view.secrets:
        return path
    return f"{path}{'&' if '?' in path else '?'}secrets=true"


def _hidden(call_id: bytes, view: _View) -> list[tuple[str, str]]:
    """Return the hidden fields of the form that compares two messages."""
    fields = [("from", str(view.first or "")), ("secrets", "true" if view.secrets else "")]
    if needs_query(call_id):
        fields.append(("call_id", call_id.decode("utf-8", "replace")))  # see _is_text
    return [field for field in fields if field[1]]


def _parts(trace: Trace, view: _View) -> list[tuple[str, str, bool]]:
    """Return the pages of a long ladder: text, URL, and True for this one."""
    total = len(trace.messages)
    if total <= MAX_ROWS:
        return []
    return [
        (
            _("{first} to {last}").format(first=first + 1, last=min(first + MAX_ROWS, total)),
            view.link(trace.call_id, **{"from": first or ""}),
            first == view.first,
        )
        for first in range(0, total, MAX_ROWS)
    ]


def _first_choice(ladder: Ladder) -> tuple[int, ...]:
    """Return the message that a page shows unasked: the last failure, else the first one."""
    for row in reversed(ladder.rows):
        if row.why:
            return (row.message.number,)
    return (ladder.rows[0].message.number,) if ladder.rows else ()


def _panels(trace: Trace, ladder: Ladder, chosen: tuple[int, ...], *, secrets: bool) -> list[Panel]:
    messages = [shown(trace, number, secrets=secrets) for number in chosen]
    found = [message for message in messages if message is not None]
    lines = [_lines(message) for message in found]
    rows = {row.message.number: row for row in ladder.rows}
    panels = []
    for at, message in enumerate(found):
        head, body = lines[at]
        others: set[tuple[str, str]] | None = None
        if len(found) == 2:
            others = set(lines[1 - at][0]) | set(lines[1 - at][1])

        def mark(
            part: list[tuple[str, str]], others: set[tuple[str, str]] | None = others
        ) -> list[Line]:
            return [Line(*line, others is not None and line not in others) for line in part]

        is_cut = len(head) + len(body) > _MAX_LINES
        panels.append(
            Panel(
                message,
                rows.get(message.number),
                mark(head[:_MAX_LINES]),
                mark(body[: max(0, _MAX_LINES - len(head))]),
                is_cut,
            )
        )
    return panels


def _lines(message: ShownMessage) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the lines of head and body as (name, rest)."""
    head = [("", message.start), *message.fields]
    return head, [("", line) for line in message.body_text.splitlines()]


def _choices(ladder: Ladder, panels: list[Panel], *, is_text: bool) -> list[tuple[int, str, bool]]:
    """Return the messages to compare with: number, text, and whether it is proposed.

    The proposal is the next message of the same kind: mostly the same message, forwarded.
    """
    if not panels or not is_text:
        return []
    this = panels[0].message
    chosen = panels[1].message.number if len(panels) > 1 else 0
    same = [
        row.message.number
        for row in ladder.rows
        if row.message.label == this.label and row.message.number != this.number
    ]
    after = [number for number in same if number > this.number]
    proposed = chosen or next(iter(after or same), 0)
    return [
        (row.message.number, f"{row.message.number}  {row.label}", row.message.number == proposed)
        for row in ladder.rows
        if row.message.number != this.number
    ][:_MAX_CHOICES]
