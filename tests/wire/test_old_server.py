"""A move from the old server keeps command line, file and phones."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.baresip import Baresip
from tests.support.programs import REPOSITORY, end, program, start, tail, until
from tests.support.server import Server
from tests.support.sipp_calls import register

PEOPLE = ["alice", "Alice", "bob", "0077", "carol"]


def old_file(path: Path, realm: str) -> None:
    """Make a file as the old server did; carol's hash was entered in upper case."""
    hashes = [
        hashlib.md5(f"{name}:{realm}:{Server.password_of(name)}".encode()).hexdigest()
        for name in PEOPLE
    ]
    hashes[-1] = hashes[-1].upper()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " username TEXT NOT NULL UNIQUE, password TEXT NOT NULL)"
        )
        connection.executemany(
            "INSERT INTO users (username, password) VALUES (?, ?)",
            zip(PEOPLE, hashes, strict=True),
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The real server, started on a file of the old one."""
    server = Server(tmp_path / "server")
    old_file(server.database, server.domain)
    server.start()
    yield server
    server.close()


def test_every_phone_registers_with_its_old_password(server, sipp):
    """alice and Alice are two, and a hash is the same in upper case."""
    register(server, sipp, PEOPLE)
    server.restart()
    register(server, sipp, PEOPLE)


def test_phones_of_the_old_server_call_each_other(server, registered):
    """They stay unchanged; a user that was added since has a phone like any other."""
    server.add_user("dave", Server.password_of("dave"))
    alice, bob, dave = (registered(Baresip, name) for name in ("alice", "bob", "dave"))
    for caller, callee in ((alice, bob), (dave, alice)):
        caller.dials(callee)
        callee.gets_a_call(caller)
        callee.answers()
        caller.is_talking(callee)
        caller.hangs_up()
        callee.call_ends(caller)


def test_a_wrong_password_is_still_wrong(server, phone):
    """Old passwords are compared, not just accepted."""
    intruder = phone(Baresip, "alice", server, "guessed")
    intruder.asks_to_register()
    intruder.expects("refused")


# The first command brings the loopback of a new network up, which has no address before.
LOOPBACK = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket() as any:
    fcntl.ioctl(any, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
os.execv("/bin/sh", ["sh", "-c", sys.argv[1]])
"""
# What answers there: the challenge to a phone, and the web.
LOOK = """
import json, socket, urllib.request
phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
phone.settimeout(5)
phone.connect(("127.0.0.1", 5061))
phone.send(b"\\r\\n".join([
    b"REGISTER sip:my-sip-domain.com SIP/2.0",
    b"Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKold" % phone.getsockname()[1],
    b"Max-Forwards: 70",
    b"From: <sip:alice@my-sip-domain.com>;tag=1",
    b"To: <sip:alice@my-sip-domain.com>",
    b"Call-ID: old",
    b"CSeq: 1 REGISTER",
    b"Content-Length: 0",
    b"",
    b"",
]))
challenge = phone.recv(65535).decode()
health = urllib.request.urlopen("http://127.0.0.1:9090/healthz", timeout=5).status
print(json.dumps([challenge, health]))
"""


def test_the_command_line_of_its_readme_works_word_for_word(tmp_path: Path):
    """In a network of its own, as it listens on every address; the file is the default one."""
    old_file(tmp_path / "sip_users.db", "my-sip-domain.com")
    started = (
        f'exec "{sys.executable}" "{REPOSITORY}/sipserver.py"'
        ' -web.addr ":9090" -sip.addr ":5061" -sip.realm "my-sip-domain.com"'
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SIPSERVER_") and name not in ("PORT", "DATABASE_URL")
    }
    log = tmp_path / "server.log"
    process = start(
        [
            *[program("unshare"), "--user", "--map-root-user", "--net"],
            *[sys.executable, "-c", LOOPBACK, started],
        ],
        log,
        cwd=tmp_path,
        env=environment,
    )
    try:
        until(
            lambda: "web admin listens" in log.read_text() or process.poll() is not None,
            "the server listens",
            30,
        )
        assert process.poll() is None, tail(log)
        inside = [
            *[program("nsenter"), "--user", "--net", "--target", str(process.pid)],
            *["--preserve-credentials", "--", sys.executable],
        ]
        seen = subprocess.run(
            [*inside, "-c", LOOK], capture_output=True, text=True, timeout=30, check=False
        )
        assert seen.returncode == 0, seen.stderr
        challenge, health = json.loads(seen.stdout)
        assert challenge.startswith("SIP/2.0 401 ")
        assert 'realm="my-sip-domain.com"' in challenge
        # Its accounts have the MD5 digest alone, so no other algorithm may be asked of them.
        assert challenge.count("WWW-Authenticate:") == 1
        assert health == 200
    finally:
        code = end(process, signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in tail(log)
    assert (tmp_path / "sip_users.db.backup-1").exists()
