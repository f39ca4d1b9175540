"""Who did what: the audit, page by page."""

import re

from bottle import Bottle, request

from sip.store.audit import KEPT_SECONDS, KINDS, PAGE_SIZE
from webadmin.context import Site
from webadmin.templates import link

_NUMBER = re.compile(r"[0-9]{1,18}")  # as much as SQLite counts


def mount(app: Bottle, site: Site) -> None:
    """Put /audit on `app`."""

    @app.get("/audit")  # type: ignore[untyped-decorator]
    def show() -> str:
        kind, before = request.query.get("kind", ""), request.query.get("before", "")
        if kind not in KINDS:
            kind = ""
        found = site.audit.entries(kind, int(before) if _NUMBER.fullmatch(before) else None)
        entries, more = found[:PAGE_SIZE], len(found) > PAGE_SIZE
        return site.page(
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
