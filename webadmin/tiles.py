"""The four tiles of the overview: a number, a sentence, and the line of a day."""

from time import gmtime, strftime
from typing import NamedTuple

from sip.monitor.day_lines import SLOTS, Line, points
from webadmin.context import AppContext
from webadmin.templates import span


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
    text = "counted for less than an hour"
    if before is not None:
        change = online - round(before)
        text = f"{abs(change):,} {'more' if change > 0 else 'fewer'} than an hour ago"
        text = text if change else "as many as an hour ago"
    small = f"of {users:,} {'user' if users == 1 else 'users'}"
    tile = Tile("online", "Phones online", "/users?status=online", f"{online:,}", small, text)
    return _with_line(tile, context.lines.online, now)


def _calls(context: AppContext) -> Tile:
    now, lines, count = context.clock(), context.lines, len(context.calls)
    ringing = lines.ringing()
    text = "no call today"
    if lines.most_calls:
        at = strftime("%H:%M", gmtime(lines.most_calls_at))
        text = f"most today: {lines.most_calls:,} at {at} UTC"
    tile = Tile("calls", "Calls now", "/calls", f"{count:,}", f"{ringing:,} ringing", text)
    return _with_line(tile, lines.calls, now)


def _today(context: AppContext) -> Tile:
    today = context.calls_today()
    text = "none has ended yet"
    if today.calls:
        text = f"{100 * today.answered // today.calls} % answered"
    if today.average_talk is not None:
        text += f" · {span(max(1, today.average_talk))} on average"
    tile = Tile("today", "Calls today", "/history", f"{today.calls:,}", "", text, tone="info")
    return _with_line(tile, context.lines.ended, context.clock(), unknown=0)


def _refused(context: AppContext) -> Tile:
    now = context.clock()
    lately = context.lines.refused_lately(now)
    small = f"by {lately.phones:,} {'phone' if lately.phones == 1 else 'phones'}"
    text = (
        f"{lately.cause_count:,} times: {lately.cause}" if lately.count else "nothing was refused"
    )
    tile = Tile(
        "refused", "Refused, last hour", "/trouble", f"{lately.count:,}", small, text, tone="bad"
    )
    if lately.count:
        tile = tile._replace(text_href="/trouble")
    return _with_line(tile, context.lines.refused, now, unknown=0)
