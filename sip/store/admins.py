"""The administrators of the web admin: names, roles and hashes of passwords.

Either there are none yet, or one of them has the role admin.  A change of password or role and a
removal end all sessions of the administrator.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time

from sip.store.accounts import printable
from sip.store.admin_passwords import hash_password, verify
from sip.store.database import Database, Tables, fetch
from sip.store.passwords import make_password
from sip.store.tokens import Role

USERNAME = "admin"  # of the first administrator
MAX_ADMINS = 100
MAX_NAME = 60  # characters


class AdminError(Exception):
    """The administrator cannot be added, changed or removed.  The text says why."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """One administrator.  Times are Unix seconds; `seen_at` is None before the first sign-in.

    `recovery_codes` is the number of codes that are left.
    """

    name: str
    role: Role
    created_at: int
    seen_at: int | None
    has_second_factor: bool
    recovery_codes: int


@dataclass(frozen=True, slots=True)
class FirstPassword:
    """The password that the server sets at its start.

    `generated` is its text if the server generated it; it is shown once.
    """

    password_hash: str
    generated: str = ""


class Admins:
    """The administrators.  Not cached in memory, because other processes write them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> Sequence[Administrator]:
        """Return all administrators, sorted by name."""
        return self._read(f"{_ADMINS} ORDER BY username")

    def find(self, name: str) -> Administrator | None:
        """Return one administrator, or None."""
        return next(iter(self._read(f"{_ADMINS} WHERE username = ?", name)), None)

    def password_hash(self, name: str = USERNAME) -> str | None:
        """Return the hash of a password, or None if there is no such administrator."""
        rows = self._database.browse(lambda tables: fetch(tables, _HASH, (_storable(name),)))
        return str(rows[0][0]) if rows else None

    def add(self, name: str, role: Role, password_hash: str, now: float | None = None) -> None:
        """Add an administrator.  Raises AdminError."""
        name = _checked_name(name)
        at = int(time() if now is None else now)

        def write(tables: Tables) -> None:
            names = [row[0] for row in fetch(tables, "SELECT username FROM admins")]
            if taken := [each for each in names if each.casefold() == name.casefold()]:
                raise AdminError(f"there is an administrator {taken[0]} already")
            if len(names) >= MAX_ADMINS:
                raise AdminError(f"there are {MAX_ADMINS} administrators already; remove one")
            if not names and role is not Role.ADMIN:
                raise AdminError("the first administrator needs the role admin")
            fetch(tables, _INSERT, (name, password_hash, at, str(role), at))

        self._database.run(write)

    def remove(self, name: str) -> None:
        """Remove an administrator.  Raises AdminError, also for the last one with role admin."""
        name = _storable(name)

        def write(tables: Tables) -> None:
            _check_others(tables, name, "removed")
            _delete(tables, name)

        self._database.run(write)

    def set_role(self, name: str, role: Role) -> None:
        """Set the role.  Raises AdminError, also if no one with role admin would be left."""
        name = _storable(name)

        def write(tables: Tables) -> None:
            if role is not Role.ADMIN:
                _check_others(tables, name, "made a viewer")
            statement = "UPDATE admins SET role = ? WHERE username = ? RETURNING username"
            if not fetch(tables, statement, (str(role), name)):
                raise _no_such(name)
            fetch(tables, _DELETE_SESSIONS, (name,))

        self._database.run(write)

    def set_password_hash(self, password_hash: str, name: str = USERNAME) -> None:
        """Replace a password; the first administrator is added if there is none.

        Raises AdminError.
        """
        name = _storable(name)

        def write(tables: Tables) -> None:
            if name == USERNAME and not fetch(tables, "SELECT 1 FROM admins LIMIT 1"):
                _put_first(tables, password_hash)
            elif not fetch(tables, _SET_HASH, (password_hash, int(time()), name)):
                raise _no_such(name)
            fetch(tables, _DELETE_SESSIONS, (name,))

        self._database.run(write)

    def restore_password_hash(self, password_hash: str | None, name: str = USERNAME) -> None:
        """Restore the former result of `password_hash`; None removes the administrator."""
        if password_hash is not None:
            self.set_password_hash(password_hash, name)
        else:
            self._database.run(lambda tables: _delete(tables, name))

    def first_password(self, environment_password: str | None) -> FirstPassword | None:
        """Return the password of `admin` that the server must set at its start, or None.

        A password from the environment is returned, unless it is set already; then sessions stay.
        Without one, a password is generated if there is no administrator.  Writes nothing.  Raises
        ValueError for a password that cannot be used.  Hashing takes time: call it before sockets
        are open.
        """
        if environment_password:
            kept = self.password_hash()
            if kept is None or not verify(kept, environment_password):
                return FirstPassword(hash_password(environment_password))
        elif not self.list():
            generated = make_password()
            return FirstPassword(hash_password(generated), generated)
        return None

    def set_first_password(self, first: FirstPassword, show: Callable[[str], object]) -> bool:
        """Set the password, and `show` it if it was generated; return True if it was set.

        A generated password that cannot be shown is deleted, because no one would know it.  Raises
        the errors of `show`.
        """
        if not first.generated:
            self._database.run(lambda tables: _put_first(tables, first.password_hash))
            return True

        def write(tables: Tables) -> bool:
            if fetch(tables, "SELECT 1 FROM admins LIMIT 1"):
                return False  # a command has added an administrator since `first_password`
            _put_first(tables, first.password_hash)
            return True

        if not self._database.run(write):
            return False
        try:
            show(first.generated)
        except BaseException:
            self.restore_password_hash(None)
            raise
        return True

    def _read(self, query: str, *values: str) -> Sequence[Administrator]:
        stored = tuple(map(_storable, values))
        rows = self._database.browse(lambda tables: fetch(tables, query, stored))
        return [
            Administrator(name, Role(role), created_at, seen_at, bool(factor), codes)
            for name, role, created_at, seen_at, factor, codes in rows
        ]


_HASH = "SELECT password_hash FROM admins WHERE username = ?"
_ADMINS = """
    SELECT username, role, created_at, seen_at, totp_secret IS NOT NULL,
        (SELECT count(*) FROM recovery_codes WHERE recovery_codes.username = admins.username)
    FROM admins
"""
_INSERT = """
    INSERT INTO admins (username, password_hash, updated_at, role, created_at)
    VALUES (?, ?, ?, ?, ?)
"""
_SET_HASH = """
    UPDATE admins SET password_hash = ?, updated_at = ? WHERE username = ? RETURNING username
"""
_DELETE_SESSIONS = "DELETE FROM sessions WHERE username = ?"
_DELETE_ALL = (
    _DELETE_SESSIONS,
    "DELETE FROM recovery_codes WHERE username = ?",
    "DELETE FROM admins WHERE username = ?",
)


def _put_first(tables: Tables, password_hash: str) -> None:
    """Set the password of `admin`, which is added if it is missing, and end its sessions."""
    now = int(time())
    if not fetch(tables, _SET_HASH, (password_hash, now, USERNAME)):
        fetch(tables, _INSERT, (USERNAME, password_hash, now, str(Role.ADMIN), now))
    fetch(tables, _DELETE_SESSIONS, (USERNAME,))


def _delete(tables: Tables, name: str) -> None:
    for statement in _DELETE_ALL:
        fetch(tables, statement, (name,))


def _check_others(tables: Tables, name: str, what: str) -> None:
    """Raise AdminError if there is no such administrator, or no other one with role admin."""
    roles = dict(fetch(tables, "SELECT username, role FROM admins"))
    if name not in roles:
        raise _no_such(name)
    roles.pop(name)
    if Role.ADMIN not in roles.values():
        raise AdminError(f"{name} is the last administrator with role admin and cannot be {what}")


def _no_such(name: str) -> AdminError:
    return AdminError(f"there is no administrator {printable(name, MAX_NAME)}")


def _checked_name(name: str) -> str:
    """Return the name in NFC.  Raises AdminError for one that cannot be used.

    Without blanks, a name differs from all other authors of audit entries.
    """
    name = unicodedata.normalize("NFC", name[: MAX_NAME + 1])
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or " " in name:
        raise AdminError(
            f"the name of an administrator has 1 to {MAX_NAME} printable characters without blanks"
        )
    return name


def _storable(name: str) -> str:
    """Return a name that may come from a form: in NFC, and without octets that are not UTF-8."""
    return unicodedata.normalize("NFC", name[: MAX_NAME + 1]).encode("utf-8", "replace").decode()
