"""The first page: how many are here, what is wrong, and how the first phone gets in."""

from bottle import Bottle, request

from sip.listening import by_address
from webadmin.context import Site
from webadmin.phone_settings import phone_settings

# Until somebody has made an account, the page shows the settings of an imaginary one.
_EXAMPLE = "alice"
# Refusals that are shown before the rest is asked for.
SOME_REFUSALS = 10


def mount(app: Bottle, site: Site) -> None:
    """Put / on `app`."""

    @app.get("/")  # type: ignore[untyped-decorator]
    def overview() -> str:
        first, listening = site.directory.first(), site.listening()
        username, realm = (first.username, first.realm) if first else (_EXAMPLE, site.users.realm)
        return site.page(
            "overview.tpl",
            section="/",
            accounts=len(site.users),
            online=len(site.phones),
            advice=site.advice(),
            first=first,
            settings=phone_settings(site.config, listening, username, realm),
            listening=by_address(listening),
            config=site.config,
            refusals=site.refusals.latest(),
            shows_all=request.query.get("refusals") == "all",
            some=SOME_REFUSALS,
        )
