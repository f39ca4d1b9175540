"""The audit log, page by page."""

import re

from bottle import Bottle, request

from sip.store.audit import KEPT_SECONDS, KINDS, PAGE_SIZE
from webadmin.context import AppContext
from webadmin.routes import route
from webadmin.templates import link

_NUMBER = re.compile(r"[0-9]{1,18}")  # fits SQLite's 64-bit integers


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route /audit to `app`."""

    def show() -> str:
        kind, before = request.query.get("kind", ""), request.query.get("before", "")
        if kind not in KINDS:
            kind = ""
        found = context.audit.entries(kind, int(before) if _NUMBER.fullmatch(before) else None)
        entries, more = found[:PAGE_SIZE], len(found) > PAGE_SIZE
        return context.page(
            "audit.tpl",
            section="/audit",
            entries=entries,
            kind=kind,
            kinds=KINDS,
            is_first=not before,
            first=link("/audit", [("kind", kind)]),
            older=link("/audit", [("kind", kind), ("before", entries[-1].id)]) if more else "",
            days=KEPT_SECONDS // (24 * 3600),
        )

    route(app, "GET", "/audit", show)
