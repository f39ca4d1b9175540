"""The switch between the light and the dark theme, for browsers without scripts."""

from bottle import Bottle, HTTPError, HTTPResponse, response

from webadmin.context import form_value, redirect
from webadmin.encryption import is_encrypted
from webadmin.navigation import THEME_COOKIE, THEMES
from webadmin.routes import Needs, route
from webadmin.saved_form import page_of_form

_COOKIE_SECONDS = 365 * 24 * 3600


def mount(app: Bottle) -> None:
    """Add the route /theme to `app`."""
    route(app, "POST", "/theme", _choose, Needs.OWN_ACCOUNT)


def _choose() -> HTTPResponse:
    """Store the theme in a cookie, and return to the page.  Raises HTTPError(422).

    Scripts set the same cookie, so it is not HttpOnly.  It is Lax, because a page that is opened by
    a link from elsewhere should have the theme, too.
    """
    theme = form_value("theme")
    if theme not in THEMES:
        raise HTTPError(422, "There is no such theme.")
    response.set_cookie(
        THEME_COOKIE,
        theme,
        path="/",
        samesite="lax",
        secure=is_encrypted(),
        max_age=_COOKIE_SECONDS,
    )
    return redirect(page_of_form() or "/")
