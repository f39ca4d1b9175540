"""Operations on users."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sip.store.account_lists import BadCursor, Listing, list_part
from sip.store.accounts import MAX_DISPLAY_NAME, MAX_PASSWORD, MAX_REALM, MAX_USERNAME
from sip.store.call_changes import AliasExists
from sip.store.call_settings import MAX_ALIASES, MAX_SECONDS, MAX_TARGET, MIN_SECONDS, TARGETS
from sip.store.directory import Entry
from sip.store.users import NoSuchUser, UserExists
from sip.times import rfc3339
from webadmin.account_service import AccountService, InvalidFields
from webadmin.api.operations import PREFIX, Operations, WithHeaders
from webadmin.api.problems import FieldError, Problem, invalid
from webadmin.api.shapes import DEFAULT_LIMIT, Cursor, Limit, Part, Realm, Search, State
from webadmin.context import AppContext

Sort = Literal["username", "-username", "display_name", "-display_name", "last_seen", "-last_seen"]
DisplayName = Annotated[str, Meta(max_length=MAX_DISPLAY_NAME)]
Password = Annotated[str, Meta(min_length=1, max_length=MAX_PASSWORD)]


Alias = Annotated[str, Meta(min_length=1, max_length=MAX_USERNAME)]
Aliases = Annotated[list[Alias], Meta(max_length=MAX_ALIASES)]
Target = Annotated[str, Meta(max_length=MAX_TARGET)]
Seconds = Annotated[int, Meta(ge=MIN_SECONDS, le=MAX_SECONDS)]


class Forward(Struct, frozen=True):
    """The targets of forwarding, "" for none: a user, alias, group, number or SIP address."""

    always: str
    busy: str
    no_answer: str
    no_answer_seconds: int
    offline: str


class ForwardChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """The forwarding to change; a field that is missing stays as it is, "" is no forwarding."""

    always: Target | UnsetType = UNSET
    busy: Target | UnsetType = UNSET
    no_answer: Target | UnsetType = UNSET
    no_answer_seconds: Seconds | UnsetType = UNSET
    offline: Target | UnsetType = UNSET


class User(Struct, frozen=True):
    """One user."""

    id: int
    username: str
    realm: str
    display_name: str
    enabled: bool
    online: bool
    last_seen: str | None
    created_at: str
    aliases: list[str]
    dnd: bool
    forward: Forward


class UserQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The list to return: users that match `q`, in one of the states, of a realm.

    A `sort` that begins with "-" is in descending order.
    """

    q: Search = ""
    state: tuple[State, ...] = ()
    realm: Realm | None = None
    sort: Sort = "username"
    limit: Limit = DEFAULT_LIMIT
    after: Cursor | None = None


class NewUser(Struct, frozen=True, forbid_unknown_fields=True):
    """A user to add; without `password` and `ha1` a password is generated.

    `ha1` is the MD5 of `username:realm:password`, in hexadecimal digits.
    """

    username: Annotated[str, Meta(min_length=1, max_length=MAX_USERNAME)]
    realm: Annotated[str, Meta(max_length=MAX_REALM)] = ""
    display_name: DisplayName = ""
    enabled: bool = True
    password: Password | None = None
    ha1: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{32}$")] | None = None
    aliases: Aliases | UnsetType = UNSET
    dnd: bool | UnsetType = UNSET
    forward: ForwardChanges | UnsetType = UNSET


class UserChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields to change; a field that is missing stays as it is."""

    display_name: DisplayName | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    aliases: Aliases | UnsetType = UNSET
    dnd: bool | UnsetType = UNSET
    forward: ForwardChanges | UnsetType = UNSET


class AddedUser(User, frozen=True, omit_defaults=True):
    """A new user; `password` is there if it was generated, and is answered only once."""

    password: str | UnsetType = UNSET


class NewPassword(Struct, frozen=True, forbid_unknown_fields=True):
    """The password to set; without it one is generated."""

    password: Password | None = None


class PasswordSet(Struct, frozen=True):
    """The generated password, which is answered only once; null if the request has set it."""

    password: str | None


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on users."""
    users = UserOperations(context)
    one = "/users/{id}"
    operations.get("/users", users.list, "List users", query=UserQuery, answer=Part[User])
    operations.get(one, users.show, "Show a user", answer=User, problems=(404,))
    operations.change(
        *("POST", "/users", users.add, "Add a user"),
        body=NewUser,
        answer=AddedUser,
        status=201,
        problems=(409,),
        headers={"Location": "The path of the user"},
    )
    operations.change(
        *("PATCH", one, users.change, "Change a user"),
        body=UserChanges,
        answer=User,
        problems=(404, 409),
    )
    operations.change(
        *("DELETE", one, users.remove, "Delete a user, which can be restored for an hour"),
        status=204,
        problems=(404,),
    )
    operations.change(
        *("POST", f"{one}/password", users.set_password, "Set the password of a user"),
        body=NewPassword,
        answer=PasswordSet,
        problems=(404,),
    )
    operations.change(
        *("POST", f"{one}/restore", users.restore, "Restore a deleted user"),
        answer=User,
        problems=(404, 409),
    )


class UserOperations:
    """The handlers of the operations on users."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._accounts = AccountService(context)

    def list(self, query: UserQuery) -> Part[User]:
        """Return a part of the list."""
        listing = Listing(
            search=query.q.strip(),
            states=query.state,
            realm=query.realm,
            sort=query.sort.removeprefix("-"),
            descending=query.sort.startswith("-"),
            limit=query.limit,
            trouble=self._context.users_in_trouble() if "trouble" in query.state else (),
        )
        try:
            entries, following = list_part(self._context.directory, listing, query.after)
        except BadCursor as error:
            raise invalid("after", str(error)) from None
        return Part([_user(entry) for entry in entries], following)

    def show(self, id: int) -> User:
        """Return one user."""
        with _as_problems():
            return _user(self._accounts.entry(id))

    def add(self, body: NewUser) -> WithHeaders:
        """Add a user."""
        if body.password is not None and body.ha1 is not None:
            raise invalid("ha1", "give a password or an HA1, not both")
        with _as_problems():
            added = self._accounts.add(
                body.username,
                body.realm,
                body.display_name,
                body.password,
                ha1=body.ha1,
                enabled=body.enabled,
                calls=_calls(body),
            )
            user = self._accounts.entry(added.id)
        fields = msgspec.structs.asdict(_user(user))
        shown = AddedUser(**fields, password=added.password or UNSET)
        return WithHeaders(shown, {"Location": f"{PREFIX}/users/{added.id}"})

    def change(self, id: int, body: UserChanges) -> User:
        """Change all given fields of a user, or none."""
        with _as_problems():
            self._accounts.change(
                id,
                display_name=None if body.display_name is UNSET else body.display_name,
                enabled=None if body.enabled is UNSET else body.enabled,
                calls=_calls(body),
            )
            return _user(self._accounts.entry(id))

    def remove(self, id: int) -> None:
        """Delete a user."""
        with _as_problems():
            self._accounts.remove(id)

    def set_password(self, id: int, body: NewPassword) -> PasswordSet:
        """Set the password of a user."""
        with _as_problems():
            _, generated = self._accounts.set_password(id, body.password)
        return PasswordSet(generated or None)

    def restore(self, id: int) -> User:
        """Restore a deleted user."""
        with _as_problems():
            self._accounts.restore(id)
            return _user(self._accounts.entry(id))


def _user(entry: Entry) -> User:
    calls = entry.call_settings
    return User(
        id=entry.id,
        username=entry.username,
        realm=entry.realm,
        display_name=entry.display_name,
        enabled=entry.enabled,
        online=entry.online,
        last_seen=rfc3339(entry.last_seen) if entry.last_seen else None,
        created_at=rfc3339(entry.created_at),
        aliases=list(calls.aliases),
        dnd=calls.dnd,
        forward=msgspec.convert(calls, Forward, from_attributes=True),
    )


def _calls(body: NewUser | UserChanges) -> dict[str, Any]:
    """Return the call settings in a body, by field of CallSettings."""
    changes = {"aliases": body.aliases, "dnd": body.dnd}
    if body.forward is not UNSET:
        changes |= msgspec.structs.asdict(body.forward)
    return {name: value for name, value in changes.items() if value is not UNSET}


def _field(name: str) -> str:
    """Return the field of the body that a call setting is in."""
    return f"forward.{name}" if name in (*TARGETS, "no_answer_seconds") else name


@contextmanager
def _as_problems() -> Iterator[None]:
    """Raise the errors of the account service as problems."""
    try:
        yield
    except NoSuchUser as error:
        raise Problem(404, f"{error}.") from None
    except UserExists as error:
        field = "aliases" if isinstance(error, AliasExists) else "username"
        taken = FieldError(field, str(error))
        raise Problem(409, f"{error}.", errors=(taken,)) from None
    except InvalidFields as error:
        errors = tuple(FieldError(_field(name), text) for name, text in error.errors.items())
        raise Problem(422, f"{error}.", errors=errors) from None
