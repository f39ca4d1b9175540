"""The pages of groups: the list, a new group, and one group."""

from typing import Any

from bottle import Bottle, HTTPError, response

from sip.store.call_settings import DEFAULT_SECONDS, MAX_SECONDS, MIN_SECONDS
from sip.store.groups import ALL, IN_TURN, Group, NoSuchGroup
from sip.store.users import UserExists
from webadmin.account_service import InvalidFields
from webadmin.context import AppContext, form_value
from webadmin.group_service import GroupService
from webadmin.language import N_, _
from webadmin.pager import by_number, page_number
from webadmin.routes import Needs, Result, route
from webadmin.templates import link
from webadmin.users import sentence, sentences, warning_of_targets

PAGE_SIZE = 50
# Members in a row of the list; the page of the group has all.
SOME_MEMBERS = 5
_STRATEGIES = {ALL: N_("All at once"), IN_TURN: N_("In turn, one after the other")}


def mount(app: Bottle, context: AppContext) -> None:
    """Add the routes under /groups to `app`; those of users have added the filter `number`."""
    pages = GroupPages(context)
    route(app, "GET", "/groups", pages.list)
    route(app, "GET", "/groups/new", pages.show_new, Needs.ADMIN)
    route(app, "POST", "/groups/new", pages.add)
    route(app, "GET", "/groups/<number:id>", pages.show)
    route(app, "POST", "/groups/<number:id>", pages.change)
    route(app, "POST", "/groups/<number:id>/remove", pages.remove)


class GroupPages:
    """The pages, and their forms."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._groups = GroupService(context)

    def list(self) -> str:
        """Return a page of the list."""
        groups = self._groups.list()
        pages = max(1, -(-len(groups) // PAGE_SIZE))
        page = min(page_number(), pages)
        return self._context.page(
            "groups.tpl",
            section="/groups",
            total=len(groups),
            rows=groups[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
            some_members=SOME_MEMBERS,
            has_realms=len({group.realm for group in groups}) > 1,
            main_realm=self._context.users.realm,
            pager=by_number(
                page, pages, lambda page: link("/groups", [("page", page if page > 1 else "")])
            ),
        )

    def show_new(self) -> str:
        """Return the page with an empty form."""
        return self._form(None, {}, _values(Group(0, "", None, ()), self._context.users.realm))

    def add(self) -> Result:
        """Add the group in the form, and show its page."""
        values = _posted()
        try:
            group = self._groups.add(
                values["name"],
                _names(values["members"]),
                values["realm"],
                strategy=values["strategy"],
                seconds=values["seconds"] or DEFAULT_SECONDS,
                then=values["then"],
            )
        except InvalidFields as error:
            errors = sentences(error)
        except UserExists as error:
            errors = {"name": sentence(error)}
        else:
            return self._flash(group, _("The group {name} was added.").format(name=group.name))
        return self._form(None, errors, values)

    def show(self, number: int) -> str:
        """Return the page of a group.  Raises HTTPError(404)."""
        group = self._group(number)
        return self._form(group, {}, _values(group, self._context.users.realm))

    def change(self, number: int) -> Result:
        """Change the group to what the form says; all, or nothing if a field is not valid."""
        before, values = self._group(number), _posted()
        changes = {name: values[name] for name in ("name", "strategy", "seconds", "then")}
        try:
            group = self._groups.change(number, {**changes, "members": _names(values["members"])})
        except NoSuchGroup as error:
            raise HTTPError(404, sentence(error)) from None
        except InvalidFields as error:
            errors = sentences(error)
        except UserExists as error:
            errors = {"name": sentence(error)}
        else:
            return self._flash(group, _("The group {name} was changed.").format(name=group.name))
        return self._form(before, errors, values)

    def remove(self, number: int) -> Result:
        """Remove the group, and show the list."""
        try:
            group = self._groups.remove(number)
        except NoSuchGroup as error:
            raise HTTPError(404, sentence(error)) from None
        text = _("The group {name} was deleted. The audit has its members.")
        return self._context.flash("/groups", text.format(name=group.name))

    def _group(self, number: int) -> Group:
        try:
            return self._groups.get(number)
        except NoSuchGroup as error:
            raise HTTPError(404, sentence(error)) from None

    def _flash(self, group: Group, text: str) -> Result:
        warning = warning_of_targets(self._groups.unknown_targets(group))
        return self._context.flash(f"/groups/{group.id}", text + warning)

    def _form(self, group: Group | None, errors: dict[str, str], values: dict[str, str]) -> str:
        if errors:
            response.status = 422
        shown: dict[str, Any] = {"strategies": _STRATEGIES, "errors": errors, "values": values}
        return self._context.page(
            "group.tpl",
            section="/groups",
            group=group,
            realms=self._context.directory.realms(),
            seconds=(MIN_SECONDS, MAX_SECONDS),
            **shown,
        )


def _values(group: Group, main_realm: str) -> dict[str, str]:
    """Return the values of the form for a group."""
    return {
        "name": group.name,
        "realm": group.realm or main_realm,
        "members": "\n".join(group.members),
        "strategy": group.strategy,
        "seconds": str(group.seconds),
        "then": group.then,
    }


def _posted() -> dict[str, str]:
    """Return the values of the form in the current request."""
    names = ("name", "realm", "members", "strategy", "seconds", "then")
    return {name: form_value(name).strip() for name in names}


def _names(text: str) -> list[str]:
    return text.replace(",", " ").split()
