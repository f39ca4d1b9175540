"""A backup of a running server, restored elsewhere: phones and calls go on."""

import json
import sqlite3
import urllib.request
from pathlib import Path

from tests.support.baresip import Baresip
from tests.support.phone_calls import talk
from tests.support.server import Server


def change_setting(server: Server, token: str, name: str, value: str) -> None:
    request = urllib.request.Request(
        f"{server.web_url}/api/v1/settings",
        json.dumps({name: value}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="PATCH",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def setting(server: Server, name: str) -> list[str]:
    lines = server.does("settings").splitlines()
    return next(line.split("\t")[1:] for line in lines if line.startswith(f"{name}\t"))


def registrations(path: Path) -> list[tuple[str, int]]:
    """The Call-ID and the CSeq of the last REGISTER of each phone."""
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT call_id, cseq FROM bindings ORDER BY aor").fetchall()


def test_a_restored_server_keeps_its_phones(server: Server, registered, tmp_path: Path):
    """No phone registers anew: bindings, secrets and settings are in the backup."""
    alice, bob = registered(Baresip, "alice"), registered(Baresip, "bob")
    talk(alice, bob)
    token = server.does("tokens", "add", "api", "--role", "admin").strip()
    change_setting(server, token, "calls.keep", "7")
    file = tmp_path / "backup.db"
    server.does("backup", str(file))
    server.does("restore", str(file), "--force", codes=(1,))  # it runs
    assert server.answers_options()
    server.kill()

    server.database = tmp_path / "elsewhere.db"
    assert "users" in server.does("restore", str(file))
    before = registrations(server.database)
    server.start()
    assert setting(server, "calls.keep") == ["7", "page"]
    alice.hangs_up()
    bob.call_ends(alice)
    alice.call_ends(bob)
    talk(alice, bob)
    assert len(before) == 2
    assert registrations(server.database) == before
