"""Groups of users, for the pages and for the API: checked, written, recorded in the audit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sip.store.accounts import full_name
from sip.store.audit import Act
from sip.store.call_changes import unknown_targets
from sip.store.call_settings import DEFAULT_SECONDS, BadSetting
from sip.store.groups import ALL, Group, Groups
from webadmin.account_service import InvalidFields
from webadmin.context import AppContext


class GroupService:
    """Adds, changes, removes and restores groups.

    Raises InvalidFields, UserExists for a name that is taken, and NoSuchGroup for an id without a
    group; nothing is written then.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._groups = Groups(context.users)

    def list(self, realm: str | None = None) -> list[Group]:
        """Return all groups, or those of a realm, sorted by name."""
        return self._groups.list(realm)

    def of_user(self, user_id: int) -> Sequence[tuple[int, str]]:
        """Return id and name of the groups that a user is a member of."""
        return self._groups.of_user(user_id)

    def get(self, number: int) -> Group:
        """Return a group."""
        return self._groups.get(number)

    def add(
        self,
        name: str,
        members: Iterable[str],
        realm: str = "",
        *,
        strategy: str = ALL,
        seconds: int | str = DEFAULT_SECONDS,
        then: str = "",
    ) -> Group:
        """Add a group; the realm "" is the main realm."""
        realm = realm.strip() or self._context.users.realm
        values = {"strategy": strategy, "seconds": seconds, "then": then}
        with _as_invalid_fields():
            group = self._groups.add(name, members, realm, **values)  # type: ignore[arg-type]
        self._record(Act.GROUP_ADDED, group)
        return group

    def change(self, number: int, changes: Mapping[str, Any]) -> Group:
        """Change some of `name, members, strategy, seconds, then` of a group."""
        with _as_invalid_fields():
            group = self._groups.change(number, changes)
        self._record(Act.GROUP_CHANGED, group)
        return group

    def remove(self, number: int) -> Group:
        """Remove a group, and return it; it can be restored for an hour."""
        group = self._groups.remove(number)
        self._record(Act.GROUP_REMOVED, group)
        return group

    def removed(self, number: int) -> str:
        """Return the name of a deleted group that can be restored, "" if there is none."""
        return self._groups.removed(number)

    def restore(self, number: int) -> Group:
        """Restore a group that was deleted within the last hour."""
        with _as_invalid_fields():
            group = self._groups.restore(number)
        self._record(Act.GROUP_RESTORED, group)
        return group

    def unknown_targets(self, group: Group) -> Sequence[str]:
        """Return the target of a group if it is a name that no user or group has."""
        return unknown_targets(self._context.users, [group.then], group.realm)

    def _record(self, act: Act, group: Group) -> None:
        """Record the whole group, so that it can be added again by hand after the hour."""
        then = f"; then {group.then}" if group.then else ""
        ringing = f"{', '.join(group.members)}; {group.strategy}, {group.seconds} s{then}"
        self._context.record(act, f"{full_name(group.name, group.realm)}: {ringing}")


@contextmanager
def _as_invalid_fields() -> Iterator[None]:
    try:
        yield
    except BadSetting as error:
        raise InvalidFields({error.field: str(error)}) from None
