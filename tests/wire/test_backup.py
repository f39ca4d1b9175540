"""A backup of a running server, restored elsewhere: phones and calls go on."""

import json
import sqlite3
import urllib.error
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


def metrics_are_open(server: Server) -> bool:
    """Whether the setting web.metrics_open is on, by what the server does."""
    try:
        urllib.request.urlopen(f"{server.web_url}/metrics", timeout=10).close()
    except urllib.error.HTTPError:  # 401
        return False
    return True


def registrations(path: Path) -> list[tuple[str, int]]:
    """The Call-ID and the CSeq of the last REGISTER of each phone."""
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT call_id, cseq FROM bindings ORDER BY aor").fetchall()


def test_a_restored_server_keeps_its_phones(server: Server, registered, tmp_path: Path):
    """No phone registers anew: bindings, secrets and settings are in the backup."""
    alice, bob = registered(Baresip, "alice"), registered(Baresip, "bob")
    talk(alice, bob)
    token = server.does("tokens", "add", "api", "--role", "admin").strip()
    assert not metrics_are_open(server)
    change_setting(server, token, "web.metrics_open", "on")
    assert metrics_are_open(server)
    file = tmp_path / "backup.db"
    server.does("backup", str(file))
    server.does("restore", str(file), "--force", codes=(1,))  # it runs
    assert server.answers_options()
    server.kill()

    server.database = tmp_path / "elsewhere.db"
    assert "users" in server.does("restore", str(file))
    before = registrations(server.database)
    server.start()
    assert metrics_are_open(server)
    server.add_user("dora", "secret-of-dora")  # which reloads the settings, too
    assert metrics_are_open(server)
    alice.hangs_up()
    bob.call_ends(alice)
    alice.call_ends(bob)
    talk(alice, bob)
    assert len(before) == 2
    assert registrations(server.database) == before
