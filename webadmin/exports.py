"""Export of users as a CSV file: all of them, or those of a filtered list."""

from collections.abc import Iterable
from itertools import chain

from bottle import Bottle, HTTPError, request, response

from sip.store.account_lists import STATES, Listing
from webadmin.context import AppContext
from webadmin.import_service import ImportService
from webadmin.routes import route

_BYTE_ORDER_MARK = "\ufeff"  # without it spreadsheet programs do not detect UTF-8
_LONGEST_SEARCH = 100  # characters, as on the page of the list


def mount(app: Bottle, context: AppContext, service: ImportService) -> None:
    """Add /users/export.csv to `app`."""
    path, secrets = "/users/export.csv", ("hashes", "yes")
    route(app, "GET", path, lambda: export(context, service), secrets=secrets)


def export(context: AppContext, service: ImportService) -> Iterable[str]:
    """Return the users of the list with this query as a CSV file.  Raises HTTPError(400)."""
    with_hashes = request.query.get("hashes") == "yes"
    if with_hashes:
        context.leave_uncompressed()
    blocks = service.export(
        with_hashes=with_hashes, for_spreadsheet=True, listing=_listing(context)
    )
    return download("users.csv", blocks)


def _listing(context: AppContext) -> Listing | None:
    """Return the filters of the query, None without any; an unknown state is an error."""
    query = request.query
    states = [each for name in ("state", "status") for each in query.get(name, "").split(",")]
    states = [*filter(None, states)]
    if not set(states) <= set(STATES):
        raise HTTPError(400, f"A state is one of {', '.join(STATES)}.")
    listing = Listing(
        search=(query.getunicode("q") or "").strip()[:_LONGEST_SEARCH],
        states=tuple(states),
        realm=query.getunicode("realm") or None,
        trouble=context.users_in_trouble() if "trouble" in states else (),
    )
    return listing if listing.search or states or listing.realm else None


def download(name: str, blocks: Iterable[str]) -> Iterable[str]:
    """Set the headers of a CSV file, and return its content."""
    response.content_type = "text/csv; charset=UTF-8"
    response.set_header("Content-Disposition", f'attachment; filename="{name}"')
    return chain([_BYTE_ORDER_MARK], blocks)
