"""The first page: counts, warnings, refused requests, and the settings for the first phone."""

from bottle import Bottle, request

from sip.listening import by_address
from webadmin.context import AppContext
from webadmin.phone_settings import phone_settings
from webadmin.routes import route

# The user name in the phone settings while there is no account.
_EXAMPLE = "alice"
# Refusals shown at first; a link shows all.
SOME_REFUSALS = 10


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route / to `app`."""

    def show() -> str:
        first, listening = context.directory.first(), context.listening()
        username = first.username if first else _EXAMPLE
        realm = first.realm if first else context.users.realm
        return context.page(
            "overview.tpl",
            section="/",
            accounts=len(context.users),
            online=len(context.phones),
            warnings=context.warnings(),
            first=first,
            settings=phone_settings(context.config, listening, username, realm),
            listening=by_address(listening),
            config=context.config,
            refusals=context.refusals.latest(),
            shows_all=request.query.get("refusals") == "all",
            some=SOME_REFUSALS,
        )

    route(app, "GET", "/", show)
