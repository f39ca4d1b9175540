"""The page of the tokens, by which other programs use the API and read /metrics."""

from bottle import Bottle, HTTPError, response

from sip.store.audit import Act
from sip.store.tokens import MAX_NAME, Role, TokenError
from webadmin.admins import role_in_form
from webadmin.context import AppContext, form_value
from webadmin.language import _
from webadmin.routes import Result, route
from webadmin.templates import as_sentence

PAGE = "/tokens"


def mount(app: Bottle, context: AppContext) -> None:
    """Add /tokens and its forms to `app`."""
    page = TokensPage(context)
    route(app, "GET", PAGE, page.show)
    route(app, "POST", f"{PAGE}/add", page.add)
    route(app, "POST", f"{PAGE}/remove", page.remove)


class TokensPage:
    """The page at /tokens, and its forms."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def show(self, error: str = "", name: str = "", role: str = Role.VIEWER) -> str:
        """Return the page; `error` is a sentence about the name in the form."""
        return self._context.page(
            "tokens.tpl",
            section=PAGE,
            tokens=self._context.tokens.list(),
            errors={"name": error} if error else {},
            typed_name=name,
            role=role,
            roles=[*Role],
            longest=MAX_NAME,
        )

    def add(self) -> Result:
        """Add a token, and show it once."""
        context, name, role = self._context, form_value("name").strip(), role_in_form()
        try:
            token = context.tokens.add(name, role, context.clock())
        except TokenError as error:
            response.status = 422
            return self.show(as_sentence(str(error)), name, role)
        context.record(Act.TOKEN_ADDED, f"{name}, {role}")
        text = _("The token {name} was added. It is shown only now:").format(name=name)
        return context.flash(PAGE, text, token, "token")

    def remove(self) -> Result:
        """Remove a token.  Raises HTTPError(409) if there is none of this name."""
        context, name = self._context, form_value("name")
        try:
            context.tokens.remove(name)
        except TokenError:
            sentence = _("There is no such token; it may have been removed.")
            raise HTTPError(409, sentence) from None
        context.record(Act.TOKEN_REMOVED, name)
        text = _("The token {name} was removed. It is refused from now on.").format(name=name)
        return context.flash(PAGE, text)
