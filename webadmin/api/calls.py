"""Operations on the calls that ring or talk now, and the shape of their sides."""

from itertools import islice
from typing import Literal

from msgspec import Struct, field

from sip.serializers.calls import call_json
from webadmin import call_service
from webadmin.api import cursors
from webadmin.api.operations import Operations
from webadmin.api.problems import Problem
from webadmin.api.shapes import DEFAULT_LIMIT, Cursor, Limit, Part
from webadmin.context import AppContext


class CallSide(Struct, frozen=True):
    """The caller or the callee; `user_id` is null for a side that is no user here."""

    uri: str
    name: str
    user_id: int | None
    device: str
    address: str


class Call(Struct, frozen=True):
    """One call that rings or talks; `codecs` are in the order of preference."""

    id: int
    call_id: str
    state: Literal["ringing", "talking"]
    from_: CallSide = field(name="from")
    to: CallSide
    started_at: str
    answered_at: str | None
    codecs: list[str]


class CallQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The part of the list to return."""

    limit: Limit = DEFAULT_LIMIT
    after: Cursor | None = None


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on calls."""
    calls = CallOperations(context)
    operations.get(
        *("/calls", calls.list, "List the calls that ring or talk, the newest first"),
        query=CallQuery,
        answer=Part[Call],
    )
    operations.change(
        *("DELETE", "/calls/{id}", calls.hang_up, "Hang up a call"), status=202, problems=(404,)
    )


class CallOperations:
    """The handlers of the operations on calls."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def list(self, query: CallQuery) -> Part[Call]:
        """Return a part of the list."""
        after = cursors.number(query.after)
        older = (c for c in self._context.calls.now() if after is None or c.id < after)
        found = list(islice(older, query.limit + 1))
        following = str(found[query.limit - 1].id) if len(found) > query.limit else None
        return Part([call_json(call) for call in found[: query.limit]], following)  # type: ignore[misc]

    def hang_up(self, id: int) -> None:
        """Begin to hang up a call."""
        if call_service.hang_up(self._context, id) is None:
            raise Problem(404, "There is no such call; it may have ended.")
