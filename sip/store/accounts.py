"""Account, its checks and HA1s, and the table of all accounts in memory."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sip.memory import release_memory
from sip.phone_numbers import number_of

if TYPE_CHECKING:
    from sip.store.call_settings import CallSettings
    from sip.store.groups import Group

# RFC 3261 §25.1 `user`, unescaped, because names are compared unescaped (§10.3, step 5); letters of
# any script, `#` and `@` are escaped in messages.  No `:`, because Digest uses it after the name.
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/#@\u00a1-\U0010ffff]+")

# Characters.  Phones have no room for more, and pages, indexes and log lines stay short.
MAX_USERNAME = 128
MAX_PASSWORD = 256
MAX_DISPLAY_NAME = 128
MAX_REALM = 255  # as a host name (RFC 1035 §2.3.4)
# Longest name that is normalized, in characters.  NFC composes at most four characters to one, and
# its time grows with the square of a run of accents in wrong order: 0.3 ms for this length.
_MAX_DECOMPOSED = 4 * MAX_USERNAME
# Characters of names that have other forms: separators in numbers, and accents.
_HAS_OTHER_FORMS = re.compile(r"[-.()]|[^\x00-\x7f]")

_HA1_MD5 = re.compile(r"[0-9A-Fa-f]{32}")

_SHA512_256 = hashlib.new("sha512_256")  # a copy costs a quarter of a new object


class UserExists(Exception):
    """The name is taken, maybe in another case or Unicode form.  The text says by which account."""


class NoSuchUser(Exception):
    """There is no account with this name in this realm."""


def md5(data: bytes) -> str:
    """Return the MD5 hash in hexadecimal (RFC 7616 §3.2)."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    """Return the SHA-256 hash in hexadecimal (RFC 7616 §3.2)."""
    return hashlib.sha256(data).hexdigest()


def sha512_256(data: bytes) -> str:
    """Return the SHA-512/256 hash in hexadecimal (FIPS 180-4 §5.3.6.2; not a truncated SHA-512)."""
    hashing = _SHA512_256.copy()
    hashing.update(data)
    return hashing.hexdigest()


# For each algorithm: the column of its HA1, and the hash function.
ALGORITHMS: Mapping[str, tuple[str, Callable[[bytes], str]]] = {
    "MD5": ("ha1_md5", md5),
    "SHA-256": ("ha1_sha256", sha256),
    "SHA-512-256": ("ha1_sha512_256", sha512_256),
}


def ha1s(username: str, realm: str, password: str) -> dict[str, str]:
    """Compute all HA1s, by column name (RFC 7616 §3.4.2)."""
    secret = f"{username}:{realm}:{password}".encode()
    return {column: hashed(secret) for column, hashed in ALGORITHMS.values()}


def normalized(text: str) -> str:
    """Return a name or password in Unicode Normalization Form C, for comparison (RFC 7616 §4).

    A text that is too long for a name or password is returned unchanged.
    """
    if text.isascii() or len(text) > 4 * MAX_PASSWORD:
        return text
    return unicodedata.normalize("NFC", text)


def full_name(username: str, realm: str | None = None) -> str:
    """Return the name of an account for the audit, with the realm unless it is the main realm.

    A name that contains @ is quoted: ann@example.org without quotes is ann in that realm.
    """
    name = f'"{username}"' if "@" in username else username
    return f"{name}@{realm}" if realm else name


def sentence_of_taken(username: str, by: str, advice: str) -> str:
    """Return why a name cannot be used: it is that of the account `by`, or too much like it."""
    if username == by:
        return f"{username} already has an account; {advice}"
    if normalized(username) == normalized(by):
        return (
            f"{username} already has an account, stored in another Unicode form of the name;"
            f" {advice}"
        )
    return f"{username} differs from the account {by} only in case; choose another name"


def check_username(username: str) -> None:
    """Raise ValueError for a name that is too long or cannot be the user part of a SIP URI."""
    _check_length("user name", username, MAX_USERNAME)
    if not _USER.fullmatch(username) or not username.isprintable():
        raise ValueError(
            f"{username!r} cannot be the user name of a SIP URI:"
            " use letters, digits and -_.!~*'()&=+$,;?/@#"
        )


def check_realm(realm: str) -> None:
    """Raise ValueError for a realm that is too long, or needs escapes in a quoted string."""
    _check_length("realm", realm, MAX_REALM)
    if not realm or not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ValueError(f"{realm!r} is not a realm: use a host name, or a word without quotes")


def check_display_name(name: str) -> None:
    """Raise ValueError for a display name that is too long or has unprintable characters."""
    _check_length("display name", name, MAX_DISPLAY_NAME)
    if not (name.isprintable() or name == ""):
        raise ValueError(f"{name!r} is not a display name: it has an unprintable character")


def check_password(password: str) -> None:
    """Raise ValueError for an empty, too long or undecodable password.

    Short passwords are accepted, because some door phones allow four digits only.
    """
    if not password:
        raise ValueError("the password is empty")
    _check_length("password", password, MAX_PASSWORD)
    if any("\ud800" <= character <= "\udfff" for character in password):
        raise ValueError("the password is not UTF-8; type it again")


def check_ha1(ha1: str) -> None:
    """Raise ValueError for a text that is not an MD5 HA1 (RFC 7616 §3.4.2)."""
    if not _HA1_MD5.fullmatch(ha1):
        raise ValueError("the HA1 must have 32 hexadecimal digits")


def printable(text: str, length: int) -> str:
    """Make untrusted text safe to store and show: truncate it, replace unprintable characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:length])


def _check_length(what: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise ValueError(f"the {what} has {len(text):,} characters; the maximum is {longest}")


class Account:
    """One account in memory, made of a row with the columns `COLUMNS`.

    A realm of None is the main realm, even after that was renamed.  `call_settings` is None for the
    usual ones.
    """

    COLUMNS = "id, username, realm, display_name, enabled, ha1_md5, ha1_sha256, ha1_sha512_256"

    __slots__ = (
        "call_settings",
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
    call_settings: "CallSettings | None"

    def __init__(self, row: Iterable[Any], call_settings: "CallSettings | None" = None) -> None:
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
        self.call_settings = call_settings

    def has_same_access(self, other: "Account") -> bool:
        """Return True if both accounts have the same HA1s and are both enabled or both disabled."""
        return (self.enabled, self.ha1_md5, self.ha1_sha256, self.ha1_sha512_256) == (
            other.enabled,
            other.ha1_md5,
            other.ha1_sha256,
            other.ha1_sha512_256,
        )

    def __repr__(self) -> str:  # keeps the HA1s out of logs and tracebacks
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
    """All accounts by realm and name, and the algorithms that all users of a realm can use.

    Changed by one thread only; other threads may look up accounts at any time.
    """

    def __init__(self, main_realm: str) -> None:
        self.main_realm = main_realm
        self.realms = frozenset({main_realm})
        self._accounts: dict[str, dict[str, Account]] = {main_realm: {}}
        # By realm and normalized form: accounts that an earlier version stored in another form than
        # NFC, and accounts whose name is a number with separators.
        self._decomposed: dict[tuple[str, str], tuple[Account, ...]] = {}
        self._separated: dict[tuple[str, str], tuple[Account, ...]] = {}
        # By realm and alias, and by realm and the number of an alias: the user names.
        self._aliases: dict[tuple[str, str], str] = {}
        self._groups: dict[tuple[str, str], Group] = {}
        # Per realm and algorithm: number of enabled accounts without that HA1.
        self._lacking: Counter[tuple[str, str]] = Counter()

    def find(self, username: str, realm: str) -> Account | None:
        """Return the account for an unescaped user part, or a digest username, in a realm.

        An account with exactly this name comes first, then one with the same name in NFC (RFC 7616
        §4), then one with this alias, then one with the same telephone number as its name or alias
        (RFC 3966 §4).
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
        if self._aliases and (found := self._with_alias(normalized(username), realm)) is not None:
            return found
        if not (number := number_of(username)):
            return None
        return (
            accounts.get(number)
            or _first(self._separated, realm, number)
            or self._with_alias(number, realm)
        )

    def _with_alias(self, alias: str, realm: str) -> Account | None:
        username = self._aliases.get((realm, alias))
        return None if username is None else self._accounts[realm].get(username)

    def find_group(self, name: str, realm: str) -> "Group | None":
        """Return the group for an unescaped user part, its number in any spelling."""
        groups = self._groups
        if not groups or len(name) > _MAX_DECOMPOSED:
            return None
        return groups.get((realm, normalized(name))) or groups.get((realm, number_of(name)))

    def set_groups(self, groups: "Iterable[Group]") -> None:
        """Replace all groups."""
        table: dict[tuple[str, str], Group] = {}
        for group in groups:
            realm = group.realm or self.main_realm
            for form in _forms(group.name):
                table.setdefault((realm, form), group)
        self._groups = table

    def find_normalized(self, username: str, realm: str) -> Account | None:
        """Return the account with this name, compared in NFC."""
        accounts = self._accounts.get(realm, {})
        name = normalized(username)
        return accounts.get(username) or accounts.get(name) or _first(self._decomposed, realm, name)

    def all_have(self, realm: str, algorithm: str) -> bool:
        """Return True if every enabled account of the realm has the HA1 for `algorithm`."""
        # A look-up of a missing key in a Counter itself runs a Python function.
        return algorithm in ALGORITHMS and not self._lacking.get((realm, algorithm))

    def put(self, account: Account) -> None:
        """Add an account, or replace the account with the same name and realm."""
        realm = account.realm or self.main_realm
        accounts = self._accounts.setdefault(realm, {})
        old = accounts.get(account.username)
        # Two rows have the same name and realm if the main realm was renamed to a realm that has
        # accounts.  The row that names the realm wins: its HA1s were computed for that name.
        if old is not None and old.id != account.id and old.realm is not None:
            return
        self._count(realm, old, -1)
        self._count(realm, account, +1)
        accounts[account.username] = account
        self._index_forms(realm, account)
        if old is not None and old.call_settings is not None:
            self._index_aliases(realm, old, remove=True)
        if account.call_settings is not None:
            self._index_aliases(realm, account)
        if realm not in self.realms:
            self.realms |= {realm}

    def remove(self, account: Account) -> None:
        """Remove an account; an account that is not in the table is ignored."""
        realm = account.realm or self.main_realm
        accounts = self._accounts.get(realm, {})
        old = accounts.get(account.username)
        if old is None or old.id != account.id:
            return
        self._count(realm, old, -1)
        del accounts[account.username]
        self._index_forms(realm, account, remove=True)
        if old.call_settings is not None:
            self._index_aliases(realm, old, remove=True)
        if not accounts and realm != self.main_realm:
            del self._accounts[realm]
            self.realms -= {realm}

    def _index_forms(self, realm: str, account: Account, *, remove: bool = False) -> None:
        """Add an account to, or remove it from, the indexes of normalized names and numbers."""
        stored = account.username
        if not _HAS_OTHER_FORMS.search(stored):
            return
        forms = (self._decomposed, normalized(stored)), (self._separated, number_of(stored))
        for table, form in forms:
            if form in ("", stored) or (table is self._separated and ";" in stored):
                continue
            others = [each for each in table.get((realm, form), ()) if each.username != stored]
            entered = sorted([*others, *(() if remove else (account,))], key=lambda one: one.id)
            if entered:
                table[realm, form] = tuple(entered)
            else:
                table.pop((realm, form), None)

    def _index_aliases(self, realm: str, account: Account, *, remove: bool = False) -> None:
        """Add the aliases of an account to their index, or remove them from it."""
        if account.call_settings is None:
            return
        for alias in account.call_settings.aliases:
            for form in _forms(alias):
                if not remove:
                    self._aliases[realm, form] = account.username
                elif self._aliases.get((realm, form)) == account.username:
                    del self._aliases[realm, form]

    def removed_or_disabled_in(self, later: "AccountTable") -> list[Account]:
        """Return the enabled accounts that are removed or disabled in a later table."""
        gone = []
        for realm, accounts in self._accounts.items():
            for username, account in accounts.items():
                now = later.find(username, realm)
                if account.enabled and (now is None or now.id != account.id or not now.enabled):
                    gone.append(account)
        return gone

    def credentials_changed_since(self, earlier: "AccountTable") -> list[Account]:
        """Return the enabled accounts that are new since `earlier`, or have other credentials."""
        changed = []
        for realm, accounts in self._accounts.items():
            for username, account in accounts.items():
                before = earlier.find(username, realm)
                if account.enabled and (before is None or not account.has_same_access(before)):
                    changed.append(account)
        return changed

    def release(self) -> None:
        """Free the memory of a table that is not used any more."""
        for accounts in self._accounts.values():
            release_memory(accounts)
        release_memory(self._decomposed)
        release_memory(self._separated)
        release_memory(self._aliases)

    def __len__(self) -> int:
        return sum(map(len, self._accounts.values()))

    def _count(self, realm: str, account: Account | None, step: int) -> None:
        if account is None or not account.enabled:
            return
        if account.ha1_md5 and account.ha1_sha256 and account.ha1_sha512_256:
            return  # the fast path: nearly all accounts have all HA1s
        for algorithm, (column, _) in ALGORITHMS.items():
            if not getattr(account, column):
                self._lacking[realm, algorithm] += step


def _forms(name: str) -> Iterable[str]:
    """Return the forms by which an alias or a group is found: in NFC, and as a number."""
    return {normalized(name), number_of(name)} - {""}


def _first(
    table: Mapping[tuple[str, str], tuple[Account, ...]], realm: str, form: str
) -> Account | None:
    """Return the oldest account with this normalized form."""
    accounts = table.get((realm, form))
    return accounts[0] if accounts else None
