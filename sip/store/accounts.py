"""What an account is: its name, its HA1s, and the table of accounts held in memory."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sip.memory import release_memory
from sip.phone_numbers import number_of

# RFC 3261 §25.1 `user` as it reads unescaped, for so names are compared (§10.3, step 5): letters of
# any script, `#` and `@`, travel escaped.  No `:`, which Digest puts behind the name.
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/#@\u00a1-\U0010ffff]+")

# Characters.  No phone has a field for more; each page, index and log line is shorter for it.
MAX_USERNAME = 128
MAX_PASSWORD = 256
MAX_DISPLAY_NAME = 128
MAX_REALM = 255  # as a host name (RFC 1035 §2.3.4)
# Characters of a name that are composed.  NFC makes one of at most four, and the time that it takes
# for a long run of accents in a wrong order grows with the square: 0.3 ms for these.
_MAX_DECOMPOSED = 4 * MAX_USERNAME
# What a name holds whose compared form may be another: separators of numbers, and accents.
_WRITTEN_OTHERWISE = re.compile(r"[-.()]|[^\x00-\x7f]")

_SHA512_256 = hashlib.new("sha512_256")  # a copy of it costs a quarter of making a new one


class UserExists(Exception):
    """The name is taken, or one that differs from it by case or Unicode form alone.  Says which."""


class NoSuchUser(Exception):
    """There is no account of that name in that realm."""


def md5(data: bytes) -> str:
    """Hash as RFC 7616 §3.2 does for MD5."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    """Hash as RFC 7616 §3.2 does for SHA-256."""
    return hashlib.sha256(data).hexdigest()


def sha512_256(data: bytes) -> str:
    """Hash with SHA-512/256 of FIPS 180-4 §5.3.6.2: it isn't SHA-512 cut short."""
    hashing = _SHA512_256.copy()
    hashing.update(data)
    return hashing.hexdigest()


# The column of each algorithm's HA1, and how it is made.
ALGORITHMS: Mapping[str, tuple[str, Callable[[bytes], str]]] = {
    "MD5": ("ha1_md5", md5),
    "SHA-256": ("ha1_sha256", sha256),
    "SHA-512-256": ("ha1_sha512_256", sha512_256),
}


def ha1s(username: str, realm: str, password: str) -> dict[str, str]:
    """Compute every HA1 (RFC 7616 §3.4.2), by its column."""
    secret = f"{username}:{realm}:{password}".encode()
    return {column: hashed(secret) for column, hashed in ALGORITHMS.values()}


def normalized(text: str) -> str:
    """Return a name or password as it is compared: in Unicode Normalization Form C (RFC 7616 §4).

    A text that is too long for either is returned as it is.
    """
    if text.isascii() or len(text) > 4 * MAX_PASSWORD:
        return text
    return unicodedata.normalize("NFC", text)


def full_name(username: str, realm: str | None = None) -> str:
    """Return the name of an account for the audit, with its realm where that isn't the main one.

    A name that holds an @ stands in quotation marks: ann@example.org is ann of that realm.
    """
    name = f'"{username}"' if "@" in username else username
    return f"{name}@{realm}" if realm else name


def check_username(username: str) -> None:
    """Raise ValueError for a name that cannot stand before the @ of a SIP URI, or is too long."""
    _check_length("user name", username, MAX_USERNAME)
    if not _USER.fullmatch(username) or not username.isprintable():
        raise ValueError(
            f"{username!r} cannot stand before the @ of a SIP URI:"
            " take letters, digits and -_.!~*'()&=+$,;?/@#"
        )


def check_realm(realm: str) -> None:
    """Raise ValueError for a realm that does not fit between quotation marks as it is."""
    _check_length("realm", realm, MAX_REALM)
    if not realm or not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ValueError(f"{realm!r} is no realm: take a host name, or a word without quotes")


def check_display_name(name: str) -> None:
    """Raise ValueError for a display name that would break a line, or the file's UTF-8."""
    _check_length("display name", name, MAX_DISPLAY_NAME)
    if not (name.isprintable() or name == ""):
        raise ValueError(f"{name!r} is no display name: it holds a character that cannot be shown")


def check_password(password: str) -> None:
    """Raise ValueError for no password at all; four digits are all that some door phones have."""
    if not password:
        raise ValueError("the password is empty")
    _check_length("password", password, MAX_PASSWORD)
    if any("\ud800" <= character <= "\udfff" for character in password):
        raise ValueError("the password is not UTF-8, as every phone would send it; type it anew")


def showable(text: str, length: int) -> str:
    """Make what a stranger has said safe to keep and to show: cut, and no control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:length])


def _check_length(what: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise ValueError(
            f"the {what} has {len(text):,} characters, and {longest} are the most it may have"
        )


class Account:
    """One account as it stands in memory.  A realm of None is the main realm, whatever its name.

    It is made of a row with the columns of `COLUMNS`.
    """

    COLUMNS = "id, username, realm, display_name, enabled, ha1_md5, ha1_sha256, ha1_sha512_256"

    __slots__ = (
        "display_name",
        "enabled",
        "ha1_md5",
        "ha1_sha256",
        "ha1_sha512_256",
        "id",
        "realm",
        "username",
    )

    id: int
    username: str
    realm: str | None
    display_name: str
    enabled: bool
    ha1_md5: str
    ha1_sha256: str | None
    ha1_sha512_256: str | None

    def __init__(self, row: Iterable[Any]) -> None:
        (
            self.id,
            self.username,
            self.realm,
            self.display_name,
            enabled,
            self.ha1_md5,
            self.ha1_sha256,
            self.ha1_sha512_256,
        ) = row
        self.enabled = bool(enabled)

    def is_let_in_like(self, other: "Account") -> bool:
        """Return True if the same passwords are right for both, and both are enabled or neither."""
        return (self.enabled, self.ha1_md5, self.ha1_sha256, self.ha1_sha512_256) == (
            other.enabled,
            other.ha1_md5,
            other.ha1_sha256,
            other.ha1_sha512_256,
        )

    def __repr__(self) -> str:  # the HA1s stay out of logs and tracebacks
        return f"<Account {self.id} {self.username!r} realm={self.realm!r} enabled={self.enabled}>"


@dataclass(frozen=True, slots=True)
class AccountsRemoved:
    """Event: accounts were removed or disabled, by this or another process."""

    accounts: Sequence[Account]


@dataclass(frozen=True, slots=True)
class CredentialsChanged:
    """Event: accounts may log in now that could not before.

    They are new or restored, have another password, or were enabled.
    """

    accounts: Sequence[Account]


class AccountTable:
    """Every account by realm and name, and what each realm can offer to all of its users.

    Changed by one thread only; others may look things up at any moment.
    """

    def __init__(self, main_realm: str) -> None:
        self.main_realm = main_realm
        self.realms = frozenset({main_realm})
        self._accounts: dict[str, dict[str, Account]] = {main_realm: {}}
        # By realm and compared form: accounts that an earlier version stored in another form than
        # NFC, and accounts whose name is a number with separators.
        self._decomposed: dict[tuple[str, str], tuple[Account, ...]] = {}
        self._separated: dict[tuple[str, str], tuple[Account, ...]] = {}
        # (realm, algorithm): how many enabled accounts lack that HA1.
        self._lacking: Counter[tuple[str, str]] = Counter()

    def find(self, username: str, realm: str) -> Account | None:
        """Return the account that a user part, unescaped, or a digest names in a realm.

        The account of exactly this name goes first, then that of the same name in NFC (RFC 7616
        §4), then that of the same telephone number (RFC 3966 §4).
        """
        accounts = self._accounts.get(realm)
        if accounts is None:
            return None
        if (found := accounts.get(username)) is not None:
            return found
        if len(username) > _MAX_DECOMPOSED:
            return None
        if (found := self.find_normalized(username, realm)) is not None:
            return found
        if not (number := number_of(username)):
            return None
        return accounts.get(number) or _first(self._separated, realm, number)

    def find_normalized(self, username: str, realm: str) -> Account | None:
        """Return the account of a name, whatever the Unicode form of either."""
        accounts = self._accounts.get(realm, {})
        name = normalized(username)
        return accounts.get(username) or accounts.get(name) or _first(self._decomposed, realm, name)

    def all_have(self, realm: str, algorithm: str) -> bool:
        """Tell whether every enabled account of the realm has the HA1 of that algorithm."""
        return algorithm in ALGORITHMS and not self._lacking[realm, algorithm]

    def put(self, account: Account) -> None:
        """Enter an account, in the place of the one of the same name and realm."""
        realm = account.realm or self.main_realm
        accounts = self._accounts.setdefault(realm, {})
        old = accounts.get(account.username)
        # Two rows can claim one place once the main realm is renamed to a realm that has rows of
        # its own.  The row that names the realm wins: its HA1s are surely made for it.
        if old is not None and old.id != account.id and old.realm is not None:
            return
        self._count(realm, old, -1)
        self._count(realm, account, +1)
        accounts[account.username] = account
        self._enter_forms(realm, account)
        if realm not in self.realms:
            self.realms |= {realm}

    def drop(self, account: Account) -> None:
        """Take an account out; one that isn't in is no error."""
        realm = account.realm or self.main_realm
        accounts = self._accounts.get(realm, {})
        old = accounts.get(account.username)
        if old is None or old.id != account.id:
            return
        self._count(realm, old, -1)
        del accounts[account.username]
        self._enter_forms(realm, account, is_gone=True)
        if not accounts and realm != self.main_realm:
            del self._accounts[realm]
            self.realms -= {realm}

    def _enter_forms(self, realm: str, account: Account, *, is_gone: bool = False) -> None:
        """Let an account be found by the forms in which its name is compared, or no more."""
        stored = account.username
        if not _WRITTEN_OTHERWISE.search(stored):
            return
        forms = (self._decomposed, normalized(stored)), (self._separated, number_of(stored))
        for table, form in forms:
            if form in ("", stored) or (table is self._separated and ";" in stored):
                continue
            others = [each for each in table.get((realm, form), ()) if each.username != stored]
            entered = sorted([*others, *(() if is_gone else (account,))], key=lambda one: one.id)
            if entered:
                table[realm, form] = tuple(entered)
            else:
                table.pop((realm, form), None)

    def gone_in(self, later: "AccountTable") -> list[Account]:
        """Give the enabled accounts that a later table lacks, or has disabled."""
        gone = []
        for realm, accounts in self._accounts.items():
            for username, account in accounts.items():
                now = later.find(username, realm)
                if account.enabled and (now is None or now.id != account.id or not now.enabled):
                    gone.append(account)
        return gone

    def credentials_changed_since(self, earlier: "AccountTable") -> list[Account]:
        """Give the enabled accounts that an earlier table lacks, or has with other credentials."""
        changed = []
        for realm, accounts in self._accounts.items():
            for username, account in accounts.items():
                before = earlier.find(username, realm)
                if account.enabled and (before is None or not account.is_let_in_like(before)):
                    changed.append(account)
        return changed

    def release(self) -> None:
        """Let go of every account of a table that nobody looks into any more."""
        for accounts in self._accounts.values():
            release_memory(accounts)
        release_memory(self._decomposed)
        release_memory(self._separated)

    def __len__(self) -> int:
        return sum(map(len, self._accounts.values()))

    def _count(self, realm: str, account: Account | None, step: int) -> None:
        if account is None or not account.enabled:
            return
        if account.ha1_md5 and account.ha1_sha256 and account.ha1_sha512_256:
            return  # nearly everybody, and at a start there are a hundred thousand
        for algorithm, (column, _) in ALGORITHMS.items():
            if not getattr(account, column):
                self._lacking[realm, algorithm] += step


def _first(
    table: Mapping[tuple[str, str], tuple[Account, ...]], realm: str, form: str
) -> Account | None:
    """Return the oldest account of a form."""
    accounts = table.get((realm, form))
    return accounts[0] if accounts else None
