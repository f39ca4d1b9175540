"""Linphone sets itself up by a link that an administrator has made, and registers."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.admin import Admin
from tests.support.programs import end, program, start, until
from tests.support.server import Server

PASSWORD = "correct horse battery staple"
# -2: no socket that listens, only connections to the server.
SETTINGS = """\
[misc]
config-uri={link}
[sip]
sip_port=-2
sip_tcp_port=-2
sip_tls_port=0
bind_address=127.0.0.1
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    server.environment["SIPSERVER_ADMIN_PASSWORD"] = PASSWORD
    server.start()
    yield server
    server.close()


def test_linphone_registers_by_the_link_and_once_only(server, tmp_path):
    """It gets the HA1s and no password, and answers the challenge for SHA-256."""
    admin = Admin(server)
    assert admin.signs_in(PASSWORD)
    name = 'A "L" <x>'
    place = admin.sends("/users/new", username="alice", display_name=name, how="make")
    page = admin.reads(place)
    (link,) = re.findall(rf'value="({re.escape(server.web_url)}/provision/link/[^"]*)"', page)
    (tmp_path / ".local/share/linphone").mkdir(parents=True)
    (tmp_path / "linphonerc").write_text(SETTINGS.format(link=link))
    log = tmp_path / "linphone.log"
    phone = start(
        [program("linphonec"), "-c", str(tmp_path / "linphonerc"), "-d", "6", "-l", str(log)],
        tmp_path / "output",
        stdin=subprocess.PIPE,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    try:
        until(lambda: _registered(admin), "Linphone has registered")
    finally:
        phone.stdin.close()
        end(phone, signal.SIGTERM)
    spoken = log.read_text(errors="replace")
    assert "algorithm=SHA-256" in spoken
    assert "auth_pass" not in spoken
    status, text = admin.asks("GET", link.removeprefix(server.web_url))
    assert (status, "used already" in text) == (404, True)
    assert link.rpartition("/")[2] not in server.log.read_text()


def _registered(admin: Admin) -> bool:
    time.sleep(0.2)
    return "Registered: Linphonec" in admin.reads("/users/1/setup")
