"""The tables that a comparison prints, made from its results."""

from collections.abc import Iterable

from bench.results import Results

NAMES = {"ours": "sipserver", "tuned": "Kamailio, tuned", "debian": "Kamailio, Debian's way"}
OPERATIONS = {
    "pair": "REGISTER pair",
    "refresh": "refresh, nonce kept",
    "call": "call from outside",
    "call-407": "call with 407",
    "options": "OPTIONS",
}
# Budgets of the costs over UDP, as multiples of tuned Kamailio: the maximum, and the goal.
BUDGETS = {"pair": (2.4, 2.0), "call": (1.6, 1.2), "call-407": (1.7, 1.3)}
TOO_MANY = 0.1  # of the operations; if more are lost, the cost of the others is not valid
FULL = 0.9  # the share of a core from which on it counts as fully used
Row = Iterable[object]


def of(results: Results) -> str:
    """Return all results as text."""
    parts = [_conditions(results["conditions"])] if results["conditions"] else []
    sections = results["sections"]
    for name, render in RENDERED.items():
        if sections.get(name):
            parts.append(render(sections[name]))
    return "\n\n".join(parts)


def _conditions(known: dict) -> str:
    return (
        f"{known['date']}, {known['cpu']} with {known['cores']} cores, Linux {known['kernel']}, "
        f"Python {known['python']}, gevent {known['gevent']}, {known['kamailio']}, "
        f"SIPp {known['sipp']}, commit {known['commit']}"
    )


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
    tuned = {(c["operation"], c["kind"]): c["median"] for c in costs if c["server"] == "tuned"}

    def row(cost: dict) -> Row:
        each, rival = cost["microseconds"], tuned.get((cost["operation"], cost["kind"]))
        must, aim = BUDGETS.get(cost["operation"], ("", ""))
        is_sound = cost["lost"] < TOO_MANY * cost["planned"]
        judged = cost["server"] == "ours" and cost["kind"] == "udp"
        return (
            f"{OPERATIONS[cost['operation']]}, {cost['kind'].upper()}, {cost['rate']}/s",
            NAMES[cost["server"]],
            *(
                (f"{cost['median']:.0f}", f"{min(each):.0f}-{max(each):.0f}")
                if is_sound
                else ("-", "-")
            ),
            f"{cost['median'] / rival:.2f}" if rival and is_sound else "",
            f"{must}/{aim}" if judged and must else "",
            f"{max(cost['others']):.0%}" if cost.get("others") else "",
            _lost(cost),
        )

    head = ("operation", "server", "median", "range", "x tuned", "must/aim", "by others", "lost")
    return aligned(
        "Microseconds of CPU for each (user and system, all processes)", head, map(row, costs)
    )


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
        ("operation", "server", "rate", "for", "core busy", "by others", "lost"),
        [
            (
                OPERATIONS[r["operation"]],
                NAMES[r["server"]],
                f"{'≥ ' if r['load'] >= FULL > r['busy'] + r['others'] else ''}{r['rate']:,}",
                f"{r['seconds']:g} s",
                f"{r['busy']:.0%}",
                f"{r['others']:.0%}",
                r["lost"],
            )
            for r in rows
        ],
    )


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
                f"{r['microseconds']:.0f}",
                *_latency(r["latency"]),
                _lost(r),
            )
            for r in rows
        ],
    )


def _bindings(rows: list[dict]) -> str:
    return aligned(
        "As the bindings grow: µs of CPU for each, bytes a binding",
        ("server", "bindings", "pair", "call", "bytes each", *LATENCY, "lost"),
        [
            (
                NAMES[r["server"]],
                f"{r['bindings']:,}",
                f"{r['pair']['microseconds']:.0f}",
                f"{r['call']['microseconds']:.0f}",
                f"{r['bytes_each']:,.0f}" if r["bindings"] >= 10_000 else "",
                *_latency(r["latency"]),
                r["lost"] + r["pair"]["lost"] + r["call"]["lost"],
            )
            for r in rows
        ],
    )


def _forks(rows: list[dict]) -> str:
    return aligned(
        "As a fork grows: µs of CPU of a call, at 50 a second",
        ("server", "contacts", "µs", *LATENCY, "lost"),
        [
            (
                NAMES[r["server"]],
                r["contacts"],
                f"{r['microseconds']:,.0f}",
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
