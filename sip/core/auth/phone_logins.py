"""Logins of phones in browsers: digest names of their own, for one account, in memory.

Problem: a page has to answer digest challenges, and neither the password of the account nor its
    HA1, which is as good as the password, may be in a page.
Model: a name that begins with PREFIX and a random HA1; they stand for an account as long as the
    session that they were made for goes on.
Bounds: MAX_LOGINS, and MAX_OF_ACCOUNT of one account; the oldest ends for a new one.
"""

import re
import secrets
from collections.abc import Callable
from typing import NamedTuple

from sip.store.accounts import Account

PREFIX = "web."
_NAME_BYTES = 8
_NAME = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{{2 * _NAME_BYTES}}}")
# The libraries of browsers know no other algorithm.
ALGORITHM = "MD5"
MAX_LOGINS = 20_000
MAX_OF_ACCOUNT = 5


class PhoneLogin(NamedTuple):
    """The digest name and the HA1, in hexadecimal digits, of a phone in a browser."""

    name: str
    ha1: str


class _Entry(NamedTuple):
    ha1: str
    account_id: int
    realm: str
    owner: str
    account: Callable[[], Account | None]


def may_be_login(name: str) -> bool:
    """Return True for a name in the form of a login: one that is in use cannot be guessed."""
    return _NAME.fullmatch(name) is not None


class PhoneLogins:
    """All logins that have not ended."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}  # by name, the oldest first

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, account: Account, owner: str) -> PhoneLogin | None:
        """Return the login that a session, `owner`, has for an account, if it has one."""
        for name, entry in self._entries.items():
            if entry.account_id == account.id and entry.owner == owner:
                return PhoneLogin(name, entry.ha1)
        return None

    def issue(
        self, account: Account, realm: str, owner: str, still: Callable[[], Account | None]
    ) -> PhoneLogin:
        """Return a new login of an account of a realm for a session, `owner`.

        `still` returns the account, or None once the session has ended.  It must not wait.
        """
        own = [name for name, entry in self._entries.items() if entry.account_id == account.id]
        for name in own[: max(0, len(own) - MAX_OF_ACCOUNT + 1)]:
            del self._entries[name]
        while len(self._entries) >= MAX_LOGINS:
            del self._entries[next(iter(self._entries))]
        login = PhoneLogin(PREFIX + secrets.token_hex(_NAME_BYTES), secrets.token_hex(16))
        self._entries[login.name] = _Entry(login.ha1, account.id, realm, owner, still)
        return login

    def end(self, owner: str) -> list[str]:
        """End the logins of a session, `owner`, and return their names."""
        ended = [name for name, entry in self._entries.items() if entry.owner == owner]
        for name in ended:
            del self._entries[name]
        return ended

    def find(self, name: str, realm: str) -> tuple[Account, str] | None:
        """Return the account and the HA1 of a login; None if there is none, or it has ended."""
        entry = self._entries.get(name)
        if entry is None or entry.realm != realm:
            return None
        account = entry.account()
        if account is None or account.id != entry.account_id:
            del self._entries[name]
            return None
        return account, entry.ha1
