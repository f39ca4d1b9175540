"""The accounts in memory and in the database.  Of a password, only the HA1s are stored."""

import logging
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import Any, TypeAlias

from sip.memory import long_lived_objects
from sip.monitor.events import Bus
from sip.store.accounts import (
    Account,
    AccountsRemoved,
    AccountTable,
    CredentialsChanged,
    NoSuchUser,
    UserExists,
    check_display_name,
    check_ha1,
    check_password,
    check_realm,
    check_username,
    ha1s,
    normalized,
    sentence_of_taken,
)
from sip.store.bindings import remove_bindings
from sip.store.call_changes import change_by_phone, write_call_changes
from sip.store.call_settings import (
    USUAL,
    read_settings,
    restore_settings,
    settings_as_json,
    write_settings,
)
from sip.store.database import Database, Tables, fetch, stream
from sip.store.groups import Group, read_groups
from sip.store.passwords import weakness
from sip.store.retention import RESTORABLE_SECONDS, purge
from sip.store.taken_names import name_holder

__all__ = ["Account", "NoSuchUser", "UserExists", "Users"]

log = logging.getLogger(__name__)

Accounts: TypeAlias = list[Account]  # in `Users`, `list` is a method


class Users:
    """All accounts: read from memory; written to the database first, then to memory.

    In all methods, `realm` None is the main realm.  A `number` beside a name is the id that the
    account must have: after the main realm was renamed, two accounts can have the same name, and
    the name may belong to a new account since the caller read it.  Names and passwords are compared
    and stored in NFC (RFC 7616 §4); an account stored by an earlier version in another Unicode form
    keeps that form.

    `warning` is a sentence for the operator if the HA1s of some accounts were computed for another
    name of the main realm, else "".  AccountsRemoved and CredentialsChanged are published on `bus`,
    in the greenlet of the caller, which waits for the listeners.
    """

    def __init__(
        self, database: Database, realm: str = "go-sip-server", *, bus: Bus | None = None
    ) -> None:
        check_realm(realm)
        self.realm = realm
        self.database = database
        self.bus = bus or Bus()
        self._table = AccountTable(realm)
        database.run(self._check_realm)
        self.reload()

    def find(self, username: str, realm: str) -> Account | None:
        """Return the account, enabled or not, for the user name of a phone in a realm.

        An account with exactly this name comes first, then one with the same name in NFC, then one
        with the same telephone number.
        """
        return self._table.find(username, realm)

    def find_group(self, name: str, realm: str) -> Group | None:
        """Return the group for the user part of a URI in a realm, None without one."""
        return self._table.find_group(name, realm)

    def realms(self) -> frozenset[str]:
        """Return the realms that have accounts, and the main realm."""
        return self._table.realms

    def offers(self, realm: str, algorithm: str) -> bool:
        """Return True if every enabled user of the realm can answer a challenge for `algorithm`.

        True for a realm without users, so that a challenge does not reveal which users exist.
        """
        return self._table.all_have(realm, algorithm)

    def __len__(self) -> int:
        return len(self._table)

    def list(self) -> list[Account]:
        """Read all accounts from the database, sorted by name."""
        order = "username COLLATE NOCASE, realm COLLATE NOCASE, id"
        query = f"{_SELECT} ORDER BY {order}"

        def read(tables: Tables) -> list[Account]:
            settings = read_settings(tables)
            return [Account(row, settings.get(row[0])) for row in stream(tables, query)]

        return self.database.read(read)

    def add(
        self,
        username: str,
        password: str,
        realm: str | None = None,
        display_name: str = "",
        *,
        ha1: str = "",
        enabled: bool = True,
        calls: Mapping[str, Any] | None = None,
    ) -> Account:
        """Create an account.  Raises UserExists, or ValueError for a value that is not valid.

        A weak password is accepted with a warning in the log.  `ha1` is an MD5 HA1 instead of a
        password, which is "" then.  `calls` are call settings, by field of CallSettings.
        """
        username, display_name = normalized(username), normalized(display_name)
        check_username(username)
        check_display_name(display_name)
        if ha1:
            check_ha1(ha1)
            secrets = {"ha1_md5": ha1.lower(), "ha1_realm": realm or self.realm}
        else:
            check_password(password)
            secrets = self._secrets(username, realm, password)
        now = int(time())
        row = self._named(username, realm) | secrets
        row |= {"display_name": display_name, "enabled": int(enabled)}
        row |= {"created_at": now, "updated_at": now}

        def add(tables: Tables) -> Account:
            if taken := self.taken_by(tables, username, row["realm"]):
                raise UserExists(sentence_of_taken(username, taken, "remove it first"))
            if holder := name_holder(tables, username, row["realm"], for_user=True):
                raise UserExists(f"{username} is {holder}; choose another name")
            return write_call_changes(self, tables, tables["users"].insert(row), calls)

        account = self.database.run(add, then=self.put)
        if password:
            _warn_if_weak(username, password)
        if enabled:
            self.bus.publish(CredentialsChanged([account]))
        return account

    def remove(self, username: str, realm: str | None = None, *, number: int | None = None) -> None:
        """Delete an account; it can be restored for an hour.  Raises NoSuchUser."""

        def remove(tables: Tables) -> tuple[Account, Account | None]:
            account = self.existing(tables, username, realm, number)
            now = int(time())
            purge(tables, now)
            remove_bindings(tables, [account.id])
            settings = settings_as_json(tables, account.id)
            copied = {"id": account.id, "now": now, "settings": settings}
            fetch(tables, _COPY_TO_REMOVED, copied)
            fetch(tables, "DELETE FROM users WHERE id = ?", (account.id,))
            write_settings(tables, [(account.id, account.realm, USUAL)])
            hidden = self.row(tables, username, realm)
            return account, self.by_id(tables, hidden.id) if hidden is not None else None

        def remove_from_memory(result: tuple[Account, Account | None]) -> None:
            account, hidden = result  # `hidden` has the same name, see AccountTable.put
            self._table.remove(account)
            if hidden is not None:
                self._table.put(hidden)

        account, _ = self.database.run(remove, then=remove_from_memory)
        self.database.read(read_groups, then=self.replace_groups)  # its members
        self.bus.publish(AccountsRemoved([account]))

    def restore(self, number: int) -> Account:
        """Restore the removed account with this id; its phones must register again.

        An alias that belongs to another account or group now is not restored.  Raises NoSuchUser if
        it was removed too long ago, or never, and UserExists if its name is taken now.
        """

        def restore(tables: Tables) -> Account:
            latest = int(time()) - RESTORABLE_SECONDS
            for username, realm, settings in fetch(tables, _REMOVED_NAME, (number, latest)):
                if taken := self.taken_by(tables, username, realm):
                    advice = "remove that account first"
                    raise UserExists(sentence_of_taken(username, taken, advice))
                if holder := name_holder(tables, username, realm, for_user=True):
                    raise UserExists(f"{username} is {holder} now; give that another name first")
                fetch(tables, _RESTORE, (number,))
                restore_settings(tables, number, realm, settings)
                fetch(tables, "DELETE FROM removed_users WHERE id = ?", (number,))
                return self.by_id(tables, number)
            raise NoSuchUser("the account was deleted over an hour ago and cannot be restored")

        account = self.database.run(restore, then=self.put)
        self.database.read(read_groups, then=self.replace_groups)  # its members
        self.bus.publish(CredentialsChanged([account]))
        return account

    def purge_removed(self, now: float | None = None) -> None:
        """Delete the removed accounts that cannot be restored any more at Unix time `now`."""
        at = int(time() if now is None else now)
        while self.database.run(lambda tables: purge(tables, at), synced=False):
            pass

    def set_password(
        self, username: str, password: str, realm: str | None = None, *, number: int | None = None
    ) -> None:
        """Replace all HA1s.  Raises NoSuchUser, or ValueError for a password that is not valid.

        A weak password is accepted with a warning in the log.
        """
        check_password(password)
        account = self._update(
            username,
            realm,
            number,
            lambda account: self._secrets(account.username, realm, password),
        )
        _warn_if_weak(username, password)
        self.bus.publish(CredentialsChanged([account]))

    def secrets(self, username: str, realm: str | None = None) -> dict[str, Any]:
        """Return the stored HA1s, for `restore_secrets`.  Raises NoSuchUser."""

        def read(tables: Tables) -> dict[str, Any]:
            account = self.existing(tables, username, realm, None)
            (row,) = fetch(tables, _SECRETS_OF, (account.id,))
            return dict(zip(_SECRETS, row, strict=True))

        return self.database.read(read)

    def restore_secrets(self, username: str, realm: str | None, secrets: Mapping[str, Any]) -> None:
        """Restore the HA1s that `secrets` returned.  Raises NoSuchUser."""
        account = self._update(username, realm, None, lambda account: secrets)
        self.bus.publish(CredentialsChanged([account]))

    def change(
        self,
        username: str,
        realm: str | None = None,
        *,
        number: int | None = None,
        display_name: str | None = None,
        enabled: bool | None = None,
        calls: Mapping[str, Any] | None = None,
    ) -> None:
        """Change all the given values of an account, or none of them.

        A disabled account is kept, but its phones are refused.  Raises NoSuchUser,
        AliasExists, or ValueError for a value that is not valid.
        """
        values: dict[str, Any] = {"updated_at": int(time())}
        if display_name is not None:
            values["display_name"] = normalized(display_name)
            check_display_name(values["display_name"])
        if enabled is not None:
            values["enabled"] = int(enabled)
        account = self._update(username, realm, number, lambda account: values, calls)
        if enabled is not None:
            event = CredentialsChanged if enabled else AccountsRemoved
            self.bus.publish(event([account]))

    def set_display_name(self, username: str, name: str, realm: str | None = None) -> None:
        """Replace the display name.  Raises NoSuchUser, or ValueError for one that is not valid."""
        self.change(username, realm, display_name=name)

    def enable(self, username: str, realm: str | None = None) -> None:
        """Allow an account to register and call again.  Raises NoSuchUser."""
        self.change(username, realm, enabled=True)

    def disable(self, username: str, realm: str | None = None) -> None:
        """Keep an account, but refuse its phones.  Raises NoSuchUser."""
        self.change(username, realm, enabled=False)

    def reload(self) -> None:
        """Read all accounts again, after another process has changed the database.

        The table is built and replaced in the owner thread, so that no change is lost in between.
        """
        gone: list[Account] = []
        changed: list[Account] = []

        def build(tables: Tables) -> AccountTable:
            table = AccountTable(self.realm)
            table.set_groups(read_groups(tables))
            settings = read_settings(tables)
            with long_lived_objects():
                for row in stream(tables, _SELECT):
                    table.put(Account(row, settings.get(row[0])))
            return table

        def swap(table: AccountTable) -> None:
            old, self._table = self._table, table
            gone.extend(old.removed_or_disabled_in(table))
            changed.extend(table.credentials_changed_since(old))
            old.release()

        self.database.read(build, then=swap)
        if gone:
            self.bus.publish(AccountsRemoved(gone))
        if changed:
            self.bus.publish(CredentialsChanged(changed))

    def by_id(self, tables: Tables, number: int) -> Account:
        """Return the account with this id, with its call settings."""
        (row,) = fetch(tables, f"{_SELECT} WHERE id = ?", (number,))
        return Account(row, read_settings(tables, number).get(number))

    def change_settings_by_phone(
        self, username: str, realm: str, changes: Mapping[str, Any]
    ) -> None:
        """Change call settings of a user that has dialled a star code, with an audit entry.

        They are on disk when this returns.  Raises ValueError for a value that is not valid.
        """
        change_by_phone(self, username, changes, realm)

    def put(self, account: Account) -> None:
        """Put an account that was just written into memory; call it in the owner thread only."""
        self._table.put(account)

    def replace_groups(self, groups: Iterable[Group]) -> None:
        """Replace the groups in memory; call it in the owner thread only."""
        self._table.set_groups(groups)

    def update_memory(self, accounts: Iterable[Account]) -> Accounts:
        """Put accounts that were just written into memory; call it in the owner thread only.

        Return the accounts to publish as CredentialsChanged.
        """
        credentials_changed = []
        with long_lived_objects():
            for account in accounts:
                before = self._table.find(account.username, account.realm or self.realm)
                if account.enabled and (before is None or not account.has_same_access(before)):
                    credentials_changed.append(account)
                self._table.put(account)
        return credentials_changed

    def remove_from_memory(self, accounts: Iterable[Account]) -> None:
        """Remove accounts that were just deleted from memory; call it in the owner thread only."""
        for account in accounts:
            self._table.remove(account)

    def publish_many(self, gone: Accounts, credentials_changed: Accounts) -> None:
        """Publish the changes of a piece of a long change."""
        if gone:
            self.bus.publish(AccountsRemoved(gone))
        if credentials_changed:
            self.bus.publish(CredentialsChanged(credentials_changed))

    def key_realm(self, realm: str | None) -> str | None:
        """Return the realm as stored in the database: None for the main realm."""
        return None if realm == self.realm else realm

    def _named(self, username: str, realm: str | None) -> dict[str, Any]:
        if realm is not None:
            check_realm(realm)
        return {"username": username, "realm": self.key_realm(realm)}

    def _secrets(self, username: str, realm: str | None, password: str) -> dict[str, Any]:
        of_realm = realm or self.realm
        made = ha1s(username, of_realm, normalized(password))
        return {**made, "ha1_realm": of_realm, "updated_at": int(time())}

    def _update(
        self,
        username: str,
        realm: str | None,
        number: int | None,
        values_for: Callable[[Account], Mapping[str, Any]],
        calls: Mapping[str, Any] | None = None,
    ) -> Account:
        def update(tables: Tables) -> Account:
            account = self.existing(tables, username, realm, number)
            values = values_for(account)
            tables["users"].update({"id": account.id, **values}, ["id"])
            if values.get("enabled") == 0:
                remove_bindings(tables, [account.id])
            return write_call_changes(self, tables, account.id, calls)

        return self.database.run(update, then=self.put)

    def row(self, tables: Tables, username: str, realm: str | None) -> Account | None:
        """Find an account in the database: memory may lack a change by another process."""
        named = self.key_realm(realm)
        for stored in self._forms(username, realm):
            # As in memory, a row with the name of the main realm comes before one with NULL.
            for wanted in (named,) if named is not None else (self.realm, None):
                values = {"username": stored, "realm": wanted}
                for row in fetch(tables, _OF_MAIN_REALM if wanted is None else _OF_A_REALM, values):
                    return Account(row)
        return None

    def _forms(self, username: str, realm: str | None) -> Iterable[str]:
        """Return the forms in which a name may be stored, beginning with the given form."""
        known = self._table.find_normalized(username, realm or self.realm)
        stored = (known.username,) if known else ()
        return dict.fromkeys((username, normalized(username), *stored))

    def taken_by(self, tables: Tables, username: str, realm: str | None) -> str | None:
        """Return the existing name in this realm that `username` collides with, or None."""
        for form in (*self._forms(username, realm), unicodedata.normalize("NFD", username)):
            for (taken,) in fetch(tables, _TAKEN, {"username": form, "realm": realm}):
                return str(taken)
        return None

    def existing(
        self, tables: Tables, username: str, realm: str | None, number: int | None
    ) -> Account:
        """Return the account with this name, and this id if one is given.  Raises NoSuchUser."""
        account = self.row(tables, username, realm)
        if number is not None and (account is None or account.id != number):
            account = self._hidden(tables, username, realm, number)
        if account is None:
            named = self.key_realm(realm)
            where = f" in the realm {named}" if named is not None else ""
            raise NoSuchUser(f"there is no account {username}{where}; `users list` shows all")
        return account

    def _hidden(
        self, tables: Tables, username: str, realm: str | None, number: int
    ) -> Account | None:
        """Find the account with this id whose name also belongs to another account."""
        for row in fetch(tables, f"{_SELECT} WHERE id = ?", (number,)):
            account = Account(row)
            same_realm = self.key_realm(account.realm) == self.key_realm(realm)
            return account if account.username == username and same_realm else None
        return None

    def _check_realm(self, tables: Tables) -> None:
        """Set `warning` if accounts were made for another name of the main realm."""
        purge(tables, int(time()))
        # The database of the old server has no realm: we assume the first realm used here.
        fetch(
            tables,
            "UPDATE users SET ha1_realm = coalesce(realm, ?) WHERE ha1_realm IS NULL",
            (self.realm,),
        )
        others = fetch(tables, _OF_OTHER_NAMES, (self.realm,))
        self.warning = " ".join(_renamed(name, count, self.realm) for name, count in others)


_SELECT = f"SELECT {Account.COLUMNS} FROM users"  # noqa: S608 -- our names
_SECRETS = ("ha1_md5", "ha1_sha256", "ha1_sha512_256", "ha1_realm", "updated_at")
_SECRETS_OF = f"SELECT {', '.join(_SECRETS)} FROM users WHERE id = ?"  # noqa: S608 -- our names
# One query with `realm IS :realm` could use neither of the two indexes.
_OF_MAIN_REALM = f"{_SELECT} WHERE username = :username AND realm IS NULL"
_OF_A_REALM = f"{_SELECT} WHERE username = :username AND realm = :realm"
_TAKEN = """
    SELECT username FROM users
    WHERE username = :username COLLATE NOCASE AND realm IS :realm
    ORDER BY username <> :username LIMIT 1
"""
_OF_OTHER_NAMES = """
    SELECT ha1_realm, count(*) FROM users
    WHERE realm IS NULL AND ha1_realm <> ? GROUP BY ha1_realm
"""
_COPIED_COLUMNS = (
    "id, username, realm, display_name, enabled, ha1_md5, ha1_sha256, ha1_sha512_256,"
    " ha1_realm, created_at, updated_at, last_seen"
)
_COPY_TO_REMOVED = f"""
    INSERT OR REPLACE INTO removed_users ({_COPIED_COLUMNS}, removed_at, call_settings)
    SELECT {_COPIED_COLUMNS}, :now, :settings FROM users WHERE id = :id
"""  # noqa: S608 -- our names
_REMOVED_NAME = """
    SELECT username, realm, call_settings FROM removed_users WHERE id = ? AND removed_at > ?
"""
_RESTORE = f"""
    INSERT INTO users ({_COPIED_COLUMNS})
    SELECT {_COPIED_COLUMNS} FROM removed_users WHERE id = ?
"""  # noqa: S608 -- our names


def _warn_if_weak(username: str, password: str) -> None:
    if why := weakness(password, username):
        log.warning("weak password of %s: it %s", username, why)


def _renamed(former: str, accounts: int, now: str) -> str:
    return (
        f"the passwords of {accounts} account(s) were set for the realm {former} and do not work in"
        f" {now}: start with -sip.realm {former}, or set new passwords."
    )
