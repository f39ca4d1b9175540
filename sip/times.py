"""Times as text: RFC 3339 in UTC, as in JSON and in the log."""

from datetime import UTC, datetime


def rfc3339(at: float, *, milliseconds: bool = False) -> str:
    """Return a Unix time as `2026-11-29T14:02:10Z`, or with its milliseconds: `…10.042Z`."""
    precision = "milliseconds" if milliseconds else "seconds"
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec=precision)
    return text.removesuffix("+00:00") + "Z"


def rfc3339_or_none(at: float | None) -> str | None:
    """Return a Unix time as `rfc3339` does; None for 0 and None, which mean never."""
    return rfc3339(at) if at else None
