"""Export of users as a CSV file: all of them, or those of a filtered list."""

from collections.abc import Iterable
from itertools import chain

from bottle import Bottle, HTTPError, request, response

from sip.store.account_lists import STATES, Listing, list_ids
from sip.store.audit import Act
from sip.store.importing import exported
from webadmin.context import AppContext
from webadmin.routes import route

_BYTE_ORDER_MARK = "\ufeff"  # without it spreadsheet programs do not detect UTF-8
_LONGEST_SEARCH = 100  # characters, as on the page of the list


def mount(app: Bottle, context: AppContext) -> None:
    """Add /users/export.csv to `app`."""
    route(app, "GET", "/users/export.csv", lambda: export(context))


def export(context: AppContext) -> Iterable[str]:
    """Return the users of the list with this query as a CSV file.  Raises HTTPError(400)."""
    with_hashes = request.query.get("hashes") == "yes"
    listing = _listing(context)
    filters = [*filter(None, (listing.search, *listing.states, listing.realm))]
    ids = list_ids(context.directory, listing) if filters else None
    blocks = exported(context.users, with_hashes=with_hashes, for_spreadsheet=True, chosen=ids)
    # The first blocks are read before the response starts, so that an error can still be shown.
    start = next(blocks) + next(blocks, "")
    about = "with HA1s" if with_hashes else "without HA1s"
    if ids is not None:
        about += f", {len(ids):,} found by {', '.join(filters)}"
    context.record(Act.EXPORTED, about)
    return download("users.csv", chain([start], blocks))


def _listing(context: AppContext) -> Listing:
    """Return the filters of the query; an unknown state must not give all users."""
    query = request.query
    states = [each for name in ("state", "status") for each in query.get(name, "").split(",")]
    states = [*filter(None, states)]
    if not set(states) <= set(STATES):
        raise HTTPError(400, f"A state is one of {', '.join(STATES)}.")
    return Listing(
        search=(query.getunicode("q") or "").strip()[:_LONGEST_SEARCH],
        states=tuple(states),
        realm=query.getunicode("realm") or None,
        trouble=context.users_in_trouble() if "trouble" in states else (),
    )


def download(name: str, blocks: Iterable[str]) -> Iterable[str]:
    """Set the headers of a CSV file, and return its content."""
    response.content_type = "text/csv; charset=UTF-8"
    response.set_header("Content-Disposition", f'attachment; filename="{name}"')
    return chain([_BYTE_ORDER_MARK], blocks)
