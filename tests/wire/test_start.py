"""A start of the server: what it prints and writes, and what it leaves alone when it fails."""

import re
import socket

import pytest

from sip import __version__
from sip.store.admins import Admins
from sip.store.database import Database
from tests.support.admin import Admin as Visitor
from tests.support.programs import REPOSITORY, start, until
from tests.support.server import Server

PRINTED = re.compile(r"The password of `admin` in the web admin is  (\S+)")


@pytest.fixture
def stopped(tmp_path):
    """A server that is not started, and has no file yet."""
    server = Server(tmp_path / "server")
    yield server
    server.close()


def starts_and_fails(server: Server, *flags: str) -> str:
    """Start it with further flags, and give what it says before it ends with 1."""
    process = start(
        [*server._command(), *flags], server.log, cwd=server.home, env=server._environment()
    )
    assert process.wait(30) == 1
    return server.log.read_text()


@pytest.mark.parametrize("kind", ["sip", "web"])
def test_a_start_without_its_ports_sets_no_password(stopped, kind):
    """Nor the realm, which commands take over; the next start is the first one."""
    port = stopped.web_port if kind == "web" else stopped.port
    with socket.create_server((stopped.hosts[0] if kind == "sip" else "127.0.0.1", port)):
        said = starts_and_fails(stopped, "-sip.realm", "elsewhere.test")
    assert f":{port}: Address already in use. Stop the other server" in said
    assert not PRINTED.search(said)
    with Database(str(stopped.database)) as database:
        assert Admins(database).password_hash() is None
        assert database.remembered("realm") is None
    stopped.log.write_text("")

    stopped.start()
    until(lambda: PRINTED.search(stopped.log.read_text()), "the password")
    log = stopped.log.read_text()
    (password,) = PRINTED.findall(log)
    for line in ("SIP listens on", "web admin listens on"):
        assert log.index(line) < log.index(password), "it works where it is printed"
    assert Visitor(stopped).signs_in(password)


def test_the_first_line_says_whether_it_is_compiled(stopped):
    """In the compiled copy, where these tests run too, an extension is beside the module."""
    stopped.start()
    first = stopped.log.read_text().splitlines()[0]
    is_compiled = any((REPOSITORY / "sip").glob("dispatcher.*.so"))
    kind = "compiled" if is_compiled else "pure Python"
    assert first.endswith(f" INFO sipserver: starting sipserver {__version__}, {kind}")


@pytest.mark.parametrize("flag", ["-sip.addr", "-web.addr"])
def test_an_address_of_another_machine_is_an_error(stopped, flag):
    said = starts_and_fails(stopped, flag, "192.0.2.77:21650")
    (line,) = [line for line in said.splitlines() if line.startswith("sipserver.py:")]
    assert "192.0.2.77:21650: this machine has no such address. " in line
    assert line.endswith(f"or listen on all of them with {flag} :21650")


def test_a_weak_password_of_the_environment_is_reported(stopped):
    stopped.environment["SIPSERVER_ADMIN_PASSWORD"] = "admin"
    stopped.start()
    warning = "weak password: SIPSERVER_ADMIN_PASSWORD is the user name, or similar"
    until(lambda: warning in stopped.log.read_text(), "the warning")
