"""The database is locked, full, damaged or gone: calls go on, and no 200 is false."""

import contextlib
import itertools
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.network import Loopback
from tests.support.programs import PATIENCE, REPOSITORY, program, until
from tests.support.server import Server
from tests.support.socket_phone import SocketPhone

DISK_KILOBYTES = 1024


@pytest.fixture
def talk(server: Server, registered) -> Callable[[], None]:
    """Return `talk()`: a call, which must not depend on the store."""
    alice, bob = registered("alice"), registered("bob")

    def talk() -> None:
        assert server.answers_options(PATIENCE)
        call, _ = alice.calls(bob)
        alice.invites_again(call, bob)
        alice.hangs_up(call, bob)

    return talk


def is_refused(phone: SocketPhone, tries: int = 60) -> bool:
    """Register until a 500 comes: the log may have room for some more."""
    for _ in range(tries):
        status = phone.registers()
        assert status in (200, 500), status
        if status == 500:
            return True
    return False


def registers_again(phone: SocketPhone) -> None:
    until(lambda: phone.registers() == 200, "a REGISTER is taken again")
    assert bound(phone) == {phone.contact[1:-1]}


def bound(phone: SocketPhone) -> set[str]:
    """The bindings on disk of the user of a phone."""
    with closing(sqlite3.connect(phone.server.database)) as file:
        aor = f"{phone.user}@{phone.server.domain}"
        return {
            row[0] for row in file.execute("SELECT contact FROM bindings WHERE aor = ?", (aor,))
        }


def complaints(server: Server, cause: str) -> list[str]:
    """The log lines about the fault."""
    lines = [line for line in server.log.read_text().splitlines() if " ERROR " in line]
    assert all(cause in line for line in lines), lines
    return lines


def test_a_lock_of_another_program_is_awaited_then_reported(server, handset, talk):
    """A REGISTER waits ten seconds, as it does for a large import; nothing else waits with it."""
    carol = handset("carol")
    carol.seconds = 4 * PATIENCE
    statuses: list[int] = []
    with closing(sqlite3.connect(server.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = threading.Thread(target=lambda: statuses.append(carol.registers()))
        asking.start()
        while asking.is_alive():
            talk()
            asking.join(0.5)
        other.execute("ROLLBACK")
    assert statuses == [500]
    assert complaints(server, "another program has locked it")
    registers_again(carol)


class SmallDisk(Loopback):
    """This machine, with a small disk mounted at `place` that only what runs here sees."""

    MOUNT = 'mount -t tmpfs -o size=%dk none "$0" && cp "$0.db" "$0/users.db" && exec "$@"'

    def __init__(self, place: Path) -> None:
        begin = (program("unshare"), "--user", "--map-root-user", "--mount")
        self.enter = (*begin, "sh", "-c", self.MOUNT % DISK_KILOBYTES, str(place))


@pytest.fixture
def server_on_a_small_disk(tmp_path: Path, database: Path) -> Iterator[Server]:
    home = tmp_path / "server"
    server = Server(home, machine=SmallDisk(home / "disk"))
    (home / "disk").mkdir()
    shutil.copy(database, home / "disk.db")
    server.database = home / "disk" / "users.db"
    server.start()
    yield server
    server.close()


def fill(file: Path) -> None:
    """Write until there is no room."""
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        for _ in range(DISK_KILOBYTES):
            filler.write(bytes(1024))
        raise AssertionError("there is room still")


def copied(disk: Path, statement: str) -> list[tuple]:
    """The rows of a query in a copy of the file: SQLite would follow the link in its path."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("users.db", "users.db-wal"):
            shutil.copy(disk / name, place)
        with closing(sqlite3.connect(f"{place}/users.db")) as file:
            return file.execute(statement).fetchall()


def test_a_full_disk_refuses_registers_until_there_is_room(server_on_a_small_disk: Server):
    server = server_on_a_small_disk
    disk = Path(f"/proc/{server.process.pid}/root{server.database.parent}")
    phones = [SocketPhone(server, user) for user in ("alice", "bob", "carol")]
    alice, bob, carol = phones
    assert [alice.registers(), bob.registers()] == [200, 200]
    fill(disk / "filler")
    assert is_refused(carol)
    call, _ = alice.calls(bob)
    alice.hangs_up(call, bob)
    assert server.answers_options(PATIENCE)
    assert complaints(server, "the disk is full; make room")
    (disk / "filler").unlink()
    until(lambda: carol.registers() == 200, "a REGISTER is taken again")
    assert "database writes work again" in server.log.read_text()
    history = "SELECT call_id FROM calls"
    until(lambda: copied(disk, history) == [(call.call_id,)], "the call is in the history")
    assert copied(disk, "SELECT count(*) FROM bindings") == [(3,)]
    for phone in phones:
        phone.close()


def test_registers_are_refused_while_the_disk_is_full(server, handset, talk):
    """As one with a fault, or one that the system has made read-only for it."""
    carol = handset("carol")
    pid = server.process.pid
    # What stands at an offset beyond cannot be written, and that is all of the log of a commit.
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE, (server.log.stat().st_size + 2000, -1))
    assert is_refused(carol)
    talk()
    assert complaints(server, "check the disk for errors")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (-1, hard))
    registers_again(carol)


def test_registers_are_refused_while_the_directory_is_gone(server, handset, talk):
    """SQLite would write on into what no start will ever find."""
    carol = handset("carol")
    away = server.database.parent.with_name("away")
    log = server.log.open("rb")
    server.database.parent.rename(away)
    assert carol.registers() == 500
    talk()
    assert b"is gone (No such file or directory); put it back" in log.read()
    log.close()
    away.rename(server.database.parent)
    registers_again(carol)


def test_a_file_that_replaces_the_open_one_is_noticed(server, handset, talk):
    """A backup that was copied over it, for one."""
    carol = handset("carol")
    former = server.database.with_name("former.db")
    server.database.rename(former)
    shutil.copy(former, server.database)
    assert carol.registers() == 500
    talk()
    assert complaints(server, "was replaced by another file")
    former.rename(server.database)
    registers_again(carol)


def test_disk_errors_are_logged_once_a_second(server, handset):
    """And not once for each of them; they all are in its count."""
    carol = handset("carol")
    former = server.database.with_name("former.db")
    server.database.rename(former)
    for asked in itertools.count(1):
        assert carol.registers() == 500
        told = [line for line in complaints(server, "is gone") if "not saved" in line]
        if asked > 10 and len(told) > 2:
            break
    at = [datetime.fromisoformat(line[:23].replace(",", ".")) for line in told]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(at)]
    assert min(gaps) > 0.99, gaps
    former.rename(server.database)
    registers_again(carol)


def started_with(path: Path) -> tuple[int, str]:
    """Start a server with a file that won't do; gives its exit code, and what it says."""
    done = subprocess.run(
        [
            *[sys.executable, str(REPOSITORY / "sipserver.py"), "-db.path", str(path)],
            *["-sip.addr", "127.0.0.1:0", "-web.addr", "127.0.0.1:0"],
        ],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stderr


def damaged(page: int) -> Callable[[bytes], bytes]:
    """Spoil one page: of a table, of an index, or of what finds names by their letters."""

    def spoil(octets: bytes) -> bytes:
        return octets[: page * 4096] + os.urandom(4096) + octets[(page + 1) * 4096 :]

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        damaged(1),
        damaged(4),
        damaged(11),
        damaged(-2),
        lambda octets: octets[: len(octets) // 8192 * 4096],
        lambda octets: os.urandom(len(octets)),
        lambda octets: b"a letter to my aunt\n" * 500,
    ],
    ids=["users", "page 5", "page 12", "last but one", "half of it", "noise", "a letter"],
)
def test_a_damaged_or_foreign_file_is_one_error_and_unchanged(
    tmp_path: Path, database: Path, spoil
):
    """Also where the damage is in what the start would not look at."""
    path = tmp_path / "home" / "users.db"
    path.parent.mkdir()
    path.write_bytes(spoil(database.read_bytes()))
    before = path.read_bytes()
    code, said = started_with(path)
    assert (code, said.count("\n")) == (1, 1), said
    assert str(path) in said
    assert "-db.path" in said
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["users.db"]
