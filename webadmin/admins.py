"""The page of the administrators: add and remove them, and change their roles and passwords."""

from collections.abc import Callable

from bottle import Bottle, HTTPError, response

from sip.store.admin_passwords import hash_password, password_weakness
from sip.store.admins import MAX_NAME, AdminError
from sip.store.audit import Act
from sip.store.passwords import make_password
from sip.store.tokens import Role
from webadmin.account import own_session
from webadmin.context import AppContext, form_value
from webadmin.language import N_, _
from webadmin.password_notes import SHOWN_ONCE, weakness_note
from webadmin.routes import Result, route
from webadmin.templates import as_sentence

PAGE = "/admins"

_IS_OWN = N_("This is your own account: another administrator has to do this.")


def mount(app: Bottle, context: AppContext) -> None:
    """Add /admins and its forms to `app`."""
    page = AdminsPage(context)
    route(app, "GET", PAGE, page.show)
    route(app, "POST", f"{PAGE}/add", page.add)
    route(app, "POST", f"{PAGE}/role", page.set_role)
    route(app, "POST", f"{PAGE}/password", page.set_password)
    route(app, "POST", f"{PAGE}/reset-factor", page.reset_factor)
    route(app, "POST", f"{PAGE}/remove", page.remove)


def role_in_form() -> Role:
    """Return the role in a form.  Raises HTTPError(422) for another text."""
    try:
        return Role(form_value("role"))
    except ValueError:
        raise HTTPError(422, "There is no such role.") from None


class AdminsPage:
    """The page at /admins, and its forms."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def show(
        self, errors: dict[str, str] | None = None, name: str = "", role: str = Role.VIEWER
    ) -> str:
        """Return the page; `errors` are sentences by the name of the field."""
        return self._context.page(
            "admins.tpl",
            section=PAGE,
            admins=self._context.admins.list(),
            errors=errors or {},
            typed_name=name,
            role=role,
            roles=[*Role],
            how="type" if errors and "password" in errors else "make",
            longest=MAX_NAME,
            is_required=self._context.config.web_second_factor,
        )

    def add(self) -> Result:
        """Add an administrator; a generated password is shown once."""
        context, name, role = self._context, form_value("username").strip(), role_in_form()
        typed, how = form_value("password"), form_value("how")
        is_generated = how == "make" or (how == "either" and not typed)
        password = make_password() if is_generated else typed
        try:
            hashed = context.sign_ins.run(lambda: hash_password(password))
            context.admins.add(name, role, hashed, context.clock())
        except AdminError as error:
            response.status = 422
            return self.show({"username": as_sentence(str(error))}, name, role)
        except ValueError as error:
            response.status = 422
            return self.show({"password": as_sentence(str(error))}, name, role)
        context.record(Act.ADMIN_ADDED, f"{name}, {role}")
        text = _("{name} was added.").format(name=name)
        if is_generated:
            return context.flash(PAGE, f"{text} {_(SHOWN_ONCE)}", password)
        return context.flash(PAGE, text + weakness_note(password_weakness(password, name)))

    def set_role(self) -> Result:
        """Change the role of another administrator."""
        role = role_in_form()

        def change(name: str) -> Result:
            self._context.admins.set_role(name, role)
            self._context.record(Act.ADMIN_ROLE, f"{name}, {role}")
            text = _("{name} is {role} now, and has to sign in again.").format(name=name, role=role)
            return self._context.flash(PAGE, text)

        return self._change(change)

    def set_password(self) -> Result:
        """Generate a password for another administrator, and show it once."""

        def change(name: str) -> Result:
            password = make_password()
            hashed = self._context.sign_ins.run(lambda: hash_password(password))
            self._context.admins.set_password_hash(hashed, name)
            self._context.record(Act.PASSWORD_CHANGED, f"{name}, all sessions ended")
            text = _("{name} has a new password. It is shown only now:").format(name=name)
            return self._context.flash(PAGE, text, password)

        return self._change(change)

    def reset_factor(self) -> Result:
        """Remove the second factor of another administrator, after the loss of a phone."""

        def change(name: str) -> Result:
            if not self._context.second_factors.turn_off(name):
                raise AdminError(f"{name} has no second factor")
            self._context.record(Act.FACTOR_RESET, name)
            text = _("The second factor of {name} was removed.").format(name=name)
            return self._context.flash(PAGE, text)

        return self._change(change)

    def remove(self) -> Result:
        """Remove another administrator."""

        def change(name: str) -> Result:
            self._context.admins.remove(name)
            self._context.record(Act.ADMIN_REMOVED, name)
            return self._context.flash(PAGE, _("{name} was removed.").format(name=name))

        return self._change(change)

    def _change(self, change: Callable[[str], Result]) -> Result:
        """Change the administrator in the form.  Raises HTTPError(409) where it is refused."""
        context, name = self._context, form_value("name")
        if name == own_session(context).username:
            raise HTTPError(409, _IS_OWN)
        try:
            administrator = context.admins.find(name)
            if administrator is None:
                raise AdminError("there is no such administrator; it may have been removed")
            return change(administrator.name)
        except AdminError as error:
            raise HTTPError(409, as_sentence(str(error))) from None
