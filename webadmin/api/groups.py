"""Operations on groups of users."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sip.store.accounts import MAX_REALM, MAX_USERNAME
from sip.store.call_settings import DEFAULT_SECONDS, MAX_SECONDS, MAX_TARGET, MIN_SECONDS
from sip.store.groups import MAX_MEMBERS, NoSuchGroup
from sip.store.groups import Group as StoredGroup
from sip.store.users import UserExists
from webadmin.account_service import InvalidFields
from webadmin.api import cursors
from webadmin.api.operations import PREFIX, Operations, WithHeaders
from webadmin.api.problems import FieldError, Problem
from webadmin.api.shapes import DEFAULT_LIMIT, Cursor, Limit, Part
from webadmin.context import AppContext
from webadmin.group_service import GroupService

Strategy = Literal["all", "in_turn"]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_USERNAME)]
Members = Annotated[list[Name], Meta(min_length=1, max_length=MAX_MEMBERS)]
Seconds = Annotated[int, Meta(ge=MIN_SECONDS, le=MAX_SECONDS)]
Target = Annotated[str, Meta(max_length=MAX_TARGET)]


class Group(Struct, frozen=True):
    """A group: `members` are the names of users of its realm.

    With the strategy "all" the phones of all members ring together, for `seconds`; with "in_turn"
    those of one member after the other, `seconds` each.  `then` is the target of a call that no
    member has answered, "" for none.
    """

    id: int
    name: str
    realm: str
    members: list[str]
    strategy: Strategy
    seconds: int
    then: str


class GroupQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The part of the list to return, maybe of one realm."""

    realm: Annotated[str, Meta(min_length=1, max_length=MAX_REALM)] | None = None
    limit: Limit = DEFAULT_LIMIT
    after: Cursor | None = None


class NewGroup(Struct, frozen=True, forbid_unknown_fields=True):
    """A group to add; without a realm it is in the main realm."""

    name: Name
    members: Members
    realm: Annotated[str, Meta(max_length=MAX_REALM)] = ""
    strategy: Strategy = "all"
    seconds: Seconds = DEFAULT_SECONDS
    then: Target = ""


class GroupChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields to change; a field that is missing stays as it is."""

    name: Name | UnsetType = UNSET
    members: Members | UnsetType = UNSET
    strategy: Strategy | UnsetType = UNSET
    seconds: Seconds | UnsetType = UNSET
    then: Target | UnsetType = UNSET


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on groups."""
    groups = GroupOperations(context)
    one = "/groups/{id}"
    operations.get("/groups", groups.list, "List groups", query=GroupQuery, answer=Part[Group])
    operations.get(one, groups.show, "Show a group", answer=Group, problems=(404,))
    operations.change(
        *("POST", "/groups", groups.add, "Add a group"),
        body=NewGroup,
        answer=Group,
        status=201,
        problems=(409,),
        headers={"Location": "The path of the group"},
    )
    operations.change(
        *("PATCH", one, groups.change, "Change a group"),
        body=GroupChanges,
        answer=Group,
        problems=(404, 409),
    )
    operations.change(
        *("DELETE", one, groups.remove, "Delete a group, which can be restored for an hour"),
        status=204,
        problems=(404,),
    )
    operations.change(
        *("POST", f"{one}/restore", groups.restore, "Restore a deleted group"),
        answer=Group,
        problems=(404, 409),
    )


class GroupOperations:
    """The handlers of the operations on groups."""

    def __init__(self, context: AppContext) -> None:
        self._main_realm = context.users.realm
        self._groups = GroupService(context)

    def list(self, query: GroupQuery) -> Part[Group]:
        """Return a part of the list, sorted by name."""
        after = cursors.decoded(query.after, str, str, int)
        groups = self._groups.list(query.realm)
        found, following = cursors.part(groups, _key, after, query.limit)
        return Part([self._shape(group) for group in found], following)

    def show(self, id: int) -> Group:
        """Return one group."""
        with _as_problems():
            return self._shape(self._groups.get(id))

    def add(self, body: NewGroup) -> WithHeaders:
        """Add a group."""
        with _as_problems():
            group = self._groups.add(
                *(body.name, body.members, body.realm),
                strategy=body.strategy,
                seconds=body.seconds,
                then=body.then,
            )
        headers = {"Location": f"{PREFIX}/groups/{group.id}"}
        return WithHeaders(self._shape(group), headers)

    def change(self, id: int, body: GroupChanges) -> Group:
        """Change all given fields of a group, or none."""
        values = msgspec.structs.asdict(body).items()
        with _as_problems():
            changes = {name: value for name, value in values if value is not UNSET}
            return self._shape(self._groups.change(id, changes))

    def remove(self, id: int) -> None:
        """Delete a group."""
        with _as_problems():
            self._groups.remove(id)

    def restore(self, id: int) -> Group:
        """Restore a group that was deleted within the last hour."""
        with _as_problems():
            return self._shape(self._groups.restore(id))

    def _shape(self, group: StoredGroup) -> Group:
        return Group(**group.as_json(self._main_realm))


def _key(group: StoredGroup) -> tuple[str, str, int]:
    return group.name, group.realm or "", group.id


@contextmanager
def _as_problems() -> Iterator[None]:
    """Raise the errors of the group service as problems."""
    try:
        yield
    except NoSuchGroup as error:
        raise Problem(404, f"{error}.") from None
    except UserExists as error:
        raise Problem(409, f"{error}.", errors=(FieldError("name", str(error)),)) from None
    except InvalidFields as error:
        errors = tuple(FieldError(*each) for each in error.errors.items())
        raise Problem(422, f"{error}.", errors=errors) from None
