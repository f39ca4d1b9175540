"""The overview: tiles, issues, calls and the feed."""

from collections.abc import Sequence

from bottle import Bottle, request

from sip.listening import by_address
from sip.monitor.health import Check, Status
from webadmin.calls import call_rows
from webadmin.context import AppContext
from webadmin.feed import feed
from webadmin.health import anchor
from webadmin.needs import issues
from webadmin.phone_settings import phone_settings
from webadmin.routes import route
from webadmin.tiles import tiles

# The user name in the phone settings while there is no account.
_EXAMPLE = "alice"
# Calls, and events of the feed on the page; links show all.
SOME_CALLS = 5
SOME_EVENTS = 6
# Checks that the page shows even if all is well.
_SHOWN_CHECKS = ("SIP over UDP", "SIP over TCP", "Database", "Disk space", "Clock")
# A server with more users is no new one, so the help for the first call is not shown.
_FEW_USERS = 3


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route / to `app`."""

    def show() -> str:
        first, listening = context.directory.first(), context.listening()
        username = first.username if first else _EXAMPLE
        realm = first.realm if first else context.users.realm
        calls = context.calls.now()
        return context.page(
            "overview.tpl",
            section="/",
            accounts=len(context.users),
            online=len(context.phones),
            tiles=tiles(context),
            issues=issues(context),
            calls=call_rows(context, calls[:SOME_CALLS]),
            all_calls=len(calls),
            feed=feed(context),
            shows_all=request.query.get("feed") == "all",
            some=SOME_EVENTS,
            checks=_some_checks(context.health.known()),
            anchor=anchor,
            first=first,
            settings=phone_settings(context.config, listening, username, realm),
            suggests_echo=_suggests_echo(context),
            listening=by_address(listening),
            config=context.config,
        )

    route(app, "GET", "/", show)


def _some_checks(checks: Sequence[Check]) -> list[Check]:
    """Return the checks that are not ok, and some others."""
    return [check for check in checks if check.status != Status.OK or check.name in _SHOWN_CHECKS]


def _suggests_echo(context: AppContext) -> bool:
    """Return True if the first phone has registered, and nothing was called yet."""
    is_new = 0 < len(context.users) <= _FEW_USERS and len(context.phones) > 0
    has_called = len(context.calls) > 0 or context.calls_today().calls > 0
    return context.config.robot and is_new and not has_called
