"""The tables that a comparison prints, made from its results."""

import statistics
from collections.abc import Iterable

from bench.results import Results
from bench.turns import DISTURBED, TOO_MANY

NAMES = {
    "ours": "sipserver",
    "compiled": "sipserver, compiled",
    "tuned": "Kamailio, tuned",
    "debian": "Kamailio, Debian's way",
}
OPERATIONS = {
    "pair": "REGISTER pair",
    "refresh": "refresh, nonce kept",
    "call": "call from outside",
    "call-407": "call with 407",
    "options": "OPTIONS",
}
# Budgets of the costs over UDP: at most these multiples of tuned Kamailio and of Debian's.
COST_BUDGETS = {
    ("pair", "ours"): (4.8, 1.4),
    ("pair", "compiled"): (3.8, 1.1),
    ("call", "ours"): (3.0, 1.0),
    ("call", "compiled"): (2.4, 0.8),
    ("call-407", "ours"): (3.1, 0.95),
    ("call-407", "compiled"): (2.6, 0.8),
}
RATE_BUDGETS = {("pair", "compiled"): 4500, ("call", "compiled"): 2000}  # at least, per second
BINDING_BUDGETS = {("ours", 100_000): 900}  # at most, bytes of memory
FULL = 0.9  # the share of a core from which on it counts as fully used
Row = Iterable[object]


def of(results: Results) -> str:
    """Return all results as text."""
    parts = [_conditions(results)] if results["conditions"] else []
    sections = results["sections"]
    for name, render in RENDERED.items():
        if sections.get(name):
            parts.append(render(sections[name]))
    return "\n\n".join(parts)


def _conditions(results: Results) -> str:
    known = results["conditions"]
    text = (
        f"{known['date']}, {known['cpu']} with {known['cores']} cores, Linux {known['kernel']}, "
        f"Python {known['python']}, gevent {known['gevent']}, {known['kamailio']}, "
        f"SIPp {known['sipp']}, commit {known['commit']}"
    )
    if known.get("uncompiled"):
        text += f"\nThe compiled server was not measured: {known['uncompiled']}"
    if foreign := results.get("foreign"):
        cores = ", ".join(f"{name} {used:.2f}{_mark(used)}" for name, used in foreign.items())
        text += f"\nCores that others used meanwhile: {cores}"
    return text


def _mark(foreign: float) -> str:
    """Return the mark of a figure that is not reliable, because others used more than half a core."""
    return " (!)" if foreign > DISTURBED else ""


def aligned(title: str, head: Row, rows: Iterable[Row]) -> str:
    """Return a table as text; the first column is aligned to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([title, lines[0], rule, *lines[1:]])


def _costs(costs: list[dict]) -> str:
    by_server = {(c["server"], c["operation"], c["kind"]): c for c in costs}

    def row(cost: dict) -> Row:
        each, foreign = cost["microseconds"], max(cost.get("foreign") or [0.0])
        is_sound = cost["lost"] < TOO_MANY * cost["planned"]
        figures = (f"{cost['median']:.0f}", f"{min(each):.0f}-{max(each):.0f}")
        rivals = [
            by_server.get((name, cost["operation"], cost["kind"])) for name in ("tuned", "debian")
        ]
        multiples = [_multiple(cost, rival) if rival and is_sound else None for rival in rivals]
        return (
            f"{OPERATIONS[cost['operation']]}, {cost['kind'].upper()}, {cost['rate']}/s",
            NAMES[cost["server"]],
            *(figures if is_sound else ("-", "-")),
            *("" if one is None else f"{one:.2f}" for one in multiples),
            *_judged(cost, multiples),
            f"{max(cost['others']):.0%}" if cost.get("others") else "",
            f"{foreign:.2f}{_mark(foreign)}",
            _lost(cost),
        )

    head = (
        *("operation", "server", "median", "range", "x tuned", "x Debian's", "must", "met"),
        *("by others", "foreign cores", "lost"),
    )
    return aligned(
        "Microseconds of CPU for each (user and system, all processes)", head, map(row, costs)
    )


def _multiple(cost: dict, rival: dict) -> float:
    """Return how many times as much a server uses as a rival: the median of the rounds."""
    pairs = zip(cost["microseconds"], rival["microseconds"], strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs if theirs)


def _judged(cost: dict, multiples: list[float | None]) -> Row:
    """Return the budget of a cost, and whether it is met."""
    budget = COST_BUDGETS.get((cost["operation"], cost["server"]))
    if budget is None or cost["kind"] != "udp":
        return "", ""
    must = " / ".join(f"{limit:g}" for limit in budget)
    if None in multiples:
        return must, "?"
    pairs = zip(multiples, budget, strict=True)
    return must, _verdict(all(multiple <= limit for multiple, limit in pairs))


def _verdict(is_met: bool) -> str:
    return "yes" if is_met else "NO"


def _lost(figures: dict) -> str:
    """Return how many operations were lost; `(!)` marks a figure that is not reliable."""
    return f"{figures['lost']} of {figures['planned']} (!)" if figures["lost"] else "0"


def _memory(rows: list[dict]) -> str:
    return aligned(
        "Memory at rest, MB",
        ("server", "users", "RSS", "PSS", "own"),
        [
            (
                NAMES[r["server"]],
                f"{r['users']:,}",
                *(f"{r[k] / 1e6:.1f}" for k in ("rss", "pss", "own")),
            )
            for r in rows
        ],
    )


def _limits(rows: list[dict]) -> str:
    return aligned(
        "Highest rate a second that is sustained on one core; ≥: the load generator was full",
        (
            *("operation", "server", "rate", "must", "met", "for"),
            *("core busy", "by others", "foreign cores", "lost"),
        ),
        [
            (
                OPERATIONS[r["operation"]],
                NAMES[r["server"]],
                f"{'≥ ' if r['load'] >= FULL > r['busy'] + r['others'] else ''}{r['rate']:,}",
                *_judged_rate(r),
                f"{r['seconds']:g} s",
                f"{r['busy']:.0%}",
                f"{r['others']:.0%}",
                f"{r.get('foreign', 0.0):.2f}{_mark(r.get('foreign', 0.0))}",
                r["lost"],
            )
            for r in rows
        ],
    )


def _judged_rate(row: dict) -> Row:
    budget = RATE_BUDGETS.get((row["operation"], row["server"]))
    is_met = budget is not None and row["rate"] >= budget and not row["lost"]
    return (f"{budget:,}", _verdict(is_met)) if budget else ("", "")


def _steady(rows: list[dict]) -> str:
    return aligned(
        "At 80 % of the highest rate",
        ("operation", "server", "rate", "for", "core busy", "lost", "held"),
        [
            (
                OPERATIONS[r["operation"]],
                NAMES[r["server"]],
                f"{r['rate']:,}",
                f"{r['seconds']:g} s",
                f"{r['busy']:.0%}",
                r["lost"],
                "yes" if r["held"] else "no (!)",
            )
            for r in rows
        ],
    )


LATENCY = ("OPTIONS ms", "99 %", "longest")


def _latency(waits: dict) -> Row:
    return tuple(f"{waits[key]:.2f}" for key in ("median", "p99", "longest"))


def _rates(rows: list[dict]) -> str:
    return aligned(
        "As the rate grows: µs of CPU for each, and how long an OPTIONS waits meanwhile",
        ("operation", "server", "rate", "µs", *LATENCY, "lost"),
        [
            (
                OPERATIONS[r["operation"]],
                NAMES[r["server"]],
                f"{r['rate']:,}",
                f"{r['microseconds']:.0f}{_mark(r.get('foreign', 0.0))}",
                *_latency(r["latency"]),
                _lost(r),
            )
            for r in rows
        ],
    )


def _bindings(rows: list[dict]) -> str:
    return aligned(
        "As the bindings grow: µs of CPU for each, bytes a binding",
        ("server", "bindings", "pair", "call", "bytes each", "must", "met", *LATENCY, "lost"),
        [
            (
                NAMES[r["server"]],
                f"{r['bindings']:,}",
                *(
                    f"{r[each]['microseconds']:.0f}{_mark(r[each].get('foreign', 0.0))}"
                    for each in ("pair", "call")
                ),
                f"{r['bytes_each']:,.0f}" if r["bindings"] >= 10_000 else "",
                *_judged_memory(r),
                *_latency(r["latency"]),
                r["lost"] + r["pair"]["lost"] + r["call"]["lost"],
            )
            for r in rows
        ],
    )


def _judged_memory(row: dict) -> Row:
    budget = BINDING_BUDGETS.get((row["server"], row["bindings"]))
    return (budget, _verdict(row["bytes_each"] <= budget)) if budget else ("", "")


def _forks(rows: list[dict]) -> str:
    return aligned(
        "As a fork grows: µs of CPU of a call, at 50 a second",
        ("server", "contacts", "µs", *LATENCY, "lost"),
        [
            (
                NAMES[r["server"]],
                r["contacts"],
                f"{r['microseconds']:,.0f}{_mark(r.get('foreign', 0.0))}",
                *_latency(r["latency"]),
                _lost(r),
            )
            for r in rows
        ],
    )


def _gaps(rows: list[dict]) -> str:
    return aligned(
        "Response times of OPTIONS on sipserver, ms",
        ("while", "median", "99 %", "longest"),
        [(r["while"], *_latency(r)) for r in rows],
    )


def _held(rows: list[dict]) -> str:
    return aligned(
        "Concurrent calls; memory that the server has written, MB",
        ("server", "wanted", "ringing", "talking", "before", "ringing", "talking", "after", "lost"),
        [
            (
                NAMES[r["server"]],
                f"{r['number']:,}",
                *(f"{r[state]['open']:,}" for state in ("ringing", "established")),
                f"{r['before']['own'] / 1e6:.1f}",
                *(f"{r[state]['memory']['own'] / 1e6:.1f}" for state in ("ringing", "established")),
                f"{r['after']['own'] / 1e6:.1f}",
                r["lost"],
            )
            for r in rows
        ],
    )


RENDERED = {
    "costs": _costs,
    "memory": _memory,
    "limits": _limits,
    "rates": _rates,
    "bindings": _bindings,
    "forks": _forks,
    "gaps": _gaps,
    "held": _held,
    "steady": _steady,
}
