"""Accounts and bindings in memory, instead of the database."""

import hashlib
import itertools
from dataclasses import dataclass

from sip.store.accounts import AccountTable
from sip.store.bindings import Commit
from sip.store.call_changes import check_own_targets
from sip.store.call_settings import USUAL, CallSettings
from sip.store.groups import Group


@dataclass
class MemoryAccount:
    username: str
    realm: str | None
    ha1_md5: str | None
    ha1_sha256: str | None
    ha1_sha512_256: str | None = None
    enabled: bool = True
    id: int = 0
    display_name: str = ""
    call_settings: CallSettings | None = None


class MemoryUsers:
    """Accounts without a database."""

    def __init__(self, realm: str) -> None:
        self.main = realm
        self._ids = itertools.count(1)
        self.accounts: dict[tuple[str, str], MemoryAccount] = {}
        self._realms = frozenset({realm})
        self.groups: list[Group] = []
        self.missing: set[str] = set()  # algorithms that some account has no HA1 for

    def add(self, username: str, password: str, realm: str | None = None) -> MemoryAccount:
        realm = realm or self.main
        text = f"{username}:{realm}:{password}".encode()
        account = MemoryAccount(
            username, realm, hashlib.md5(text).hexdigest(), hashlib.sha256(text).hexdigest()
        )
        account.id = next(self._ids)
        self.accounts[username, realm] = account
        self._realms |= {realm}
        return account

    def find(self, username: str, realm: str) -> MemoryAccount | None:
        """By the rules of the real table, which holds what `accounts` holds now."""
        if (account := self.accounts.get((username, realm))) is not None:
            return account
        return self._table().find(username, realm)

    def find_group(self, name: str, realm: str) -> Group | None:
        return self._table().find_group(name, realm)

    def _table(self) -> AccountTable:
        table = AccountTable(self.main)
        for account in self.accounts.values():
            table.put(account)
        table.set_groups(self.groups)
        return table

    def set(self, username: str, **changes) -> None:
        """Change call settings of a user of the main realm."""
        account = self.accounts[username, self.main]
        settings = (account.call_settings or USUAL).changed(changes)
        check_own_targets(username, settings)
        account.call_settings = settings.stored()

    def change_settings_by_phone(self, username: str, realm: str, changes) -> None:
        self.set(username, **changes)

    def add_group(self, name: str, *members: str, **more) -> None:
        """Add a group of the main realm."""
        number = len(self.groups) + 1
        self.groups.append(Group(number, name, None, members, **more))

    def realms(self) -> frozenset[str]:
        return self._realms

    def offers(self, realm: str, algorithm: str) -> bool:
        return algorithm not in self.missing


class MemoryBindingStore:
    """Bindings in memory: a disk that writes at once.

    `fails` makes it a disk that can't write, for this reason; `is_slow` one that takes its time:
    its commits are `open` until `finishes`.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, str], tuple] = {}
        self.fails = ""
        self.is_slow = False
        self.open: list[Commit] = []

    def load(self, now: float) -> list:
        return [row for row in self.rows.values() if row.expires_at > now]

    def save(self, kept, gone, undo, seen_at=None) -> Commit:
        def write(failure: str) -> None:
            if failure:
                undo()
            else:
                self.remove(gone)
                self.rows.update({row.key: row for row in kept})

        commit = Commit()
        commit.when_done(write)
        self.open.append(commit)
        if not self.is_slow:
            self.finishes()
        return commit

    def finishes(self) -> None:
        """End the open commits: the newest first if they failed, as their undo must be."""
        commits, self.open = self.open, []
        for commit in reversed(commits) if self.fails else commits:
            for callback in commit.finish(self.fails):
                callback(self.fails)

    def remove(self, gone) -> None:
        for key in gone:
            self.rows.pop(key, None)

    def shift(self, seconds: int) -> None:
        for key, row in self.rows.items():
            expires_at, updated_at = row.expires_at + seconds, row.updated_at + seconds
            self.rows[key] = row._replace(expires_at=expires_at, updated_at=updated_at)

    def remove_expired(self, expired, now) -> None:
        for key in expired:
            self.rows.pop(key, None)
