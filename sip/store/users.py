"""Who has an account here.  What is kept of a password is its HA1s."""

from collections.abc import Mapping
from time import time
from typing import Any

from sip.store.accounts import (
    Account,
    AccountTable,
    NoSuchUser,
    UserExists,
    check_display_name,
    check_password,
    check_realm,
    check_username,
    ha1s,
)
from sip.store.database import Database, Tables

__all__ = ["Account", "NoSuchUser", "UserExists", "Users"]

_COLUMNS = "id, username, realm, display_name, enabled, ha1_md5, ha1_sha256, ha1_sha512_256"


class Users:
    """All accounts: read from memory, written to the file first and to memory last.

    A `realm` of None is the main realm everywhere below.  `warning` is a sentence for the
    operator when the HA1s of some accounts were made for another name of the main realm.
    """

    def __init__(self, database: Database, realm: str = "go-sip-server") -> None:
        check_realm(realm)
        self.realm = realm
        self.database = database
        self._table = AccountTable(realm)
        database.run(self._remember_realm)
        self.reload()

    def find(self, username: str, realm: str) -> Account | None:
        """Look up an account, enabled or not, by its name and the realm as phones know it."""
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
        query = f"SELECT {_COLUMNS} FROM users ORDER BY {order}"  # noqa: S608 -- our names
        return self.database.read(lambda tables: [Account(row) for row in tables.query(query)])

    def add(
        self, username: str, password: str, realm: str | None = None, display_name: str = ""
    ) -> Account:
        """Create an account.  Raises UserExists, or ValueError for what cannot be taken."""
        check_username(username)
        check_password(password)
        check_display_name(display_name)
        row = self._named(username, realm) | self._secrets(username, realm, password)
        row |= {"display_name": display_name, "created_at": row["updated_at"]}

        def add(tables: Tables) -> Account:
            taken = next(iter(tables.query(_TAKEN, username=username, realm=row["realm"])), None)
            if taken is not None:
                raise UserExists(self._taken(username, taken["username"]))
            number = tables["users"].insert(row)
            return Account({"id": number, "enabled": 1, **row})

        return self.database.run(add, then=lambda account: self._table.put(account))

    def remove(self, username: str, realm: str | None = None) -> None:
        """Delete an account.  Raises NoSuchUser."""

        def remove(tables: Tables) -> tuple[Account, Account | None]:
            account = self._existing(tables, username, realm)
            tables["users"].delete(id=account.id)
            return account, self._row(tables, username, realm)

        def forget(result: tuple[Account, Account | None]) -> None:
            account, hidden = result  # the second held the same name, see AccountTable.put
            self._table.drop(account)
            if hidden is not None:
                self._table.put(hidden)

        self.database.run(remove, then=forget)

    def set_password(self, username: str, password: str, realm: str | None = None) -> None:
        """Replace every HA1.  Raises NoSuchUser, or ValueError for an empty password."""
        check_password(password)
        self._update(username, realm, self._secrets(username, realm, password))

    def enable(self, username: str, realm: str | None = None) -> None:
        """Let an account register and call again.  Raises NoSuchUser."""
        self._update(username, realm, {"enabled": 1, "updated_at": int(time())})

    def disable(self, username: str, realm: str | None = None) -> None:
        """Keep an account, and refuse it.  Raises NoSuchUser."""
        self._update(username, realm, {"enabled": 0, "updated_at": int(time())})

    def reload(self) -> None:
        """Read all accounts anew, after another process has changed the file.

        Built in the owner thread and put in place there, so no change of ours falls between.
        """
        query = f"SELECT {_COLUMNS} FROM users"  # noqa: S608 -- our names

        def build(tables: Tables) -> AccountTable:
            table = AccountTable(self.realm)
            for row in tables.query(query):
                table.put(Account(row))
            return table

        def swap(table: AccountTable) -> None:
            old, self._table = self._table, table
            old.release()

        self.database.read(build, then=swap)

    def key_realm(self, realm: str | None) -> str | None:
        """Give the realm as the file has it: None for the main one, by either name."""
        return None if realm == self.realm else realm

    def _named(self, username: str, realm: str | None) -> dict[str, Any]:
        if realm is not None:
            check_realm(realm)
        return {"username": username, "realm": self.key_realm(realm)}

    def _secrets(self, username: str, realm: str | None, password: str) -> dict[str, Any]:
        of_realm = realm or self.realm
        made = ha1s(username, of_realm, password)
        return {**made, "ha1_realm": of_realm, "updated_at": int(time())}

    def _taken(self, username: str, by: str) -> str:
        if username == by:
            return f"{username} has an account already; remove it to start anew"
        return f"{username} differs from the account {by} by case alone; choose another name"

    def _update(self, username: str, realm: str | None, values: Mapping[str, Any]) -> None:
        def update(tables: Tables) -> Account:
            account = self._existing(tables, username, realm)
            tables["users"].update({"id": account.id, **values}, ["id"])
            (row,) = tables["users"].find(id=account.id)
            return Account(row)

        self.database.run(update, then=lambda account: self._table.put(account))

    def _row(self, tables: Tables, username: str, realm: str | None) -> Account | None:
        """Find an account in the file, as memory may be a moment behind another process."""
        named = self.key_realm(realm)
        # As in memory: a row that names the main realm stands before one that leaves it open.
        for wanted in (named,) if named is not None else (self.realm, None):
            row = tables["users"].find_one(username=username, realm=wanted)
            if row is not None:
                return Account(row)
        return None

    def _existing(self, tables: Tables, username: str, realm: str | None) -> Account:
        account = self._row(tables, username, realm)
        if account is None:
            named = self.key_realm(realm)
            place = f" in the realm {named}" if named is not None else ""
            raise NoSuchUser(f"there is no account {username}{place}; `users list` shows them all")
        return account

    def _remember_realm(self, tables: Tables) -> None:
        """Find out whether the main realm has been renamed under its accounts."""
        # An old server's file doesn't say its realm: the first one used is taken for it.
        tables.query(
            "UPDATE users SET ha1_realm = coalesce(realm, :main) WHERE ha1_realm IS NULL",
            main=self.realm,
        )
        others = list(tables.query(_OF_OTHER_NAMES, main=self.realm))
        self.warning = " ".join(
            _renamed(row["name"], row["accounts"], self.realm) for row in others
        )


_TAKEN = """
    SELECT username FROM users
    WHERE username = :username COLLATE NOCASE AND realm IS :realm
    ORDER BY username <> :username LIMIT 1
"""
_OF_OTHER_NAMES = """
    SELECT ha1_realm AS name, count(*) AS accounts FROM users
    WHERE realm IS NULL AND ha1_realm <> :main GROUP BY ha1_realm
"""


def _renamed(former: str, accounts: int, now: str) -> str:
    return (
        f"the passwords of {accounts} account(s) were set for the realm {former} and don't work in"
        f" {now}: start with -sip.realm {former}, or set them anew."
    )
