"""Blocked logins: users whose passwords are not checked for a while, and the unblock buttons."""

from bottle import Bottle, HTTPError

from sip.core.guard.guard import BlockedLogin
from sip.operator_values import parse_network
from webadmin.context import AppContext, form_value
from webadmin.language import _
from webadmin.routes import Result, route
from webadmin.trouble_service import TroubleService
from webadmin.users import list_link_values

# Rows shown on one page; users with an account come first.
MAX_SHOWN = 200


def blocked_logins(context: AppContext) -> list[BlockedLogin]:
    """Return the blocked logins, users with an account first, without banned addresses."""
    blocked = [login for login in context.guard.blocked_logins() if not login.is_banned]
    realms = context.users.realms()

    def has_no_account(login: BlockedLogin) -> bool:
        return all(context.users.find(login.username, realm) is None for realm in realms)

    return sorted(blocked, key=has_no_account)


def form_page() -> str:
    """Return the page that a form of trouble was sent from: the overview, or /trouble."""
    return "/" if form_value("page") == "/" else "/trouble"


def mount(app: Bottle, context: AppContext) -> None:
    """Add the unblock buttons of /trouble and of a user's page to `app`."""
    buttons = UnblockButtons(context)
    route(app, "POST", "/bans/forgive", buttons.on_trouble_page)
    route(app, "POST", "/users/<number:id>/forgive", buttons.on_user_page)


class UnblockButtons:
    """The handlers of the buttons that unblock a login."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._service = TroubleService(context)

    def on_trouble_page(self) -> Result:
        """Unblock any user name, also one without an account; the overview has the button too."""
        return self._unblock(form_value("username"), form_value("address").strip(), form_page())

    def on_user_page(self, number: int) -> Result:
        """Unblock the user of the page."""
        entry = self._context.directory.entry(number)
        if entry is None:
            raise HTTPError(404, "There is no such user. It may have been deleted.")
        page = f"/users/{number}{list_link_values()['list_query']}"
        return self._unblock(entry.username, form_value("address").strip(), page)

    def _unblock(self, username: str, address: str, path: str) -> Result:
        """Unblock logins of a user from an address, or from all addresses if it is empty."""
        try:
            network = parse_network(address) if address else None
        except ValueError as error:
            raise HTTPError(422, f"{error}.") from None
        if not self._service.forgive(username, network, address):
            text = _("Logins of {name} are not blocked.").format(name=username)
            return self._context.flash(path, text)
        text = (
            _("{name} can log in again from {address}.")
            if address
            else _("{name} can log in again.")
        )
        return self._context.flash(path, text.format(name=username, address=address))
