"""Who has an account here.  What is kept of a password is its HA1s."""

import logging
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import time
from typing import Any

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
    check_password,
    check_realm,
    check_username,
    ha1s,
    normalized,
)
from sip.store.bindings import let_go
from sip.store.database import Database, Tables, fetch, stream
from sip.store.passwords import weakness

__all__ = ["Account", "NoSuchUser", "UserExists", "Users"]

log = logging.getLogger(__name__)

# How long a deleted account can be restored, in seconds.
REMEMBERED = 3600


class Users:
    """All accounts: read from memory, written to the file first and to memory last.

    A `realm` of None is the main realm everywhere below.  A `number` beside a name is the id that
    the account must have: in a file whose main realm was renamed two may claim one name, and
    another may have taken it since the caller looked.  Names and passwords are compared and kept in
    NFC (RFC 7616 §4); an account that an earlier version stored in another form keeps it.

    `warning` is a sentence for the operator when the HA1s of some accounts were made for another
    name of the main realm.  AccountsRemoved and CredentialsChanged are published on `bus`, in the
    greenlet of the caller, which waits for the listeners.
    """

    def __init__(
        self, database: Database, realm: str = "go-sip-server", *, bus: Bus | None = None
    ) -> None:
        check_realm(realm)
        self.realm = realm
        self.database = database
        self.bus = bus or Bus()
        self._table = AccountTable(realm)
        database.run(self._begin)
        self.reload()

    def find(self, username: str, realm: str) -> Account | None:
        """Return the account, enabled or not, that a phone means by a name in a realm.

        It is the account of exactly this name, else that of the same name in NFC, else that of the
        same telephone number.
        """
        return self._table.find(username, realm)

    def realms(self) -> frozenset[str]:
        """Give the realms that have accounts, and the main realm in any case."""
        return self._table.realms

    def offers(self, realm: str, algorithm: str) -> bool:
        """Tell whether a challenge may offer the algorithm: every enabled user can answer it.

        A realm without users offers all, so that a challenge doesn't tell who exists.
        """
        return self._table.all_have(realm, algorithm)

    def __len__(self) -> int:
        return len(self._table)

    def list(self) -> list[Account]:
        """Give every account in the order of their names, from the file."""
        order = "username COLLATE NOCASE, realm COLLATE NOCASE, id"
        query = f"{_SELECT} ORDER BY {order}"
        return self.database.read(lambda tables: list(map(Account, stream(tables, query))))

    def add(
        self, username: str, password: str, realm: str | None = None, display_name: str = ""
    ) -> Account:
        """Create an account.  Raises UserExists, or ValueError for what cannot be taken.

        A weak password is taken, and logged as a warning.
        """
        username, display_name = normalized(username), normalized(display_name)
        check_username(username)
        check_password(password)
        check_display_name(display_name)
        row = self._named(username, realm) | self._secrets(username, realm, password)
        row |= {"display_name": display_name, "created_at": row["updated_at"]}

        def add(tables: Tables) -> Account:
            if taken := self._taken_by(tables, username, row["realm"]):
                raise UserExists(_taken(username, taken, "remove it to start anew"))
            return _by_id(tables, tables["users"].insert(row))

        account = self.database.run(add, then=self._put)
        _warn_if_weak(username, password)
        self.bus.publish(CredentialsChanged([account]))
        return account

    def remove(self, username: str, realm: str | None = None, *, number: int | None = None) -> None:
        """Delete an account; for an hour it can be restored.  Raises NoSuchUser."""

        def remove(tables: Tables) -> tuple[Account, Account | None]:
            account = self._existing(tables, username, realm, number)
            now = int(time())
            _purge(tables, now)
            let_go(tables, [account.id])
            fetch(tables, _SET_ASIDE, {"id": account.id, "now": now})
            fetch(tables, "DELETE FROM users WHERE id = ?", (account.id,))
            return account, self._row(tables, username, realm)

        def forget(result: tuple[Account, Account | None]) -> None:
            account, hidden = result  # the second held the same name, see AccountTable.put
            self._table.drop(account)
            if hidden is not None:
                self._table.put(hidden)

        account, _ = self.database.run(remove, then=forget)
        self.bus.publish(AccountsRemoved([account]))

    def restore(self, number: int) -> Account:
        """Bring back the account that had this id, as it was; its phones must register anew.

        Raises NoSuchUser when it was removed too long ago, or never, and UserExists when its name
        has been taken meanwhile.
        """

        def restore(tables: Tables) -> Account:
            _purge(tables, int(time()))
            for username, realm in fetch(tables, _SET_ASIDE_AS, (number,)):
                if taken := self._taken_by(tables, username, realm):
                    raise UserExists(_taken(username, taken, "remove that one first"))
                fetch(tables, _BRING_BACK, (number,))
                fetch(tables, "DELETE FROM removed_users WHERE id = ?", (number,))
                return _by_id(tables, number)
            raise NoSuchUser("that account was deleted over an hour ago, and cannot be restored")

        account = self.database.run(restore, then=self._put)
        self.bus.publish(CredentialsChanged([account]))
        return account

    def forget_removed(self, now: float | None = None) -> None:
        """Let go of the accounts that can't be restored any more at Unix time `now`."""
        at = int(time() if now is None else now)
        self.database.run(lambda tables: _purge(tables, at))

    def set_password(
        self, username: str, password: str, realm: str | None = None, *, number: int | None = None
    ) -> None:
        """Replace every HA1.  Raises NoSuchUser, or ValueError for what is no password.

        A weak password is taken, and logged as a warning.
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
        """Return what the file has of a password, for `put_back`.  Raises NoSuchUser."""

        def read(tables: Tables) -> dict[str, Any]:
            account = self._existing(tables, username, realm, None)
            (row,) = fetch(tables, _SECRETS_OF, (account.id,))
            return dict(zip(_SECRETS, row, strict=True))

        return self.database.read(read)

    def put_back(self, username: str, realm: str | None, secrets: Mapping[str, Any]) -> None:
        """Restore the password that `secrets` was read of.  Raises NoSuchUser."""
        account = self._update(username, realm, None, lambda account: secrets)
        self.bus.publish(CredentialsChanged([account]))

    def set_display_name(
        self,
        username: str,
        display_name: str,
        realm: str | None = None,
        *,
        number: int | None = None,
    ) -> None:
        """Replace the display name.  Raises NoSuchUser, or ValueError for one that won't do."""
        display_name = normalized(display_name)
        check_display_name(display_name)
        values = {"display_name": display_name, "updated_at": int(time())}
        self._update(username, realm, number, lambda account: values)

    def enable(self, username: str, realm: str | None = None, *, number: int | None = None) -> None:
        """Let an account register and call again.  Raises NoSuchUser."""
        values = {"enabled": 1, "updated_at": int(time())}
        account = self._update(username, realm, number, lambda account: values)
        self.bus.publish(CredentialsChanged([account]))

    def disable(
        self, username: str, realm: str | None = None, *, number: int | None = None
    ) -> None:
        """Keep an account, and refuse it.  Raises NoSuchUser."""
        values = {"enabled": 0, "updated_at": int(time())}
        account = self._update(username, realm, number, lambda account: values)
        self.bus.publish(AccountsRemoved([account]))

    def reload(self) -> None:
        """Read all accounts anew, after another process has changed the file.

        Built in the owner thread and put in place there, so no change of ours falls between.
        """
        gone: list[Account] = []
        changed: list[Account] = []

        def build(tables: Tables) -> AccountTable:
            table = AccountTable(self.realm)
            with long_lived_objects():
                for row in stream(tables, _SELECT):
                    table.put(Account(row))
            return table

        def swap(table: AccountTable) -> None:
            old, self._table = self._table, table
            gone.extend(old.gone_in(table))
            changed.extend(table.credentials_changed_since(old))
            old.release()

        self.database.read(build, then=swap)
        if gone:
            self.bus.publish(AccountsRemoved(gone))
        if changed:
            self.bus.publish(CredentialsChanged(changed))

    def take_over(self, accounts: Iterable[Account]) -> Sequence[Account]:
        """Enter accounts that have just been written.  For functions in the owner thread.

        Return those to publish as CredentialsChanged.
        """
        let_in = []
        with long_lived_objects():
            for account in accounts:
                before = self._table.find(account.username, account.realm or self.realm)
                if account.enabled and (before is None or not account.is_let_in_like(before)):
                    let_in.append(account)
                self._table.put(account)
        return let_in

    def key_realm(self, realm: str | None) -> str | None:
        """Give the realm as the file has it: None for the main one, by either name."""
        return None if realm == self.realm else realm

    def _named(self, username: str, realm: str | None) -> dict[str, Any]:
        if realm is not None:
            check_realm(realm)
        return {"username": username, "realm": self.key_realm(realm)}

    def _secrets(self, username: str, realm: str | None, password: str) -> dict[str, Any]:
        of_realm = realm or self.realm
        made = ha1s(username, of_realm, normalized(password))
        return {**made, "ha1_realm": of_realm, "updated_at": int(time())}

    def _put(self, account: Account) -> None:
        self._table.put(account)

    def _update(
        self,
        username: str,
        realm: str | None,
        number: int | None,
        values_for: Callable[[Account], Mapping[str, Any]],
    ) -> Account:
        def update(tables: Tables) -> Account:
            account = self._existing(tables, username, realm, number)
            values = values_for(account)
            tables["users"].update({"id": account.id, **values}, ["id"])
            if values.get("enabled") == 0:
                let_go(tables, [account.id])
            return _by_id(tables, account.id)

        return self.database.run(update, then=self._put)

    def _row(self, tables: Tables, username: str, realm: str | None) -> Account | None:
        """Find an account in the file, as memory may be a moment behind another process."""
        named = self.key_realm(realm)
        for stored in self._forms(username, realm):
            # As in memory: a row that names the main realm stands before one that leaves it open.
            for wanted in (named,) if named is not None else (self.realm, None):
                values = {"username": stored, "realm": wanted}
                for row in fetch(tables, _OF_MAIN_REALM if wanted is None else _OF_A_REALM, values):
                    return Account(row)
        return None

    def _forms(self, username: str, realm: str | None) -> Iterable[str]:
        """Return the forms in which a name may stand in the file, the typed one first."""
        known = self._table.find_normalized(username, realm or self.realm)
        stored = (known.username,) if known else ()
        return dict.fromkeys((username, normalized(username), *stored))

    def _taken_by(self, tables: Tables, username: str, realm: str | None) -> str | None:
        """Return the name in this realm that leaves no place for another one."""
        for form in (*self._forms(username, realm), unicodedata.normalize("NFD", username)):
            for (taken,) in fetch(tables, _TAKEN, {"username": form, "realm": realm}):
                return str(taken)
        return None

    def _existing(
        self, tables: Tables, username: str, realm: str | None, number: int | None
    ) -> Account:
        account = self._row(tables, username, realm)
        if number is not None and (account is None or account.id != number):
            account = self._hidden(tables, username, realm, number)
        if account is None:
            named = self.key_realm(realm)
            place = f" in the realm {named}" if named is not None else ""
            raise NoSuchUser(f"there is no account {username}{place}; `users list` shows them all")
        return account

    def _hidden(
        self, tables: Tables, username: str, realm: str | None, number: int
    ) -> Account | None:
        """Find the account of this id that stands behind another one of its name."""
        for row in fetch(tables, f"{_SELECT} WHERE id = ?", (number,)):
            account = Account(row)
            same_realm = self.key_realm(account.realm) == self.key_realm(realm)
            return account if account.username == username and same_realm else None
        return None

    def _begin(self, tables: Tables) -> None:
        """Find out whether the main realm has been renamed under its accounts."""
        _purge(tables, int(time()))
        # An old server's file doesn't say its realm: the first one used is taken for it.
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
# `realm IS :realm` would find both, and by none of the two indexes.
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
_KEPT_OF_REMOVED = (
    "id, username, realm, display_name, enabled, ha1_md5, ha1_sha256, ha1_sha512_256,"
    " ha1_realm, created_at, updated_at, last_seen"
)
_SET_ASIDE = f"""
    INSERT OR REPLACE INTO removed_users ({_KEPT_OF_REMOVED}, removed_at)
    SELECT {_KEPT_OF_REMOVED}, :now FROM users WHERE id = :id
"""  # noqa: S608 -- our names
_SET_ASIDE_AS = "SELECT username, realm FROM removed_users WHERE id = ?"
_BRING_BACK = f"""
    INSERT INTO users ({_KEPT_OF_REMOVED})
    SELECT {_KEPT_OF_REMOVED} FROM removed_users WHERE id = ?
"""  # noqa: S608 -- our names


def _warn_if_weak(username: str, password: str) -> None:
    if why := weakness(password, username):
        log.warning("weak password of %s: it %s", username, why)


def _by_id(tables: Tables, number: int) -> Account:
    (row,) = fetch(tables, f"{_SELECT} WHERE id = ?", (number,))
    return Account(row)


def _taken(username: str, by: str, advice: str) -> str:
    if username == by:
        return f"{username} has an account already; {advice}"
    if normalized(username) == normalized(by):
        return (
            f"{username} has an account already, whose name is stored with other Unicode characters"
            f" that mean the same; {advice}"
        )
    return f"{username} differs from the account {by} by case alone; choose another name"


def _purge(tables: Tables, now: int) -> None:
    fetch(tables, "DELETE FROM removed_users WHERE removed_at <= ?", (now - REMEMBERED,))


def _renamed(former: str, accounts: int, now: str) -> str:
    return (
        f"the passwords of {accounts} account(s) were set for the realm {former} and don't work in"
        f" {now}: start with -sip.realm {former}, or set them anew."
    )
