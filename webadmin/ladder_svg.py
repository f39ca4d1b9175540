"""The drawing of a ladder: places and cut texts, which `ladder.tpl` writes as SVG.

Each row is a link.  There are no inline styles: the style sheet gives the classes their colours.
"""

from collections.abc import Callable, Container
from typing import NamedTuple

from sip.monitor.trace_ladder import Ladder, Party, Row
from sip.monitor.trace_message import Kind
from webadmin.language import _, translated
from webadmin.templates import elapsed

# Sizes in user units, which are CSS pixels unless the picture is scaled down.
_MARGIN = 70  # for the times
_COLUMN = 196
_BOX_WIDTH = 184
_ROW, _WHY = 34, 18
_TOP = 84
# Average widths of a character: of a label, of a sentence and a bold name, of small text.
_LABEL, _SENTENCE, _NAME, _SMALL = 6.8, 7.0, 7.6, 7.25
_CLASSES = {
    Kind.SUCCESS: "ok",
    Kind.CHALLENGE: "au",
    Kind.FAILURE: "bad",
    Kind.UNREADABLE: "bad",
}
# Pictures with more columns keep their size, and are scrolled sideways.
_MAX_SCALED = 4


class Column(NamedTuple):
    """The box of a party around `x`, and the line below it; `title` has what the box cuts off."""

    x: float
    left: float
    name: str
    device: str
    where: str
    title: str


class Rung(NamedTuple):
    """The arrow of a message.

    `way` are its two parties, and `words` is the whole row, for readers that do not see it.
    """

    number: int
    url: str
    way: str
    words: str
    is_selected: bool
    y: int
    height: int
    line: int
    start: float
    end: float
    head: str
    css: str
    time: str
    middle: float
    label: str
    why: str


class Drawing(NamedTuple):
    """A whole picture; `is_scaled` is True if it may shrink with the page."""

    width: int
    height: int
    is_scaled: bool
    margin: int
    box_width: int
    columns: list[Column]
    rungs: list[Rung]


def drawing_of(ladder: Ladder, link: Callable[[int], str], selected: Container[int]) -> Drawing:
    """Return the drawing of a ladder.

    `link` returns the URL of a message by its number; messages in `selected` are highlighted.
    """
    width = _MARGIN + _COLUMN * len(ladder.parties)
    rungs, y = [], _TOP
    for row in ladder.rows:
        number = row.message.number
        rung = _rung(row, ladder, y, width, link(number), is_selected=number in selected)
        rungs.append(rung)
        y += rung.height
    columns = [_column(party, _x(number)) for number, party in enumerate(ladder.parties)]
    is_scaled = len(columns) <= _MAX_SCALED
    return Drawing(width, y, is_scaled, _MARGIN, _BOX_WIDTH, columns, rungs)


def _x(number: int) -> float:
    return _MARGIN + _COLUMN * (number + 0.5)


def _cut(text: str, width: float, each: float) -> str:
    most = max(1, int(width / each))
    return text if len(text) <= most else text[: most - 1] + "…"


def _column(party: Party, x: float) -> Column:
    name = party.name or _("unknown")
    return Column(
        x,
        x - _BOX_WIDTH / 2,
        _cut(name, _BOX_WIDTH - 12, _NAME),
        _cut(party.device, _BOX_WIDTH - 8, _SMALL),
        _cut(party.where, _BOX_WIDTH - 4, _SMALL),
        ", ".join(filter(None, (name, party.device, party.where))),
    )


def _way(row: Row, ladder: Ladder) -> str:
    parties = (ladder.parties[row.source], ladder.parties[row.target])
    source, target = (party.name or _("unknown") for party in parties)
    return _("{caller} to {callee}").format(caller=source, callee=target)


def _rung(row: Row, ladder: Ladder, y: int, width: int, url: str, *, is_selected: bool) -> Rung:
    start, end = _x(row.source), _x(row.target)
    step = 1 if end > start else -1
    line = y + _ROW - 8
    tip, back = end - 3 * step, end - 10 * step
    way, text = _way(row, ladder), translated(row.why)
    why = f". {text}" if text else ""
    return Rung(
        row.message.number,
        url,
        way,
        f"{row.label}, {way}, {elapsed(row.since)}{why}",
        is_selected,
        y,
        _ROW + (_WHY if row.why else 0),
        line,
        start + 3 * step,
        end - 4 * step,
        f"M{back} {line - 4}L{tip} {line}L{back} {line + 4}",
        _CLASSES.get(row.message.kind, ""),
        elapsed(row.since),
        (start + end) / 2,
        _cut(row.label, abs(end - start) - 14, _LABEL),
        _cut(text, width - _MARGIN - 14, _SENTENCE),
    )
