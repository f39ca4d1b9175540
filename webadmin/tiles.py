"""The four tiles of the overview: a number, a sentence, and the line of a day."""

from typing import NamedTuple

from sip.monitor.day_lines import SLOTS, Line, points
from webadmin.context import AppContext
from webadmin.language import _, ngettext, translated
from webadmin.numbers import thousands
from webadmin.rich_text import rich
from webadmin.templates import clock_time, span


class Tile(NamedTuple):
    """One tile; `id` is that of its number in the page.

    `points` are those of an SVG polyline of 100 by 28, "" without a line; `ground` is the same line
    down to the lower edge and back, to be filled.  `tone` is "accent", "info" or "bad".
    """

    id: str
    title: str
    href: str
    figure: str
    small: str
    text: str
    text_href: str = ""
    points: str = ""
    ground: str = ""
    tone: str = "accent"


def tiles(context: AppContext) -> list[Tile]:
    """Return the tiles, from left to right."""
    return [_online(context), _calls(context), _today(context), _refused(context)]


def _with_line(tile: Tile, line: Line, now: float, *, unknown: float | None = None) -> Tile:
    """Add the line of a day; `unknown` stands for slots in which nothing was counted."""
    values = line.values(now)
    first = next((at for at, value in enumerate(values) if value is not None), SLOTS)
    values[first:] = [unknown if value is None else value for value in values[first:]]
    shown = points(values)
    if " " not in shown:  # one point makes no line
        return tile
    left, right = shown.split(",")[0], shown.rsplit(" ", 1)[1].split(",")[0]
    return tile._replace(points=shown, ground=f"{left},28 {shown} {right},28")


def _online(context: AppContext) -> Tile:
    now, online, users = context.clock(), len(context.phones), len(context.users)
    before = context.lines.online_an_hour_ago(now)
    text = _("counted for less than an hour")
    if before is not None:
        change = online - round(before)
        text = _("as many as an hour ago")
        if change:
            text = (
                _("{count} more than an hour ago")
                if change > 0
                else _("{count} fewer than an hour ago")
            )
        text = text.format(count=thousands(abs(change)))
    small = ngettext("of {count} user", "of {count} users", users).format(count=thousands(users))
    title = _("Phones online")
    tile = Tile("online", title, "/users?status=online", thousands(online), small, text)
    return _with_line(tile, context.lines.online, now)


def _calls(context: AppContext) -> Tile:
    now, lines, count = context.clock(), context.lines, len(context.calls)
    ringing = lines.ringing()
    text = _("no call today")
    if lines.most_calls:
        text = rich(
            _("most today: {count} at {time} <utc>UTC</utc>"),
            count=thousands(lines.most_calls),
            time=clock_time(lines.most_calls_at),
        )
    small = ngettext("{count} ringing", "{count} ringing", ringing).format(count=thousands(ringing))
    tile = Tile("calls", _("Calls now"), "/calls", thousands(count), small, text)
    return _with_line(tile, lines.calls, now)


def _today(context: AppContext) -> Tile:
    today = context.calls_today()
    text = _("none has ended yet")
    if today.calls:
        text = _("{number}% answered").format(number=100 * today.answered // today.calls)
    if today.average_talk is not None:
        talk = span(max(1, today.average_talk))
        text += " · " + _("{span} on average").format(span=talk)
    title, figure = _("Calls today"), thousands(today.calls)
    tile = Tile("today", title, "/history", figure, "", text, tone="info")
    return _with_line(tile, context.lines.ended, context.clock(), unknown=0)


def _refused(context: AppContext) -> Tile:
    now = context.clock()
    lately = context.lines.refused_lately(now)
    small = ngettext("by {count} phone", "by {count} phones", lately.phones)
    small = small.format(count=thousands(lately.phones))
    text = _("nothing was refused")
    if lately.count:
        text = ngettext("{count} time: {cause}", "{count} times: {cause}", lately.cause_count)
        text = text.format(count=thousands(lately.cause_count), cause=translated(lately.cause))
    title, figure = _("Refused, last hour"), thousands(lately.count)
    tile = Tile("refused", title, "/trouble", figure, small, text, tone="bad")
    if lately.count:
        tile = tile._replace(text_href="/trouble")
    return _with_line(tile, context.lines.refused, now, unknown=0)
