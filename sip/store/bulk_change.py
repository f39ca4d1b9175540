"""Changes of many chosen accounts: enable, disable, delete, new passwords.

Each change is one transaction and one step that can be undone for an hour, see undo.py.
"""

# ruff: noqa: S608 -- only our own column names are put into SQL; input is a value

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import time
from typing import NamedTuple

from sip.memory import long_lived_objects, release_memory
from sip.store import bulk_write as bulk
from sip.store.accounts import ALGORITHMS, Account, ha1s
from sip.store.audit import Act
from sip.store.database import Tables, fetch, stream, write_many
from sip.store.groups import reload_groups
from sip.store.import_report import NewPassword
from sip.store.passwords import make_password
from sip.store.undo import recorded
from sip.store.users import Users

# Names in the audit; of more accounts, only their number.
_SOME = 10
Progress = Callable[[int], None]


class _Secret(NamedTuple):
    """A generated password, and its HA1s in the order of ALGORITHMS."""

    id: int
    named: NewPassword
    hashes: tuple[str, ...]


@dataclass
class Changed:
    """What was done: the number of accounts, the step that undoes it, and generated passwords.

    `about` is for the audit: the number of accounts, and the names if they are few.
    """

    step: int = 0
    count: int = 0
    about: str = ""
    passwords: list[NewPassword] = field(default_factory=list)


@dataclass
class _Written:
    changed: Changed
    written: list[Account] = field(default_factory=list)
    removed: list[Account] = field(default_factory=list)
    gone: list[Account] = field(default_factory=list)


class BulkChange:
    """Changes the accounts with some ids; those that do not exist any more are left out.

    `progress` is called with the number of accounts done, `in_thread` runs the generation of
    passwords, which takes seconds for many accounts.
    """

    def __init__(
        self,
        users: Users,
        by: str,
        progress: Progress = lambda done: None,
        in_thread: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._users = users
        self._by = by
        self._progress = progress
        self._in_thread = in_thread

    def enable(self, ids: Iterable[int]) -> Changed:
        """Enable those that are disabled."""
        return self._set_enabled(Act.USERS_ENABLED, ids, 1)

    def disable(self, ids: Iterable[int]) -> Changed:
        """Disable those that are enabled, and remove their registrations."""
        return self._set_enabled(Act.USERS_DISABLED, ids, 0)

    def delete(self, ids: Iterable[int]) -> Changed:
        """Delete them."""

        def write(tables: Tables, some: Sequence[int]) -> _Written:
            written = _Written(Changed(), removed=[*bulk.accounts(tables, some)])
            with bulk.writing(tables, 0, len(some), some, moved=len(some)):
                for part in _parts(some):
                    bulk.remove(tables, part, int(time()))
                    self._progress(len(part))
            written.gone = [*written.removed]
            written.written = [*bulk.uncovered(tables, some, self._users.realm)]
            return written

        return self._change(Act.USERS_DELETED, ids, "1", write)

    def set_passwords(self, ids: Iterable[int]) -> Changed:
        """Give each a generated password."""
        secrets: list[_Secret] = []
        names = self._users.database.browse(lambda tables: self._names(tables, ids))
        self._in_thread(lambda: self._generate(names, secrets))

        def write(tables: Tables, some: Sequence[int]) -> _Written:
            now, alive = int(time()), {number for number in some}  # noqa: C416 -- see _one_by_one
            kept = [secret for secret in secrets if secret.id in alive]
            with bulk.writing(tables, 0, len(kept), []):
                for start in range(0, len(kept), bulk.CHUNK):
                    part = kept[start : start + bulk.CHUNK]
                    write_many(
                        tables,
                        _SET_HA1S,
                        [
                            (*each.hashes, each.named.realm or self._users.realm, now, each.id)
                            for each in part
                        ],
                    )
                    self._progress(len(part))
            changed = Changed(passwords=[secret.named for secret in kept])
            return _Written(changed, written=[*bulk.accounts(tables, some)])

        changed = self._change(Act.USERS_PASSWORDS, [number for number, *_ in names], "1", write)
        self._in_thread(lambda: release_memory(names))
        self._in_thread(lambda: release_memory(secrets))
        return changed

    def _set_enabled(self, act: Act, ids: Iterable[int], enabled: int) -> Changed:
        def write(tables: Tables, some: Sequence[int]) -> _Written:
            with bulk.writing(tables, 0, len(some), [], moved=len(some)):
                for part, text in zip(_parts(some), bulk.chunks(some), strict=True):
                    fetch(tables, _SET_ENABLED, (enabled, int(time()), text))
                    if not enabled:
                        bulk.remove_all_bindings(tables, part)
                    self._progress(len(part))
            written = [*bulk.accounts(tables, some)]
            return _Written(Changed(), written, gone=[] if enabled else [*written])

        return self._change(act, ids, f"enabled <> {enabled}", write)

    def _change(
        self,
        act: Act,
        ids: Iterable[int],
        condition: str,
        write: Callable[[Tables, Sequence[int]], _Written],
    ) -> Changed:
        """Write a change of those accounts that fulfil the condition, then change memory."""
        credentials_changed: list[Account] = []

        def change(tables: Tables) -> _Written:
            some, names = self._existing(tables, ids, condition)
            if not some:
                return _Written(Changed(about="no user"))
            about = _about(len(some), names)
            with long_lived_objects(), recorded(tables, act, about, self._by, some) as step:
                result = write(tables, some)
            result.changed.step, result.changed.count = step, len(some)
            result.changed.about = about
            return result

        def update_memory(result: _Written) -> None:
            self._users.remove_from_memory(result.removed)
            credentials_changed.extend(self._users.update_memory(result.written))

        result = self._users.database.run(change, then=update_memory)
        if result.removed:
            reload_groups(self._users)
        self._users.publish_many(result.gone, credentials_changed)
        self._users.release(result.written, result.removed)
        return result.changed

    def _existing(
        self, tables: Tables, ids: Iterable[int], condition: str
    ) -> tuple[list[int], list[str]]:
        """Return the ids of the accounts that fulfil the condition, and some of their names."""
        chosen = [*_one_by_one(ids)]
        found: list[int] = []
        names: list[str] = []
        for some in bulk.chunks(chosen):
            for number, username in stream(tables, f"{_NAMES} AND {condition}", (some,)):
                found.append(number)
                if len(names) <= _SOME:
                    names.append(username)
        return found, names

    def _names(self, tables: Tables, ids: Iterable[int]) -> list[tuple[int, str, str | None, str]]:
        with long_lived_objects():
            return [
                row
                for some in bulk.chunks([*_one_by_one(ids)])
                for row in stream(tables, _FULL_NAMES, (some,))
            ]

    def _generate(
        self, names: Sequence[tuple[int, str, str | None, str]], secrets: list[_Secret]
    ) -> None:
        with long_lived_objects():
            for number, username, realm, display_name in names:
                password = make_password()
                made = ha1s(username, realm or self._users.realm, password)
                named = NewPassword(username, realm or "", display_name, password)
                secrets.append(_Secret(number, named, tuple(made.values())))


_NAMES = "SELECT id, username FROM users WHERE id IN (SELECT value FROM json_each(?))"
_FULL_NAMES = """
    SELECT id, username, realm, display_name FROM users
    WHERE id IN (SELECT value FROM json_each(?)) ORDER BY username COLLATE NOCASE
"""
_SET_ENABLED = """
    UPDATE users SET enabled = ?, updated_at = ? WHERE id IN (SELECT value FROM json_each(?))
"""
_SET_HA1S = f"""
    UPDATE users
    SET {", ".join(f"{column} = ?" for column, _ in ALGORITHMS.values())},
        ha1_realm = ?, updated_at = ?
    WHERE id = ?
"""


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the ids in parts; the progress is shown after each."""
    for start in range(0, len(ids), bulk.CHUNK):
        yield ids[start : start + bulk.CHUNK]


def _one_by_one(ids: Iterable[int]) -> Iterator[int]:
    """Yield the ids in Python: to copy them in one call would hold up the other threads."""
    yield from ids


def _about(count: int, names: Sequence[str]) -> str:
    if count > _SOME:
        return f"{count:,} users"
    return f"{count} user{'' if count == 1 else 's'}: {', '.join(names)}"
