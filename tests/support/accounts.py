"""Accounts and bindings in memory, instead of the database."""

import hashlib
import itertools
from dataclasses import dataclass

from sip.store.accounts import AccountTable


@dataclass
class MemoryAccount:
    username: str
    realm: str | None
    ha1_md5: str | None
    ha1_sha256: str | None
    ha1_sha512_256: str | None = None
    enabled: bool = True
    id: int = 0


class MemoryUsers:
    """Accounts without a database."""

    def __init__(self, realm: str) -> None:
        self.main = realm
        self._ids = itertools.count(1)
        self.accounts: dict[tuple[str, str], MemoryAccount] = {}
        self._realms = frozenset({realm})
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
        table = AccountTable(self.main)
        for account in self.accounts.values():
            table.put(account)
        return table.find(username, realm)

    def realms(self) -> frozenset[str]:
        return self._realms

    def offers(self, realm: str, algorithm: str) -> bool:
        return algorithm not in self.missing


class MemoryBindingStore:
    """Bindings in memory; `fails` makes it a disk that can't write."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, str], tuple] = {}
        self.fails: Exception | None = None

    def load(self, now: float) -> list:
        return [row for row in self.rows.values() if row.expires_at > now]

    def save(self, kept, gone, undo, seen_at=None) -> None:
        if self.fails:
            undo()
            raise self.fails
        self.remove(gone)
        for row in kept:
            self.rows[row.key] = row

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
