"""The web admin of a running server: first start, password, and import."""

import gzip
import http.client
import re
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.admin import Admin
from tests.support.server import Server
from tests.support.sipp_calls import register

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
    assert admin.is_signed_in(), "a restart keeps all sessions"


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


def test_compressed_answers_keep_to_their_lengths(new):
    """On one connection, where an octet too many would be read as the next answer."""
    new.environment["SIPSERVER_ADMIN_PASSWORD"] = "from the environment"
    new.has_users(*(f"user{number}" for number in range(60)))
    new.start()
    admin = Admin(new)
    admin.signs_in("from the environment")
    with closing(http.client.HTTPConnection("127.0.0.1", new.web_port, timeout=10)) as connection:
        headers = {"Cookie": admin.cookie, "Accept-Encoding": "gzip"}
        for path in (
            "/users",
            "/users/export.csv",
            "/static/admin.css",
            "/no/such/page",
            "/account",
        ):
            lengths = []
            for method in ("HEAD", "GET"):
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                lengths.append(answer.headers["Content-Length"])
                body = answer.read()
            if path == "/no/such/page":
                continue  # too short
            assert answer.headers["Content-Encoding"] == "gzip", path
            assert len(gzip.decompress(body)) > len(body)
            if path != "/users/export.csv":  # which has none
                assert lengths == [str(len(body))] * 2, path


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
    register(server, sipp, names)
    page = admin.reads("/users?q=new&status=online")
    assert all(f">{name}</a>" in page for name in names)
    assert "\n20 users" in page
