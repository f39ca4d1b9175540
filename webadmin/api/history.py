"""Operations on the history of calls."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from sip.serializers.calls import past_call_json
from sip.store.accounts import normalized
from sip.store.history import CallFilter
from webadmin.api import cursors
from webadmin.api.calls import CallSide
from webadmin.api.operations import Operations
from webadmin.api.problems import invalid
from webadmin.api.registrations import UserText
from webadmin.api.shapes import DEFAULT_LIMIT, Cursor, Limit, Part
from webadmin.context import AppContext

Result = Literal["answered", "missed", "busy", "declined", "cancelled", "refused", "failed"]
# A time of RFC 3339 in any zone.
Time = Annotated[str, Meta(max_length=40)]
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class PastCall(Struct, frozen=True):
    """One call that has ended; `status` is the final status of its INVITE.

    `cause` says why it ended, `cure` what to do about it, and `code` is the key of both (see
    docs/causes.md), "" for calls of an earlier version; `ended_by` is the side that ended it.
    """

    id: int
    call_id: str
    from_: CallSide = field(name="from")
    to: CallSide
    started_at: str
    rang_seconds: float
    talked_seconds: float
    result: Result
    status: int
    code: str
    cause: str
    cure: str
    ended_by: str


class HistoryQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The calls to list: those that began at `from` or later, and before `to`.

    `user` is a name or name@realm, of the caller or the callee.
    """

    from_: Time | None = field(name="from", default=None)
    to: Time | None = None
    user: UserText | None = None
    result: tuple[Result, ...] = ()
    limit: Limit = DEFAULT_LIMIT
    after: Cursor | None = None


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on the history."""

    def past_calls(query: HistoryQuery) -> Part[PastCall]:
        since, until = _seconds("from", query.from_), _seconds("to", query.to)
        if until is not None and until <= 0:
            return Part([])
        wanted = CallFilter(
            user=normalized(query.user or ""),
            results=query.result,
            since=max(0.0, since or 0.0),
            until=until or 0.0,
        )
        page = context.history.page(wanted, cursors.number(query.after), query.limit)
        following = None if page.next is None else str(page.next)
        return Part([past_call_json(call) for call in page.calls], following)  # type: ignore[misc]

    operations.get(
        *("/history", past_calls, "List calls that have ended, the newest first"),
        query=HistoryQuery,
        answer=Part[PastCall],
    )


def _seconds(name: str, text: str | None) -> float | None:
    """Return the Unix time of a text, None for None.  Raises Problem (422)."""
    if text is None:
        return None
    try:
        if not _RFC_3339.fullmatch(text):
            raise ValueError(text)
        # A time of 24:00 or with a leap second is none for Python.
        return datetime.fromisoformat(text.upper()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise invalid(name, "a time is written as 2026-11-29T14:02:10Z (RFC 3339)") from None
