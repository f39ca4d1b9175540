"""The page /trouble: refusals, waits, bans, trusted networks."""

from bottle import Bottle, request, response

from sip.operator_values import network_text
from sip.store.bans import NoSuchBan
from sip.transport.flow import network_of
from webadmin.blocked_logins import MAX_SHOWN, blocked_logins, form_page
from webadmin.context import AppContext, form_value, redirect
from webadmin.language import _, translated_sentence
from webadmin.routes import Result, route
from webadmin.trouble_service import TroubleService

# Refusals shown at first; a link shows all.
SOME_REFUSALS = 20

PAGE = "/trouble"


def mount(app: Bottle, context: AppContext) -> None:
    """Add /trouble and its forms to `app`; the forms keep the paths that scripts may know."""
    page = TroublePage(context)
    route(app, "GET", PAGE, page.show)
    route(app, "GET", "/bans", lambda: redirect(PAGE))
    route(app, "POST", "/bans/remove", page.remove)
    route(app, "POST", "/bans/trust", page.trust)
    route(app, "POST", "/bans/distrust", page.distrust)


class TroublePage:
    """The page at /trouble, and its forms."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._service = TroubleService(context)

    def show(self, error: str = "", network: str = "") -> str:
        """Return the page; `error` is about `network`, which the form shows again."""
        if error:
            response.status = 422
        context = self._context
        blocked = blocked_logins(context)
        return context.page(
            "trouble.tpl",
            section=PAGE,
            refusals=context.refusals.latest(),
            shows_all=request.query.get("refusals") == "all",
            some=SOME_REFUSALS,
            waiting={(login.username, login.address) for login in blocked},
            network_of=network_of,
            bans=context.bans.list(context.clock()),
            blocked=blocked,
            max_blocked=MAX_SHOWN,
            configured=[network_text(each) for each in context.config.guard_trusted],
            trusted=context.bans.trusted(),
            error=error,
            network=network,
        )

    def remove(self) -> Result:
        """Remove the ban of an address; the overview has the button too."""
        address = form_value("address").strip()
        page = form_page()
        try:
            self._service.remove_ban(address)
        except (NoSuchBan, ValueError):  # it has expired, or another request has removed it
            return self._context.flash(page, _("This address is not banned."))
        text = _("{address} is no longer banned.").format(address=address)
        return self._context.flash(page, text)

    def trust(self) -> Result:
        """Trust a network, and remove the bans in it."""
        text = form_value("network").strip()
        try:
            network = self._service.trust(text)
        except ValueError as error:
            return self.show(translated_sentence(str(error)), text)
        text = _("{network} is trusted: it is never rate-limited or banned.")
        return self._context.flash(PAGE, text.format(network=network))

    def distrust(self) -> Result:
        """Stop trusting a network."""
        network = form_value("network").strip()
        try:
            self._service.distrust(network)
        except (NoSuchBan, ValueError):
            return self._context.flash(PAGE, _("This network is not trusted."))
        text = _("{network} is no longer trusted.").format(network=network)
        return self._context.flash(PAGE, text)
