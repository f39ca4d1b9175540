"""The web admin as a process: its first start, its password, and what is imported in it."""

import re
from pathlib import Path

import pytest

from tests.wire.admin import Admin
from tests.wire.server import Server
from tests.wire.test_sipp import register

SHOWN = re.compile(r"The password of `admin` in the web admin is  (\S+)\n")


@pytest.fixture
def new(tmp_path: Path):
    """A server that has never run."""
    server = Server(tmp_path / "server")
    yield server
    server.close()


def test_the_first_start_prints_a_password_once(new):
    new.start()
    (password,) = SHOWN.findall(new.log.read_text())
    assert Admin(new).signs_in(password)
    admin = Admin(new)
    assert not admin.signs_in(password[:-1])

    admin.signs_in(password)
    new.restart()
    assert len(SHOWN.findall(new.log.read_text())) == 1
    assert admin.is_signed_in(), "a restart signs nobody out"


def test_the_environment_sets_the_password(new):
    new.environment["SIPSERVER_ADMIN_PASSWORD"] = "from the environment"
    new.start()
    assert not SHOWN.search(new.log.read_text())
    admin = Admin(new)
    assert admin.signs_in("from the environment")
    new.restart()
    assert admin.is_signed_in()
    new.environment["SIPSERVER_ADMIN_PASSWORD"] = "another from the environment"
    new.restart()
    assert not admin.is_signed_in()
    assert admin.signs_in("another from the environment")


def test_the_command_sets_the_password_of_a_running_server(new):
    new.does("admin", "password", "--password", "set before the start")
    new.start()
    assert not SHOWN.search(new.log.read_text())
    admin = Admin(new)
    assert admin.signs_in("set before the start")
    new.does("admin", "password", "--password", "set while it runs")
    assert not admin.is_signed_in()
    assert not admin.signs_in("set before the start")
    assert admin.signs_in("set while it runs")


def test_phones_of_imported_users_register(server, sipp):
    """A SIPp registers as users that came in by the page, at once, and the page shows them."""
    server.does("admin", "password", "--password", "secret of the admin")
    admin = Admin(server)
    assert admin.signs_in("secret of the admin")
    names = [f"new{number:02}" for number in range(20)]
    rows = "".join(f"{name},{server.password_of(name)}\n" for name in names)
    admin.imports("username,password\n" + rows)
    register(server, sipp, names, "127.0.0.1", "127.0.0.1:5071")
    page = admin.reads("/users?q=new&status=online")
    assert all(f">{name}</a>" in page for name in names)
    assert "\n20 users" in page
