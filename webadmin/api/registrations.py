"""Operations on registrations: the contacts that users are reached at now."""

from typing import Annotated

from msgspec import Meta, Struct

from sip.serializers.users import registration_json
from sip.store.accounts import MAX_REALM, MAX_USERNAME, normalized
from webadmin.account_service import AccountService
from webadmin.api.cursors import wrong_cursor
from webadmin.api.operations import Operations
from webadmin.api.problems import Problem
from webadmin.api.shapes import DEFAULT_LIMIT, Cursor, Limit, Part
from webadmin.context import AppContext

# A user name, or name@realm for another realm than the main one.
UserText = Annotated[str, Meta(min_length=1, max_length=MAX_USERNAME + MAX_REALM + 1)]


class Registration(Struct, frozen=True):
    """One contact of a user; `address` is the host that its REGISTER came from.

    `instance` is the instance id of the phone, or ""; `reg_id` is the number of its flow if it uses
    Outbound (RFC 5626), else 0.
    """

    id: str
    user_id: int
    username: str
    realm: str
    contact: str
    device: str
    address: str
    transport: str
    behind_nat: bool
    instance: str
    reg_id: int
    expires_at: str


class RegistrationQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The registrations to list: those of all users or of `user`, a name or name@realm."""

    user: UserText | None = None
    limit: Limit = DEFAULT_LIMIT
    after: Cursor | None = None


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on registrations."""
    registrations = RegistrationOperations(context)
    operations.get(
        *("/registrations", registrations.list, "List registrations, of the newest user first"),
        query=RegistrationQuery,
        answer=Part[Registration],
    )
    operations.change(
        *("DELETE", "/registrations/{registration_id}", registrations.remove),
        "Remove a registration; the phone can register again",
        status=204,
        problems=(404,),
    )


class RegistrationOperations:
    """The handlers of the operations on registrations."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._accounts = AccountService(context)

    def list(self, query: RegistrationQuery) -> Part[Registration]:
        """Return a part of the list."""
        user_id = None
        if query.user is not None:
            user_id = user_id_of(self._context, query.user)
            if user_id is None:
                return Part([])
        try:
            page = self._context.registrations.page(
                user_id=user_id, after=query.after, limit=query.limit
            )
        except ValueError:
            raise wrong_cursor() from None
        return Part([registration_json(each) for each in page.registrations], page.next)  # type: ignore[misc]

    def remove(self, registration_id: str) -> None:
        """Remove a registration."""
        if self._accounts.remove_registration(registration_id) is None:
            raise Problem(404, "There is no such registration; it may have ended.")


def user_id_of(context: AppContext, text: str) -> int | None:
    """Return the id of a user by its name, or name@realm; None without one."""
    users, text = context.users, normalized(text)
    name, at, realm = text.rpartition("@")
    account = users.find(text, users.realm) or (users.find(name, realm) if at else None)
    return None if account is None else account.id
