"""SIGKILL at any moment: all acknowledged changes are there, and no others."""

import contextlib
import itertools
import os
import random
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sip.store.bindings import BindingRow
from sip.store.database import Database, write_many
from sip.store.users import Users
from tests.support.admin import Admin
from tests.support.programs import PATIENCE, until
from tests.support.server import Server
from tests.support.server_load import cpu_seconds, cpu_seconds_of_a_unit
from tests.support.socket_phone import NoMessage, SocketPhone

PHONES = 8
# Work of a processor, Python and all, until the server answers for itself, and for its phones: in
# units of tests/support/server_load.py.  It takes a third of that.
ANSWERS_WITHIN = 60
SERVES_WITHIN = 120
MANY = 100_000


class Binder(threading.Thread):
    """A phone that moves on and on: each REGISTER binds another contact and lets the last go.

    `acknowledged` is what the last 200 has said is bound; `asked` is what the request at hand, if
    any, would make of it.
    """

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(daemon=True)
        self.phone = SocketPhone(server, user, seconds=0.5)
        self.is_over = threading.Event()
        self.acknowledged = ""
        self.asked = ""
        self.count = 0

    def run(self) -> None:
        for number in itertools.count(1):
            self.asked = f"sip:{self.phone.user}@192.0.2.1:{number % 50_000 + 1000}"
            contacts = [f"<{self.asked}>"]
            if self.acknowledged:
                contacts.insert(0, f"<{self.acknowledged}>;expires=0")
            while (status := self._asks(contacts)) is None:
                if self.is_over.is_set():
                    return
            assert status == 200, status
            self.acknowledged = self.asked
            self.count += 1

    def _asks(self, contacts: list[str]) -> int | None:
        """The status of the answer; None where none comes: the server is gone, or busy."""
        with contextlib.suppress(NoMessage, OSError):
            return self.phone.registers(*contacts)
        return None


class Clerk(threading.Thread):
    """An administrator adds accounts in the browser, and deletes every other one of them."""

    def __init__(self, admin: Admin, prefix: str) -> None:
        super().__init__(daemon=True)
        self.admin = admin
        self.prefix = prefix
        self.present: set[str] = set()  # as acknowledged
        self.gone: set[str] = set()
        self.asked: set[str] = set()  # about which nothing was said yet

    def run(self) -> None:
        with contextlib.suppress(OSError, AssertionError):  # the server is gone
            for number in itertools.count():
                name = f"{self.prefix}{number}"
                self.asked = {name}
                page = self.admin.sends(
                    "/users/new", username=name, password="secret", how="type", realm=""
                )
                self.present.add(name)
                if number % 2:
                    self.admin.sends(f"{page}/remove")
                    self.present.remove(name)
                    self.gone.add(name)
                self.asked = set()


def kept(server: Server) -> tuple[dict[str, set[str]], set[str]]:
    """The contacts of each user, and all users, as they stand in the file."""
    with closing(sqlite3.connect(server.database)) as file:
        ((sound,),) = file.execute("PRAGMA integrity_check")
        assert sound == "ok"
        users = {name for (name,) in file.execute("SELECT username FROM users")}
        bound: dict[str, set[str]] = {name: set() for name in users}
        for aor, contact in file.execute("SELECT aor, contact FROM bindings"):
            bound[aor.partition("@")[0]].add(contact)
    return bound, users


def kill_under_load(server: Server, admin: Admin, number: int, binders: list[Binder]) -> Clerk:
    """Let all clients work for a moment, kill the server, and wait for their ends."""
    wait_for_phones(server)
    clerk = Clerk(admin, f"round{number}x")
    for worker in (*binders, clerk):
        worker.start()
    counts = [binder.count for binder in binders]
    until(lambda: sum(b.count for b in binders) > sum(counts) + 2 * PHONES, "phones register")
    until(lambda: clerk.present, "an account is added")
    time.sleep(random.uniform(0, 0.2))
    if number % 2:
        wait_for_a_commit(server)
    for binder in binders:
        binder.is_over.set()
    server.kill()
    for worker in (*binders, clerk):
        worker.join(3 * PATIENCE)
        assert not worker.is_alive()
    return clerk


def wait_for_phones(server: Server) -> None:
    """Return when all phones of before are loaded, by a REGISTER that asks for the bindings."""
    with closing(SocketPhone(server, "phone0", seconds=PATIENCE)) as phone:
        uri = f"sip:{server.domain}"
        _, response = phone.authorized("REGISTER", uri, phone.registration)
        assert response.startswith("SIP/2.0 200 ")


def wait_for_a_commit(server: Server) -> None:
    """Return while a commit is being written: its log has just changed, and is not synced yet."""
    log = f"{server.database}-wal"
    before = os.stat(log).st_mtime_ns
    give_up_at = time.monotonic() + PATIENCE
    while os.stat(log).st_mtime_ns == before:
        assert time.monotonic() < give_up_at


def kill_again_and_again(server: Server, times: int) -> None:
    """Kill a server under load, start it again, and see what it still knows."""
    names = [f"phone{number}" for number in range(PHONES)]
    server.has_users(*names)
    with closing(sqlite3.connect(server.database)) as file:
        present = {name for (name,) in file.execute("SELECT username FROM users")}
    server.does("admin", "password", "--password", "a long one")
    server.start()
    admin = Admin(server)
    assert admin.signs_in("a long one")
    acknowledged = dict.fromkeys(names, "")
    for number in range(times):
        binders = [Binder(server, name) for name in names]
        for binder in binders:
            binder.acknowledged = acknowledged[binder.phone.user]
        clerk = kill_under_load(server, admin, number, binders)
        server.start()
        bound, users = kept(server)
        present |= clerk.present
        assert present - clerk.asked <= users, "an acknowledged account is lost"
        assert not clerk.gone - clerk.asked & users, "a deleted account is there again"
        assert users <= present | clerk.asked, "an account is there without a request"
        present = users
        for binder in binders:
            name = binder.phone.user
            allowed = [{binder.acknowledged} - {""}, {binder.asked}]
            assert bound[name] in allowed, (name, bound[name], allowed)
            acknowledged[name] = next(iter(bound[name]), "")
            binder.phone.close()
        assert admin.is_signed_in()  # the pages are there when SIP is
    server.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server that was never started."""
    server = Server(tmp_path / "server")
    yield server
    server.close()


@pytest.mark.timeout(300)
def test_twenty_kills_under_load_lose_nothing_and_invent_nothing(fresh: Server):
    """Every other one comes while a commit is being written."""
    kill_again_and_again(fresh, 20)


@pytest.mark.siege
@pytest.mark.timeout(1800)
def test_sixty_kills_lose_no_account_and_invent_none(fresh: Server):
    fill(fresh)
    kill_again_and_again(fresh, 60)


def fill(server: Server) -> None:
    """Give a hundred thousand accounts a phone each, all of them bound for a day."""
    now = int(time.time())
    accounts = [
        (number, f"user{number}", "a" * 32, "b" * 64, "c" * 64, server.domain, now, now)
        for number in range(1, MANY + 1)
    ]
    bindings = [
        BindingRow(
            user_id=number,
            aor=f"user{number}@{server.domain}",
            contact=f"sip:user{number}@{host}:5060",
            expires_at=now + 86_400,
            call_id=f"{random.getrandbits(64):x}@{host}",
            cseq=1,
            user_agent="Linphone Desktop/5.2.4",
            flow=f"UDP/{server.hosts[0]}:{server.port}/{host}:5060;nat",
            updated_at=now,
        )
        for number in range(1, MANY + 1)
        for host in [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"]
    ]
    columns = "id, username, ha1_md5, ha1_sha256, ha1_sha512_256, ha1_realm, created_at, updated_at"
    places = ", ".join("?" * len(BindingRow._fields))
    with Database(str(server.database)) as database:
        Users(database, server.domain)
        database.remember("realm", server.domain)

        def write(tables) -> None:
            write_many(
                tables, f"INSERT INTO users ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", accounts
            )
            names = ", ".join(BindingRow._fields)
            write_many(tables, f"INSERT INTO bindings ({names}) VALUES ({places})", bindings)

        database.run(write)


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Server]:
    """A server that knows a hundred thousand bound phones, never started, and alice and bob."""
    server = Server(tmp_path / "server", "-sip.keepalive", "0")
    server.has_users("alice", "bob")
    with closing(sqlite3.connect(server.database)) as file, file:
        file.execute("UPDATE users SET id = id + 200000")
    fill(server)
    yield server
    server.close()


@pytest.mark.alone
def test_a_killed_server_with_many_phones_is_soon_back(loaded: Server):
    """And calls find their phones: requests during the load wait for its end."""
    with closing(SocketPhone(loaded, "alice")) as alice, closing(SocketPhone(loaded, "bob")) as bob:
        loaded.start()
        assert bob.registers() == 200
        answers, calls = [], []
        for _ in range(2):
            loaded.kill()
            unit = cpu_seconds_of_a_unit()
            loaded.start()
            answers.append(cpu_seconds(loaded) / unit)
            alice.calls(bob)
            calls.append(cpu_seconds(loaded) / unit)
        assert min(answers) < ANSWERS_WITHIN, answers
        assert min(calls) < SERVES_WITHIN, calls


def test_a_call_of_before_goes_on_after_the_kill(server, registered):
    """The key of its ticket is kept: either side sends a re-INVITE, and hangs up."""
    alice, bob = registered("alice"), registered("bob")
    call, theirs = alice.calls(bob)
    server.kill()
    server.start()
    bob.invites_again(theirs, alice)
    alice.invites_again(call, bob)
    bob.hangs_up(theirs, alice)


def test_a_copy_of_file_and_log_at_any_moment_can_be_started(server, registered, tmp_path):
    """As a power cut leaves them: all that was acknowledged before is in it."""
    alice = registered("alice")
    other = Server(tmp_path / "other")
    for suffix in ("", "-wal"):
        shutil.copy(f"{server.database}{suffix}", f"{other.database}{suffix}")
    other.start()
    try:
        bound, _ = kept(other)
        assert bound["alice"] == {alice.contact[1:-1]}
    finally:
        other.close()


def test_a_killed_change_of_many_users_is_undone(fresh: Server):
    """It is written in pieces; those of before the kill are undone at the next start."""
    rows = [f"user{number:05},{number:032x}" for number in range(20_000)]
    fresh.imports_users(["username,ha1", *rows])
    fresh.does("admin", "password", "--password", "a long one")
    fresh.start()
    admin = Admin(fresh)
    assert admin.signs_in("a long one")
    admin.sends("/users/choose", all="yes")
    number = re.search(r'name="number" value="(\d+)"', admin.reads("/users/act/disable"))
    admin.sends("/users/act/disable", number=number[1])
    with closing(sqlite3.connect(fresh.database)) as file:
        disabled = "SELECT count(*) FROM users WHERE enabled = 0"
        until(lambda: file.execute(disabled).fetchone()[0] > 0, "a piece is written")
        fresh.kill()
        assert 0 < file.execute(disabled).fetchone()[0] < 20_000
        fresh.start()
        assert file.execute(disabled).fetchone()[0] == 0
    assert "undone, because the server ended before it was finished" in fresh.log.read_text()
    assert "the server ended before it was finished" in admin.reads("/audit")
    assert "were disabled" not in admin.reads("/users/undo")
