"""The plot of the results: cost and latency by rate, number of bindings and size of a fork.

It is SVG with six panels in two rows and three columns.  The background is transparent; the colours
are readable on a light and on a dark one.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape

from bench.results import Results

WIDTH, HEIGHT = 1080, 620  # of the plot, in pixels like all lengths below
LEFT, TOP, PANEL, TALL = 70, 84, 270, 190  # margins, and a panel's width and height
ACROSS, DOWN = 345, 260  # from one panel to the next
COLOURS = {"ours": "#3b82f6", "tuned": "#f97316", "debian": "#8b95a1"}
NAMES = {"ours": "sipserver", "tuned": "Kamailio, tuned"}
DASHES = {"pair": "", "call": "7 4"}
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 13px; font-weight: 600 }
  .frame { fill: none; stroke: #8b95a1; stroke-opacity: .6 }
  .grid { stroke: #8b95a1; stroke-opacity: .25 }
  .line { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) { text { fill: #adbac7 } }
"""
Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool

    def __call__(self, value: float) -> float:
        low, high, at = (map(math.log10, (self.low, self.high, max(value, self.low)))
                         if self.is_log else (self.low, self.high, value))  # fmt: skip
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return the round values to write beside the axis."""
        if self.is_log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            tens = [10.0**power for power in range(first, last + 1)]
            return [value for value in tens if self.low <= value <= self.high * 1.001]
        step = 10 ** math.floor(math.log10(self.high))
        for finer in (1, 2, 5, 10):
            if self.high / (step / finer) >= 4:
                step /= finer
                break
        return [step * n for n in range(int(self.high / step) + 1)]


@dataclass(frozen=True)
class Line:
    """One line of a panel."""

    server: str
    operation: str
    points: list[Point]


@dataclass(frozen=True)
class Panel:
    """One small diagram, and the kinds of its axes."""

    title: str
    across: str  # the label of the horizontal axis
    lines: list[Line]
    is_log_across: bool = True
    is_log_up: bool = False

    def draw(self, column: int, row: int) -> Iterator[str]:
        """Yield the SVG elements of the panel in this column and row."""
        x, y = LEFT + ACROSS * column, TOP + DOWN * row
        points = [point for line in self.lines for point in line.points]
        if not points:
            return
        right, up = (list(axis) for axis in zip(*points, strict=True))
        horizontal = Scale(*_span(right, self.is_log_across), x, x + PANEL, self.is_log_across)
        low, high = _span(up, self.is_log_up) if self.is_log_up else (0, 1.1 * max(up))
        vertical = Scale(low, high, y + TALL, y, self.is_log_up)
        yield f'<text class="title" x="{x}" y="{y - 10}">{escape(self.title)}</text>'
        for value in vertical.ticks():
            at = vertical(value)
            yield f'<line class="grid" x1="{x}" x2="{x + PANEL}" y1="{at:.1f}" y2="{at:.1f}"/>'
            yield f'<text x="{x - 6}" y="{at + 4:.1f}" text-anchor="end">{_number(value)}</text>'
        for value in horizontal.ticks() if self.is_log_across else sorted(set(right)):
            at = horizontal(value)
            yield f'<text x="{at:.1f}" y="{y + TALL + 16}" text-anchor="middle">{_number(value)}</text>'
        yield f'<rect class="frame" x="{x}" y="{y}" width="{PANEL}" height="{TALL}"/>'
        yield f'<text x="{x + PANEL}" y="{y + TALL + 32}" text-anchor="end">{escape(self.across)}</text>'
        for line in self.lines:
            yield from _drawn(line, horizontal, vertical)


def _drawn(line: Line, horizontal: Scale, vertical: Scale) -> Iterator[str]:
    colour = COLOURS[line.server]
    places = [(horizontal(a), vertical(b)) for a, b in line.points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    dash = f' stroke-dasharray="{DASHES[line.operation]}"' if DASHES[line.operation] else ""
    yield f'<polyline class="line" stroke="{colour}"{dash} points="{path}"/>'
    for a, b in places:
        yield f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>'


def _span(values: list[float], is_log: bool) -> tuple[float, float]:
    """Return the bounds of an axis; on a logarithmic axis the lower one is a power of ten."""
    low, high = min(values), max(values)
    if is_log:
        low = 10 ** math.floor(math.log10(max(low, 1e-3)) + 0.01)
        high = max(high * 1.2, low * 10)
    return (low, high) if high > low else (low, low + 1)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def of(results: Results) -> str:
    """Return the plot as SVG."""
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>How cost and latency grow with the rate, the bindings and the fork</title>",
        f"<style>{STYLE}</style>",
        *_legend(),
    ]
    for column, pair in enumerate(_panels(results["sections"])):
        for row, panel in enumerate(pair):
            body += panel.draw(column, row)
    return "\n".join([*body, "</svg>", ""])


def _legend() -> Iterator[str]:
    entries = [(NAMES[s], COLOURS[s], "") for s in NAMES]
    entries += [("REGISTER pair", "#8b95a1", DASHES["pair"]), ("call", "#8b95a1", DASHES["call"])]
    for place, (name, colour, dash) in enumerate(entries):
        x = LEFT + 170 * place
        yield f'<line class="line" x1="{x}" x2="{x + 30}" y1="24" y2="24" stroke="{colour}" stroke-dasharray="{dash}"/>'
        yield f'<text x="{x + 38}" y="28">{escape(name)}</text>'


def _panels(sections: dict) -> list[tuple[Panel, Panel]]:
    rates, bindings, forks = (sections.get(n, []) for n in ("rates", "bindings", "forks"))

    def p99(row: dict) -> float:
        return row["latency"]["p99"]

    by_work = [("pair", "pair"), ("call", "call")]
    bound = [
        Line(
            server,
            work,
            [(r["bindings"], r[work]["microseconds"]) for r in bindings if r["server"] == server],
        )
        for server in NAMES
        for work, _ in by_work
    ]
    return [
        (
            Panel(
                "CPU for each, µs",
                "operations a second",
                _by_rate(rates, lambda r: r["microseconds"]),
                is_log_up=True,
            ),
            Panel(
                "OPTIONS answered, 99 %, ms",
                "operations a second",
                _by_rate(rates, p99),
                is_log_up=True,
            ),
        ),
        (
            Panel("CPU for each, µs", "bindings", bound),
            Panel(
                "OPTIONS answered, 99 %, ms",
                "bindings, 800 calls a second",
                _calls(bindings, "bindings", p99),
                is_log_up=True,
            ),
        ),
        (
            Panel(
                "CPU of a call, µs",
                "contacts, 50 calls a second",
                _calls(forks, "contacts", lambda r: r["microseconds"]),
                is_log_across=False,
            ),
            Panel(
                "OPTIONS answered, 99 %, ms",
                "contacts",
                _calls(forks, "contacts", p99),
                is_log_across=False,
                is_log_up=True,
            ),
        ),
    ]


def _by_rate(rows: list[dict], value: Callable[[dict], float]) -> list[Line]:
    return [
        Line(
            server,
            work,
            [
                (r["rate"], value(r))
                for r in rows
                if (r["server"], r["operation"]) == (server, work)
            ],
        )
        for server in NAMES
        for work in DASHES
    ]


def _calls(rows: list[dict], across: str, value: Callable[[dict], float]) -> list[Line]:
    return [
        Line(server, "call", [(r[across], value(r)) for r in rows if r["server"] == server])
        for server in NAMES
    ]
