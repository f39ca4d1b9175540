"""A trace as text: the ladder drawn with characters, and its messages."""

from datetime import UTC, datetime

from sip.monitor.trace_ladder import (
    MAX_ROWS,
    NO_DEVICES,
    Devices,
    Explain,
    Ladder,
    Row,
    ladder_of,
)
from sip.monitor.trace_message import ShownMessage, as_text
from sip.monitor.trace_redaction import redact
from sip.monitor.traces import Trace

_COLUMN = 30
_TIME = 22


def text_of(
    trace: Trace, explain: Explain, *, secrets: bool = False, devices: Devices = NO_DEVICES
) -> str:
    """Return the ladder and the messages of a trace; without credentials unless `secrets`.

    `devices` are those of `ladder_of`.
    """
    lines = [f"Call-ID: {one_line(trace.call_id)}", f"Messages: {len(trace.messages)}"]
    if trace.omitted:
        lines.append(f"Removed to save memory: {trace.omitted}")
    for first in range(0, len(trace.messages), MAX_ROWS):
        lines += ["", *_drawn(ladder_of(trace, explain, first, devices))]
    for number, passed in enumerate(trace.messages, 1):
        octets = passed.octets if secrets else redact(passed.octets)
        arrow = "from" if passed.direction == "in" else "to"
        host, port = passed.remote
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        heading = f"{number}  {stamp(passed.at)}  {arrow} {passed.transport} {where}"
        lines += ["", f"---- {heading} ----", as_text(octets).replace("\r\n", "\n")]
    return "\n".join(lines).replace("\r", "\\r") + "\n"


def _drawn(ladder: Ladder) -> list[str]:
    if not ladder.rows:
        return []
    parties = ladder.parties
    heads = (
        [party.name or "unknown" for party in parties],
        [party.device for party in parties],
        [party.where for party in parties],
    )
    lines = [" " * _TIME + "".join(map(_cell, texts)).rstrip() for texts in heads]
    for row in ladder.rows:
        lines.append(_drawn_row(row, len(parties)))
        if row.why:
            lines.append(" " * _TIME + f"    {row.why}")
    return lines


def _cell(text: str) -> str:
    return text[: _COLUMN - 2].center(_COLUMN)


def _drawn_row(row: Row, parties: int) -> str:
    time = datetime.fromtimestamp(row.at, UTC).strftime("%H:%M:%S.%f")[:-3]
    cells = [" "] * (parties * _COLUMN)
    for column in range(parties):
        cells[column * _COLUMN + _COLUMN // 2] = "|"
    left, right = sorted((row.source, row.target))
    start = left * _COLUMN + _COLUMN // 2 + 1
    width = (right - left) * _COLUMN - 1
    label = row.label if len(row.label) <= width - 4 else f"{row.label[: width - 5]}…"
    line = f" {label} ".center(max(width - 1, 0), "-")
    cells[start : start + width] = f"{line}>" if row.target > row.source else f"<{line}"
    return f"{row.message.number:4}  {time}   ".ljust(_TIME) + "".join(cells).rstrip()


def stamp(at: float) -> str:
    """Return a Unix time in RFC 3339, in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def one_line(octets: bytes) -> str:
    """Return octets as one printable line."""
    return as_text(octets).replace("\r", "\\r").replace("\n", "\\n")


def shown(trace: Trace, number: int, *, secrets: bool = False) -> ShownMessage | None:
    """Return a message of a trace by its number from 1; None if there is none."""
    if not 0 < number <= len(trace.messages):
        return None
    passed = trace.messages[number - 1]
    return ShownMessage(number, passed, None if secrets else redact(passed.octets))
