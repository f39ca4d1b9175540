"""Backup and restore of the database."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from sip.store import backup as module
from sip.store import schema
from sip.store.backup import BackupError, backup, restore
from sip.store.database import Database
from sip.store.database_file import DatabaseError
from sip.store.users import Users

REALM = "example.com"


def quiet(part: float) -> None:
    assert 0 <= part <= 1


def upgrade(path: str) -> None:
    Database(path).close()


@pytest.fixture
def database(tmp_path):
    with Database(str(tmp_path / "sip.db")) as database:
        database.secret("ticket")
        Users(database, REALM).add("ann", "secret")
        yield database


@pytest.fixture
def copy(database, tmp_path) -> str:
    """A backup, made while the database is open."""
    path = str(tmp_path / "copy.db")
    backup(database.path, path, quiet)
    return path


def files(tmp_path: Path) -> set[str]:
    return {path.name for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))}


def test_a_backup_has_what_was_committed_last(database, copy, tmp_path):
    assert os.path.getsize(f"{database.path}-wal") > 0, "the last changes are in the WAL file"
    assert files(tmp_path) == {"sip.db", "copy.db"}
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
    path = str(tmp_path / "restored.db")
    assert restore(copy, path, upgrade, quiet) == ""
    with Database(path) as restored:
        assert Users(restored, REALM).find("ann", REALM)
        assert restored.secret("ticket") == database.secret("ticket")


def test_writers_do_not_disturb_a_backup(database, tmp_path, monkeypatch):
    """It is the state of one moment, and is not begun anew with each change."""
    monkeypatch.setattr(module, "PAGES_AT_ONCE", 1)
    users, steps = Users(database, REALM), []

    def write_meanwhile(part: float) -> None:
        steps.append(part)
        if len(steps) < 4:
            users.add(f"bob{len(steps)}", "secret")

    path = str(tmp_path / "copy.db")
    backup(database.path, path, write_meanwhile)
    assert steps == sorted(steps)
    assert (len(users), steps[-1]) == (4, 1.0)
    restore(path, str(tmp_path / "other.db"), upgrade, quiet)
    with Database(str(tmp_path / "other.db")) as restored:
        assert len(Users(restored, REALM)) == 1


def test_a_backup_replaces_a_file_only_by_force(database, copy, tmp_path):
    Path(copy).write_text("precious")
    with pytest.raises(BackupError, match="--force"):
        backup(database.path, copy, quiet)
    assert Path(copy).read_text() == "precious"
    backup(database.path, copy, quiet, force=True)
    assert Path(copy).read_bytes().startswith(b"SQLite")
    for target in (database.path, f"{database.path}-wal", str(tmp_path)):
        with pytest.raises(BackupError):
            backup(database.path, target, quiet, force=True)


def test_a_failed_backup_leaves_nothing(database, tmp_path, monkeypatch):
    def stop(part: float) -> None:
        raise KeyboardInterrupt

    before = files(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        backup(database.path, str(tmp_path / "copy.db"), stop)
    with pytest.raises(BackupError, match="No such file"):
        backup(database.path, str(tmp_path / "no" / "copy.db"), quiet)
    monkeypatch.setattr(module, "ROOM_LEFT", 2**62)
    with pytest.raises(BackupError, match="MB left"):
        backup(database.path, str(tmp_path / "copy.db"), quiet)
    assert files(tmp_path) == before


def test_a_restore_replaces_a_database_only_by_force(copy, tmp_path):
    path = str(tmp_path / "other.db")
    with Database(path) as other:
        Users(other, REALM).add("bob", "secret")
        with pytest.raises(BackupError, match="--force"):
            restore(copy, path, upgrade, quiet)
        with pytest.raises(BackupError, match="another program uses"):
            restore(copy, path, upgrade, quiet, force=True)
        assert Users(other, REALM).find("bob", REALM)
    Path(f"{path}-wal").write_bytes(b"left over")  # it would be read into the restored file
    former = restore(copy, path, upgrade, quiet, force=True)
    assert former == f"{path}.backup-1"
    with Database(path) as other, Database(former) as old:
        assert Users(other, REALM).find("ann", REALM)
        assert Users(old, REALM).find("bob", REALM)


def test_sessions_do_not_come_back(database, tmp_path):
    """A session that has ended since then would be open again."""
    database.run(
        lambda tables: tables.query(
            "INSERT INTO sessions (token_hash, username, address, user_agent, created_at,"
            " expires_at) VALUES ('x', 'admin', '', '', 1, 2000000000)"
        )
    )
    copy, path = str(tmp_path / "copy.db"), str(tmp_path / "other.db")
    backup(database.path, copy, quiet)
    restore(copy, path, upgrade, quiet)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


def cut_off(octets: bytes) -> bytes:
    return octets[: len(octets) // 2]


def damaged(octets: bytes) -> bytes:
    return octets[:8192] + b"\xff" * 4096 * 8 + octets[8192 + 4096 * 8 :]


def newer(octets: bytes) -> bytes:
    return octets[:60] + (len(schema.STEPS) + 1).to_bytes(4, "big") + octets[64:]


def foreign(octets: bytes) -> bytes:
    return octets[:68] + b"\0\0\0\0" + octets[72:]


@pytest.mark.parametrize(
    "change",
    [cut_off, damaged, newer, foreign, lambda octets: b"", lambda octets: b"id,name\n" * 100],
)
def test_a_bad_file_is_refused_and_leaves_nothing(copy, tmp_path, change):
    bad = tmp_path / "bad.db"
    bad.write_bytes(change(Path(copy).read_bytes()))
    before = files(tmp_path)
    with pytest.raises((BackupError, DatabaseError)) as refused:
        restore(str(bad), str(tmp_path / "other.db"), upgrade, quiet)
    assert "bad.db" in str(refused.value)
    assert "partial" not in str(refused.value)
    assert files(tmp_path) == before
    assert not list(tmp_path.glob("other*"))


def test_an_older_schema_is_upgraded(tmp_path):
    old, path = str(tmp_path / "old.db"), str(tmp_path / "new.db")
    with sqlite3.connect(old) as connection:
        for statement in schema.STEPS[0]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO users (username, ha1_md5, created_at, updated_at) VALUES"
            " ('ann', '0', 1, 1)"
        )
        connection.execute("PRAGMA user_version = 1")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.close()
    before = Path(old).read_bytes()
    restore(old, path, upgrade, quiet)
    assert Path(old).read_bytes() == before
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS),)
        assert connection.execute("SELECT username FROM users").fetchone() == ("ann",)
