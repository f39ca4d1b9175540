"""Times as text: ISO 8601 in UTC, as in JSON and in the log."""

from datetime import UTC, datetime


def rfc3339(at: float, *, milliseconds: bool = False) -> str:
    """Return a Unix time as `2026-11-29T14:02:10Z`, or with its milliseconds: `…10.042Z`."""
    precision = "milliseconds" if milliseconds else "seconds"
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec=precision)
    return text.removesuffix("+00:00") + "Z"
