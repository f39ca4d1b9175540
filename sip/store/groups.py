"""Groups: names and numbers whose calls ring at several users, all at once or in turn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import time
from typing import TYPE_CHECKING, Any

from sip.store.accounts import UserExists, check_realm, check_username, normalized
from sip.store.call_settings import (
    DEFAULT_SECONDS,
    BadSetting,
    checked_seconds,
    checked_target,
    note_change,
)
from sip.store.database import Tables, fetch
from sip.store.retention import RESTORABLE_SECONDS, purge
from sip.store.taken_names import name_holder, name_key

if TYPE_CHECKING:
    from sip.store.users import Users

# Groups in all, and members of one: a call rings at 60 phones at most.
MAX_GROUPS = 1000
MAX_MEMBERS = 50

ALL, IN_TURN = "all", "in_turn"
STRATEGIES = (ALL, IN_TURN)


class NoSuchGroup(Exception):
    """There is no group with this name or id."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group.  A realm of None is the main realm; `members` are the names of users of this realm.

    With the strategy "all" the phones of all members ring together, for `seconds`; with "in_turn"
    those of one member after the other, `seconds` each.  `then` is the target of a call that no
    member has answered, "" for none.
    """

    id: int
    name: str
    realm: str | None
    members: tuple[str, ...]
    strategy: str = ALL
    seconds: int = DEFAULT_SECONDS
    then: str = ""

    def as_json(self, main_realm: str) -> dict[str, Any]:
        """Return the group as JSON values, with the name of its realm."""
        return {
            "id": self.id,
            "name": self.name,
            "realm": self.realm or main_realm,
            "members": list(self.members),
            "strategy": self.strategy,
            "seconds": self.seconds,
            "then": self.then,
        }


class Groups:
    """All groups: written to the database first, then to the memory of `users`."""

    def __init__(self, users: "Users") -> None:
        self._users = users
        self._database = users.database

    def list(self, realm: str | None = None) -> list[Group]:
        """Return the groups, sorted by name; only those of a realm if it is given."""
        groups = self._database.browse(read_groups)
        main = self._users.realm
        return [group for group in groups if realm in (None, group.realm or main)]

    def get(self, number: int) -> Group:
        """Return the group with this id.  Raises NoSuchGroup."""
        return self._database.browse(lambda tables: _existing(tables, number))

    def of_user(self, user_id: int) -> Sequence[tuple[int, str]]:
        """Return id and name of the groups that a user is a member of, sorted by name."""
        return self._database.browse(lambda tables: fetch(tables, _OF_USER, (user_id,)))

    def add(
        self,
        name: str,
        members: Iterable[str],
        realm: str | None = None,
        *,
        strategy: str = ALL,
        seconds: int = DEFAULT_SECONDS,
        then: str = "",
    ) -> Group:
        """Add a group.  Raises UserExists if its name is taken, or BadSetting."""
        if realm is not None:
            try:
                check_realm(realm)
            except ValueError as error:
                raise BadSetting("realm", str(error)) from None
        key = self._users.key_realm(realm)
        changes = {"name": name, "strategy": strategy, "seconds": seconds, "then": then}
        wanted = _changed(Group(0, "", key, ()), {**changes, "members": members})

        def add(tables: Tables) -> Group:
            _check_room(tables)
            return self._write(tables, wanted)

        return self._run(add)

    def change(self, number: int, changes: Mapping[str, Any]) -> Group:
        """Change some of `name, members, strategy, seconds, then` of a group.

        Raises NoSuchGroup, UserExists if a new name is taken, or BadSetting.
        """

        def change(tables: Tables) -> Group:
            return self._write(tables, _changed(_existing(tables, number), changes))

        return self._run(change)

    def remove(self, number: int) -> Group:
        """Remove a group, and return it; it can be restored for an hour.  Raises NoSuchGroup."""

        def remove(tables: Tables) -> Group:
            group, now = _existing(tables, number), int(time())
            purge(tables, now)
            fetch(tables, _COPY_TO_REMOVED, (now, number))
            fetch(tables, "DELETE FROM call_groups WHERE id = ?", (number,))
            note_change(tables)
            return group

        return self._run(remove)

    def removed(self, number: int) -> str:
        """Return the name of a removed group that can be restored, "" if there is none."""
        query = "SELECT name FROM removed_groups WHERE id = ? AND removed_at > ?"
        values = number, int(time()) - RESTORABLE_SECONDS
        rows = self._database.browse(lambda tables: fetch(tables, query, values))
        return "".join(name for (name,) in rows)

    def restore(self, number: int) -> Group:
        """Restore a removed group with its members, but for users that are deleted.

        Raises NoSuchGroup if it was removed too long ago, or never, UserExists if its name is taken
        now, and BadSetting if there are too many groups.
        """

        def restore(tables: Tables) -> Group:
            purge(tables, int(time()))
            for name, realm in fetch(tables, _REMOVED_NAME, (number,)):
                if holder := name_holder(tables, name, realm or None):
                    raise UserExists(f"{name} is {holder} now; give that another name first")
                _check_room(tables)
                fetch(tables, _RESTORE, (number,))
                fetch(tables, "DELETE FROM removed_groups WHERE id = ?", (number,))
                note_change(tables)
                return _existing(tables, number)
            raise NoSuchGroup("the group was deleted over an hour ago and cannot be restored")

        return self._run(restore)

    def named(self, name: str, realm: str | None = None) -> Group:
        """Return the group with this name, in any case.  Raises NoSuchGroup."""
        key, wanted = self._users.key_realm(realm), normalized(name).lower()
        for group in self._database.browse(read_groups):
            if group.realm == key and group.name.lower() == wanted:
                return group
        raise NoSuchGroup(f"there is no group {name}; `groups list` shows all")

    def _run(self, work: Any) -> Group:
        def write(tables: Tables) -> tuple[Group, list[Group]]:
            return work(tables), read_groups(tables)

        group, _ = self._database.run(
            write, then=lambda result: self._users.replace_groups(result[1])
        )
        return group

    def _write(self, tables: Tables, group: Group) -> Group:
        """Add or replace the rows of a group, and return it with its id and stored names."""
        holder = name_holder(tables, group.name, group.realm, group_id=group.id)
        if holder:
            raise UserExists(f"{group.name} is {holder}; choose another name")
        accounts = [self._users.row(tables, member, group.realm) for member in group.members]
        for member, account in zip(group.members, accounts, strict=True):
            if account is None:
                raise BadSetting("members", f"there is no user {member}")
        ids = list(dict.fromkeys(account.id for account in accounts if account is not None))
        values = (group.realm or "", group.name, group.strategy, group.seconds, group.then)
        number = group.id
        if number:
            fetch(tables, _UPDATE, (*values, number))
            fetch(tables, "DELETE FROM call_group_members WHERE group_id = ?", (number,))
        else:
            fetch(tables, _INSERT, values)
            ((number,),) = fetch(tables, "SELECT last_insert_rowid()")
        for position, user_id in enumerate(ids):
            fetch(
                tables,
                "INSERT INTO call_group_members VALUES (?, ?, ?)",
                (number, position, user_id),
            )
        note_change(tables)
        return _existing(tables, number)


def read_groups(tables: Tables) -> list[Group]:
    """Return all groups, sorted by name.  A removed user is no member until it is restored."""
    members: dict[int, list[str]] = {}
    for number, username in fetch(tables, _MEMBERS):
        members.setdefault(number, []).append(username)
    return [
        Group(number, name, realm or None, tuple(members.get(number, ())), strategy, seconds, then)
        for number, name, realm, strategy, seconds, then in fetch(tables, _GROUPS)
    ]


def reload_groups(users: "Users") -> None:
    """Read the groups into memory again, after some members were deleted or restored."""
    users.database.read(read_groups, then=users.replace_groups)


def _check_room(tables: Tables) -> None:
    ((count,),) = fetch(tables, "SELECT count(*) FROM call_groups")
    if count >= MAX_GROUPS:
        raise BadSetting("name", f"there are {MAX_GROUPS:,} groups already, the maximum")


def _existing(tables: Tables, number: int) -> Group:
    for group in read_groups(tables):
        if group.id == number:
            return group
    raise NoSuchGroup("there is no such group; it may have been removed")


def _changed(group: Group, changes: Mapping[str, Any]) -> Group:
    """Return a group with some fields changed.  Raises BadSetting."""
    values = {name: _checked(name, value) for name, value in changes.items()}
    changed = replace(group, **values)
    if not changed.members:
        raise BadSetting("members", "a group needs at least one member")
    if changed.then and name_key(changed.then) == name_key(changed.name):
        raise BadSetting("then", "a group cannot forward to itself")
    return changed


def _checked(name: str, value: Any) -> Any:
    match name:
        case "name":
            text = normalized(str(value).strip())
            try:
                check_username(text)
            except ValueError as error:
                raise BadSetting(name, str(error).replace("user name", "name")) from None
            return text
        case "members":
            return _checked_members(value)
        case "strategy":
            if value not in STRATEGIES:
                raise BadSetting(name, f"the strategy is one of {', '.join(STRATEGIES)}")
            return value
        case "seconds":
            return checked_seconds(name, value)
        case "then":
            return checked_target(name, value)
    raise BadSetting(name, f"a group has no field {name}")


def _checked_members(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise BadSetting("members", "the members are not a list")
    names = (normalized(str(member).strip()) for member in value)
    members = tuple(dict.fromkeys(name for name in names if name))
    if len(members) > MAX_MEMBERS:
        raise BadSetting("members", f"a group has at most {MAX_MEMBERS} members")
    return members


_GROUPS = """
    SELECT id, name, realm, strategy, seconds, then_target FROM call_groups ORDER BY name, realm, id
"""
_MEMBERS = """
    SELECT group_id, username FROM call_group_members
    JOIN users ON users.id = user_id ORDER BY group_id, position
"""
_OF_USER = """
    SELECT call_groups.id, name FROM call_group_members
    JOIN call_groups ON call_groups.id = group_id WHERE user_id = ? ORDER BY name, call_groups.id
"""
_COPY_TO_REMOVED = """
    INSERT OR REPLACE INTO removed_groups
    SELECT id, realm, name, strategy, seconds, then_target, ? FROM call_groups WHERE id = ?
"""
_REMOVED_NAME = "SELECT name, realm FROM removed_groups WHERE id = ?"
_RESTORE = """
    INSERT INTO call_groups (id, realm, name, strategy, seconds, then_target)
    SELECT id, realm, name, strategy, seconds, then_target FROM removed_groups WHERE id = ?
"""
_INSERT = """
    INSERT INTO call_groups (realm, name, strategy, seconds, then_target) VALUES (?, ?, ?, ?, ?)
"""
_UPDATE = """
    UPDATE call_groups SET realm = ?, name = ?, strategy = ?, seconds = ?, then_target = ?
    WHERE id = ?
"""
