"""The columns of the list of users, chosen by the administrator and kept in a cookie."""

from bottle import HTTPResponse, request, response

from webadmin.context import redirect
from webadmin.encryption import is_encrypted
from webadmin.language import N_

COOKIE = "sipserver_columns"
_COOKIE_SECONDS = 365 * 24 * 3600
_NONE = "none"  # a cookie without a value is no cookie

# The user name is always there, and the realm only where there are several.
COLUMNS = {
    "display_name": N_("Display name"),
    "state": N_("State"),
    "device": N_("Device"),
    "address": N_("Address"),
    "realm": N_("Realm"),
    "last_seen": N_("Last seen"),
    "ha1": N_("HA1"),
}


def chosen_columns() -> frozenset[str]:
    """Return the columns in the cookie of the request; without one, all."""
    text = request.get_cookie(COOKIE)
    return frozenset(COLUMNS if text is None else COLUMNS.keys() & text.split("."))


def choose_columns(back: str) -> HTTPResponse:
    """Store the ticked columns in a cookie, and redirect to the list."""
    ticked = set(request.forms.getall("column"))
    response.set_cookie(
        COOKIE,
        ".".join(name for name in COLUMNS if name in ticked) or _NONE,
        path="/users",
        samesite="lax",
        secure=is_encrypted(),
        httponly=True,
        max_age=_COOKIE_SECONDS,
    )
    return redirect(back)
