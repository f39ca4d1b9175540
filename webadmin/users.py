"""The pages of users: the list, a new user, and one user with its phones."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bottle import Bottle, HTTPError, request, response

from sip.store.audit import Act
from sip.store.call_changes import AliasExists
from sip.store.directory import Entry, Question
from sip.store.passwords import weakness
from sip.store.users import NoSuchUser, UserExists
from webadmin.account_service import AccountService, InvalidFields
from webadmin.bulk_pages import BulkPages, step_text
from webadmin.call_settings_form import FormValues, changes_of, posted_values, values_of
from webadmin.context import AppContext, form_value, redirect
from webadmin.desk_phones import desk_phones
from webadmin.group_service import GroupService
from webadmin.language import N_, _, translated, translated_sentence
from webadmin.pager import by_number, page_number
from webadmin.password_notes import SHOWN_ONCE, weakness_note
from webadmin.phone_settings import phone_settings
from webadmin.phone_setups import Shown
from webadmin.routes import Needs, Result, route
from webadmin.templates import link
from webadmin.user_banners import banners
from webadmin.user_calls import last_calls
from webadmin.user_columns import COLUMNS, choose_columns, chosen_columns

_ID = "[0-9]{1,18}"  # fits SQLite's 64-bit integers
# Columns that the list can be sorted by, and whether the first click sorts in descending order.
_SORTS = {"username": False, "display_name": False, "state": False, "last_seen": True}
# Refusals on the page of a user; /trouble has all.
SOME_REFUSALS = 5
# States that the list can be filtered by, in the order of the chips.
_STATES = {
    "online": N_("Online"),
    "offline": N_("Offline"),
    "trouble": N_("Trouble"),
    "never": N_("Never"),
    "disabled": N_("Disabled"),
}
# The sentence after a phone was signed off.
SIGNED_OFF = N_(
    "The phone is signed off. It registers again by itself if it still has the password."
)


def mount(app: Bottle, context: AppContext) -> None:
    """Add the routes under /users to `app`, but for those of imports."""
    app.router.add_filter("id", lambda config: (_ID, int, None))
    new = NewUserPage(context)
    bulk = BulkPages(context, lambda: _with_trouble(context), _list_query)
    route(app, "GET", "/users", UserList(context, bulk).show)
    route(
        app,
        "POST",
        "/users/columns",
        lambda: choose_columns(f"/users{_list_query(_question())}"),
        Needs.OWN_ACCOUNT,
    )
    route(app, "POST", "/users/choose", bulk.choose)
    route(app, "POST", "/users/act", bulk.ask)
    route(app, "GET", "/users/act", bulk.job, Needs.ADMIN)
    route(app, "GET", "/users/act/<act>", bulk.confirm, Needs.ADMIN)
    route(app, "POST", "/users/act/<act>", bulk.apply)
    route(app, "POST", "/users/act/passwords.csv", bulk.download)
    route(app, "GET", "/users/undo", bulk.show_steps)
    route(app, "POST", "/users/undo/<number:id>", bulk.undo)
    route(app, "GET", "/users/new", new.show, Needs.ADMIN)
    route(app, "POST", "/users/new", new.add)
    user = UserPage(context)
    route(app, "GET", "/users/<number:id>", user.show)
    route(app, "GET", "/users/<number:id>/hashes", user.show_hashes, Needs.ADMIN)
    route(app, "POST", "/users/<number:id>/name", user.rename)
    route(app, "POST", "/users/<number:id>/calls", user.set_calls)
    route(app, "POST", "/users/<number:id>/password", user.set_password)
    route(app, "POST", "/users/<number:id>/enable", user.enable)
    route(app, "POST", "/users/<number:id>/disable", user.disable)
    route(app, "POST", "/users/<number:id>/drop", user.remove_contact)
    route(app, "POST", "/users/<number:id>/remove", user.remove)
    route(app, "POST", "/users/<number:id>/restore", user.restore)


class UserList:
    """The page at /users."""

    def __init__(self, context: AppContext, bulk: BulkPages) -> None:
        self._context = context
        self._bulk = bulk

    def show(self) -> str:
        """Return the page of the list that the query asks for."""
        context = self._context
        question = _with_trouble(context)
        found = context.directory.page(question)
        removed = request.query.get("removed", "")
        return context.page(
            "users.tpl",
            section="/users",
            question=question,
            found=found,
            realms=context.directory.realms(),
            removed=context.directory.removed(int(removed)) if re.fullmatch(_ID, removed) else None,
            link_to=lambda **changes: _link_to(question, **changes),
            pager=by_number(
                found.page,
                found.pages,
                lambda page: _link_to(question, page=page if page > 1 else ""),
            ),
            list_query=_list_query(replace(question, page=found.page)),
            sorts=_SORTS,
            chips=self._chips(question),
            columns=COLUMNS,
            shown_columns=chosen_columns(),
            trouble=question.trouble,
            chosen=self._bulk.selection.ids,
            steps=self._bulk.steps(),
            undo=self._bulk.step_of_query(),
            step_text=step_text,
            blocked={login.username for login in context.guard.blocked_logins()},
        )

    def _chips(self, question: Question) -> list[tuple[str, str, int]]:
        """Return the states to filter by, with the number of all users in each."""
        counts = self._context.directory.counts()
        numbers = {"": counts.total, "trouble": len(question.trouble)}
        words = {"": _("All"), **{state: _(name) for state, name in _STATES.items()}}
        return [
            (state, word, numbers[state] if state in numbers else getattr(counts, state))
            for state, word in words.items()
        ]


class NewUserPage:
    """The page at /users/new, and its form."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._accounts = AccountService(context)

    def show(self) -> str:
        """Return the page with an empty form."""
        realm = self._context.users.realm
        return self._form({}, username="", display_name="", realm=realm, how="make")

    def _form(self, errors: dict[str, str], **values: Any) -> str:
        if errors:
            response.status = 422
        realms = self._context.directory.realms()
        values = {"errors": errors, "realms": realms, **list_link_values(), **values}
        return self._context.page("user_new.tpl", section="/users", **values)

    def add(self) -> Result:
        """Add the user in the form, and show how to set up its phone, with the password."""
        context = self._context
        username, display_name = form_value("username").strip(), form_value("display_name").strip()
        realm = form_value("realm").strip() or context.users.realm
        password, how = _chosen_password()
        try:
            added = self._accounts.add(username, realm, display_name, password)
        except InvalidFields as error:
            errors = sentences(error)
        except UserExists as error:
            errors = {"username": sentence(error)}
        else:
            text = _("{name} was added.").format(name=added.username)
            if how == "make":
                return _set_up(context, added.id, f"{text} {_(SHOWN_ONCE)}", added.password)
            return _set_up(context, added.id, text + _weakness_note(password or "", username))
        return self._form(
            errors, username=username, display_name=display_name, realm=realm, how=how
        )


class UserPage:
    """The page of one user, and its forms."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._accounts = AccountService(context)
        self._groups = GroupService(context)

    def show(self, number: int, **values: Any) -> str:
        """Return the page; `values` are of a form that was refused."""
        context = self._context
        entry = self._entry(number)
        username, realm = entry.username, entry.realm
        full_name = self._accounts.full_name(username, realm)
        values = {"errors": {}, "call_values": values_of(entry.call_settings), **values}
        blocked = [login for login in context.guard.blocked_logins() if login.username == username]
        refusals = context.refusals.of_user(full_name, username, realm)
        return context.page(
            "user.tpl",
            section="/users",
            user=entry,
            settings=phone_settings(context.config, context.listening(), username, realm),
            **list_link_values(),
            blocked=blocked,
            banners=banners(context, blocked, refusals),
            refusals=refusals,
            some_refusals=SOME_REFUSALS,
            calls=last_calls(context, number),
            own_groups=self._groups.of_user(number),
            is_pinned=username == context.traces.pinned,
            desk=desk_phones(context, entry.id),
            calls_link=link("/history", [("user", full_name)]),
            **values,
        )

    def show_hashes(self, number: int) -> str:
        """Return the page with the HA1 digests of the user, and record that in the audit."""
        entry = self._entry(number)
        self._context.leave_uncompressed()
        full_name = self._accounts.full_name(entry.username, entry.realm)
        self._context.record(Act.HASHES_SHOWN, full_name)
        return self._context.page(
            "hashes.tpl",
            section="/users",
            user=entry,
            hashes=self._context.directory.hashes(number) or {},
            **list_link_values(),
        )

    def rename(self, number: int) -> Result:
        """Set the display name."""
        name = form_value("display_name").strip()
        try:
            return self._change(
                number,
                lambda: self._accounts.change(number, display_name=name),
                _("The display name of {name} was changed."),
            )
        except InvalidFields as error:
            response.status = 422
            return self.show(number, errors=sentences(error), display_name=name)

    def set_calls(self, number: int) -> Result:
        """Set aliases, do not disturb and forwarding; all, or none if one is not valid."""
        values: FormValues = posted_values()
        try:
            entry = self._accounts.change(number, calls=changes_of(values))
            unknown = self._accounts.unknown_targets(number)
        except NoSuchUser as error:
            raise HTTPError(404, sentence(error)) from None
        except InvalidFields as error:
            errors = sentences(error)
        except AliasExists as error:
            errors = {"aliases": sentence(error)}
        else:
            text = _("The settings for calls to {name} were changed.").format(name=entry.username)
            return _flash(self._context, number, text + warning_of_targets(unknown))
        response.status = 422
        return self.show(number, errors=errors, call_values=values)

    def set_password(self, number: int) -> Result:
        """Set the password in the form, or a generated one, and show how to set up the phone."""
        password, how = _chosen_password()
        try:
            entry, generated = self._accounts.set_password(number, password)
        except NoSuchUser as error:
            raise HTTPError(404, sentence(error)) from None
        except InvalidFields as error:
            response.status = 422
            return self.show(number, errors=sentences(error), how="type")
        name = entry.username
        if how == "make":
            text = _("{name} has a new password. It is shown only now:").format(name=name)
            return _set_up(self._context, number, text, generated)
        text = _("The password of {name} was changed.").format(name=name)
        return _set_up(self._context, number, text + _weakness_note(password or "", name))

    def enable(self, number: int) -> Result:
        """Let the phones of the user register again."""
        return self._change(
            number,
            lambda: self._accounts.change(number, enabled=True),
            _("{name} is enabled: its phones can register again."),
        )

    def disable(self, number: int) -> Result:
        """Remove the registrations of the user, and refuse its phones from now on."""
        return self._change(
            number,
            lambda: self._accounts.change(number, enabled=False),
            _("{name} is disabled: its phones are refused, and it cannot be called."),
        )

    def remove_contact(self, number: int) -> Result:
        """Remove one contact of the user; its phone can register again."""
        key = form_value("contact")

        def change() -> Entry:
            user = self._accounts.entry(number)
            self._accounts.remove_registration(f"{number}-{key}")
            return user

        text = _(SIGNED_OFF)
        return self._change(number, change, text)

    def remove(self, number: int) -> Result:
        """Delete the user, and show the list, which offers to undo that."""
        try:
            self._accounts.remove(number)
        except NoSuchUser as error:
            raise HTTPError(404, sentence(error)) from None
        return redirect("/users" + _list_query(_question(), removed=number))

    def restore(self, number: int) -> Result:
        """Restore a deleted user.  Raises HTTPError(409) if that is no longer possible."""
        try:
            username = self._accounts.restore(number)
        except (NoSuchUser, UserExists) as error:
            raise HTTPError(409, sentence(error)) from None
        text = _("{name} was restored. Its phones will register again.")
        return _flash(self._context, number, text.format(name=username))

    def _entry(self, number: int) -> Entry:
        try:
            return self._accounts.entry(number)
        except NoSuchUser as error:
            raise HTTPError(404, sentence(error)) from None

    def _change(self, number: int, change: Callable[[], Entry], text: str) -> Result:
        """Change the user, and show the page again with `text`."""
        try:
            entry = change()
        except NoSuchUser as error:
            raise HTTPError(404, sentence(error)) from None
        return _flash(self._context, number, text.format(name=entry.username))


def _flash(context: AppContext, number: int, text: str, secret: str = "") -> Result:
    """Redirect to the page of a user, which shows `text` once; its link to the list stays."""
    return context.flash(f"/users/{number}{_list_query(_question())}", text, secret)


def _set_up(context: AppContext, number: int, text: str, password: str = "") -> Result:
    """Redirect to the page that sets up a phone of a user; it shows `password` once."""
    if context.session:
        context.setups.show_once(context.session.id, Shown(number, text, password))
    since = int(context.clock())
    return redirect(f"/users/{number}/setup{_list_query(_question(), since=since)}")


def _question() -> Question:
    """Read the query of the URL; invalid values are ignored."""
    query = request.query
    sort = query.get("sort", "")
    return Question(
        search=(query.getunicode("q") or "").strip()[:100],
        status=query["status"] if query.get("status") in _STATES else "",
        realm=query.getunicode("realm") or None,
        sort=sort if sort in _SORTS else "username",
        descending=query.get("order") == "desc",
        page=page_number(),
    )


def _with_trouble(context: AppContext) -> Question:
    """Read the query of the URL, and the ids of the users in trouble."""
    return replace(_question(), trouble=context.users_in_trouble())


def _link_to(question: Question, **changes: Any) -> str:
    """Return the URL of this list with other parameters; it leads to the first page of it."""
    return "/users" + _list_query(question, **{"page": "", **changes})


def _list_query(question: Question, **changes: Any) -> str:
    """Return the query of a list's URL with its "?", or "" for the whole list from its start.

    The pages that a list links to have the same query, so that they can link back to that list.
    """
    parameters = {
        "q": question.search,
        "status": question.status,
        "realm": question.realm,
        "sort": "" if question.sort == "username" else question.sort,
        "order": "desc" if question.descending else "",
        "page": question.page if question.page > 1 else "",
        **changes,
    }
    return link("", [*parameters.items()])


def list_link_values() -> dict[str, Any]:
    """Return the template values for the link back to the list that led to this page."""
    question = _question()
    return {
        "list_query": _list_query(question),
        "is_filtered": bool(question.search or question.status or question.realm),
    }


def sentences(error: InvalidFields) -> dict[str, str]:
    """Return a sentence for each invalid field, by its name."""
    return {name: sentence(text) for name, text in error.errors.items()}


def warning_of_targets(unknown: Sequence[str]) -> str:
    """Return a sentence, with a space before it, for each target that does not exist; or ""."""
    text = _(
        " Attention: there is no user, alias or group {name}; calls cannot be forwarded there."
    )
    return "".join(text.format(name=name) for name in unknown)


def sentence(error: Exception | str) -> str:
    """Return the text of an error as a sentence; a user name at its start is not capitalized."""
    text = str(error)
    if translated(text) != text:
        return translated_sentence(text)
    begins_plain = text.startswith(("the ", "there ", "a group ", "forwarding "))
    return f"{text[0].upper() if begins_plain else text[0]}{text[1:]}."


def _chosen_password() -> tuple[str | None, str]:
    """Return the password of a form, and "type"; None and "make" if one is to be generated.

    "make" in the form generates one, even if the password field has a value.  Browsers without
    scripts send "either", because they cannot select "type" when a password is typed.
    """
    password, how = form_value("password"), form_value("how")
    if how == "make" or (how == "either" and not password):
        return None, "make"
    return password, "type"


def _weakness_note(password: str, username: str) -> str:
    return weakness_note(weakness(password, username))
