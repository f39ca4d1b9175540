"""Changes of accounts, for the pages and for the API: checked, written, recorded in the audit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sip.store import accounts
from sip.store.accounts import (
    check_display_name,
    check_ha1,
    check_password,
    check_realm,
    check_username,
    normalized,
)
from sip.store.audit import Act
from sip.store.call_changes import unknown_targets
from sip.store.call_settings import TARGETS, BadSetting
from sip.store.directory import Entry
from sip.store.passwords import make_password
from sip.store.registrations import Registration
from sip.store.users import NoSuchUser, UserExists
from webadmin.context import AppContext


class InvalidFields(Exception):
    """Some values are not valid: `errors` has a clause for each, by the name of its field."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Added:
    """A new account; `password` is "" unless it was generated."""

    id: int
    username: str
    password: str


class AccountService:
    """Adds, changes, removes and restores accounts.

    `calls` are call settings to change, by field of CallSettings.  Raises InvalidFields,
    UserExists (AliasExists for an alias that is taken), and NoSuchUser for an id without an
    account; nothing is written then.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._users = context.users

    def entry(self, number: int) -> Entry:
        """Return an account.  Raises NoSuchUser."""
        entry = self._context.directory.entry(number)
        if entry is None:
            raise NoSuchUser("there is no such user; it may have been deleted")
        return entry

    def full_name(self, username: str, realm: str) -> str:
        """Return the name of an account, with its realm unless that is the main realm."""
        return accounts.full_name(username, self._users.key_realm(realm))

    def add(
        self,
        username: str,
        realm: str,
        display_name: str = "",
        password: str | None = None,
        *,
        ha1: str | None = None,
        enabled: bool = True,
        calls: Mapping[str, Any] | None = None,
    ) -> Added:
        """Add an account; without a password and without an HA1, a password is generated."""
        username, realm = normalized(username.strip()), realm.strip() or self._users.realm
        display_name = normalized(display_name.strip())
        generated = make_password() if password is None and ha1 is None else ""
        chosen = generated or password or ""
        secret = ("password", check_password, chosen) if ha1 is None else ("ha1", check_ha1, ha1)
        _check(
            ("username", check_username, username),
            secret,
            ("realm", check_realm, realm),
            ("display_name", check_display_name, display_name),
        )
        try:
            account = self._users.add(
                *(username, chosen, realm, display_name),
                ha1=ha1 or "",
                enabled=enabled,
                calls=calls,
            )
        except BadSetting as error:
            raise InvalidFields({error.field: str(error)}) from None
        self._context.record(Act.USER_ADDED, self.full_name(account.username, realm))
        self._record_calls(account.id, calls)
        return Added(account.id, account.username, generated)

    def change(
        self,
        number: int,
        *,
        display_name: str | None = None,
        enabled: bool | None = None,
        calls: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Change all the given values of an account, or none of them."""
        name = None if display_name is None else normalized(display_name.strip())
        if name is not None:
            _check(("display_name", check_display_name, name))
        entry = self.entry(number)
        try:
            self._users.change(
                *(entry.username, entry.realm),
                number=number,
                display_name=name,
                enabled=enabled,
                calls=calls,
            )
        except BadSetting as error:
            raise InvalidFields({error.field: str(error)}) from None
        full_name = self.full_name(entry.username, entry.realm)
        if name is not None:
            self._context.record(Act.USER_RENAMED, full_name)
        if enabled is not None:
            act = Act.USER_ENABLED if enabled else Act.USER_DISABLED
            self._context.record(act, full_name)
        self._record_calls(number, calls)
        return entry

    def unknown_targets(self, number: int) -> tuple[str, ...]:
        """Return the names that an account forwards to, but that no user or group has."""
        entry = self.entry(number)
        targets = [getattr(entry.call_settings, field) for field in TARGETS]
        return unknown_targets(self._users, targets, entry.realm)

    def set_password(self, number: int, password: str | None = None) -> tuple[Entry, str]:
        """Set a password; return the account, and the password if it was generated, else ""."""
        chosen = make_password() if password is None else password
        _check(("password", check_password, chosen))
        entry = self._change(
            number,
            Act.USER_PASSWORD,
            lambda user: self._users.set_password(user.username, chosen, user.realm, number=number),
        )
        return entry, chosen if password is None else ""

    def remove(self, number: int) -> Entry:
        """Delete an account; it can be restored for an hour."""
        return self._change(
            number,
            Act.USER_DELETED,
            lambda user: self._users.remove(user.username, user.realm, number=number),
        )

    def restore(self, number: int) -> str:
        """Restore a deleted account, and return its name.  Raises UserExists if it is there."""
        if self._context.directory.entry(number) is not None:
            raise UserExists("this user was not deleted, so it cannot be restored")
        account = self._users.restore(number)
        full_name = self.full_name(account.username, account.realm or self._users.realm)
        self._context.record(Act.USER_RESTORED, full_name)
        return account.username

    def remove_registration(self, id_: str) -> Registration | None:
        """Remove the registration with an id, and return it; None without one.

        Its phone can register again.
        """
        removed = self._context.registrations.remove(id_)
        if removed is not None:
            full_name = self.full_name(removed.username, removed.realm)
            self._context.record(Act.PHONE_DROPPED, full_name)
        return removed

    def _record_calls(self, number: int, calls: Mapping[str, Any] | None) -> None:
        entry = self._context.directory.entry(number) if calls else None
        if entry is not None:
            full_name = self.full_name(entry.username, entry.realm)
            about = f"{full_name}: {entry.call_settings.text_of(calls or ())}"
            self._context.record(Act.USER_CALLS, about)

    def _change(self, number: int, act: Act, change: Callable[[Entry], None]) -> Entry:
        entry = self.entry(number)
        change(entry)
        self._context.record(act, self.full_name(entry.username, entry.realm))
        return entry


def _check(*fields: tuple[str, Callable[[str], None], str]) -> None:
    """Check the value of each field.  Raises InvalidFields."""
    errors: dict[str, str] = {}
    for name, check, value in fields:
        try:
            check(value)
        except ValueError as error:
            errors[name] = str(error)
    if errors:
        raise InvalidFields(errors)
