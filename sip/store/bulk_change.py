"""Changes of many chosen accounts: enable, disable, delete, new passwords.

Each change is written in pieces, see pieces.py, and is one step that can be undone for an hour, see
undo.py.
"""

# ruff: noqa: S608 -- only our own column names are put into SQL; input is a value

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
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
from sip.store.pieces import in_pieces
from sip.store.undo import Undo
from sip.store.undo_steps import begin_step, finish_step, recorded_piece
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
class _Chosen:
    """The ids of the accounts to change, and the names of some."""

    ids: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def add(self, number: int, username: str) -> None:
        self.ids.append(number)
        if len(self.names) <= _SOME:
            self.names.append(username)

    @property
    def about(self) -> str:
        """The text for the audit and for the list of steps."""
        count = len(self.ids)
        if not count:
            return "no user"
        if count > _SOME:
            return f"{count:,} users"
        return f"{count} user{'' if count == 1 else 's'}: {', '.join(self.names)}"


@dataclass
class _Written:
    """The accounts that a piece has written, deleted and, in `gone`, deleted or disabled."""

    written: list[Account] = field(default_factory=list)
    removed: list[Account] = field(default_factory=list)
    gone: list[Account] = field(default_factory=list)
    step: int = 0
    count: int = 0


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

        def write(tables: Tables, part: Sequence[int], some: Sequence[int]) -> _Written:
            removed = [*bulk.accounts(tables, some)]
            with bulk.without_triggers(tables, some):
                bulk.remove(tables, some, int(time()))
            uncovered = [*bulk.uncovered(tables, some, self._users.realm)]
            return _Written(uncovered, removed, gone=removed)

        try:
            return self._change(Act.USERS_DELETED, self._chosen(ids, "1"), "1", write)
        finally:
            reload_groups(self._users)

    def set_passwords(self, ids: Iterable[int]) -> Changed:
        """Give each a generated password."""
        secrets: list[_Secret] = []
        chosen = _Chosen()
        names = self._users.database.browse(lambda tables: self._names(tables, ids))
        self._in_thread(lambda: self._generate(names, secrets, chosen))
        remaining = iter(secrets)
        passwords: list[NewPassword] = []

        def write(tables: Tables, part: Sequence[int], some: Sequence[int]) -> _Written:
            alive = set(some)
            kept = [each for each in islice(remaining, len(part)) if each.id in alive]
            now, main = int(time()), self._users.realm
            rows = [(*each.hashes, each.named.realm or main, now, each.id) for each in kept]
            with bulk.without_triggers(tables, []):
                write_many(tables, _SET_HA1S, rows)
            passwords.extend(secret.named for secret in kept)
            return _Written([*bulk.accounts(tables, some)])

        try:
            changed = self._change(Act.USERS_PASSWORDS, chosen, "1", write)
        finally:
            self._in_thread(lambda: release_memory(names))
            self._in_thread(lambda: release_memory(secrets))
        changed.passwords = passwords
        return changed

    def _set_enabled(self, act: Act, ids: Iterable[int], enabled: int) -> Changed:
        def write(tables: Tables, part: Sequence[int], some: Sequence[int]) -> _Written:
            with bulk.without_triggers(tables, []):
                for text in bulk.chunks(some):
                    fetch(tables, _SET_ENABLED, (enabled, int(time()), text))
                if not enabled:
                    bulk.remove_all_bindings(tables, some)
            written = [*bulk.accounts(tables, some)]
            return _Written(written, gone=[] if enabled else written)

        condition = f"enabled <> {enabled}"
        return self._change(act, self._chosen(ids, condition), condition, write)

    def _change(
        self,
        act: Act,
        chosen: _Chosen,
        condition: str,
        write: Callable[[Tables, Sequence[int], Sequence[int]], _Written],
    ) -> Changed:
        """Change the chosen accounts; all, or none if a piece fails.

        `write` gets the ids of a piece, and those of them that still fulfil the condition.
        """
        changed = Changed(about=chosen.about)
        credentials_changed: list[Account] = []

        def piece(tables: Tables, part: Sequence[int], is_last: bool) -> _Written:
            step = changed.step or begin_step(tables, act, chosen.about, self._by)
            some = _existing(tables, part, condition)
            with long_lived_objects(), recorded_piece(tables, step, some):
                written = write(tables, part, some)
            if is_last:
                finish_step(tables, step)
            written.step, written.count = step, len(some)
            return written

        def update_memory(written: _Written) -> None:
            self._users.remove_from_memory(written.removed)
            credentials_changed.extend(self._users.update_memory(written.written))

        database = self._users.database
        with database.long_change:
            try:
                for written in in_pieces(database, chosen.ids, piece, update_memory):
                    changed.step = written.step
                    changed.count += written.count
                    self._users.publish_many(written.gone, credentials_changed)
                    credentials_changed = []
                    self._progress(written.count)
            except BaseException:
                if changed.step:
                    Undo(self._users).take_back_failed(changed.step)
                raise
        return changed if changed.count else Changed(about="no user")

    def _chosen(self, ids: Iterable[int], condition: str) -> _Chosen:
        """Find the accounts that fulfil the condition."""

        def read(tables: Tables) -> _Chosen:
            chosen = _Chosen()
            for some in bulk.chunks([*_one_by_one(ids)]):
                for number, username in stream(tables, f"{_NAMES} AND {condition}", (some,)):
                    chosen.add(number, username)
            return chosen

        return self._users.database.browse(read)

    def _names(self, tables: Tables, ids: Iterable[int]) -> list[tuple[int, str, str | None, str]]:
        with long_lived_objects():
            return [
                row
                for some in bulk.chunks([*_one_by_one(ids)])
                for row in stream(tables, _FULL_NAMES, (some,))
            ]

    def _generate(
        self,
        names: Sequence[tuple[int, str, str | None, str]],
        secrets: list[_Secret],
        chosen: _Chosen,
    ) -> None:
        with long_lived_objects():
            for number, username, realm, display_name in names:
                password = make_password()
                made = ha1s(username, realm or self._users.realm, password)
                named = NewPassword(username, realm or "", display_name, password)
                secrets.append(_Secret(number, named, tuple(made.values())))
                chosen.add(number, username)


def _existing(tables: Tables, ids: Sequence[int], condition: str) -> list[int]:
    """Return the ids of the accounts that still fulfil the condition."""
    return [
        number
        for some in bulk.chunks(ids)
        for number, _ in stream(tables, f"{_NAMES} AND {condition}", (some,))
    ]


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


def _one_by_one(ids: Iterable[int]) -> Iterator[int]:
    """Yield the ids in Python: to copy them in one call would hold up the other threads."""
    yield from ids
