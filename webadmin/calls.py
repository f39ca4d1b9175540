"""The page of the calls that ring or talk now, and of those that have just failed."""

from bottle import Bottle

from webadmin.context import AppContext
from webadmin.routes import route


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route /calls to `app`."""

    def show() -> str:
        return context.page(
            "calls.tpl",
            section="/calls",
            calls=context.calls.now(),
            failed=context.calls.failed(),
        )

    route(app, "GET", "/calls", show)
