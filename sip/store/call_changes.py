"""Changes of the call settings of users: checked, written, and then put into memory."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sip.phone_numbers import number_of
from sip.store.accounts import Account, NoSuchUser, UserExists, full_name
from sip.store.audit import Act, Audit
from sip.store.call_settings import (
    TARGETS,
    USUAL,
    BadSetting,
    CallSettings,
    read_settings,
    write_settings,
)
from sip.store.database import Tables
from sip.store.taken_names import name_holder, name_key

if TYPE_CHECKING:
    from sip.store.users import Users


class AliasExists(UserExists):
    """An alias is taken.  The text says by which user or group."""


def call_settings(
    users: "Users", username: str, realm: str | None = None, *, number: int | None = None
) -> CallSettings:
    """Return the aliases, forwarding and do not disturb of an account.  Raises NoSuchUser."""

    def read(tables: Tables) -> CallSettings:
        account = users.existing(tables, username, realm, number)
        return read_settings(tables, account.id).get(account.id, USUAL)

    return users.database.browse(read)


def change_call_settings(
    users: "Users",
    username: str,
    changes: Mapping[str, Any],
    realm: str | None = None,
    *,
    number: int | None = None,
) -> CallSettings:
    """Change some of the call settings of an account, by field of CallSettings; return all.

    They are on disk when this returns.  Raises NoSuchUser; AliasExists for an alias that is taken;
    BadSetting, which is a ValueError, for a value that is not valid.
    """

    def change(tables: Tables) -> Account:
        account = users.existing(tables, username, realm, number)
        return write_call_changes(users, tables, account.id, changes)

    return users.database.run(change, then=users.put).call_settings or USUAL


def change_by_phone(users: "Users", username: str, changes: Mapping[str, Any], realm: str) -> None:
    """Change call settings of a user that has dialled a star code, with an audit entry.

    Raises ValueError for a value that is not valid.
    """
    try:
        settings = change_call_settings(users, username, changes, realm)
    except NoSuchUser as error:  # removed at this moment
        raise ValueError(str(error)) from None
    name = full_name(username, users.key_realm(realm))
    about = f"{name}: {settings.text_of(changes)}"
    Audit(users.database).add(Act.USER_CALLS, f"{name} (phone)", about=about)


def write_call_changes(
    users: "Users", tables: Tables, number: int, changes: Mapping[str, Any] | None
) -> Account:
    """Write call settings of the account with this id in a transaction, and return the account.

    Raises AliasExists or BadSetting.
    """
    account = users.by_id(tables, number)
    if not changes:
        return account
    before = account.call_settings or USUAL
    settings = before.changed(changes)
    _check(tables, account, settings)
    if settings != before:
        write_settings(tables, [(number, account.realm, settings)])
    return users.by_id(tables, number)


def unknown_targets(
    users: "Users", targets: Iterable[str], realm: str | None = None
) -> tuple[str, ...]:
    """Return the targets that are names, but not of a user, an alias or a group."""
    names = (each for each in targets if each and ":" not in each and not number_of(each))
    return tuple(each for each in names if not is_known_target(users, each, realm))


def is_known_target(users: "Users", target: str, realm: str | None = None) -> bool:
    """Return True for a target that needs no look-up elsewhere: a user, an alias or a group."""
    name = realm or users.realm
    return users.find(target, name) is not None or users.find_group(target, name) is not None


def _check(tables: Tables, account: Account, settings: CallSettings) -> None:
    """Raise AliasExists for an alias that is taken, BadSetting for a forwarding to oneself."""
    for alias in settings.aliases:
        if alias.lower() == account.username.lower():
            raise BadSetting("aliases", f"{alias} is the user name itself")
        holder = name_holder(tables, alias, account.realm, user_id=account.id)
        if holder:
            raise AliasExists(f"{alias} is {holder}; choose another alias")
    check_own_targets(account.username, settings)


def check_own_targets(username: str, settings: CallSettings) -> None:
    """Raise BadSetting if a user forwards to itself, by its name or an alias."""
    aliases = {name_key(alias) for alias in settings.aliases}
    for field in TARGETS:
        target = getattr(settings, field)
        if target.lower() == username.lower() or name_key(target) in aliases:
            raise BadSetting(field, f"{username} cannot forward to itself")
