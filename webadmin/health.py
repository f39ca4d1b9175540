"""The page /health: all checks of the running server, each with its cure."""

from bottle import Bottle

from sip.monitor.health import Check, Status, worst
from webadmin.context import AppContext
from webadmin.routes import route


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route /health to `app`."""

    def show() -> str:
        checks = context.health.checks()
        bad = [check for check in checks if check.status != Status.OK]
        good = [check for check in checks if check.status == Status.OK]
        return context.page(
            "health.tpl",
            section="/health",
            checks=[*bad, *good],
            status=worst(checks),
            bad=len(bad),
            anchor=anchor,
        )

    route(app, "GET", "/health", show)


def anchor(check: Check) -> str:
    """Return the id of a check on the page."""
    return check.name.lower().replace(" ", "-")
