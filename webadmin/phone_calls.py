"""The button "Call this phone" on the page of a user."""

from bottle import Bottle, HTTPError

from sip.store.accounts import full_name
from sip.store.audit import Act
from webadmin.context import AppContext
from webadmin.language import translated
from webadmin.routes import Result, route
from webadmin.users import list_link_values


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route of the button to `app`."""
    route(app, "POST", "/users/<number:id>/call", PhoneCalls(context).call)


class PhoneCalls:
    """Calls to the phones of users, to try them."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def call(self, number: int) -> Result:
        """Ring the phones of a user, and show the outcome on its page; waits up to 30 s."""
        context = self._context
        entry = context.directory.entry(number)
        if entry is None:
            raise HTTPError(404, "There is no such user. It may have been deleted.")
        if context.call_phone is None:
            raise HTTPError(503, "No SIP server runs here.")
        realm = context.users.key_realm(entry.realm)
        context.record(Act.PHONE_CALLED, full_name(entry.username, realm))
        outcome = context.call_phone(entry.username, entry.realm)
        return context.flash(
            f"/users/{number}{list_link_values()['list_query']}", translated(outcome)
        )
