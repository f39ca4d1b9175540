"""Operations on the server itself: health and audit."""

from typing import Literal

from msgspec import Struct

from sip.serializers.operation import audit_json, health_json
from webadmin.api import cursors
from webadmin.api.operations import Operations
from webadmin.api.shapes import DEFAULT_LIMIT, Cursor, Limit, Part
from webadmin.context import AppContext

Status = Literal["ok", "warning", "failing"]


class HealthCheck(Struct, frozen=True):
    """One check; `cure` is what to do, "" if it is ok."""

    name: str
    status: Status
    detail: str
    cure: str


class Health(Struct, frozen=True):
    """All checks, and the worst of their statuses."""

    status: Status
    checks: list[HealthCheck]


class AuditEntry(Struct, frozen=True):
    """One act; `actor` is "" if it was not signed in, `about` is the object of the act."""

    id: int
    at: str
    actor: str
    address: str
    action: str
    about: str


class AuditQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The part of the list to return."""

    limit: Limit = DEFAULT_LIMIT
    after: Cursor | None = None


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on health and audit."""

    def health() -> object:
        return health_json(context.health.checks())

    def audit(query: AuditQuery) -> Part[AuditEntry]:
        found = context.audit.entries(before=cursors.number(query.after), limit=query.limit)
        entries = found[: query.limit]
        following = str(entries[-1].id) if len(found) > query.limit else None
        return Part([audit_json(entry) for entry in entries], following)  # type: ignore[misc]

    operations.get("/health", health, "Check the server; takes some seconds", answer=Health)
    operations.get(
        *("/audit", audit, "List the acts of administrators, the newest first"),
        query=AuditQuery,
        answer=Part[AuditEntry],
    )
