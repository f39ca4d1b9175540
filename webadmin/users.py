"""The accounts: all of them, a new one, and one with its phones."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bottle import Bottle, HTTPError, request, response

from sip.store import accounts
from sip.store.accounts import (
    check_display_name,
    check_password,
    check_realm,
    check_username,
    normalized,
)
from sip.store.audit import Act
from sip.store.directory import Entry, Question
from sip.store.passwords import make_password, weakness
from sip.store.users import NoSuchUser, UserExists
from webadmin.context import Answer, Site, go_to, typed
from webadmin.phone_settings import phone_settings
from webadmin.templates import link

_ID = "[0-9]{1,18}"  # as much as SQLite counts
_SORTS = {"username": False, "display_name": False, "last_seen": True}  # descending at first
_STATES = {"online": "online", "offline": "offline", "disabled": "disabled"}


def mount(app: Bottle, site: Site) -> None:
    """Put the pages under /users on `app`."""
    users, directory = site.users, site.directory

    def full_name(username: str, realm: str) -> str:
        return accounts.full_name(username, users.key_realm(realm))

    app.router.add_filter("id", lambda _: (_ID, int, None))

    def one(number: int) -> Entry:
        entry = directory.entry(number)
        if entry is None:
            raise HTTPError(404, "There is no such user. It may have been deleted.")
        return entry

    def show(number: int, **values: Any) -> str:
        """The page of one account."""
        entry = one(number)
        values = {"errors": {}, **values}
        return site.page(
            "user.tpl",
            section="/users",
            user=entry,
            settings=phone_settings(site.config, site.listening(), entry.username, entry.realm),
            **way_back(),
            waits=[wait for wait in site.guard.blocked_logins() if wait.username == entry.username],
            refusals=site.refusals.of_user(
                full_name(entry.username, entry.realm), entry.username, entry.realm
            ),
            **values,
        )

    @app.get("/users")  # type: ignore[untyped-decorator]
    def list_users() -> str:
        question = _question()
        found = directory.page(question)
        removed = request.query.get("removed", "")
        return site.page(
            "users.tpl",
            section="/users",
            question=question,
            found=found,
            realms=directory.realms(),
            removed=directory.removed(int(removed)) if re.fullmatch(_ID, removed) else None,
            here=lambda **changes: _link_to(question, **changes),
            list_query=_list_query(replace(question, page=found.page)),
            sorts=_SORTS,
            waiting={wait.username for wait in site.guard.blocked_logins()},
        )

    @app.get("/users/new")  # type: ignore[untyped-decorator]
    def ask_for_user() -> str:
        return new_user_form({}, username="", display_name="", realm=users.realm, how="make")

    def new_user_form(errors: dict[str, str], **values: Any) -> str:
        if errors:
            response.status = 422
        realms = directory.realms()
        values = {"errors": errors, "realms": realms, **way_back(), **values}
        return site.page("user_new.tpl", section="/users", **values)

    @app.post("/users/new")  # type: ignore[untyped-decorator]
    def add_user() -> Answer:
        username = normalized(typed("username").strip())
        realm = typed("realm").strip() or users.realm
        display_name = normalized(typed("display_name").strip())
        password, how = _chosen_password()
        errors = _errors(
            ("username", check_username, username),
            ("password", check_password, password),
            ("realm", check_realm, realm),
            ("display_name", check_display_name, display_name),
        )
        account = None
        try:
            if not errors:
                account = users.add(username, password, realm, display_name)
        except UserExists as error:
            errors["username"] = _sentence(error)
        if account is None:
            return new_user_form(
                errors, username=username, display_name=display_name, realm=realm, how=how
            )
        site.record(Act.USER_ADDED, full_name(account.username, realm))
        said = f"{username} was added."
        if how == "make":
            return say(account.id, f"{said} This password is shown only now:", password)
        return say(account.id, said + _told_if_weak(password, username))

    @app.get("/users/<number:id>")  # type: ignore[untyped-decorator]
    def show_user(number: int) -> str:
        return show(number)

    @app.get("/users/<number:id>/hashes")  # type: ignore[untyped-decorator]
    def show_hashes(number: int) -> str:
        user = one(number)
        site.leave_uncompressed()
        site.record(Act.HASHES_SHOWN, full_name(user.username, user.realm))
        return site.page(
            "hashes.tpl",
            section="/users",
            user=user,
            hashes=directory.hashes(number) or {},
            **way_back(),
        )

    def say(number: int, text: str, secret: str = "") -> Answer:
        """Show the page of an account, which says something once; its way back stays."""
        return site.say(f"/users/{number}{_list_query(_question())}", text, secret)

    def act(number: int, kind: Act, deed: Callable[[Entry], None], said: str) -> Answer:
        """Do something to an account, and show its page again."""
        entry = one(number)
        try:
            deed(entry)
        except NoSuchUser as error:
            raise HTTPError(404, _sentence(error)) from None
        site.record(kind, full_name(entry.username, entry.realm))
        return say(number, said.format(entry.username))

    @app.post("/users/<number:id>/name")  # type: ignore[untyped-decorator]
    def rename(number: int) -> Answer:
        name = normalized(typed("display_name").strip())
        try:
            return act(
                number,
                Act.USER_RENAMED,
                lambda user: users.set_display_name(user.username, name, user.realm, number=number),
                "The display name of {} was changed.",
            )
        except ValueError as error:
            response.status = 422
            return show(number, errors={"display_name": _sentence(error)}, display_name=name)

    @app.post("/users/<number:id>/password")  # type: ignore[untyped-decorator]
    def set_password(number: int) -> Answer:
        password, how = _chosen_password()
        entry = one(number)
        try:
            users.set_password(entry.username, password, entry.realm, number=number)
        except NoSuchUser as error:
            raise HTTPError(404, _sentence(error)) from None
        except ValueError as error:
            response.status = 422
            return show(number, errors={"password": _sentence(error)}, how="type")
        site.record(Act.USER_PASSWORD, full_name(entry.username, entry.realm))
        name = entry.username
        if how == "make":
            return say(number, f"{name} has a new password. It is shown only now:", password)
        return say(number, f"The password of {name} was changed." + _told_if_weak(password, name))

    @app.post("/users/<number:id>/enable")  # type: ignore[untyped-decorator]
    def enable(number: int) -> Answer:
        return act(
            number,
            Act.USER_ENABLED,
            lambda user: users.enable(user.username, user.realm, number=number),
            "{} may register again.",
        )

    @app.post("/users/<number:id>/disable")  # type: ignore[untyped-decorator]
    def disable(number: int) -> Answer:
        return act(
            number,
            Act.USER_DISABLED,
            lambda user: users.disable(user.username, user.realm, number=number),
            "{} is disabled: its phones are refused, and nobody reaches them.",
        )

    @app.post("/users/<number:id>/drop")  # type: ignore[untyped-decorator]
    def drop(number: int) -> Answer:
        contact = typed("contact")

        def let_go(user: Entry) -> None:
            for each in user.contacts:
                if each.key == contact:
                    site.phones.remove_contact(each.aor, each.contact, each.flow)

        said = "The contact is gone until the phone registers again."
        return act(number, Act.PHONE_DROPPED, let_go, said)

    @app.post("/users/<number:id>/remove")  # type: ignore[untyped-decorator]
    def remove(number: int) -> Answer:
        entry = one(number)
        try:
            users.remove(entry.username, entry.realm, number=number)
        except NoSuchUser as error:
            raise HTTPError(404, _sentence(error)) from None
        site.record(Act.USER_DELETED, full_name(entry.username, entry.realm))
        return go_to("/users" + _list_query(_question(), removed=number))

    @app.post("/users/<number:id>/restore")  # type: ignore[untyped-decorator]
    def restore(number: int) -> Answer:
        try:
            account = users.restore(number)
        except (NoSuchUser, UserExists) as error:
            raise HTTPError(409, _sentence(error)) from None
        site.record(Act.USER_RESTORED, full_name(account.username, account.realm or users.realm))
        said = f"{account.username} is back; its phones will register again."
        return say(number, said)


def _question() -> Question:
    """Read what the URL asks for; what it can't mean is as if it weren't there."""
    asked = request.query
    sort = asked.get("sort", "")
    page = asked.get("page", "")
    return Question(
        search=(asked.getunicode("q") or "").strip()[:100],
        status=_STATES.get(asked.get("status", ""), ""),
        realm=asked.getunicode("realm") or None,
        sort=sort if sort in _SORTS else "username",
        descending=asked.get("order") == "desc",
        page=int(page) if page.isascii() and page.isdecimal() and len(page) < 10 else 1,
    )


def _link_to(question: Question, **changes: Any) -> str:
    """Give the URL of a list like this one; another order or filter begins on its first page."""
    return "/users" + _list_query(question, **{"page": "", **changes})


def _list_query(question: Question, **changes: Any) -> str:
    """Give the query of a list's URL, with its ?, or "" for the whole list from its beginning.

    The pages that a list leads to have it in their URLs too, and so they lead back to that list.
    """
    asked = {
        "q": question.search,
        "status": question.status,
        "realm": question.realm,
        "sort": "" if question.sort == "username" else question.sort,
        "order": "desc" if question.descending else "",
        "page": question.page if question.page > 1 else "",
        **changes,
    }
    return link("", [*asked.items()])


def way_back() -> dict[str, Any]:
    """Give a page that a list led to what its links need to lead back there."""
    question = _question()
    return {
        "list_query": _list_query(question),
        "is_narrowed": bool(question.search or question.status or question.realm),
    }


def _errors(*fields: tuple[str, Callable[[str], None], str]) -> dict[str, str]:
    """Check what was typed into each field; the sentences for those that won't do, by field."""
    errors: dict[str, str] = {}
    for name, check, value in fields:
        try:
            check(value)
        except ValueError as error:
            errors[name] = _sentence(error)
    return errors


def _sentence(error: Exception) -> str:
    """Make a sentence of it; a name at its beginning stays as it is."""
    text = str(error)
    return f"{text[0].upper() if text.startswith('the ') else text[0]}{text[1:]}."


def _chosen_password() -> tuple[str, str]:
    """Give the password of a form, and `make` where it was generated.

    A form that asks for one gets it, whatever else was typed.  Browsers without scripts mark
    `either`, for they cannot mark `type` when something is typed.
    """
    password, how = typed("password"), typed("how")
    if how == "make" or (how == "either" and not password):
        return make_password(), "make"
    return password, "type"


def _told_if_weak(password: str, username: str) -> str:
    why = weakness(password, username)
    return f" The password is weak: it {why}." if why else ""
