"""Typed routes, because bottle's decorators would hide the types of the handlers.

A route declares the role that it needs, and request_checks.py refuses all other requests.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, Literal, TypeAlias

from bottle import Bottle, HTTPError, HTTPResponse, Route, request

# The result of most handlers: a page, or a redirect.
Result: TypeAlias = str | HTTPResponse


class Needs(Enum):
    """What a request needs: no session, any session for the own account, or a role.

    With -web.second_factor, a session without a second factor opens only OWN_ACCOUNT.
    """

    NOTHING = "nothing"
    OWN_ACCOUNT = "own account"
    VIEWER = "viewer"
    ADMIN = "admin"


# The keys of these values in the configuration of a route.
NEEDS: Final = "needs"
_SECRETS: Final = "secrets"


def route(
    app: Bottle,
    method: Literal["GET", "POST"],
    path: str,
    handler: Callable[..., Result | Iterable[str]],
    needs: Needs | None = None,
    secrets: tuple[str, str] | None = None,
) -> None:
    """Call `handler` for `method` at `path`, with the wildcards of `path` as its arguments.

    Without `needs`, GET needs the role viewer and POST the role admin.  `secrets` is a parameter of
    the query and its value, with which the route shows secrets and needs the role admin.
    """
    if needs is None:
        needs = Needs.VIEWER if method == "GET" else Needs.ADMIN
    app.route(path, method, handler, **{NEEDS: needs, _SECRETS: secrets})


def needs_of_request(app: Bottle) -> Needs:
    """Return what the current request needs; a session if no route matches it."""
    try:
        found, _ = app.router.match(request.environ)
    except HTTPError:  # 404 or 405, which bottle raises again after the checks
        return Needs.VIEWER
    return _needs_of(found)


def _needs_of(found: Route) -> Needs:
    needs: Needs = found.config.get(NEEDS, Needs.ADMIN)
    if secrets := found.config.get(_SECRETS):
        name, value = secrets
        if request.query.get(name) == value:
            return Needs.ADMIN
    return needs
