"""The audit log, page by page."""

from bottle import Bottle, request

from sip.store.audit import KEPT_SECONDS, KINDS, PAGE_SIZE
from webadmin.audit_text import actor_text, details_text
from webadmin.context import AppContext
from webadmin.pager import by_cursor, cursor
from webadmin.routes import route
from webadmin.templates import link


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route /audit to `app`."""

    def show() -> str:
        kind, before = request.query.get("kind", ""), cursor()
        if kind not in KINDS:
            kind = ""
        found = context.audit.entries(kind, before)
        entries, more = found[:PAGE_SIZE], len(found) > PAGE_SIZE
        return context.page(
            "audit.tpl",
            section="/audit",
            entries=entries,
            kind=kind,
            kinds=KINDS,
            actor_text=actor_text,
            details_text=details_text,
            is_first=before is None,
            pager=by_cursor(
                link("/audit", [("kind", kind)]),
                link("/audit", [("kind", kind), ("before", entries[-1].id)]) if more else "",
                is_first=before is None,
            ),
            days=KEPT_SECONDS // (24 * 3600),
        )

    route(app, "GET", "/audit", show)
